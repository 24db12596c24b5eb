"""Watching environments and projects."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from octod.indexer import watch
from octod.indexer.environment import Environment
from octod.indexer.watch import Change, Watcher
from packages import install, make_environment, uninstall

DEADLINE = 5.0  # seconds: the promise for a change to show


class Told:
    """Collects changes and waits for one that is looked for."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._more = threading.Condition()

    def __call__(self, change: Change) -> None:
        with self._more:
            self.changes.append(change)
            self._more.notify_all()

    def wait(self, wanted: Callable[[Change], bool]) -> bool:
        """Whether such a change was told before the deadline."""
        with self._more:
            return self._more.wait_for(lambda: any(map(wanted, self.changes)), DEADLINE)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with one library."""
    made = make_environment(tmp_path / "env")
    install(made, "ham", "1", {"ham.py": ""})
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a file, a package and a folder that is not looked at."""
    folder = tmp_path / "work"
    (folder / "pkg" / "deep").mkdir(parents=True)
    (folder / "node_modules").mkdir()
    (folder / "a.py").write_text("a = 1\n")
    (folder / "pkg" / "deep" / "b.py").write_text("b = 1\n")
    return folder


def slow(environments: list[Environment], roots: list[Path], told: Told) -> Watcher:
    """A watcher that would compare by itself only after minutes: what it tells, events brought."""
    return Watcher(environments, roots, told, environment_period=600, root_period=600)


def test_installing_upgrading_and_removing_are_told(environment: Environment) -> None:
    """Each within the deadline, by events alone."""
    told = Told()
    steps = (lambda: install(environment, "eggs", "1", {"eggs.py": ""}), lambda: install(environment, "ham", "2", {"ham.py": "x"}),
             lambda: uninstall(environment, "eggs"))  # fmt: skip
    with slow([environment], [], told) as watcher:
        assert watcher.degraded is None
        for step in steps:
            told.changes.clear()
            step()
            assert told.wait(lambda c: c.environment == environment and c.root is None)


def test_edits_in_a_project_are_told_with_their_files(root: Path) -> None:
    """A file at the top, one deep down, one in a folder made just now, and one that went."""
    told = Told()
    with slow([], [root], told):
        for path in (root / "a.py", root / "pkg" / "deep" / "b.py"):
            path.write_text("changed = 1\n")
            assert told.wait(lambda c, path=path: path in c.files and c.root == root)  # type: ignore[misc]
        (root / "new" / "er").mkdir(parents=True)
        (root / "new" / "er" / "c.py").write_text("c = 1\n")
        assert told.wait(lambda c: root / "new" / "er" / "c.py" in c.files)
        told.changes.clear()
        (root / "a.py").unlink()
        assert told.wait(lambda c: root / "a.py" in c.files)


def test_what_is_passed_over_is_not_told(root: Path) -> None:
    """``node_modules``, hidden folders and files that are no Python."""
    told = Told()
    with slow([], [root], told) as watcher:
        (root / "node_modules" / "x.py").write_text("")
        (root / ".hidden").mkdir()
        (root / ".hidden" / "x.py").write_text("")
        (root / "notes.txt").write_text("")
        assert watcher.reconcile() == ()
        assert told.changes == []


def test_with_all_events_lost_one_comparison_finds_every_change(environment: Environment, root: Path) -> None:
    """Never started, so no event ever comes; reconciling finds package and files (promise P9)."""
    told = Told()
    watcher = Watcher([environment], [root], told)
    install(environment, "eggs", "1", {"eggs.py": ""})
    (root / "a.py").write_text("changed = 1\n")
    (root / "pkg" / "new.py").write_text("")
    expected = (Change(environment), Change(root=root, files=(root / "a.py", root / "pkg" / "new.py")))
    assert watcher.reconcile() == expected
    assert told.changes == list(expected)
    assert watcher.reconcile() == ()


def test_without_events_the_clock_brings_changes(environment: Environment, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of inotify watches: the watcher says so and how to mend it, and compares every few seconds (promise P9)."""
    from watchdog.observers.api import BaseObserver

    def refuse(self: BaseObserver) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "start", refuse)
    monkeypatch.setattr(watch, "DEGRADED_PERIOD", 0.05)
    told = Told()
    with Watcher([environment], [root], told, environment_period=0.05) as watcher:
        assert watcher.degraded is not None and "fs.inotify.max_user_watches" in watcher.degraded
        install(environment, "eggs", "1", {"eggs.py": ""})
        (root / "a.py").write_text("changed = 1\n")
        assert told.wait(lambda c: c.environment == environment)
        assert told.wait(lambda c: root / "a.py" in c.files)


def test_out_of_instances_is_told_apart(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE is another limit, with another setting."""
    from watchdog.observers.api import BaseObserver

    def refuse(self: BaseObserver) -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(BaseObserver, "start", refuse)
    with Watcher([environment], [], Told()) as watcher:
        assert watcher.degraded is not None and "max_user_instances" in watcher.degraded


def test_stopping_leaves_no_thread(environment: Environment, root: Path) -> None:
    """Starting and stopping many times does not add up."""
    before = threading.active_count()
    for _ in range(3):
        watcher = Watcher([environment], [root], Told())
        watcher.start()
        watcher.stop()
    assert threading.active_count() == before


def test_a_burst_is_told_as_few_changes(root: Path) -> None:
    """A hundred files written at once are not a hundred changes."""
    told = Told()
    with slow([], [root], told):
        for number in range(100):
            (root / "pkg" / f"m{number}.py").write_text("")
        assert told.wait(lambda c: root / "pkg" / "m99.py" in c.files)
    assert len(told.changes) <= 20
    assert len({f for c in told.changes for f in c.files}) == 100
