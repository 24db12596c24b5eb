"""The language model as the daemon sees it: an engine, the registry's adapters loaded into it, and patience.

Nothing here raises towards an answer: without an engine, past a deadline or after a fault the model has no opinion
(None), the fault is told once, and the engine mends itself behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from octod.adapters.identity import BaseModel
from octod.adapters.mixture import Mixture
from octod.adapters.prompt import Prompt
from octod.adapters.registry import Adapter, Registry
from octod.adapters.routing import Choice, Refusal, choose
from octod.core.errors import AdapterRefused, EngineProblem, OctodError
from octod.core.paths import Paths
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Engine, Generated
from octod.indexer.store import Index

__all__ = ["Model"]

log = logging.getLogger("octod.daemon")

Say = Callable[[str], None]


@dataclass(slots=True)
class _Seen:
    """The registry as last read: its stamp (time of change, size) and the adapters, newest first."""

    stamp: tuple[int, ...] = ()
    adapters: tuple[Adapter, ...] = ()


class Model:
    """One engine and the adapters it has loaded; ``say`` tells the user something worth a line."""

    def __init__(self, engine: Engine | None, base: BaseModel | None, paths: Paths, say: Say) -> None:
        self._engine, self._base, self._paths, self._say = engine, base, paths, say
        self._seen = _Seen()
        self._loaded: dict[str, str] = {}  # adapter name -> content hash
        self._refused: dict[str, str] = {}
        self._told: set[str] = set()
        self._loading = asyncio.Lock()
        self.ready = False
        self.problem = "" if engine else "no engine: the menu comes from the index alone"

    async def start(self) -> None:
        """Bring the engine up; a failure is told and leaves the index to answer."""
        if self._engine is None:
            return
        try:
            await self._engine.start()
            self.ready, self.problem = True, ""
        except OctodError as error:
            self.problem = str(error)
            self._say(f"The model does not answer: {error}")
            log.warning("engine did not start: %s", error)

    async def stop(self) -> None:
        """Give the engine back."""
        self.ready = False
        if self._engine is not None:
            await self._engine.stop()

    def forget(self) -> None:
        """Read the registry again at the next question."""
        self._seen = _Seen()

    async def choice(self, imports: Sequence[str], receiver: str | None, installed: Index) -> Choice:
        """The adapters for a file's imports and a receiver's distribution, each verified and loaded.

        An adapter that must not serve is left out, and its reason told once.
        """
        adapters = await asyncio.to_thread(self._adapters)
        if not adapters:
            return Choice(())
        chosen = choose(imports, receiver, adapters, installed.import_names(), base=self._base)
        refused = list(chosen.refused)
        if self._engine is None or not self.ready:
            return Choice((), chosen.refused)
        mixture: list[tuple[str, float]] = []
        by_name = {adapter.name: adapter for adapter in adapters}
        for name, weight in chosen.mixture:
            reason = await self._load(by_name[name])
            if reason is None:
                mixture.append((name, weight))
            else:
                refused.append(Refusal(name, reason))
        for one in refused:
            self._tell_once(f"Adapter {one.adapter} is not used: {one.reason}")
        return Choice(tuple(mixture), tuple(refused))

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """Let the engine read ahead; faults are of no interest here."""
        if self._engine is None or not self.ready:
            return
        try:
            await self._engine.warm(prompt, mixture)
        except EngineProblem as error:
            self._fault(error)

    async def score(
        self, prompt: Prompt, candidates: Sequence[str], mixture: Mixture, seconds: float
    ) -> list[float] | None:
        """Log-probabilities of candidates after the prompt's line, or None."""
        if self._engine is None or not self.ready or not candidates:
            return None
        try:
            return await self._engine.score(prompt, candidates, mixture, seconds)
        except EngineProblem as error:
            self._fault(error)
            return None

    async def score_arguments(
        self, prompt: Prompt, candidates: Sequence[str], mixture: Mixture, seconds: float
    ) -> list[float] | None:
        """Log-probabilities of whole argument lists with their closing bracket, or None."""
        if self._engine is None or not self.ready or not candidates:
            return None
        try:
            return await self._engine.score(prompt, candidates, mixture, seconds, end="none")
        except EngineProblem as error:
            self._fault(error)
            return None

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, seconds: float
    ) -> Generated | None:
        """Arguments under a constraint, or None."""
        if self._engine is None or not self.ready:
            return None
        try:
            return await self._engine.generate(prompt, constraint, mixture, seconds)
        except EngineProblem as error:
            self._fault(error)
            return None

    def status(self) -> dict[str, object]:
        """What there is to tell of the engine and its adapters, as JSON values."""
        if self._engine is None:
            return {"engine": "none", "ready": False, "problem": self.problem}
        info = self._engine.info
        return {
            "engine": info.kind,
            "ready": self.ready and info.alive,
            "base": info.base,
            "context": info.context,
            "pid": info.pid,
            "adapters": sorted(self._loaded),
            "refused": dict(sorted(self._refused.items())),
            "problem": self.problem,
        }

    def _fault(self, error: EngineProblem) -> None:
        if str(error) != self.problem:
            log.info("engine: %s", error)
        self.problem = str(error)

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    def _adapters(self) -> tuple[Adapter, ...]:
        """The registry's adapters, read again when its files changed: another process publishes into it."""
        stamp: list[int] = []
        for suffix in ("", "-wal"):
            try:
                found = self._paths.registry.with_name(self._paths.registry.name + suffix).stat()
                stamp += [found.st_mtime_ns, found.st_size]
            except FileNotFoundError:
                stamp += [0, 0]
        if not stamp[0]:
            return ()
        if tuple(stamp) != self._seen.stamp:
            with Registry.open(self._paths) as registry:
                self._seen = _Seen(tuple(stamp), registry.adapters())
        return self._seen.adapters

    async def _load(self, adapter: Adapter) -> str | None:
        """Verify and load an adapter unless it is loaded; the reason when it must not serve."""
        assert self._engine is not None
        async with self._loading:
            if self._loaded.get(adapter.name) == adapter.content_hash:
                return None
            if adapter.name in self._refused:
                return self._refused[adapter.name]
            try:
                await asyncio.to_thread(self._verify, adapter)
                await self._engine.load(
                    AdapterFiles(adapter.name, adapter.folder, adapter.rank, adapter.scaling)
                )
            except AdapterRefused as error:
                self._refused[adapter.name] = str(error)
                return str(error)
            except EngineProblem as error:
                self._fault(error)
                return str(error)
            self._loaded[adapter.name] = adapter.content_hash
            return None

    def _verify(self, adapter: Adapter) -> None:
        with Registry.open(self._paths) as registry:
            registry.verify(adapter.name, self._base)
