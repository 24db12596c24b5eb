"""The daemon's life: one per user, found by a lock, started detached, stopped for sure.

The lock comes first, then the socket: who holds ``paths.lock`` (flock, released by the kernel when its holder dies)
may remove a stale socket and bind a new one.  ``python -m octod.daemon`` does both, forks and returns once clients
can connect, so a start waits for a process to end, not for a time to pass.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from octod.core.errors import DaemonError
from octod.core.paths import Paths, private_folder
from octod.daemon.client import NoAnswer, WrongVersion, connect

__all__ = ["COMMAND", "Hold", "Started", "hold", "redirect_output", "rotate", "running", "start", "stop"]

# -E and -P: neither PYTHONPATH nor the folder the editor happens to stand in may put code into the daemon.
COMMAND = (sys.executable, "-E", "-P", "-m", "octod.daemon")

_LOG_SIZE, _LOGS = 5_000_000, 3
_POLL = 0.005  # seconds between two looks
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon that answers now; ``already`` when it ran before."""

    pid: int
    already: bool


@dataclass(slots=True)
class Hold:
    """The lock and the listening socket of the one daemon."""

    paths: Paths
    lock: int
    listening: socket.socket

    def write_pid(self) -> None:
        """Say in the lock file who holds it."""
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Remove the socket, then let go of the lock."""
        self.listening.close()
        self.paths.socket.unlink(missing_ok=True)
        os.close(self.lock)


def hold(paths: Paths, *, patience: float = 0.5) -> Hold | None:
    """Become the daemon: lock, remove a stale socket, bind, listen; None when another process is it.

    ``patience`` seconds are for a lock held only for a moment, by who looks whether a daemon is running.
    """
    private_folder(paths.runtime)
    lock = _open_lock(paths.lock)
    until = time.monotonic() + patience
    while not _locked(lock):
        if time.monotonic() > until:
            os.close(lock)
            return None
        time.sleep(_POLL)
    os.ftruncate(lock, 0)  # the pid of the one before
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        paths.socket.unlink(missing_ok=True)
        listening.bind(str(paths.socket))
        paths.socket.chmod(0o600)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        os.close(lock)
        raise DaemonError(
            f"cannot listen at {paths.socket}: {error.strerror}", "`octod doctor` looks into it"
        ) from error
    return Hold(paths, lock, listening)


def running(paths: Paths) -> int | None:
    """The daemon's pid, answering or not; 0 when it has not said it yet, None when there is none."""
    try:
        lock = os.open(paths.lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if _locked(lock):
            return None
        written = os.pread(lock, 32, 0).strip()
        return int(written) if written.isdigit() else 0
    finally:
        os.close(lock)


def start(
    paths: Paths, *, deadline: float = 10.0, command: Sequence[str] = COMMAND, mine: str | None = None
) -> Started:
    """The daemon's pid once it answers, started when none runs; any number of callers at once get the same one.

    Raises WrongVersion, NoAnswer when one runs and does not answer (stopped, or hung), DaemonError with the end of
    its log when it could not start.
    """
    until = time.monotonic() + deadline
    private_folder(paths.runtime)
    with _turn(paths, until):
        # One that runs and refuses connections is beginning, or ending: look again until it is one or the other.
        while running(paths) is not None:
            pid = _hello(paths, until, mine)
            if pid is not None:
                return Started(pid, already=True)
            if time.monotonic() > until:
                raise NoAnswer(
                    "a daemon runs and takes no connections", "`octod stop` ends it, also one that hangs"
                )
            time.sleep(_POLL)
        _spawn(paths, command, until)
        while (pid := _hello(paths, until, mine)) is None:
            if running(paths) is None or time.monotonic() > until:
                raise DaemonError(f"the daemon ended at once: {_last_line(paths.log)}", f"see {paths.log}")
            time.sleep(_POLL)
        return Started(pid, already=False)


def stop(paths: Paths, *, deadline: float = 8.0) -> int | None:
    """The pid of the daemon that was stopped, None when none ran.

    Asks it first, then SIGTERM, and SIGKILL for one that hangs; raises DaemonError when it is still there.
    """
    pid = running(paths)
    if pid is None:
        return None
    until = time.monotonic() + deadline
    try:
        with connect(paths, deadline=deadline / 8, any_version=True) as daemon:
            daemon.request("shutdown", {}, deadline / 8)
        if _wait_until_gone(paths, time.monotonic() + deadline / 2):
            return pid
    except DaemonError:
        pass  # it does not listen: the signals do
    for number, end in ((signal.SIGTERM, until - deadline / 4), (signal.SIGKILL, until)):
        pid = running(paths) or pid
        if pid:
            _signal_group(pid, number)
        if _wait_until_gone(paths, end):
            return pid
    raise DaemonError(f"the daemon (pid {pid}) does not end", f"kill -9 {pid}")


def rotate(log: Path, *, size: int = _LOG_SIZE, count: int = _LOGS) -> bool:
    """Move ``log`` aside as ``.1`` when it is longer than ``size`` bytes, keep ``count``; True when it was moved."""
    try:
        if log.stat().st_size <= size:
            return False
    except FileNotFoundError:
        return False
    for number in range(count - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))
    return True


def redirect_output(log: Path) -> None:
    """Let stdout and stderr of this process, and of the children it starts from now on, end in ``log``."""
    with _open_log(log) as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)


@contextmanager
def _turn(paths: Paths, until: float) -> Iterator[None]:
    """One starter at a time: the others wait and then find a daemon that answers."""
    lock = _open_lock(paths.runtime / "start.lock")
    try:
        while not _locked(lock):
            if time.monotonic() > until:
                raise NoAnswer(
                    "another start of the daemon takes too long", "`octod stop` ends one that hangs"
                )
            time.sleep(_POLL)
        yield
    finally:
        os.close(lock)


def _spawn(paths: Paths, command: Sequence[str], until: float) -> None:
    """Run the daemon's command, which returns once clients can connect."""
    private_folder(paths.state)
    with _open_log(paths.log) as log:
        try:
            ended = subprocess.run(
                [*command, "--detach"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                timeout=max(until - time.monotonic(), 0.1),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DaemonError(
                f"the daemon did not start in {error.timeout:.1f} s", f"see {paths.log}"
            ) from error
    if ended.returncode != 0:
        raise DaemonError(f"the daemon could not start: {_last_line(paths.log)}", f"see {paths.log}")


def _hello(paths: Paths, until: float, mine: str | None) -> int | None:
    """The pid of the daemon that says hello, None where no connection is taken; raises NoAnswer and WrongVersion."""
    try:
        with connect(paths, deadline=min(2.0, max(until - time.monotonic(), 0.1)), mine=mine) as daemon:
            return int(daemon.hello.get("pid", 0))
    except (NoAnswer, WrongVersion):
        raise
    except DaemonError:
        return None


def _wait_until_gone(paths: Paths, until: float) -> bool:
    while running(paths) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(_POLL)
    return True


def _signal_group(pid: int, number: int) -> None:
    """Signal the daemon, and with SIGKILL its children too (detached, it leads a group of its own)."""
    try:
        if number == signal.SIGKILL and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a stopped process gets its SIGTERM only when it goes on
    except ProcessLookupError:
        return


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DaemonError(f"cannot open {path}: {error.strerror}", "remove it, or set OCTOD_HOME") from error


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_log(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        number = os.open(path, flags, 0o600)
    except OSError as error:
        raise DaemonError(f"cannot write {path}: {error.strerror}", "remove it, or set OCTOD_HOME") from error
    return os.fdopen(number, "ab")


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 4096))
            lines = log.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left an empty log")
