"""P3, P4: one daemon, private, stopped for sure, and back in no time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from octod.core.errors import DaemonError
from octod.core.paths import Paths, private_folder
from octod.daemon.client import NoAnswer, WrongVersion, connect
from octod.daemon.lifecycle import Started, hold, rotate, running, start, stop

STUB = (sys.executable, "-E", "-P", str(Path(__file__).with_name("stub_daemon.py")))


@pytest.fixture
def paths() -> Iterator[Paths]:
    """The folders of this test; whatever daemon is left is ended."""
    found = Paths.of()
    yield found
    pid = running(found)
    stop(found)
    if pid:
        wait_until(lambda: not alive(pid))


def wait_until(condition: Callable[[], bool], deadline: float = 5.0) -> None:
    """Wait for a condition with a deadline."""
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """True while the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def modes(paths: Paths) -> dict[str, int]:
    """Permissions of what a daemon makes."""
    made = {
        "runtime": paths.runtime,
        "state": paths.state,
        "socket": paths.socket,
        "lock": paths.lock,
        "log": paths.log,
    }
    return {name: path.stat().st_mode & 0o777 for name, path in made.items()}


def test_start_answers_and_stop_leaves_nothing(paths: Paths) -> None:
    """A started daemon answers at once, runs in a session of its own, and takes its socket along."""
    started = start(paths, command=STUB)
    assert (running(paths), False) == (started.pid, started.already)
    assert started.pid == os.getsid(started.pid)
    with connect(paths) as daemon:
        assert started.pid == daemon.request("status", {})["pid"]
    assert started.pid == stop(paths)
    assert (None, False) == (running(paths), paths.socket.exists())
    assert stop(paths) is None


@pytest.mark.slow
def test_twenty_starts_at_once_give_one_daemon(paths: Paths) -> None:
    """P4: one process starts, the others find it; all succeed."""
    script = (
        "import sys; from octod.core.paths import Paths; from octod.daemon.lifecycle import start; "
        "print(start(Paths.of(), command=sys.argv[1:], deadline=30).pid)"
    )

    def begin(number: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *STUB], capture_output=True, text=True, timeout=60, check=False
        )

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(begin, range(20)))
    assert [0] * 20 == [each.returncode for each in found], found
    assert 1 == len({each.stdout for each in found})


def test_a_second_daemon_says_so_and_ends_with_0(paths: Paths) -> None:
    """The process that does not get the lock is not an error."""
    started = start(paths, command=STUB)
    second = subprocess.run(STUB, capture_output=True, text=True, timeout=20, check=False)
    assert (0, "another octod daemon is running\n") == (second.returncode, second.stderr)
    assert started.pid == running(paths)


def test_after_kill_9_a_start_takes_less_than_a_second(paths: Paths) -> None:
    """P4: lock and socket of a daemon that was killed do not stand in the way."""
    first = start(paths, command=STUB)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: running(paths) is None)
    assert paths.socket.exists()
    before = time.monotonic()
    second = start(paths, command=STUB)
    assert time.monotonic() - before < 1.0
    assert (False, True) == (second.already, second.pid != first.pid)


def test_a_stopped_daemon_is_told_in_time_and_can_be_ended(paths: Paths) -> None:
    """P4: SIGSTOP gives a message, not a hang; `stop` ends the process."""
    started = start(paths, command=STUB)
    os.kill(started.pid, signal.SIGSTOP)
    before = time.monotonic()
    with pytest.raises(NoAnswer, match="octod stop"), connect(paths, deadline=0.3):
        pass
    with pytest.raises(NoAnswer, match="octod stop"):
        start(paths, command=STUB, deadline=0.5)
    assert time.monotonic() - before < 3
    assert started.pid == stop(paths, deadline=4)
    wait_until(lambda: not alive(started.pid))


@pytest.mark.parametrize("how", ["shutdown", "SIGTERM"])
def test_children_end_with_the_daemon(paths: Paths, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """However the daemon is told to end, what it started ends, too."""
    monkeypatch.setenv("STUB_CHILD", "1")
    started = start(paths, command=STUB)
    with connect(paths) as daemon:
        (child,) = daemon.request("status", {})["children"]
    assert alive(child)
    if how == "SIGTERM":
        os.kill(started.pid, signal.SIGTERM)
        wait_until(lambda: running(paths) is None)
    else:
        stop(paths)
    wait_until(lambda: not alive(child) and not alive(started.pid))
    assert not paths.socket.exists()


@pytest.mark.parametrize("umask", [0, 0o077])
def test_what_a_daemon_makes_is_private(paths: Paths, umask: int) -> None:
    """P3: folders 0700, files and socket 0600 under any umask."""
    before = os.umask(umask)
    try:
        start(paths, command=STUB)
    finally:
        os.umask(before)
    assert {"runtime": 0o700, "state": 0o700, "socket": 0o600, "lock": 0o600, "log": 0o600} == modes(paths)


def test_a_home_of_200_characters_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P3: a path too long for a socket is no obstacle."""
    home = tmp_path / ("x" * 100) / ("y" * 100)
    home.mkdir(parents=True)
    monkeypatch.delenv("OCTOD_HOME")
    monkeypatch.setenv("HOME", str(home))
    paths = Paths.of()
    try:
        assert start(paths, command=STUB).pid == running(paths)
    finally:
        stop(paths)
        for left in paths.runtime.iterdir():
            left.unlink()
        paths.runtime.rmdir()


def test_a_daemon_that_cannot_start_says_why(paths: Paths) -> None:
    """The error has the last line of the log and where the log is."""
    command = (sys.executable, "-c", "import sys; sys.exit('octod: no space left')")
    with pytest.raises(DaemonError, match="no space left.*daemon.log"):
        start(paths, command=command)


def test_a_daemon_that_does_not_come_up_is_given_up(paths: Paths) -> None:
    """A start has a deadline."""
    with pytest.raises(DaemonError, match="did not start"):
        start(paths, command=(sys.executable, "-c", "import time; time.sleep(30)"), deadline=0.5)


def test_another_version_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon of another version is neither used nor replaced without asking; `stop` ends it."""
    monkeypatch.setenv("STUB_VERSION", "0.0.9")
    with pytest.raises(WrongVersion, match=r"0\.0\.9.*octod stop"):
        start(paths, command=STUB)
    assert stop(paths)


def test_a_socket_that_is_no_daemon_is_told(paths: Paths) -> None:
    """What answers garbage, or nothing, gives an error in time."""
    private_folder(paths.runtime)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(paths.socket))
        listening.listen()
        with ThreadPoolExecutor(1) as pool:

            def answer() -> None:
                with listening.accept()[0] as connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.recv(1024)

            answering = pool.submit(answer)
            with pytest.raises(DaemonError), connect(paths, deadline=2):
                pass
            answering.result(5)
        with pytest.raises(NoAnswer), connect(paths, deadline=0.2):
            pass
    paths.socket.unlink()


@pytest.mark.parametrize("wrong", ["link", "writable", "file", "owner"])
def test_a_runtime_folder_or_socket_that_is_not_ours_is_refused(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """P3: the client looks before it connects."""
    private_folder(paths.runtime.parent)
    if wrong == "link":
        private_folder(tmp_path / "elsewhere")
        paths.runtime.symlink_to(tmp_path / "elsewhere")
    else:
        private_folder(paths.runtime)
    if wrong == "file":
        paths.socket.write_text("")
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(paths.socket))
    if wrong == "writable":
        paths.runtime.chmod(0o777)
    if wrong == "owner":
        monkeypatch.setattr(os, "getuid", lambda: paths.socket.stat().st_uid + 1)
    with pytest.raises(DaemonError), connect(paths, deadline=0.5):
        pass
    monkeypatch.undo()
    paths.socket.unlink()


def test_the_lock_comes_before_the_socket(paths: Paths) -> None:
    """A stale socket is removed by the one who holds the lock, nobody else."""
    held = hold(paths)
    assert held is not None
    inode = paths.socket.stat().st_ino
    assert hold(paths, patience=0) is None
    assert inode == paths.socket.stat().st_ino
    assert 0 == running(paths)
    held.write_pid()
    assert os.getpid() == running(paths)
    held.release()
    assert running(paths) is None


def test_a_long_log_is_moved_aside(tmp_path: Path) -> None:
    """Three older logs are kept, the oldest goes."""
    log = tmp_path / "daemon.log"
    for number in range(5):
        log.write_text(str(number) * 20)
        assert rotate(log, size=10, count=3)
    assert ["44", "33", "22"] == [(tmp_path / f"daemon.log.{number}").read_text()[:2] for number in (1, 2, 3)]
    assert not rotate(log, size=10) and not log.exists()


def test_starting_twice_finds_the_first(paths: Paths) -> None:
    """The second start says that it runs already."""
    first = start(paths, command=STUB)
    assert Started(first.pid, already=True) == start(paths, command=STUB)
