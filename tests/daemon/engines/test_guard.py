"""The guard: whatever it runs is gone when its owner is, with all of its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from octod.daemon.engines import guard

# Two processes that take no notice of being asked to end; the second one's number is in a file.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    open(sys.argv[1], "w").write(str(child))
time.sleep(600)
"""


def start(*command: str) -> subprocess.Popen[bytes]:
    """A guard as the daemon starts it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 15 seconds."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_end_with_standard_input(tmp_path: Path) -> None:
    """Processes that ignore SIGTERM are killed."""
    running = start(sys.executable, "-c", STUBBORN, str(tmp_path / "child"))
    assert running.stdin is not None and running.stdout is not None
    pid = int(running.stdout.readline())
    until(lambda: (tmp_path / "child").is_file() and (tmp_path / "child").read_text() != "")
    child = int((tmp_path / "child").read_text())
    assert alive(pid) and alive(child)
    running.stdin.close()
    running.wait(15)
    running.stdout.close()
    until(lambda: not alive(pid) and not alive(child))


def test_children_do_not_outlive_the_command(tmp_path: Path) -> None:
    """The command is killed: its child goes too, and the guard ends."""
    with start(sys.executable, "-c", STUBBORN, str(tmp_path / "child")) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        until(lambda: (tmp_path / "child").is_file() and (tmp_path / "child").read_text() != "")
        os.kill(pid, signal.SIGKILL)
        assert -signal.SIGKILL % 256 == running.wait(15) % 256
        until(lambda: not alive(int((tmp_path / "child").read_text())))


def test_a_killed_guard_takes_the_command_along() -> None:
    """Nobody is left to watch: the system ends the command."""
    with start(sys.executable, "-c", "import time; time.sleep(600)") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        assert alive(pid)
        running.kill()
        running.wait(15)
        until(lambda: not alive(pid))
