"""The guard of a process that somebody else wrote: `python -I -S guard.py COMMAND...` runs it and ends it, with all of its children.

The command gets a session of its own. It ends when the guard's standard input does, which is when the daemon stops,
or is killed in whatever way; the guard ends when the command does. Its number goes to standard output as a line, what
it says to the guard's standard error. On the standard library alone, so that the guard takes next to no memory.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

__all__ = ["main"]

# vLLM gives its shared memory back within this when it is asked to end; then it is killed.
_GRACE = 3.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(command: Sequence[str]) -> int:
    """Run until the command or standard input ends; the command's code."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
        preexec_fn=_child,  # noqa: PLW1509  # no thread has been started here
    )
    print(process.pid, flush=True)
    try:
        _wait(process)
    finally:
        _end(process)
    return process.returncode


def _child() -> None:
    """In the command before it begins: usual signals again, and to die when the guard is killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Return when the command has ended or standard input has."""
    watched: list[int] = [0]
    pause: float | None = 0.5
    if hasattr(os, "pidfd_open"):
        watched.append(os.pidfd_open(process.pid))
        pause = None
    while process.poll() is None:
        ready, _, _ = select.select(watched, [], [], pause)
        if 0 in ready and not os.read(0, 4096):
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the command's group is left."""
    until = time.monotonic() + _GRACE
    _signal(process.pid, signal.SIGTERM)
    while _signal(process.pid, 0 if time.monotonic() < until else signal.SIGKILL):
        process.poll()
        time.sleep(0.05)
    process.wait()


def _signal(group: int, number: int) -> bool:
    """Whether the group has a process left that was signalled."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
