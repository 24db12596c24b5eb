"""A fake engine: uniform logits over bytes, in this process, in well under a millisecond a token."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from octod.core.errors import AdapterRefused, EngineProblem
from octod.daemon.engines.generate import Trie, Vocabulary, generate, score
from octod.daemon.engines.protocol import (
    AdapterFiles,
    CallConstraint,
    Ending,
    EngineInfo,
    Generated,
    Mixture,
    Prompt,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

__all__ = ["FakeEngine"]

# Likelier or less so, that an answer may end: the closing bracket most of all, blanks and stars least.
_LIKELIER = {")": 4.0, '"': 3.0, ",": 2.0, "=": 1.0, " ": -5.0, "\n": -5.0, "*": -5.0}


class FakeEngine:
    """An Engine whose model knows nothing; ``calls`` lists what it was asked, ``broken`` makes every call fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Prompt, Mixture]] = []
        self.broken = False
        self._adapters: dict[str, AdapterFiles] = {}
        self._alive = False

    @property
    def info(self) -> EngineInfo:
        """A fake's particulars; the process is this one."""
        return EngineInfo("fake", "fake", 512, tuple(sorted(self._adapters)), os.getpid(), self._alive)

    async def start(self) -> None:
        """Ready at once."""
        self._alive = True

    async def stop(self) -> None:
        """Nothing to give back."""
        self._alive = False

    async def load(self, adapter: AdapterFiles) -> None:
        """Remember the name."""
        self._adapters[adapter.name] = adapter

    async def drop(self, name: str) -> None:
        """Forget the name."""
        self._adapters.pop(name, None)

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """Note the call."""
        await self._note("warm", prompt, mixture)

    async def score(
        self,
        prompt: Prompt,
        candidates: Sequence[str],
        mixture: Mixture,
        deadline: float,
        end: Ending = "boundary",
    ) -> list[float]:
        """Each byte costs the same, so shorter names score higher."""
        await self._note("score", prompt, mixture)
        first = _uniform()

        def branch(trie: Trie) -> Array:
            return first[None].repeat(len(trie.tokens), 0)

        tokens = [list(c.encode()) for c in candidates]
        return score(first, branch, _vocabulary(), tokens, end, ord("("), largest=1024)

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, deadline: float
    ) -> Generated:
        """The shortest list its liking for brackets and quotes leads to."""
        await self._note("generate", prompt, mixture)
        until = time.monotonic() + deadline

        def logits(made: list[int]) -> Array:
            found = _uniform()
            for text, more in _LIKELIER.items():
                found[ord(text)] += more
            if made.count(ord('"')) % 2:  # inside a string nothing but its end
                found[ord('"')] += 10.0
            return found

        return generate(
            logits,
            _vocabulary(),
            constraint,
            lambda: time.monotonic() < until,
            top=256,
            unlikely=0.0,
        )

    async def _note(self, op: str, prompt: Prompt, mixture: Mixture) -> None:
        await asyncio.sleep(0)
        if self.broken or not self._alive:
            raise EngineProblem("the fake engine is broken", "that is what the test asked for")
        missing = [name for name, _ in mixture if name not in self._adapters]
        if missing:
            raise AdapterRefused(f"{missing[0]} is not loaded", "load it before it is used")
        self.calls.append((op, prompt, mixture))


def _uniform() -> Array:
    import numpy as np

    return np.zeros(256, np.float32)


def _vocabulary() -> Vocabulary:
    return Vocabulary([chr(b) if b < 128 else None for b in range(256)])
