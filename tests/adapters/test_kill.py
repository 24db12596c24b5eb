"""The registry is never lost (P5): kill -9 at random points of publishing, removing and cleaning up."""

from __future__ import annotations

import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from octod.adapters.card import Card
from octod.adapters.registry import Registry
from octod.core.paths import Paths
from octod.core.symbols import LibraryId

PUBLISHER = Path(__file__).with_name("publisher.py")
Make = Callable[..., Path]


def kill_often(times: int, seed: int, sources: Path) -> int:
    """Kill so many publishers after a random delay, check the registry after each; the adapters that survived, in all.

    The publisher is forked, since the start of an interpreter would take longer than everything else together. The
    delay is counted from the publisher's word that it begins, and covers about two rounds of its work.
    """
    rng = random.Random(seed)
    paths = Paths.of()
    survived = 0
    longest = 2 * _round(sources)
    for number in range(times):
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:  # the child never returns to pytest
            _become_publisher(sources, seed * 10_000 + number, writer)
        os.close(writer)
        assert b"ready" == os.read(reader, 5)
        os.close(reader)
        deadline = time.monotonic() + rng.uniform(0, longest)
        while time.monotonic() < deadline:
            pass
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        with Registry.open(paths) as registry:
            adapters = registry.adapters()
            for adapter in adapters:
                registry.verify(adapter.name)
            registry.gc()
            listed = {adapter.name for adapter in registry.adapters()}
            assert {a.name for a in adapters} <= listed
            assert listed == {p.name for p in paths.adapters.iterdir()}
            survived += len(listed)
            for name in sorted(listed)[4:]:  # keeps each round small
                registry.remove(name)
    return survived


def _round(sources: Path) -> float:
    """Seconds of one publishing on this disk."""
    with Registry.open(Paths.of()) as registry:
        began = time.monotonic()
        card = Card(LibraryId("first", "1", ""), "tiny", "w", "t")
        registry.publish(next(iter(sources.iterdir())), card)
        return time.monotonic() - began


def _become_publisher(sources: Path, seed: int, writer: int) -> None:
    try:
        os.dup2(writer, 1)
        # The parent's stdout is pytest's capture; the publisher prints to the pipe.
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.argv = [str(PUBLISHER), str(sources), str(seed)]
        runpy.run_path(str(PUBLISHER), run_name="__main__")
    finally:
        os._exit(1)


@pytest.fixture
def sources(adapter_folder: Make, tmp_path: Path) -> Path:
    """Three adapters to publish."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for seed in range(3):
        adapter_folder(2, seed).rename(folder / str(seed))
    return folder


def test_killed_publishers_leave_a_sound_registry(sources: Path) -> None:
    """Forty times: it opens, each listed adapter verifies, no orphan survives gc, nothing listed is lost."""
    assert 0 < kill_often(40, 1, sources)


@pytest.mark.slow
def test_killed_publishers_leave_a_sound_registry_500_times(sources: Path) -> None:
    """The promise's number."""
    assert 0 < kill_often(500, 2, sources)


def test_publisher_process_runs_until_killed(sources: Path) -> None:
    """The publisher used above really publishes: a separate process is killed after its first adapter."""
    paths = Paths.of()
    process = subprocess.Popen([sys.executable, str(PUBLISHER), str(sources), "1"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert b"ready\n" == process.stdout.readline()
        deadline = time.monotonic() + 20
        while not any(paths.adapters.glob("folds-*")):
            assert time.monotonic() < deadline, "nothing was published"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with Registry.open(paths) as registry:
        registry.gc()
        for adapter in registry.adapters():
            registry.verify(adapter.name)
