"""The first moments: ``initialize`` is answered on the standard library alone.

Importing pygls and lsprotocol takes about half a second on a slow machine (lsprotocol.types builds some 700 classes),
an editor may wait 0.3.  So this module answers the first request itself, imports pygls afterwards, and hands over
the request so that pygls knows the session, too; what the editor sent meanwhile waits in the pipe.  A daemon that does
not run yet starts at the same time.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from octod.core.errors import OctodError
from octod.lsp.capabilities import dig, initialize_result
from octod.lsp.framing import Json, frame, read_frames, write_all

__all__ = ["open_door"]

_TURN = 0.0005  # seconds after which another thread gets the interpreter: the one that starts the daemon waits for nobody
_NOT_INITIALIZED = -32002  # JSON-RPC codes as LSP 3.17 reserves them


def open_door(source: int, target: int, command: Sequence[str] | None) -> int:
    """Serve a session that is read from one file descriptor and written to the other; the exit code."""
    from octod.daemon.wire import version

    output = os.dup(target)
    if target == 1:
        os.dup2(2, 1)  # a stray print must not reach the editor

    messages = read_frames(source, _complain)
    try:
        for message in messages:
            method, number = message.get("method"), message.get("id")
            if method == "initialize" and number is not None:
                result = initialize_result(dig(message, "params", "capabilities"), version())
                write_all(output, frame({"jsonrpc": "2.0", "id": number, "result": result}))
                return _hand_over(message, messages, output, command)
            if method == "exit":
                return 1
            if number is not None and method is not None:
                error = {"code": _NOT_INITIALIZED, "message": "the first request must be initialize"}
                write_all(output, frame({"jsonrpc": "2.0", "id": number, "error": error}))
    except BrokenPipeError:
        return 1
    except OctodError as error:
        _complain(str(error))
        return error.exit_code
    return 1


def _hand_over(first: Json, messages: Iterator[Json], output: int, command: Sequence[str] | None) -> int:
    threading.Thread(target=_starter(command), name="octod-early", daemon=True).start()
    sys.setswitchinterval(_TURN)
    gc.disable()  # what is imported stays
    from octod.lsp.session import run

    gc.freeze()
    gc.enable()
    return run(first, messages, output, command)


def _starter(command: Sequence[str] | None) -> Callable[[], None]:
    """What begins to start a daemon where none runs; whatever hinders it, the session's link tells and tries again."""
    # imported by who calls: in a thread beside pygls it would take twice as long, and the daemon start later
    from octod.core.paths import Paths
    from octod.daemon import lifecycle

    def start() -> None:
        with suppress(OctodError, OSError):
            paths = Paths.of()
            if lifecycle.running(paths) is None:
                lifecycle.start(paths, command=command or lifecycle.COMMAND)

    return start


def _complain(problem: str) -> None:
    print(f"octod lsp: {problem}", file=sys.stderr, flush=True)
