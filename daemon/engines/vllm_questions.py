"""What the vLLM engine asks: scores without free generation, and arguments from drafts.

One request asks, behind every beginning of a candidate, for the probabilities of the tokens that go on. vLLM 0.32 leaves
out the likeliest tokens of every request that shares a step with such a one, so it is asked only of a server of our
own, and while no draft is being written; else the likeliest tokens have to do. Arguments are
written by the model as a draft, token by token with the likeliest alternatives, and read by the same code as the
embedded engine's (generate.py); where that chooses another token, the draft is given up and a new one goes on from
there. vLLM's own grammars are not used for it: they change the probabilities that they are told by, so a token that the
model finds unlikely would be forced unseen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.adapters.prompt import Prompt
from octod.core.errors import EngineProblem
from octod.daemon.engines.dialect import Call, Dialect, Row
from octod.daemon.engines.protocol import CallConstraint, Ending, Generated
from octod.daemon.engines.vllm_canary import Findings, examine

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from octod.daemon.engines.generate import Trie, Vocabulary
    from tokenizers import Tokenizer

    Array = npt.NDArray[np.float32]

__all__ = ["Questions"]

_NODES = 128  # places in one request for scores
_AGAIN = 4  # drafts that lack alternatives, because another's request took them away
_MOST_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """A base's tokenizer and what its server was found to be like; ``model`` is what the server calls the base."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    size: int
    context: int
    base_hash: str
    model: str
    findings: Findings
    own: bool
    drafts: set[object]  # those under way

    @classmethod
    def of(cls, base: Path, dialect: Dialect, *, own: bool) -> Questions:
        """Read the base's tokenizer and examine the server, which is ours alone or not; EngineProblem says what is missing."""
        from octod.adapters.identity import BaseModel
        from octod.adapters.prompt import load_tokenizer
        from octod.daemon.engines.generate import Vocabulary
        from octod.daemon.engines.shape import read_shape

        shape = read_shape(base)
        try:
            tokenizer = load_tokenizer(base / "tokenizer.json")
        except Exception as error:  # tokenizers raises plain Exception
            raise EngineProblem(f"{base}/tokenizer.json: {error}", "copy the base model again") from error
        vocabulary = Vocabulary.of(tokenizer, shape.vocabulary)
        model = _base_of(dialect)
        findings = examine(dialect, model, tokenizer, own=own)
        base_hash = BaseModel.of(base).weights_hash
        return cls(tokenizer, vocabulary, shape.vocabulary, shape.context, base_hash, model, findings, own, set())

    def tokens(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, with room for an answer."""
        from octod.daemon.engines.tokens import prompt_tokens

        return prompt_tokens(self.tokenizer, prompt, self.context)

    def score(
        self, dialect: Dialect, call: Call, model: str, prompt: Prompt, candidates: Sequence[str], end: Ending
    ) -> list[float]:
        """Sum of log-probabilities of each candidate and its end."""
        import numpy as np
        from octod.adapters.prompt import CONTEXT, encode_text
        from octod.daemon.engines.generate import MOST_TOKENS, score
        from octod.daemon.engines.tokens import candidate_tokens

        prefix, texts = candidate_tokens(self.tokenizer, prompt, candidates, self.context)
        texts = [text[:MOST_TOKENS] for text in texts]
        bracket = encode_text(self.tokenizer, "(")[:1]
        asked = sorted({token for text in texts for token in text} | set(bracket if end == "call" else ()))
        room = min(self.context, CONTEXT) - 1  # the server's context less the token that it must write
        first = np.zeros(self.size, np.float32)

        def branch(trie: Trie | None) -> Array:
            """The logits behind the trie's nodes; those behind the prompt go into ``first``."""
            places: list[list[int]] = [prefix]  # node n is places[n + 1]
            if trie is not None:
                for token, parent in zip(trie.tokens, trie.parents, strict=True):
                    places.append([*places[parent + 1], token])
            inner, ends = _kinds(trie, texts, end)
            if not self.own or self.drafts:
                inner, ends = [], sorted({*inner, *ends})
            rows: list[Row] = [{} for _ in places]
            prompts = [places[n][-room:] for n in inner]
            for n, row in zip(inner, dialect.after(model, prompts, asked, call) if inner else (), strict=True):
                rows[n].update(row)
            prompts = [places[n][-room:] for n in ends]
            for n, row in zip(ends, self._alternatives(dialect, model, prompts, call), strict=True):
                rows[n].update(row)
            found = np.stack([_dense(row, self.size) for row in rows])
            for n in ends:
                self._share_out(found[n], rows[n])
            first[:] = found[0]
            return found[1:]

        if not any(text[1:] or (text and end != "none") for text in texts):
            branch(None)
        return score(first, branch, self.vocabulary, texts, end, bracket[0] if bracket else None, _NODES)

    def _share_out(self, dense: Array, row: Row) -> None:
        """Behind a whole name: what the likely tokens leave is shared as the unlikelier half of them is, between tokens
        that end a name and tokens that go on with it."""
        import numpy as np

        boundary = self.vocabulary.boundary
        tail = sorted(row.items(), key=lambda pair: pair[1])[: len(row) // 2]
        ending = sum(math.exp(value) for token, value in tail if boundary[token])
        going_on = sum(math.exp(value) for token, value in tail if not boundary[token])
        known = np.zeros(len(dense), bool)
        known[list(row)] = True
        left = max(1.0 - float(np.exp(dense[known]).sum()), 1e-12)
        for share, tokens in ((ending, boundary & ~known), (going_on, ~boundary & ~known)):
            dense[tokens] = math.log(left * max(share, 1e-12) / (ending + going_on + 1e-12) / max(int(tokens.sum()), 1))

    def _alternatives(self, dialect: Dialect, model: str, prompts: list[list[int]], call: Call) -> list[Row]:
        """The likeliest tokens behind each of the prompts."""
        if not prompts:
            return []
        for _ in range(_AGAIN):
            rows = dialect.likeliest(model, prompts, self.findings.most, call)
            if all(len(row) >= self.findings.most for row in rows):
                return rows
        raise EngineProblem(f"{dialect.address} leaves out what is asked for", "it is asked again at the next key")

    def generate(
        self, dialect: Dialect, call: Call, model: str, prompt: Prompt, constraint: CallConstraint
    ) -> Generated:
        """Greedy arguments; an unfinished answer at the deadline."""
        from octod.daemon.engines.generate import generate

        draft = _Draft(dialect, model, self.tokens(prompt), self.findings.top, call)
        self.drafts.add(draft)
        try:
            return generate(
                lambda made: _dense(draft.after(made), self.size),
                self.vocabulary,
                constraint,
                lambda: time.monotonic() < call.until and not call.stopped,
                top=self.findings.top,
            )
        except EngineProblem:
            if time.monotonic() < call.until:
                raise
            return Generated("", -math.inf, -math.inf, 0, False)
        finally:
            self.drafts.discard(draft)
            draft.close()


def _kinds(trie: Trie | None, texts: Sequence[Sequence[int]], end: Ending) -> tuple[list[int], list[int]]:
    """(places that candidates go on from, places where one ends and what follows counts); place 0 is the prompt's."""
    if trie is None:
        return [0], []
    inner = {0, *(parent + 1 for parent in trie.parents)}
    ends: set[int] = set()
    for text in texts:
        known = text if end != "none" else text[:-1]
        if trie.missing(known) == 0:
            last = trie.walk(known)[-1] + 1
            (ends if end == "boundary" else inner).add(last)
    return sorted(inner), sorted(ends)


class _Draft:
    """What the model writes by itself, as far as it was read; begun again where somebody goes on differently."""

    def __init__(self, dialect: Dialect, model: str, tokens: list[int], top: int, call: Call) -> None:
        self._dialect, self._model, self._tokens, self._top, self._call = dialect, model, tokens, top, call
        self._rows: dict[tuple[int, ...], Row] = {}
        self._next: tuple[int, ...] | None = None  # what the draft's next token stands behind
        self._stream: Iterator[tuple[int, Row]] | None = None

    def after(self, made: Sequence[int]) -> Row:
        """The likeliest tokens behind the prompt and ``made``."""
        from octod.daemon.engines.generate import MOST_TOKENS

        place = tuple(made)
        for _ in range(_AGAIN):
            if place in self._rows:
                return self._rows[place]
            if self._stream is None or self._next != place:
                self.close()
                most = max(MOST_TOKENS - len(place), 1)
                self._stream = self._dialect.draft(self._model, [*self._tokens, *place], most, self._top, self._call)
                self._next = place
            found = next(self._stream, None)
            if found is None or len(found[1]) < self._top:
                # in one step with a request for chosen tokens
                self.close()
                continue
            self._rows[place] = found[1]
            self._next = (*place, found[0])
        raise EngineProblem(f"{self._dialect.address} leaves out what is asked for", "it is asked again at the next key")

    def close(self) -> None:
        """End the server's work."""
        stream: Any = self._stream
        self._stream = self._next = None
        if stream is not None:
            stream.close()


def _dense(row: Row, size: int) -> Array:
    """Log-probabilities of the whole vocabulary: what is not known shares what is left."""
    import numpy as np

    known = {token: value for token, value in row.items() if token < size}
    left = 1.0 - sum(math.exp(value) for value in known.values())
    found: Array = np.full(size, math.log(max(left, 1e-12) / max(size - len(known), 1)), np.float32)
    found[list(known)] = list(known.values())
    return found


def _base_of(dialect: Dialect) -> str:
    """The name of the base that a server serves: the first model that is nobody's adapter."""
    models = dialect.models(Call(_MOST_SECONDS))
    for name, told in models.items():
        if not told.get("parent"):
            return name
    raise EngineProblem(f"{dialect.address} serves no base model")
