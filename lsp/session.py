"""The loop of a session: messages from the editor to pygls, one after the other, until the editor leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from octod.core.paths import Paths
from octod.lsp.framing import Json, frame, write_all
from octod.lsp.server import Server

__all__ = ["run"]

log = logging.getLogger("octod.lsp")

_INVALID_REQUEST, _INVALID_PARAMS = -32600, -32602  # JSON-RPC 2.0


def run(first: Json, messages: Iterator[Json], output: int, command: Sequence[str] | None) -> int:
    """Serve the session whose ``initialize`` was answered already; 0 after a ``shutdown``, else 1."""
    level = os.environ.get("OCTOD_LOG", "ERROR").upper()
    logging.basicConfig(
        level=level if level in logging.getLevelNamesMapping() else "ERROR", stream=sys.stderr
    )
    return asyncio.run(_run(first, messages, output, command))


async def _run(first: Json, messages: Iterator[Json], output: int, command: Sequence[str] | None) -> int:
    server = Server(first.get("params"), paths=Paths.of(), command=command)
    session = _Session(server, output)
    session.begin(first)
    queue: asyncio.Queue[Json | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for message in messages:
            loop.call_soon_threadsafe(queue.put_nowait, message)
        loop.call_soon_threadsafe(queue.put_nowait, None)

    # A thread of our own: one of asyncio's would keep the process alive while it waits for input.
    threading.Thread(target=read, name="octod-stdin", daemon=True).start()
    try:
        while (message := await queue.get()) is not None:
            if message.get("method") == "exit":
                return 0 if session.ended else 1
            session.handle(message)
            # The handler takes its snapshot of the document before the next message changes it.
            await asyncio.sleep(0)
    except BrokenPipeError:
        pass  # the editor is gone
    finally:
        await server.close()
    return 1


class _Session:
    def __init__(self, server: Server, output: int) -> None:
        self._protocol: Any = server.pygls.protocol
        self._output = output
        self.ended = False

    def begin(self, first: Json) -> None:
        """Let pygls see ``initialize``; its answer is dropped, the editor has ours."""
        self._protocol.set_writer(_Nowhere())
        self._give(first)
        self._protocol.set_writer(_Writer(self._output))

    def handle(self, message: Json) -> None:
        """One message; a request that cannot be understood is answered with an error."""
        method, number = message.get("method"), message.get("id")
        if message.get("jsonrpc") != "2.0" or (method is not None and not isinstance(method, str)):
            self._refuse(number, _INVALID_REQUEST, "this is no JSON-RPC 2.0")
        elif method == "initialize" or (self.ended and method is not None):
            self._refuse(number, _INVALID_REQUEST, f"{method} has no place here")
        else:
            self._give(message)
            self.ended = self.ended or method == "shutdown"

    def _give(self, message: Json) -> None:
        try:
            self._protocol.handle_message(self._protocol.structure_message(message))
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 one message must not end the session
            log.error("%s could not be handled: %s", message.get("method"), error)
            if message.get("method") is not None:
                self._refuse(
                    message.get("id"), _INVALID_PARAMS, f"the params do not fit: {type(error).__name__}"
                )

    def _refuse(self, number: object, code: int, reason: str) -> None:
        if isinstance(number, int | str):
            error = {"code": code, "message": reason}
            write_all(self._output, frame({"jsonrpc": "2.0", "id": number, "error": error}))


class _Writer:
    def __init__(self, output: int) -> None:
        self._output = output

    def write(self, data: bytes) -> None:
        write_all(self._output, data)

    def close(self) -> None:
        """Nothing to do: the process ends."""


class _Nowhere:
    def write(self, data: bytes) -> None:
        """Drop it."""

    def close(self) -> None:
        """Nothing to do."""
