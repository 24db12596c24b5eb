"""The language model as the daemon sees it: an engine, the registry's adapters loaded into it, and patience.

Nothing here raises towards an answer: without an engine, past a deadline or after a fault the model has no opinion
(None), the fault is told once, and the engine mends itself behind.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from octod.adapters.identity import BaseModel
from octod.adapters.mixture import Mixture
from octod.adapters.prompt import Prompt
from octod.adapters.registry import Adapter, Registry
from octod.adapters.routing import Choice, Refusal, choose
from octod.core.errors import AdapterRefused, EngineProblem, OctodError, RegistryProblem
from octod.core.paths import Paths
from octod.core.settings import Settings
from octod.core.symbols import LibraryId
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Ending, Engine, Generated

__all__ = ["Model", "base_for", "engine_for"]

log = logging.getLogger("octod.daemon")

Say = Callable[[str], None]
Installed = Mapping[str, tuple[LibraryId, ...]]  # import name -> the distributions that provide it
T = TypeVar("T")

_NONE = "no engine: the menu comes from the index alone"
_LOOK = 0.25  # seconds between two looks at an engine that starts
_AGAIN, _AGAIN_MOST = 5.0, 300.0  # seconds until an engine that did not start is tried again; doubled each time


@dataclass(slots=True)
class _Seen:
    """The registry as last read: its stamp (time of change, size) and the adapters, newest first."""

    stamp: tuple[int, ...] = ()
    adapters: tuple[Adapter, ...] = ()


def base_for(settings: Settings, paths: Paths) -> BaseModel | None:
    """The base that the settings name, hashed, None for an index alone; raises OctodError when it cannot be read."""
    from octod.adapters.bases import base_of

    return None if settings.engine == "none" else base_of(settings.base, paths)


def engine_for(settings: Settings, base: BaseModel | None, paths: Paths) -> Engine | None:
    """The engine, not started, that the settings name over a base; None without one. UsageError where it cannot be."""
    if base is None:
        return None
    from octod.daemon.engines.embedded import EmbeddedEngine

    here = EmbeddedEngine(base.folder, paths, threads=settings.engine_threads)
    if settings.engine != "vllm":
        return here
    from octod.daemon.engines.vllm import Remote, VllmEngine

    if settings.engine_url:
        from octod.daemon.engines.fallback import FallbackEngine

        shared = Path(settings.engine_adapters).expanduser() if settings.engine_adapters else None
        server = Remote(settings.engine_url, settings.engine_token)
        return FallbackEngine(VllmEngine(server, base.folder, paths, shared=shared, own=False), here)
    from octod.daemon.engines.vllm_child import Child
    from octod.daemon.engines.vllm_machine import installed_python

    python = Path(settings.engine_python).expanduser() if settings.engine_python else installed_python(paths)
    return VllmEngine(Child(python, base.folder, paths), base.folder, paths)


class Model:
    """One engine and the adapters it has loaded; ``say`` tells the user something worth a line."""

    def __init__(self, engine: Engine | None, base: BaseModel | None, paths: Paths, say: Say) -> None:
        self._engine, self._base, self._paths, self._say = engine, base, paths, say
        self._seen = _Seen()
        self._loaded: dict[str, str] = {}  # adapter name -> content hash
        self._damaged: dict[str, str] = {}  # adapter name -> why its files were refused; until the registry changes
        self._refused: dict[str, str] = {}  # adapter name -> why it was left out the last time it belonged somewhere
        self._told: set[tuple[str, str]] = set()
        self._loading: dict[str, asyncio.Task[str | None]] = {}
        self.ready = False
        self.problem = "" if engine else _NONE
        self.registry_problem = ""
        self._failed_pid: int | None = None  # the worker that ``problem`` is about
        self._doing = ""  # what was said last of an engine that stands in for another
        self.late = 0  # questions that the engine did not answer in time

    async def start(self) -> None:
        """Bring the engine up; a failure is told, leaves the index to answer, and is tried again for ever."""
        if self._engine is None:
            return
        pause = _AGAIN
        while not self.ready:
            try:
                await self._engine.start()
                self.ready, self.problem = True, ""
            except (OctodError, OSError) as error:
                if str(error) != self.problem:
                    self._say(f"The model does not answer: {error}")
                self.problem = str(error)
                log.warning("engine did not start: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _AGAIN_MOST)

    async def stop(self) -> None:
        """Give the engine back."""
        self.ready = False
        for task in list(self._loading.values()):
            task.cancel()
        if self._engine is not None:
            await self._engine.stop()

    async def follow(self, report: Callable[[float | None, str], None]) -> None:
        """Report what the engine does until it is ready, or the first try to start it has failed."""
        while self._engine is not None and not self.ready and not self.problem:
            report(None, self._engine.info.doing)
            await asyncio.sleep(_LOOK)

    async def replace(self, engine: Engine | None, base: BaseModel | None) -> None:
        """Give up the engine for another one, which ``start`` brings up; nobody may be starting the old one."""
        old, self._engine, self._base = self._engine, engine, base
        self.ready, self.problem, self._failed_pid = False, "" if engine else _NONE, None
        for task in list(self._loading.values()):
            task.cancel()
        for known in (self._loading, self._loaded, self._damaged, self._refused, self._told):
            known.clear()
        if old is not None:
            await old.stop()

    def forget(self) -> None:
        """Read the registry again at the next question."""
        self._seen = _Seen()

    def closed(self, uri: str) -> None:
        """What was told about a document is told again when it is opened again."""
        self._told = {known for known in self._told if known[0] != uri}

    async def choice(
        self, uri: str, imports: Sequence[str], receiver: str | None, installed: Installed, patience: float | None = None
    ) -> Choice:
        """The adapters for a file's imports and a receiver's distribution, each verified and loaded.

        An adapter that must not serve is left out, and its reason told once per opened document; so is, silently, one
        that is not loaded within ``patience`` seconds (it is next time).
        """
        adapters = await self._adapters()
        if not adapters:
            return Choice(())
        base = await self._serving()
        chosen = choose(imports, receiver, adapters, installed, base=base)
        refused = list(chosen.refused)
        mixture: list[tuple[str, float]] = []
        if (engine := self._awake()) is not None:
            by_name = {adapter.name: adapter for adapter in adapters}
            for name, weight in chosen.mixture:
                reason = await self._within(patience, engine, by_name[name], base)
                if reason is None:
                    mixture.append((name, weight))
                    self._refused.pop(name, None)
                elif reason:
                    refused.append(Refusal(name, reason))
        for one in refused:
            self._refused[one.adapter] = one.reason
            if (uri, one.reason) not in self._told:
                self._told.add((uri, one.reason))
                self._say(f"Adapter {one.adapter} is not used: {one.reason}")
        return Choice(tuple(mixture), tuple(refused))

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """Let the engine read ahead; faults are of no interest here."""
        if (engine := self._awake()) is not None:
            try:
                await engine.warm(prompt, mixture)
            except (AdapterRefused, EngineProblem) as error:
                log.info("engine: %s", error)

    async def score(
        self, prompt: Prompt, candidates: Sequence[str], mixture: Mixture, seconds: float, end: Ending = "boundary"
    ) -> list[float] | None:
        """Log-probabilities of candidates and their end after the prompt's line, or None."""
        engine = self._awake()
        if engine is None or not candidates:
            return None
        return await self._tried(engine.score(prompt, candidates, mixture, seconds, end), mixture)

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, seconds: float
    ) -> Generated | None:
        """Arguments under a constraint, or None."""
        engine = self._awake()
        if engine is None:
            return None
        return await self._tried(engine.generate(prompt, constraint, mixture, seconds), mixture)

    def status(self) -> dict[str, object]:
        """What there is to tell of the engine and its adapters, as JSON values."""
        refused = dict(sorted(self._refused.items()))
        if self._engine is None:
            return {"engine": "none", "ready": False, "problem": self.problem, "refused": refused}
        info = self._engine.info
        return {
            "engine": info.kind,
            "ready": self.ready and info.alive,
            "base": self._base.name if self._base is not None else info.base,
            "context": info.context,
            "pid": info.pid,
            "adapters": sorted(self._loaded),
            "refused": refused,
            "late": self.late,
            "doing": info.doing,
            # a worker that has come back has no part in the fault of the one before
            "problem": ("" if info.alive and info.pid != self._failed_pid else self.problem) or self.registry_problem,
        }

    def _awake(self) -> Engine | None:
        """The engine when it can answer now: an answer does not wait for one that is starting again."""
        if self._engine is None or not self.ready:
            return None
        info = self._engine.info
        if info.doing != self._doing and info.alive:  # another engine answers than the one that is set, or it does again
            self._say(info.doing or "The model server answers, it is used from now on")
            self._doing = info.doing
        return self._engine if info.alive else None

    async def _tried(self, asked: Awaitable[T], mixture: Mixture) -> T | None:
        try:
            found = await asked
        except AdapterRefused as error:
            # A new worker that could not load it again: it is verified and loaded anew, or its reason is told.
            for name, _ in mixture:
                self._loaded.pop(name, None)
            log.warning("engine: %s", error)
            return None
        except EngineProblem as error:
            info = self._engine.info if self._engine is not None else None
            if info is not None and info.alive:
                self.late += 1
            self._failed_pid = info.pid if info is not None else None
            if str(error) != self.problem:
                log.info("engine: %s", error)
            self.problem = str(error)
            return None
        self.problem = ""
        return found

    async def _adapters(self) -> tuple[Adapter, ...]:
        """The registry's adapters, read again when its files changed: another process publishes into it."""
        stamp: list[int] = []
        for suffix in ("", "-wal"):
            try:
                found = self._paths.registry.with_name(self._paths.registry.name + suffix).stat()
                stamp += [found.st_ino, found.st_mtime_ns, found.st_size]
            except OSError:
                stamp += [0, 0, 0]
        if not stamp[0]:
            return ()
        if tuple(stamp) != self._seen.stamp:
            try:
                self._seen = _Seen(tuple(stamp), await asyncio.to_thread(self._read_registry))
                self.registry_problem = ""
            except RegistryProblem as error:
                if str(error) != self.registry_problem:
                    self._say(f"Adapters are not used: {error}")
                    log.warning("%s", error)
                self.registry_problem = str(error)
                self._seen = _Seen(tuple(stamp), ())
            await self._drop_removed()
        return self._seen.adapters

    def _read_registry(self) -> tuple[Adapter, ...]:
        try:
            with Registry.open(self._paths) as registry:
                return registry.adapters()
        except (AdapterRefused, sqlite3.Error) as error:
            raise RegistryProblem(f"the adapter registry is damaged: {error}", "run `octod adapters gc`") from error

    async def _drop_removed(self) -> None:
        """What is no longer in the registry leaves the engine and the status; what was damaged gets another look."""
        present = {adapter.name for adapter in self._seen.adapters}
        self._damaged.clear()
        self._refused = {name: reason for name, reason in self._refused.items() if name in present}
        for name in [name for name in self._loaded if name not in present]:
            del self._loaded[name]
            if self._engine is not None:
                try:
                    await self._engine.drop(name)
                except EngineProblem as error:
                    log.info("engine: %s", error)

    async def _serving(self) -> BaseModel | None:
        """The base model as the engine has it: its files may have been replaced since this process began."""
        opened = self._engine.info.base_hash if self._engine is not None else ""
        if self._base is not None and opened and opened != self._base.weights_hash:
            try:
                self._base = await asyncio.to_thread(BaseModel.of, self._base.folder, self._base.name)
            except OctodError as error:
                log.warning("the base model's files: %s", error)
        return self._base

    async def _within(
        self, patience: float | None, engine: Engine, adapter: Adapter, base: BaseModel | None
    ) -> str | None:
        """``_load`` as a task of its own: who asked may give up, loading goes on."""
        if self._loaded.get(adapter.name) == adapter.content_hash:
            return None
        if (reason := self._damaged.get(adapter.name)) is not None:
            return reason
        task = self._loading.get(adapter.name)
        if task is None:
            task = self._loading[adapter.name] = asyncio.create_task(self._load(engine, adapter, base))
            task.add_done_callback(lambda _: self._loading.pop(adapter.name, None))
        done, _ = await asyncio.wait({task}, timeout=patience)
        return task.result() if done else ""

    async def _load(self, engine: Engine, adapter: Adapter, base: BaseModel | None) -> str | None:
        """Verify and load an adapter; why it must not serve, "" when the engine cannot load now."""
        try:
            await asyncio.to_thread(self._verify, adapter, base)
            await engine.load(AdapterFiles(adapter.name, adapter.folder, adapter.rank, adapter.scaling))
        except (AdapterRefused, RegistryProblem) as error:
            self._damaged[adapter.name] = str(error)
            return str(error)
        except EngineProblem as error:
            log.info("engine: %s", error)
            return ""
        self._loaded[adapter.name] = adapter.content_hash
        return None

    def _verify(self, adapter: Adapter, base: BaseModel | None) -> None:
        with Registry.open(self._paths) as registry:
            registry.verify(adapter.name, base)
