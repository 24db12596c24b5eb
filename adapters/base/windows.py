"""Training windows in the format of `octod.adapters.prompt`, cut on the fly from token shards.

Three in five windows are centred on a call: the file text up to the call's line, signatures, the line and what
follows; half of those carry text after the call and end with `<|end|>`. The others are plain file text. The
windows of a step depend on the seed and the step's number alone, so a run resumes where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from octod.adapters.prompt import (
    CONTEXT,
    CUT_TOKENS,
    END,
    FILE,
    FILE_TOKENS,
    INDEX,
    INDEX_TOKENS,
    LINE,
    LINE_TOKENS,
    PAD,
    SIGNATURES,
    SPECIAL_TOKENS,
    SUFFIX,
    SUFFIX_TOKENS,
)

if TYPE_CHECKING:
    Tokens = npt.NDArray[np.uint16]

__all__ = ["Shard", "WindowConfig", "Windows"]

_PAD, _END, _FILE, _SUFFIX, _INDEX, _LINE = (
    SPECIAL_TOKENS.index(name) for name in (PAD, END, FILE, SUFFIX, INDEX, LINE)
)


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """What share of the windows takes which form.

    `call` of all windows are centred on a call; of those `fim` have text after the call, `empty` no signature,
    `wrong` only signatures of siblings. The call itself weighs `call_weight` times as much as other text.
    """

    context: int = CONTEXT
    call: float = 0.6
    fim: float = 0.5
    empty: float = 0.2
    wrong: float = 0.1
    call_weight: float = 2.0


class Shard:
    """The arrays that `octod.adapters.base.corpus` wrote, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self.tokens: Tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self.documents = np.load(folder / "documents.npy")
        self.calls = np.load(folder / "calls.npy")
        self.signatures: Tokens = np.load(folder / "signatures.npy")
        self.spans = np.load(folder / "spans.npy")
        self.groups = np.load(folder / "groups.npy")
        self.document_shares = _cumulative(np.load(folder / "weights.npy"))
        self.call_shares = _cumulative(self.calls["weight"])

    def signature(self, number: int) -> Tokens:
        """Return the tokens of one signature line."""
        return self.signatures[self.spans[number] : self.spans[number + 1]]


class Windows:
    """Draws windows from a shard; `batch(step, size)` is a pure function of the seed and its arguments."""

    def __init__(self, shard: Shard, config: WindowConfig, seed: int) -> None:
        self.shard, self.config, self.seed = shard, config, seed

    def batch(
        self, step: int, size: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return inputs, targets and loss weights of one step, each (size, context)."""
        random = np.random.default_rng((self.seed, step))
        ids = np.full((size, self.config.context + 1), _PAD, dtype=np.int64)
        weights = np.zeros((size, self.config.context + 1), dtype=np.float32)
        for row in range(size):
            if len(self.shard.calls) and random.random() < self.config.call:
                tokens, loss = self.call_window(random)
            else:
                tokens, loss = self.plain_window(random)
            ids[row, : len(tokens)], weights[row, : len(loss)] = tokens, loss
        first, second = ids[:, :-1], ids[:, 1:]
        return first.copy(), second.copy(), weights[:, 1:].copy()

    def plain_window(self, random: np.random.Generator) -> tuple[Tokens, npt.NDArray[np.float32]]:
        """Return a window of file text and its loss weights, at most context + 1 tokens."""
        shard, room = self.shard, self.config.context
        document = int(np.searchsorted(shard.document_shares, random.random(), side="right"))
        begin, end = int(shard.documents[document]), int(shard.documents[document + 1])
        # One window in eight shows the beginning of its file, where the imports are.
        spare = max(0, end - begin - room)
        start = begin if random.random() < 0.125 else begin + int(random.integers(0, spare + 1))
        tokens = np.concatenate([[_FILE], shard.tokens[start : min(end, start + room)]])
        return tokens, np.ones(len(tokens), dtype=np.float32)

    def call_window(self, random: np.random.Generator) -> tuple[Tokens, npt.NDArray[np.float32]]:
        """Return a window centred on a call and its loss weights, at most context + 1 tokens."""
        shard = self.shard
        number = int(np.searchsorted(shard.call_shares, random.random(), side="right"))
        call = shard.calls[number]
        begin, end = (int(b) for b in shard.documents[call["document"] : call["document"] + 2])
        line, stop = begin + int(call["line"]), begin + int(call["stop"])
        member = max(int(call["member"]) - int(call["line"]), 0)
        index = self._index(int(call["signature"]), random)
        if random.random() < self.config.fim:
            after = shard.tokens[stop : min(end, stop + SUFFIX_TOKENS)]
            suffix = np.concatenate([[_SUFFIX], after])
            body = np.concatenate([shard.tokens[line:stop], [_END]])
        else:
            suffix = np.zeros(0, dtype=np.int64)
            # What follows the call fills the window; the file text keeps its budget.
            body = shard.tokens[line : min(end, stop + CONTEXT)]
        fixed = 2 + len(suffix) + 1 + len(index)  # <|file|>, <|line|>, suffix, <|index|> and signatures
        room = self.config.context + 1 - fixed
        # The left cut falls anywhere within a step, as it does while somebody types.
        keep = min(
            line - begin,
            FILE_TOKENS - int(random.integers(0, CUT_TOKENS)),
            room - max(LINE_TOKENS, stop - line + 1),
        )
        keep = max(keep, min(line - begin, room - len(body)))
        file = shard.tokens[line - keep : line] if keep > 0 else shard.tokens[:0]
        body = body[: room - len(file)]
        tokens = np.concatenate([[_FILE], file, suffix, [_INDEX], index, [_LINE], body])
        loss = np.zeros(len(tokens), dtype=np.float32)
        loss[1 : 1 + len(file)] = 1.0
        first = len(tokens) - len(body)
        loss[first:] = 1.0
        loss[first + member : first + stop - line + 1] = self.config.call_weight
        return tokens, loss

    def _index(self, right: int, random: np.random.Generator) -> Tokens:
        """Return the tokens of up to five shuffled signature lines that fit the index's budget."""
        shard, chance = self.shard, random.random()
        if right < 0 or chance < self.config.empty:
            return shard.signatures[:0]
        begin, end = (int(bound) for bound in shard.groups[right])
        others = [int(n) for n in random.integers(begin, end, size=SIGNATURES) if n != right]
        others = others[: int(random.integers(0, SIGNATURES))]
        chosen = list(dict.fromkeys(others))
        if chance >= self.config.empty + self.config.wrong or not chosen:
            chosen.insert(0, right)
        fitted, room = [], INDEX_TOKENS
        for number in chosen:
            tokens = shard.signature(number)
            if len(tokens) <= room:
                room -= len(tokens)
                fitted.append(tokens)
        random.shuffle(fitted)
        return np.concatenate(fitted) if fitted else shard.signatures[:0]


def _cumulative(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return cumulative shares for drawing by `searchsorted`, the last one exactly 1."""
    if not len(weights):
        return np.zeros(0)
    shares = np.cumsum(weights, dtype=np.float64)
    shares /= shares[-1]
    return shares
