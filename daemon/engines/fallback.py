"""Two engines as one: a server somewhere else, and the embedded engine for as long as it does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace

from octod.core.errors import EngineProblem, OctodError
from octod.daemon.engines.protocol import (
    AdapterFiles,
    CallConstraint,
    Ending,
    Engine,
    EngineInfo,
    Generated,
    Mixture,
    Prompt,
)
from octod.daemon.engines.vllm import VllmEngine

__all__ = ["FallbackEngine"]

_logger = logging.getLogger(__name__)

_AGAIN, _AGAIN_MOST = 2.0, 60.0  # seconds until a server that is not there is asked again; doubled each time
# Both engines are asked the same. Of one model they are a few hundredths apart (the embedded one rounds large matrices to
# int8); another model is so by whole numbers.
_PROMPT = Prompt("import os\n", (), "path = os.path.")
_NAMES = ("join", "exists", "dirname", "basename", "isfile")
_SAME = 1.0
_SECONDS = 60.0
_WATCH = 0.5  # seconds between two looks at whether the server was lost


class FallbackEngine:
    """An Engine: ``first`` while it is alive, ``second`` meanwhile; ``info.doing`` says why."""

    def __init__(self, first: VllmEngine, second: Engine) -> None:
        self._first, self._second = first, second
        self._same = False
        self._trying: asyncio.Task[None] | None = None
        self._reason = ""

    @property
    def info(self) -> EngineInfo:
        """What answers now; ``doing`` says why it is not the server."""
        if self._serves():
            return self._first.info
        reason = self._reason or (str(self._first.failed) if self._same else "")
        why = f"The embedded engine answers instead of the model server: {reason}" if reason else ""
        return replace(self._second.info, kind="embedded", doing=why)

    async def start(self) -> None:
        """Ready with the embedded engine at once; the server is looked for from now on."""
        await self._second.start()
        if self._trying is None:
            self._trying = asyncio.create_task(self._try())

    async def stop(self) -> None:
        """Give both back."""
        trying, self._trying = self._trying, None
        if trying is not None:
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
        await self._first.stop()
        await self._second.stop()

    async def _try(self) -> None:
        """Bring the server up, for ever; tell when it comes and when it goes."""
        pause, serving = _AGAIN, False
        while True:
            try:
                if not serving:
                    await self._first.start()
                    await self._compare()
                    self._reason = ""
                    _logger.info("engine: the model server answers")
                    serving, pause = True, _AGAIN
                while self._first.info.alive:
                    await asyncio.sleep(_WATCH)
                raise self._first.failed or EngineProblem("the model server does not answer")
            except (OctodError, OSError) as error:
                self._same = False
                await self._first.stop()
                if str(error) != self._reason:
                    _logger.warning("engine: the embedded one answers instead of the model server: %s", error)
                self._reason, serving = str(error), False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _AGAIN_MOST)

    async def _compare(self) -> None:
        """EngineProblem when the server's base is not this one: adapters would be put on another model."""
        here = await self._second.score(_PROMPT, _NAMES, (), _SECONDS, "none")
        there = await self._first.score(_PROMPT, _NAMES, (), _SECONDS, "none")
        apart = sum(abs(a - b) for a, b in zip(here, there, strict=True)) / len(here)
        if apart > _SAME:
            raise EngineProblem(
                f"the model server has another base than {self._second.info.base} (scores are {apart:.1f} apart)",
                "set `base` to what it serves, or let it serve this one",
            )
        self._same = True

    def _serves(self) -> bool:
        return self._same and self._first.info.alive

    # -- calls

    async def load(self, adapter: AdapterFiles) -> None:
        """Into both; the server gets it later where it is away."""
        await self._second.load(adapter)
        if self._serves():
            await self._first.load(adapter)
        else:
            self._first.know(adapter)

    async def drop(self, name: str) -> None:
        """From both."""
        await self._second.drop(name)
        with contextlib.suppress(EngineProblem):
            await self._first.drop(name)

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """The one that answers reads ahead."""
        await (self._first if self._serves() else self._second).warm(prompt, mixture)

    async def score(
        self,
        prompt: Prompt,
        candidates: Sequence[str],
        mixture: Mixture,
        deadline: float,
        end: Ending = "boundary",
    ) -> list[float]:
        """By the one that answers."""
        return await (self._first if self._serves() else self._second).score(prompt, candidates, mixture, deadline, end)

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, deadline: float
    ) -> Generated:
        """By the one that answers."""
        return await (self._first if self._serves() else self._second).generate(prompt, constraint, mixture, deadline)
