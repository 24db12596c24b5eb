"""The environments and project folders that documents belong to, each with an index that is kept fresh.

A workspace is one environment.  Its index answers from the first moment with what it has; a build runs at the start
and after every change that the watcher tells of.  Builds of one workspace run one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from octod.core.errors import IndexProblem, OctodError
from octod.core.paths import Paths, private_folder
from octod.daemon.jobs import Jobs, Report
from octod.indexer.build import BuildReport, Progress, build
from octod.indexer.environment import Environment, find_environment
from octod.indexer.project import index_project
from octod.indexer.store import Index
from octod.indexer.watch import Change, Watcher

__all__ = ["Workspace", "Workspaces"]

log = logging.getLogger("octod.daemon")

_FOUND_FOR = 2.0  # seconds a place is remembered to have no better environment than the one found


class Workspace:
    """One environment and the project folders opened with it."""

    def __init__(self, environment: Environment, paths: Paths, jobs: Jobs) -> None:
        self.environment = environment
        self.path = private_folder(paths.indexes) / f"{environment.key}.db"
        self.index = Index.open(self.path)
        self.projects: dict[Path, None] = {}
        self.ready = bool(self.index.libraries())
        self.report: BuildReport | None = None
        self.problem = ""
        self._jobs = jobs
        self._building = asyncio.Lock()
        self._stale: set[Path | None] = set()
        self._task: asyncio.Task[None] | None = None

    def refresh(self, project: Path | None = None) -> asyncio.Task[None]:
        """Bring the environment (None) or a project up to date soon; returns the task that does."""
        self._stale.add(project)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._catch_up())
        return self._task

    async def build(self, force: bool = False) -> BuildReport:
        """Bring the index up to date now; ``force`` builds it from nothing."""
        async with self._building:
            if force:
                for library in self.index.libraries():
                    await asyncio.to_thread(self.index.remove_library, library.distribution)
                    await asyncio.to_thread(self.index.remove_usage, library.distribution)
            task = self._jobs.start(f"Indexing {_short(self.environment.root)}", self._build)
            self.report = await task
            self.ready, self.problem = True, ""
            return self.report

    async def close(self) -> None:
        """Stop what runs and close the index."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.index.close()

    def status(self) -> dict[str, Any]:
        """What there is to tell, as JSON values."""
        return {
            "environment": str(self.environment.root),
            "python": self.environment.python,
            "index": str(self.path),
            "ready": self.ready,
            "libraries": len(self.index.libraries()),
            "projects": [str(p) for p in self.projects],
            "problem": self.problem,
            "report": asdict(self.report) if self.report else None,
        }

    async def _catch_up(self) -> None:
        while self._stale:
            wanted, self._stale = self._stale, set()
            try:
                if None in wanted:
                    await self.build()
                for project in sorted(p for p in wanted if p is not None):
                    async with self._building:
                        await asyncio.to_thread(index_project, project, self.path)
            except OctodError as error:
                self.problem = str(error)
                log.warning("index of %s: %s", self.environment.root, error)

    async def _build(self, report: Report) -> BuildReport:
        def tell(progress: Progress) -> None:
            share = progress.done / progress.total if progress.total else None
            report(share, f"{'usage' if progress.stage == 'usage' else 'API'} of {progress.library}")

        return await asyncio.to_thread(build, self.environment, self.path, progress=tell)


class Workspaces:
    """All workspaces of the daemon, found by what an editor says and where a document lies."""

    def __init__(self, paths: Paths, jobs: Jobs, changed: Callable[[], None]) -> None:
        self._paths, self._jobs, self._changed = paths, jobs, changed
        self._open: dict[str, Workspace] = {}
        self._found: dict[tuple[str | None, str | None], tuple[float, Environment]] = {}
        self._watcher: Watcher | None = None
        self._loop = asyncio.get_running_loop()

    def of(self, environment: str | None, root: str | None, path: str | None) -> Workspace:
        """The workspace of a document; raises EnvironmentProblem where there is none.

        The first question about an environment starts its build.
        """
        start = root or (str(Path(path).parent) if path else None)
        found = self._environment(environment, start)
        workspace = self._open.get(found.key)
        if workspace is None:
            workspace = self._open[found.key] = Workspace(found, self._paths, self._jobs)
            workspace.refresh()
            self._watch()
        if root is not None and (project := Path(root)) not in workspace.projects and _is_project(project):
            workspace.projects[project] = None
            workspace.refresh(project)
            self._watch()
        return workspace

    async def close(self) -> None:
        """Stop watching and close every index."""
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

    def _environment(self, hint: str | None, start: str | None) -> Environment:
        known = self._found.get((hint, start))
        if known is not None and time.monotonic() - known[0] < _FOUND_FOR:
            return known[1]
        environment = find_environment(hint, Path(start) if start else None)
        self._found[hint, start] = time.monotonic(), environment
        return environment

    def _watch(self) -> None:
        """Watch what is open now; a watcher that cannot start leaves the builds at the start of each workspace."""
        environments = [w.environment for w in self._open.values()]
        roots = [p for w in self._open.values() for p in w.projects]
        old, self._watcher = self._watcher, None
        if old is not None:
            self._loop.run_in_executor(None, old.stop)
        try:
            self._watcher = Watcher(environments, roots, self._told)
            self._watcher.start()
        except (OSError, IndexProblem) as error:
            log.warning("changes are not watched: %s", error)

    def _told(self, change: Change) -> None:
        self._loop.call_soon_threadsafe(self._refresh, change)

    def _refresh(self, change: Change) -> None:
        for workspace in self._open.values():
            if change.environment is not None and change.environment.key == workspace.environment.key:
                workspace.refresh()
            if change.root is not None and change.root in workspace.projects:
                workspace.refresh(change.root)
        self._changed()


def _is_project(root: Path) -> bool:
    """A folder worth reading: not the home folder, not the file system's root."""
    return root.is_dir() and root != Path.home() and root != Path(root.anchor)


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
