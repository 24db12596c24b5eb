"""From next-token logits to argument lists and candidate scores; what gives the logits is a function."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octod.daemon.engines.constraint import ArgumentList, Rules
from octod.daemon.engines.protocol import CallConstraint, Ending, Generated

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import Tokenizer

    Array = npt.NDArray[np.float32]

__all__ = ["Trie", "Vocabulary", "generate", "score"]

MOST_TOKENS = 48  # two thirds of real argument lists are under 30 characters (DESIGN.md, section 3)
TOP = 24  # tokens looked at in each step
# Below this, a token that the constraint allows but the model did not prefer is not forced. To be tuned on
# development sites; 0.02 stops most lists that leave what the model had in mind.
UNLIKELY = 0.02
_BYTE = re.compile("<0x([0-9A-F]{2})>")


class Vocabulary:
    """What each token stands for: ``texts[id]``, None for special tokens and pieces of a character."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        import numpy as np

        self.texts = list(texts)
        goes_on = [t is not None and t[:1] != "" and ("a" + t[0]).isidentifier() for t in self.texts]
        self.boundary = ~np.array(goes_on, dtype=bool)  # tokens that end an identifier

    @classmethod
    def of(cls, tokenizer: Tokenizer, size: int) -> Vocabulary:
        """The texts of a byte-level BPE, or of a SentencePiece-like vocabulary, padded to ``size``."""
        import json

        texts: list[str | None] = [None] * size
        special = tokenizer.get_added_tokens_decoder()
        byte_level = "ByteLevel" in json.dumps(json.loads(tokenizer.to_str()).get("decoder") or {})
        alphabet = _byte_alphabet()
        for token, number in tokenizer.get_vocab(with_added_tokens=False).items():
            if number in special or number >= size:
                continue
            if byte_level:
                raw = bytes(alphabet[c] for c in token) if all(c in alphabet for c in token) else b"\xff"
                try:
                    texts[number] = raw.decode()
                except UnicodeDecodeError:
                    continue
            elif (byte := _BYTE.fullmatch(token)) is None:
                texts[number] = token.replace("\u2581", " ")
            elif int(byte[1], 16) < 0x80:  # SentencePiece's way to spell a line end
                texts[number] = chr(int(byte[1], 16))
        return cls(texts)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for every byte (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(rest)}


@dataclass(frozen=True, slots=True)
class _Choice:
    token: int
    text: str  # the part of the token's text that is used
    logprob: float
    reading: ArgumentList


def generate(
    logits_after: Callable[[list[int]], Array],
    vocabulary: Vocabulary,
    constraint: CallConstraint,
    in_time: Callable[[], bool],
    *,
    top: int = TOP,
    unlikely: float = UNLIKELY,
) -> Generated:
    """Greedy decoding under a constraint.

    ``logits_after(generated tokens)`` gives the next token's logits. When the constraint leaves only tokens the model
    finds unlikely, decoding goes back once to the step whose second choice was likeliest, then gives up.
    """
    opened = ArgumentList(Rules(constraint)).after(constraint.typed)
    path: list[_Choice] = []
    seconds: list[_Choice | None] = []  # each step's second choice
    may_return = True
    while opened is not None and len(path) < MOST_TOKENS and in_time():
        reading = path[-1].reading if path else opened[0]
        if reading.done:
            return _generated(path, finished=bool(path))
        choices = _choices(
            logits_after([c.token for c in path]), vocabulary, reading, top, math.log(unlikely or 1e-30)
        )
        if choices:
            path.append(choices[0])
            seconds.append(choices[1] if len(choices) > 1 else None)
            continue
        back = max(
            (
                n
                for n, second in enumerate(seconds)
                if second and second.logprob >= math.log(unlikely or 1e-30)
            ),
            key=lambda n: seconds[n].logprob,  # type: ignore[union-attr]
            default=None,
        )
        if back is None or not may_return:
            break
        may_return = False
        second = seconds[back]
        assert second is not None
        path[back:], seconds[back:] = [second], [None]
    return _generated(path, finished=bool(path) and path[-1].reading.done)


def _choices(
    logits: Array, vocabulary: Vocabulary, reading: ArgumentList, top: int, unlikely: float
) -> list[_Choice]:
    """The viable ones of the likeliest tokens, best first; none when the best would have to be forced."""
    import numpy as np

    logprobs = logits - _log_sum(logits)
    top = min(top, len(logprobs))
    best = np.argpartition(logprobs, -top)[-top:]
    best = best[np.lexsort((best, -logprobs[best]))]
    viable: list[_Choice] = []
    closing: list[float] = []
    for token in best.tolist():
        text = vocabulary.texts[token] if token < len(vocabulary.texts) else None
        found = reading.after(text) if text else None
        if text and found is not None:
            viable.append(_Choice(token, text[: found[1]], float(logprobs[token]), found[0]))
            if found[0].done and text[: found[1]] == ")":
                closing.append(float(logprobs[token]))
    if not viable:
        return []
    if closing:  # `)`, `))`, `):` and `)\n` are one choice
        together = float(np.logaddexp.reduce(closing))
        first = next(n for n, c in enumerate(viable) if c.reading.done and c.text == ")")
        closer = _Choice(viable[first].token, ")", together, viable[first].reading)
        viable = [closer, *(c for c in viable if not (c.reading.done and c.text == ")"))]
        viable.sort(key=lambda c: -c.logprob)
    forced = viable[0].logprob < unlikely and viable[0].logprob < float(logprobs[best[0]])
    return [] if forced else viable


def _generated(path: list[_Choice], *, finished: bool) -> Generated:
    logprobs = [c.logprob for c in path]
    return Generated(
        text="".join(c.text for c in path),
        logprob_mean=sum(logprobs) / len(logprobs) if logprobs else -math.inf,
        logprob_min=min(logprobs, default=-math.inf),
        tokens=len(path),
        finished=finished,
    )


class Trie:
    """Candidates' tokens with common beginnings shared. Only nodes whose logits are wanted are in it: a node's own
    probability comes from its parent's logits, so a last token takes no room unless something follows it."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self._places: dict[tuple[int, int], int] = {}

    def add(self, tokens: Sequence[int]) -> int:
        """The node of the last token (-1 for no tokens)."""
        node = -1
        for token in tokens:
            place = self._places.get((node, token))
            if place is None:
                place = self._places[(node, token)] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(node)
            node = place
        return node

    def missing(self, tokens: Sequence[int]) -> int:
        """How many nodes ``add`` would make."""
        node: int | None = -1
        for n, token in enumerate(tokens):
            node = self._places.get((node, token)) if node is not None else None
            if node is None:
                return len(tokens) - n
        return 0

    def walk(self, tokens: Sequence[int]) -> list[int]:
        """The nodes of tokens that were added, from the root's -1 on."""
        nodes = [-1]
        for token in tokens:
            nodes.append(self._places[(nodes[-1], token)])
        return nodes


def score(
    first: Array,
    branch: Callable[[Trie], Array],
    vocabulary: Vocabulary,
    candidates: Sequence[Sequence[int]],
    end: Ending,
    call: int | None,
    largest: int,
) -> list[float]:
    """Sum of log-probabilities of each candidate's tokens and its end.

    ``first`` are the logits before any candidate token, ``branch`` gives (nodes, vocabulary) for a trie of at most
    ``largest`` nodes, ``call`` is the token of the opening bracket.
    """
    scores: list[float] = []
    at = 0
    while at < len(candidates):
        trie = Trie()
        group: list[tuple[list[int], list[int]]] = []
        while at < len(candidates):
            tokens = list(candidates[at][:MOST_TOKENS])
            inner = tokens if end != "none" else tokens[:-1]
            if group and len(trie.tokens) + trie.missing(inner) > largest:
                break
            trie.add(inner)
            group.append((tokens, inner))
            at += 1
        rows = _rows(first, branch(trie) if trie.tokens else None)
        totals = _log_sum(rows)
        ends = None
        for tokens, inner in group:
            nodes = trie.walk(inner)
            total = sum(float(rows[n + 1, t] - totals[n + 1]) for n, t in zip(nodes, tokens, strict=False))
            last = nodes[-1] + 1
            if end == "call" and call is not None:
                total += float(rows[last, call] - totals[last])
            elif end == "boundary":
                if ends is None:
                    ends = _log_sum(rows[:, vocabulary.boundary])
                total += float(ends[last] - totals[last])
            scores.append(total)
    return scores


def _rows(first: Array, rest: Array | None) -> Array:
    """Row 0 is the root's, row n + 1 node n's."""
    import numpy as np

    return first[None] if rest is None else np.concatenate([first[None], rest])


def _log_sum(logits: Array) -> Array:
    """log of the sum of exponentials over the last axis, in fp32."""
    import numpy as np

    highest = logits.max(axis=-1, keepdims=True)
    total: Array = np.log(np.exp(logits - highest).sum(axis=-1)) + highest[..., 0]
    return total
