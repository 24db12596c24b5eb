"""``python -m octod.daemon [--detach]``: be the daemon, or say that another process is it and end with 0.

With ``--detach`` the command returns as soon as clients can connect and a process of its own session goes on,
writing to the log; without, it stays in the foreground.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from octod.core.errors import OctodError
from octod.core.offline import stay_offline
from octod.core.paths import Paths
from octod.daemon.lifecycle import Hold, hold, redirect_output, rotate

if TYPE_CHECKING:
    from octod.adapters.identity import BaseModel
    from octod.core.settings import Settings
    from octod.daemon.protocol import Service

__all__ = ["main"]

Make = Callable[[Paths], "Awaitable[Service]"]

_ROTATE_EVERY = 60.0  # seconds
_BLAS = "OPENBLAS_NUM_THREADS"


async def _real_service(paths: Paths) -> Service:
    """The service with index, adapters and engine; imported in a thread, so that the server answers meanwhile."""
    import asyncio

    from octod.core.settings import Settings

    settings = Settings.read(paths.config)
    gc.disable()  # what is imported stays, and the service has it left out
    try:
        # Hashing the base's weights lets go of the interpreter: it costs the first menu nothing beside the imports.
        base, module = await asyncio.gather(asyncio.to_thread(_base, paths, settings), asyncio.to_thread(_imported))
        service: Service = module.make_service(paths, settings, base)
    finally:
        gc.enable()
    return service


def _base(paths: Paths, settings: Settings) -> BaseModel | None:
    """The base that the settings name, None for an index alone."""
    if settings.engine == "none":
        return None
    from octod.adapters.bases import base_of

    return base_of(settings.base, paths)


def _imported() -> ModuleType:
    """The module of the service, and the counts that every menu wants."""
    # numpy's OpenBLAS asks when it is loaded, and has its threads spin; a menu's few hundred rows need none of them.
    before = os.environ.get(_BLAS)
    os.environ[_BLAS] = "1"
    try:
        module = import_module("octod.daemon.service")
    finally:
        if before is None:
            del os.environ[_BLAS]  # the engine's process may have threads
        else:
            os.environ[_BLAS] = before
    from octod.adapters.priors import Priors

    Priors.shipped()  # an editor's language server takes longer to start: read before it asks
    return module


def main(arguments: list[str] | None = None, *, make: Make = _real_service, mine: str | None = None) -> int:
    """Run until told to stop; 0, or the exit code of what went wrong."""
    detach = "--detach" in (sys.argv[1:] if arguments is None else arguments)
    stay_offline()
    os.umask(0o077)  # whatever a library creates on the way is ours alone, too
    paths = Paths.of()
    try:
        held = hold(paths)
        if held is None:
            print("another octod daemon is running", file=sys.stderr)
            return 0
        if detach:
            _detach(paths)
        held.write_pid()
    except OctodError as error:
        print(f"octod: {error}", file=sys.stderr)
        return error.exit_code
    try:
        _serve(held, make, mine, detached=detach)
    finally:
        held.release()
        if detach:
            _end_children()
    return 0


def _detach(paths: Paths) -> None:
    """Go on as a process of its own; there are no threads yet, so a fork is safe."""
    if os.fork():
        os._exit(0)
    os.setsid()
    rotate(paths.log)
    redirect_output(paths.log)


def _serve(held: Hold, make: Make, mine: str | None, *, detached: bool) -> None:
    import asyncio
    import logging

    from octod.daemon.server import Server

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )

    async def run() -> None:
        server = Server(held.paths, lambda: make(held.paths), mine=mine)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, server.stop)

        def keep_log_short() -> None:
            if rotate(held.paths.log):
                redirect_output(held.paths.log)
            loop.call_later(_ROTATE_EVERY, keep_log_short)

        if detached:
            loop.call_later(_ROTATE_EVERY, keep_log_short)
        await server.run(held.listening)

    asyncio.run(run())
    logging.getLogger("octod.daemon").info("stopped")


def _end_children() -> None:
    """Whatever the service left behind in this process group ends now."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
