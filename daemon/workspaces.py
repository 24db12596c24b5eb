"""The environments and project folders that documents belong to, each with an index that is kept fresh.

A workspace is one environment.  Its index answers from the first moment with what it has; a build runs at the start
and after every change that the watcher tells of.  Builds of one workspace run one after the other.  An index that is
damaged or gone is built again (promise P12): whoever reads calls ``Workspace.look`` afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.core.errors import IndexProblem, OctodError
from octod.core.paths import Paths, private_folder
from octod.daemon.folders import activated, concerns, is_project, named, project_of, short
from octod.daemon.jobs import Jobs, Report
from octod.indexer.database import locked
from octod.indexer.environment import Environment, find_environment
from octod.indexer.store import Index

if TYPE_CHECKING:
    from octod.daemon.upkeep import Upkeep
    from octod.indexer.build import BuildReport, Progress
    from octod.indexer.watch import Change, Watcher

__all__ = ["Workspace", "Workspaces"]

log = logging.getLogger("octod.daemon")

Say = Callable[[str], None]

_FOUND_FOR = 2.0  # seconds a place is remembered to have no better environment than the one found
_MOST_FOUND = 1_000
_LOOK = 60.0  # seconds between two thorough looks at an index that answers wrongly
_RETRY = 60.0  # seconds until a build that failed is tried again
_QUIET = 0.4  # seconds that an index answers before it is looked through and watched: the first menu has the machine to itself
_MENDS = 3  # times a damaged index is thrown away before it is told as a problem of the disk


class Workspace:
    """One environment and the project folders opened with it."""

    def __init__(
        self,
        environment: Environment,
        paths: Paths,
        jobs: Jobs,
        say: Say = lambda text: None,
        built: Callable[[Workspace], None] = lambda workspace: None,
    ) -> None:
        self.environment = environment
        self.path = private_folder(paths.indexes) / f"{environment.key}.db"
        self.index = Index.open(self.path)
        self.projects: dict[Path, None] = {}
        self.editable: tuple[Path, ...] = ()  # project folders of editable installs
        self._history = paths.history
        self._upkeep: Upkeep | None = None
        self._built = built
        self.ready = bool(self.index.libraries())
        self.report: BuildReport | None = None
        self.problem = ""
        self._jobs, self._say = jobs, say
        self._building = asyncio.Lock()
        self._stale: set[Path | None] = set()
        self._task: asyncio.Task[None] | None = None
        self._ending = threading.Event()
        self._inode, self._generation, self._replaced = _inode(self.path), 0, False
        self._unchecked = self.ready
        self._broken = False
        self._mends = 0
        self._looked = float("-inf")
        if self.index.rebuilt:
            self._tell("was damaged or of another format")

    def refresh(self, project: Path | None = None) -> None:
        """Bring the environment (None) or a project up to date soon."""
        self._stale.add(project)
        if (self._task is None or self._task.done()) and not self._ending.is_set():
            self._task = asyncio.create_task(self._catch_up())

    def inspect(self) -> None:
        """Notice in the thread that reads, right after reading, that the file is another one: a new one counts its
        generations from zero (and may get the inode of the one before)."""
        try:
            generation = self.index.generation
        except (IndexProblem, LookupError):
            return  # damaged: the index knows
        self._replaced = self._replaced or generation < self._generation
        self._generation = generation

    def look(self) -> None:
        """Build an index again that is damaged or that somebody deleted; cheap, for after each reading."""
        if self._broken:
            return
        if self.index.damaged:
            self._broken = True
            self._tell("is damaged")
        elif self._building.locked():
            return
        elif self._replaced or _inode(self.path) != self._inode:
            self._inode, self._replaced = _inode(self.path), False
            self._tell("was deleted")
        else:
            return
        self._refresh_all()

    def sound(self) -> bool:
        """A thorough look, after an answer failed as it does on a damaged index; takes seconds, so once in a while."""
        if time.monotonic() - self._looked > _LOOK:
            self._looked = time.monotonic()
            self.index.damaged = self.index.damaged or self._is_damaged()
        return not self.index.damaged

    async def build(self, force: bool = False) -> BuildReport:
        """Bring the index up to date now; ``force`` builds it from nothing."""
        self._stale.discard(None)  # nobody need do it again
        upkeep = await self._kept()
        async with self._building:
            if force or self._broken:
                await asyncio.to_thread(self._discard)
                self._broken = False
            before = [] if self.index.damaged else self.index.libraries()
            task = self._jobs.start(f"Indexing {short(self.environment.root)}", self._build)
            self.report = await task
            upgrades = upkeep.upgrades.between(before, self.index.libraries())
            self._inode, self._replaced = _inode(self.path), False
            self.ready, self.problem = True, ""
            self.editable = tuple(root for root in map(Path, self.report.editable) if is_project(root))
            self._built(self)
        for line in await asyncio.to_thread(upkeep.upgrades.told, upgrades, self.path) if upgrades else ():
            self._say(line)
        if force:
            for project in self.projects:
                self.refresh(project)
        return self.report

    async def close(self) -> None:
        """Stop what runs and close the index; a build ends at its next step."""
        self._ending.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.index.close()

    def status(self) -> dict[str, Any]:
        """What there is to tell, as JSON values."""
        return {
            "environment": str(self.environment.root),
            "found": self.environment.reason,
            "python": self.environment.python,
            "index": str(self.path),
            "ready": self.ready,
            "libraries": len(self.index.libraries()),
            "projects": [str(p) for p in self.projects],
            "problem": self.problem,
            "report": asdict(self.report) if self.report else None,
        }

    async def _catch_up(self) -> None:
        if self._unchecked:
            await asyncio.sleep(_QUIET)
        upkeep = await self._kept()
        if self._unchecked:
            self._unchecked = False
            if not await asyncio.to_thread(upkeep.is_sound):
                self._broken = True
                self._tell("is damaged")
                self._stale |= {None, *self.projects}
        while self._stale:
            wanted, self._stale = self._stale, set()
            self.problem = ""
            try:
                if None in wanted or self._broken:
                    await self.build()
                for project in sorted(p for p in wanted if p is not None):
                    async with self._building:
                        await asyncio.to_thread(upkeep.index_project, project, self._step)
            except IndexProblem as error:
                self.problem = str(error)
                log.warning("index of %s: %s", self.environment.root, error)
                if not self._ending.is_set() and self._mends < _MENDS and await asyncio.to_thread(self._is_damaged):
                    self._mends += 1
                    self._broken = True
                    self._tell("is damaged")
                    self._stale |= {None, *self.projects}
            except OctodError as error:
                self.problem = str(error)
                log.warning("index of %s: %s", self.environment.root, error)
            except Exception as error:
                # whatever a library or the system did: the next change tries again, and status tells
                self.problem = f"{type(error).__name__}: {error}"
                log.exception("index of %s", self.environment.root)
            if self._stale or self._ending.is_set():
                continue
            if self.problem:
                self._say(f"The index of {short(self.environment.root)} is not up to date: {self.problem}")
                asyncio.get_running_loop().call_later(_RETRY, self.refresh)
            else:
                self._mends = 0

    def _refresh_all(self) -> None:
        for project in (None, *self.projects):
            self.refresh(project)

    async def _build(self, report: Report) -> BuildReport:
        def tell(progress: Progress) -> None:
            self._step(progress)
            share = progress.done / progress.total if progress.total else None
            report(share, f"{'usage' if progress.stage == 'usage' else 'API'} of {progress.library}")

        return await asyncio.to_thread((await self._kept()).build, tell)

    async def _kept(self) -> Upkeep:
        """What keeps the index up to date, imported when it is needed first."""
        if self._upkeep is None:
            made = await asyncio.to_thread(_upkeep, self.environment, self.path, self._history)
            self._upkeep = self._upkeep or made
        return self._upkeep

    def _step(self, progress: Progress) -> None:
        """Called between the steps of a build: a thread cannot be cancelled, so it ends here when octod does."""
        if self._ending.is_set():
            raise IndexProblem("octod is stopping", "the index is brought up to date at the next start")

    def _discard(self) -> None:
        """Delete the database and open an empty one; a reader in the old one gets an IndexProblem."""
        with locked(self.path):
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.index.close()
        self.index, self._generation = Index.open(self.path), 0

    def _is_damaged(self) -> bool:
        """Whether a thorough look finds damage; seconds on a large index."""
        try:
            with Index.open(self.path) as index:
                return bool(index.check())
        except OctodError:
            return False

    def _tell(self, what: str) -> None:
        text = f"The index of {short(self.environment.root)} {what}: it is built again"
        log.warning("%s", text)
        self._say(text)


class Workspaces:
    """All workspaces of the daemon, found by what an editor says and where a document lies."""

    def __init__(self, paths: Paths, jobs: Jobs, changed: Callable[[], None], say: Say = lambda text: None) -> None:
        self._paths, self._jobs, self._changed, self._say = paths, jobs, changed, say
        self._open: dict[str, Workspace] = {}
        self._found: dict[tuple[str | None, str | None, str | None], tuple[float, Environment]] = {}
        self._watcher: Watcher | None = None
        self._watching: asyncio.Task[None] | None = None
        self._unwatched: list[tuple[Workspace, Path | None]] = []
        self._editable: set[Path] = set()  # project folders of editable installs that are watched
        self._loop = asyncio.get_running_loop()

    def of(self, environment: str | None, root: str | None, path: str | None, active: str | None = None) -> Workspace:
        """The workspace of a document; raises EnvironmentProblem where there is none.

        The first question about an environment starts its build.
        """
        start = str(Path(path).parent) if path else root
        found = self._environment(named(environment, root), start, active)
        workspace = self._open.get(found.key)
        if workspace is None:
            workspace = Workspace(found, self._paths, self._jobs, self._say, self._rewatch)
            self._open[found.key] = workspace
            workspace.refresh()
            self._watch(workspace, None)
        if root is not None and (project := project_of(Path(root), found)) not in workspace.projects and is_project(project):
            workspace.projects[project] = None
            workspace.refresh(project)
            self._watch(workspace, project)
        return workspace

    async def close(self) -> None:
        """Stop watching and close every index."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._watcher is not None:
            await asyncio.to_thread(self._watcher.stop)
        await asyncio.gather(*(w.close() for w in self._open.values()))

    def status(self) -> list[dict[str, Any]]:
        """What there is to tell of each workspace."""
        return [w.status() for w in self._open.values()]

    @property
    def degraded(self) -> str | None:
        """Why changes are seen late, and how to mend it; None while all is well."""
        return self._watcher.degraded if self._watcher else None

    @property
    def watched(self) -> tuple[Path, ...]:
        """The project folders whose changes are seen, those of editable installs included."""
        return self._watcher.roots if self._watcher else ()

    def _environment(self, hint: str | None, start: str | None, active: str | None) -> Environment:
        known = self._found.get((hint, start, active))
        if known is not None and time.monotonic() - known[0] < _FOUND_FOR:
            return known[1]
        environment = find_environment(hint, Path(start) if start else None, activated(active))
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        self._found[hint, start, active] = time.monotonic(), environment
        return environment

    def _watch(self, workspace: Workspace, project: Path | None) -> None:
        """Watch one more environment or project soon."""
        self._unwatched.append((workspace, project))
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._arm())

    def _rewatch(self, workspace: Workspace) -> None:
        """After a build: editable installs that are not watched yet are from now on."""
        if not set(workspace.editable) <= self._editable:
            self._editable |= set(workspace.editable)
            self._watch(workspace, None)

    async def _arm(self) -> None:
        """Put a watcher of everything in place of the one before; walking through a project takes a thread and a while.

        What is new is brought up to date once more afterwards: it may have changed between its build and its watch.
        """
        await asyncio.sleep(_QUIET)
        while self._unwatched:
            added, self._unwatched = self._unwatched, []
            environments = [w.environment for w in self._open.values()]
            projects = [p for w in self._open.values() for p in w.projects]
            editable = [p for w in self._open.values() for p in w.editable if not any(map(p.is_relative_to, projects))]
            roots = [*projects, *editable]
            old = self._watcher
            try:
                self._watcher = await asyncio.to_thread(self._started, environments, roots)
            except (OSError, RuntimeError, OctodError) as error:
                log.warning("changes are not watched: %s", error)
                continue
            if old is not None:
                await asyncio.to_thread(_end, old)
            for workspace, project in added:
                workspace.refresh(project)

    def _started(self, environments: list[Environment], roots: list[Path]) -> Watcher:
        from octod.indexer.watch import Watcher

        watcher = Watcher(environments, roots, self._told)
        watcher.start()
        return watcher

    def _told(self, change: Change) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(self._refresh, change)

    def _refresh(self, change: Change) -> None:
        for workspace in self._open.values():
            if change.environment is not None and change.environment.key == workspace.environment.key:
                workspace.refresh()
            if change.root is not None and change.root in workspace.projects:
                workspace.refresh(change.root)
            if any(concerns(change, root) for root in workspace.editable):
                workspace.refresh()
        self._changed()


def _upkeep(environment: Environment, path: Path, history: Path) -> Upkeep:
    from octod.daemon.upkeep import Upkeep

    return Upkeep(environment, path, history)


def _end(watcher: Watcher) -> None:
    """Tell what the watcher has not told yet, and stop it."""
    watcher.reconcile()
    watcher.stop()


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
