"""An audit hook that writes down whatever would run something: used in subprocesses and in a build's workers."""

from __future__ import annotations

import os
import sys

from octod.indexer.work import prepare as _prepare

__all__ = ["listen", "prepare"]

# What starts a process, opens a library or talks to somebody: none of it belongs into indexing.
FORBIDDEN = {
    "ctypes.dlopen", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn",
    "socket.connect", "subprocess.Popen", "urllib.Request",
}  # fmt: skip


def listen(folder: str, log: str) -> None:
    """From now on, write to ``log`` what is imported from or executed in ``folder``, and any forbidden event."""
    busy = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal busy
        if busy:
            return
        # jedi's worker; the C library in the process itself, which the watcher asks for file events
        own = (event, arguments[0]) in (("subprocess.Popen", sys.executable), ("ctypes.dlopen", None)) if arguments else False
        guilty = event in FORBIDDEN and not own
        if event == "import":
            guilty = str(arguments[1] or "").startswith(folder) or str(arguments[0]).startswith("canary")
        elif event == "exec":
            guilty = str(getattr(arguments[0], "co_filename", "")).startswith(folder)
        if guilty:
            busy = True
            with open(log, "a") as file:
                file.write(f"{event} {arguments!r}\n")
            busy = False

    sys.addaudithook(hook)


def prepare() -> None:
    """A worker's preparation, audited from the start."""
    listen(os.environ["CANARY_FOLDER"], os.environ["CANARY_LOG"])
    with open(os.environ["CANARY_LOG"] + ".workers", "a") as file:
        file.write("ready\n")
    _prepare()
