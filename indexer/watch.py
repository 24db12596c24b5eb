"""Watching: file events are a hint, comparing what is there with what was there is the truth.

Site-packages are watched without their subfolders (a changed ``*.dist-info`` is a changed package), project roots with
them, minus hidden folders and environments.  An event makes the comparison happen soon; without any event it happens
every few seconds, so an event that the system lost is found all the same (promise P9).
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from octod.indexer.distribution import SKIPPED_FOLDERS
from octod.indexer.environment import Environment
from octod.indexer.project import project_files
from octod.indexer.work import stamp

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

__all__ = ["Change", "Watcher"]

SETTLE = 0.02  # seconds of quiet before a burst counts as over: watchman's settle default
LONGEST_BURST = 0.2  # seconds after which a burst is answered although it goes on
ENVIRONMENT_PERIOD = 4.0  # seconds between comparisons of site-packages without any event; about 2 ms each
ROOT_PERIOD = 30.0  # the same for projects, whose comparison looks at every file
DEGRADED_PERIOD = 3.0  # the same for projects while events are not to be had
_MOST_WATCHES = 24  # watched trees of one root; each costs a thread and an inotify instance
_METADATA = (".dist-info", ".egg-info", ".pth", ".egg-link")


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed: in an environment, or in a project root (then with the files concerned)."""

    environment: Environment | None = None
    root: Path | None = None
    files: tuple[Path, ...] = ()


class Watcher:
    """Tells ``on_change`` (on the watcher's own thread) what changed in environments and project roots.

    ``degraded`` says, while events are not to be had, why and how to mend it; changes are then seen later.
    """

    def __init__(
        self,
        environments: Iterable[Environment],
        roots: Iterable[Path],
        on_change: Callable[[Change], None],
        *,
        environment_period: float = ENVIRONMENT_PERIOD,
        root_period: float = ROOT_PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.degraded: str | None = None
        self._environments = tuple(environments)
        self._roots = tuple(dict.fromkeys(r.absolute() for r in roots))
        self._on_change = on_change
        self._periods = (environment_period, root_period)
        self._clock = clock
        self._mutex = threading.Lock()  # one comparison at a time
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._hints = threading.Lock()
        self._hinted: set[object] = set()  # what events pointed at: environments' keys and roots
        self._replan = False
        self._observer: BaseObserver | None = None
        self._thread: threading.Thread | None = None
        self._installed = {e.key: _installed(e) for e in self._environments}
        self._files = {root: _files(root) for root in self._roots}

    @property
    def roots(self) -> tuple[Path, ...]:
        """The project folders that are watched."""
        return self._roots

    def start(self) -> None:
        """Begin to watch.  Running out of the system's watches is no error: see ``degraded``."""
        self._observe()
        self._thread = threading.Thread(target=self._run, name="octod-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait until no more is told."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._unobserve()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def reconcile(self) -> tuple[Change, ...]:
        """Compare everything now, tell what changed since the last time and return it."""
        keys: set[object] = {e.key for e in self._environments}
        return self._compare(keys | set(self._roots))

    def _compare(self, wanted: set[object]) -> tuple[Change, ...]:
        changes: list[Change] = []
        with self._mutex:
            for environment in self._environments:
                if environment.key in wanted:
                    now = _installed(environment)
                    if now != self._installed[environment.key]:
                        self._installed[environment.key] = now
                        changes.append(Change(environment=environment))
            for root in self._roots:
                if root in wanted:
                    before, files = self._files[root], _files(root)
                    if files != before:
                        self._files[root] = files
                        differing = sorted(p for p in {*before, *files} if before.get(p) != files.get(p))
                        changes.append(Change(root=root, files=tuple(map(Path, differing))))
        for change in changes:
            self._on_change(change)
        return tuple(changes)

    def _run(self) -> None:
        """Wait for a hint or for the time to come, then compare."""
        now = self._clock()
        due: dict[object, float] = {e.key: now + self._periods[0] for e in self._environments}
        due |= {root: now + self._root_period() for root in self._roots}
        while not self._stopping.is_set():
            soonest = min(due.values(), default=self._clock() + 60.0)
            if self._wake.wait(max(0.0, soonest - self._clock())):
                self._settle()
            if self._stopping.is_set():
                return
            with self._hints:
                hinted, self._hinted = self._hinted, set()
                replan, self._replan = self._replan, False
            if replan:
                self._unobserve()
                self._observe()
            now = self._clock()
            wanted = hinted | {key for key, when in due.items() if when <= now}
            if wanted:
                self._compare(wanted)
                now = self._clock()
                for key in wanted & due.keys():
                    due[key] = now + (self._root_period() if isinstance(key, Path) else self._periods[0])

    def _settle(self) -> None:
        """Let a burst of events end, but not wait for ever: unpacking a wheel makes thousands."""
        until = self._clock() + LONGEST_BURST
        while self._wake.is_set() and not self._stopping.is_set():
            self._wake.clear()
            if self._clock() >= until:
                return
            self._stopping.wait(SETTLE)

    def _root_period(self) -> float:
        return min(DEGRADED_PERIOD, self._periods[1]) if self.degraded else self._periods[1]

    def _hint(self, key: object, *, replan: bool = False) -> None:
        with self._hints:
            self._hinted.add(key)
            self._replan = self._replan or replan
        self._wake.set()

    def _observe(self) -> None:
        """Ask the system for events; when it refuses, say so and go on comparing."""
        from watchdog.observers import Observer

        self.degraded = None
        observer = Observer()
        try:
            for environment in self._environments:
                for folder in environment.site_packages:
                    if folder.is_dir():
                        handler = _handler(partial(self._installed_event, environment.key))
                        observer.schedule(handler, str(folder), recursive=False)
            for root in self._roots:
                for folder, recursive in _plan(root):
                    handler = _handler(partial(self._file_event, root))
                    observer.schedule(handler, str(folder), recursive=recursive)
            observer.start()
            self._observer = observer
        except OSError as error:
            self.degraded = _reason(error)
            # The threads of those watches that did start must go, or each try would leave some behind.
            for emitter in list(observer.emitters):
                emitter.stop()
            observer.unschedule_all()
            if observer.is_alive():
                observer.stop()
                observer.join()

    def _unobserve(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def _installed_event(self, key: str, event: Any) -> None:
        paths = (os.fsdecode(event.src_path), os.fsdecode(getattr(event, "dest_path", "") or ""))
        if any(path.endswith(_METADATA) for path in paths):
            self._hint(key)

    def _file_event(self, root: Path, event: Any) -> None:
        paths = [os.fsdecode(p) for p in (event.src_path, getattr(event, "dest_path", "")) if p]
        if event.is_directory:
            # A new folder may lie in a folder that is watched alone, and has no watch of its own yet.
            if event.event_type in ("created", "moved"):
                self._hint(root, replan=any(not _passed_over(Path(p), root) for p in paths))
            elif event.event_type == "deleted":
                self._hint(root)
        elif any(p.endswith((".py", ".pyi")) and not _passed_over(Path(p), root) for p in paths):
            self._hint(root)


def _handler(told: Callable[[Any], None]) -> Any:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        """Passes on what changes files; opening and reading them does not."""

        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type not in ("opened", "closed_no_write"):
                told(event)

    return Handler()


def _installed(environment: Environment) -> dict[str, str]:
    """Metadata entries of an environment with how their record is: what changes when a package does."""
    found: dict[str, str] = {}
    for folder in environment.site_packages:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.name.endswith(_METADATA):
                record = Path(entry.path, "RECORD")
                found[entry.path] = stamp(record) or stamp(Path(entry.path))
    return found


def _files(root: Path) -> dict[str, str]:
    return {str(path): stamp(path) for path in project_files(root)}


def _passed_over(path: Path, root: Path) -> bool:
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        return True
    return any(part in SKIPPED_FOLDERS or part.startswith(".") for part in parts)


def _plan(root: Path) -> list[tuple[Path, bool]]:
    """(folder, with its subfolders) to watch so that no environment or ``node_modules`` is: trees without such a
    folder are watched whole, others folder by folder while that stays cheap."""
    dirty = {root}
    for here, folders, _ in os.walk(root):
        skipped = [d for d in folders if d in SKIPPED_FOLDERS or d.startswith(".")]
        # __pycache__ is everywhere and small: not worth a tree of its own.
        if any(d != "__pycache__" for d in skipped):
            above = Path(here)
            while above not in dirty:
                dirty.add(above)
                above = above.parent
        folders[:] = [d for d in folders if d not in skipped]
    planned: list[tuple[Path, bool]] = []
    waiting = [root]
    while waiting:
        folder = waiting.pop(0)
        if folder not in dirty or len(planned) + len(waiting) >= _MOST_WATCHES:
            planned.append((folder, True))
            continue
        planned.append((folder, False))
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError:
            continue
        waiting += [
            Path(e.path)
            for e in entries
            if e.is_dir(follow_symlinks=False) and e.name not in SKIPPED_FOLDERS and not e.name.startswith(".")
        ]
    return planned


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
        what = "watches" if error.errno == errno.ENOSPC else "watch instances"
        setting = "max_user_watches=524288" if error.errno == errno.ENOSPC else "max_user_instances=512"
        return (
            f"the system has no more file {what}: changes are seen a few seconds late. "
            f"To mend it: sudo sysctl fs.inotify.{setting}"
        )
    return f"files cannot be watched ({error.strerror}): changes are seen a few seconds late"
