"""The daemon's clients: ``Client`` for asyncio, ``connect`` for plain code.

Both refuse a socket or a runtime folder that is not ours, say hello first, and know only deadlines in seconds:
a daemon that is stopped, slow or gone becomes a DaemonError in time, never a hang.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from octod.core.errors import DaemonError
from octod.core.paths import Paths
from octod.daemon.wire import PROTOCOL, Decoder, Json, WireError, encode, error_from_json, read, version

__all__ = ["Client", "Connection", "NoAnswer", "WrongVersion", "check_ours", "connect", "peer_uid"]

OnNotification = Callable[[str, Json], None]

_NOT_RUNNING = "start it with `octod start`"
_NOT_ANSWERING = "`octod stop` ends it, also one that hangs"


class NoAnswer(DaemonError):
    """The daemon is there and did not answer in time."""


class WrongVersion(DaemonError):
    """The daemon is of another version than this client."""


def check_ours(path: Path) -> None:
    """Raise DaemonError unless ``path`` is a socket of ours in a folder that only we may write."""
    try:
        folder, found = path.parent.lstat(), path.lstat()
    except OSError as error:
        raise DaemonError("no daemon is running", _NOT_RUNNING) from error
    remove = "remove it, or set OCTOD_HOME to a folder of your own"
    if not stat.S_ISDIR(folder.st_mode):
        raise DaemonError(f"{path.parent} is not a folder (a symbolic link is none)", remove)
    if folder.st_uid != os.getuid():
        raise DaemonError(f"{path.parent} belongs to another user", remove)
    if folder.st_mode & 0o022:
        raise DaemonError(f"{path.parent} is writable for others", f"chmod 700 {path.parent}")
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise DaemonError(f"{path} is not a socket of ours", remove)


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a unix socket."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    # macOS and the BSDs: LOCAL_PEERCRED (1) at level 0 gives an xucred, whose second word is the uid.
    return int(struct.unpack("2I", connection.getsockopt(0, 1, 76)[:8])[1])


def _check_hello(answer: object, mine: str) -> Json:
    if not isinstance(answer, dict) or not isinstance(answer.get("version"), str):
        raise WireError("what listens on the daemon's socket is no octod daemon", _NOT_ANSWERING)
    if answer["version"] != mine or answer.get("protocol") != PROTOCOL:
        raise WrongVersion(
            f"the daemon is octod {answer['version']}, this is {mine}", "run `octod stop`, then again"
        )
    return answer


class Client:
    """A connection for asyncio code: many requests at a time, each with its own deadline."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_notification: OnNotification
    ) -> None:
        self._reader, self._writer, self._on_notification = reader, writer, on_notification
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._listener = asyncio.create_task(self._listen())
        self.hello: Json = {}

    @classmethod
    async def open(
        cls,
        paths: Paths,
        *,
        deadline: float,
        on_notification: OnNotification = lambda method, params: None,
        mine: str | None = None,
    ) -> Client:
        """Connect and say hello within ``deadline`` seconds.

        Raises DaemonError: nobody there, NoAnswer, WrongVersion (that daemon can still be told to shut down with
        ``octod.daemon.lifecycle.stop``) or a socket that is not ours.
        """
        check_ours(paths.socket)
        client = None
        try:
            async with asyncio.timeout(deadline):
                reader, writer = await asyncio.open_unix_connection(str(paths.socket))
                client = cls(reader, writer, on_notification)
                if peer_uid(writer.get_extra_info("socket")) != os.getuid():
                    raise DaemonError("the daemon's socket is served by another user", _NOT_ANSWERING)
                mine = version() if mine is None else mine
                client.hello = _check_hello(await client._ask("hello", {"version": mine}), mine)
        except TimeoutError as error:
            if client is not None:
                await client.close()
            raise NoAnswer("the daemon does not answer", _NOT_ANSWERING) from error
        except OSError as error:
            raise _no_connection(error) from error
        except BaseException:
            if client is not None:
                await client.close()
            raise
        return client

    @property
    def closed(self) -> bool:
        """True once the connection is gone; a new one is needed."""
        return self._listener.done()

    async def request(self, method: str, params: Json, deadline: float) -> Any:
        """The result within ``deadline`` seconds; on cancellation and lateness the daemon is told to stop.

        Raises NoAnswer, DaemonError when the connection ends, and whatever error the daemon answered with.
        """
        try:
            async with asyncio.timeout(deadline):
                return await self._ask(method, params)
        except TimeoutError as error:
            raise NoAnswer(f"the daemon did not answer {method} in {deadline:g} s", _NOT_ANSWERING) from error

    def post(self, method: str, params: Json) -> None:
        """Send a request whose answer nobody waits for."""
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})

    async def close(self) -> None:
        """Close the connection; whoever waits gets a DaemonError."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._writer.close()

    async def _ask(self, method: str, params: Json) -> Any:
        if self.closed:
            raise DaemonError("the daemon closed the connection", _NOT_RUNNING)
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send({"id": number, "method": method, "params": params})
            return await answer
        except asyncio.CancelledError:
            self._send({"method": "cancel", "params": {"id": number}})
            raise
        finally:
            self._waiting.pop(number, None)

    def _send(self, message: Json) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def _listen(self) -> None:
        problem = DaemonError("the daemon closed the connection", _NOT_RUNNING)
        try:
            while (message := await read(self._reader)) is not None:
                number = message.get("id")
                if number is None:
                    if "error" in message:
                        raise error_from_json(message["error"])
                    params = message.get("params")
                    self._on_notification(
                        str(message.get("method")), params if isinstance(params, dict) else {}
                    )
                elif (
                    isinstance(number, int) and (waiting := self._waiting.get(number)) and not waiting.done()
                ):
                    if "error" in message:
                        waiting.set_exception(error_from_json(message["error"]))
                    else:
                        waiting.set_result(message.get("result"))
        except DaemonError as error:
            problem = error
        finally:
            self._writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(DaemonError(problem.message, problem.hint))


class Connection:
    """A connection for plain code: one request at a time."""

    def __init__(self, plain: socket.socket) -> None:
        self._socket, self._decoder, self._last = plain, Decoder(), 0
        self._arrived: list[Json] = []
        self.hello: Json = {}

    def request(
        self, method: str, params: Json, deadline: float = 5.0, on_notification: OnNotification | None = None
    ) -> Any:
        """The result; ``deadline`` seconds may pass without a word (each notification starts them again).

        Raises NoAnswer, DaemonError when the connection ends, and whatever error the daemon answered with.
        """
        self._last += 1
        try:
            self._socket.settimeout(deadline)
            self._socket.sendall(encode({"id": self._last, "method": method, "params": params}))
            until = time.monotonic() + deadline
            while True:
                message = self._receive(until)
                if message.get("id") == self._last:
                    if "error" in message:
                        raise error_from_json(message["error"])
                    return message.get("result")
                if message.get("id") is None and "error" in message:
                    raise error_from_json(message["error"])
                if on_notification is not None and "method" in message:
                    found = message.get("params")
                    on_notification(str(message["method"]), found if isinstance(found, dict) else {})
                    until = time.monotonic() + deadline
        except TimeoutError as error:
            raise NoAnswer(f"the daemon did not answer {method} in {deadline:g} s", _NOT_ANSWERING) from error
        except OSError as error:
            raise DaemonError(
                f"the connection to the daemon broke: {error.strerror}", _NOT_RUNNING
            ) from error

    def _receive(self, until: float) -> Json:
        while not self._arrived:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(1 << 16)
            if not data:
                raise DaemonError("the daemon closed the connection", _NOT_RUNNING)
            self._arrived.extend(self._decoder.feed(data))
        return self._arrived.pop(0)


@contextmanager
def connect(
    paths: Paths, *, deadline: float = 2.0, mine: str | None = None, any_version: bool = False
) -> Iterator[Connection]:
    """``with connect(paths) as daemon: daemon.request("status", {})``; raises as ``Client.open`` does.

    ``any_version`` is for the one who wants to stop a daemon, whatever its version.
    """
    check_ours(paths.socket)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plain:
        plain.settimeout(deadline)
        try:
            plain.connect(str(paths.socket))
        except TimeoutError as error:
            raise NoAnswer("the daemon does not answer", _NOT_ANSWERING) from error
        except OSError as error:
            raise _no_connection(error) from error
        if peer_uid(plain) != os.getuid():
            raise DaemonError("the daemon's socket is served by another user", _NOT_ANSWERING)
        connection = Connection(plain)
        mine = version() if mine is None else mine
        connection.hello = connection.request("hello", {"version": mine}, deadline)
        if not any_version:
            _check_hello(connection.hello, mine)
        yield connection


def _no_connection(error: OSError) -> DaemonError:
    if isinstance(error, BlockingIOError):  # the queue of a stopped daemon is full
        return NoAnswer("the daemon does not answer", _NOT_ANSWERING)
    return DaemonError(f"no daemon is running ({error.strerror})", _NOT_RUNNING)
