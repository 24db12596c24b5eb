"""The daemon's server: requests from the socket to the service, the newest one wins.

It answers ``hello``, ``ping`` and ``status`` at once, while the service (index, engine) comes up behind it; the
other methods wait for the service as long as their client does.  For each connection, document and method there is
one slot: a newer request cancels the older one, which is answered with null, and so does a newer version of the
document.  Cancelling reaches the service as ``asyncio.CancelledError``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from octod.core.answers import to_json
from octod.core.errors import DaemonError, OctodError, UsageError
from octod.core.paths import Paths
from octod.daemon.client import peer_uid
from octod.daemon.protocol import Document, MakeService, Service
from octod.daemon.wire import PROTOCOL, Json, UnknownText, WireError, encode, error_to_json, read, version

__all__ = ["Document", "Server", "Service"]

log = logging.getLogger("octod.daemon")

# A client that does not read: notifications to it are dropped above the first, the connection above the second.
_SLOW, _STUCK = 1 << 20, 64 << 20
_RETRY = 5.0  # seconds until a service that failed to start is tried again
_STATUS = 1.0  # seconds the service may take to tell its status
_STOP = 5.0  # seconds the service may take to stop
_REST = 10.0  # seconds without a question after which memory that is free goes back to the system

_SLOTTED = frozenset({"menu", "ghost", "hover", "signature", "fixes", "warm"})


class Server:
    """One daemon: ``listening`` is the bound socket of lifecycle.hold, ``make`` brings up the service."""

    def __init__(self, paths: Paths, make: MakeService, *, mine: str | None = None) -> None:
        self.paths, self.version = paths, version() if mine is None else mine
        self._make = make
        self._stop = asyncio.Event()
        self._connections: set[_Connection] = set()
        self._service: asyncio.Task[Service] | None = None
        self._failed_at = 0.0
        self._resting: asyncio.TimerHandle | None = None
        self._started = time.time()

    async def run(self, listening: socket.socket) -> None:
        """Serve until ``stop`` is called; the service is stopped before this returns."""
        self._loop = asyncio.get_running_loop()
        self._begin()
        server = await asyncio.start_unix_server(self._connected, sock=listening, limit=1 << 20)
        log.info("octod %s serves at %s (pid %d)", self.version, self.paths.socket, os.getpid())
        try:
            await self._stop.wait()
        finally:
            server.close()
            self._tell_all("message", {"state": "stopping"})
            for connection in list(self._connections):
                await connection.close()
            await self._end()

    def stop(self) -> None:
        """Ask ``run`` to end."""
        self._stop.set()

    async def service(self) -> Service:
        """The service, once it is up; raises why it could not start (and tries again after a while)."""
        assert self._service is not None
        failed = (
            self._service.done() and not self._service.cancelled() and self._service.exception() is not None
        )
        if failed and time.monotonic() - self._failed_at > _RETRY:
            self._begin()
        return await asyncio.shield(self._service)

    async def status(self) -> Json:
        """What the daemon is, and behind it what the service has to tell; never waits for a service that starts."""
        found: Json = {
            "version": self.version,
            "pid": os.getpid(),
            "uptime": round(time.time() - self._started, 3),
            "socket": str(self.paths.socket),
            "log": str(self.paths.log),
            "clients": len(self._connections),
        }
        assert self._service is not None
        if not self._service.done():
            return {**found, "state": "starting"}
        try:
            async with asyncio.timeout(_STATUS):
                return {**await (await self.service()).status(), **found, "state": "ready"}
        except TimeoutError:
            return {**found, "state": "busy"}
        except Exception as error:  # noqa: BLE001 a status tells of any failure
            return {**found, "state": "failed", "problem": error_to_json(error)}

    def asked(self) -> None:
        """Somebody wants something: the daemon rests no sooner than a while from now."""
        if self._resting is not None:
            self._resting.cancel()
        self._resting = self._loop.call_later(_REST, _give_back)

    def _begin(self) -> None:
        async def start() -> Service:
            service = await self._make()
            service.notify = self._notify
            log.info("the service is up after %.2f s", time.time() - self._started)
            return service

        def told(task: asyncio.Task[Service]) -> None:
            if task.cancelled():
                return
            if (error := task.exception()) is not None:
                self._failed_at = time.monotonic()
                log.error("the service could not start", exc_info=error)
            self._tell_all("changed", {"state": "ready" if error is None else "failed"})

        self._service = asyncio.create_task(start())
        self._service.add_done_callback(told)

    async def _end(self) -> None:
        assert self._service is not None
        self._service.cancel() if not self._service.done() else None
        (service,) = await asyncio.gather(self._service, return_exceptions=True)
        if not isinstance(service, BaseException):
            try:
                async with asyncio.timeout(_STOP):
                    await service.stop()
            except Exception as error:
                log.error("the service did not stop cleanly", exc_info=error)

    def _notify(self, method: str, params: Json) -> None:
        """The service's ``notify``: from any thread."""
        self._loop.call_soon_threadsafe(self._tell_all, method, params)

    def _tell_all(self, method: str, params: Json) -> None:
        for connection in list(self._connections):
            connection.tell(method, params)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid != os.getuid():
            log.warning("a connection of uid %d was refused", uid)
            writer.close()
            return
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            await connection.close()


class _Connection:
    """One client: its documents, its running requests and their slots."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._greeted = ""
        self._documents: dict[str, Document] = {}
        self._running: dict[object, asyncio.Future[Any]] = {}
        self._slots: dict[tuple[str, str], tuple[int, asyncio.Future[Any]]] = {}
        self._methods: dict[str, Callable[[Json], Awaitable[Any]]] = {
            "ping": self._ping,
            "status": self._status,
            "shutdown": self._shutdown,
            "menu": self._menu,
            "ghost": self._ghost,
            "hover": self._hover,
            "describe": self._describe,
            "signature": self._signature,
            "fixes": self._fixes,
            "warm": self._warm,
            "close": self._close,
            "index": self._index,
            "adapters_changed": self._adapters_changed,
            "base_changed": self._base_changed,
        }

    async def serve(self) -> None:
        """Read requests until the client leaves or sends what is no message."""
        try:
            while (message := await read(self._reader)) is not None:
                self._handle(message)
        except WireError as error:
            log.warning("a client sent what is no message: %s", error)
            self._send({"id": None, "error": error_to_json(error)})

    async def close(self) -> None:
        """Cancel what still runs for this client."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._writer.close()

    def tell(self, method: str, params: Json) -> None:
        """A notification; passed over while the client is behind."""
        if self._greeted and self._writer.transport.get_write_buffer_size() < _SLOW:
            self._send({"method": method, "params": params})

    def _send(self, message: Json) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(encode(message))
        if self._writer.transport.get_write_buffer_size() > _STUCK:
            log.warning("a client that does not read was dropped")
            self._writer.transport.abort()

    def _handle(self, message: Json) -> None:
        """Start one request; its params are looked at here, in the order of arrival."""
        self._server.asked()
        number, method, params = message.get("id"), message.get("method"), message.get("params")
        params = params if isinstance(params, dict) else {}
        if method == "cancel":
            if (task := self._running.get(_key(params.get("id")))) is not None:
                task.cancel()
            return
        try:
            if not isinstance(number, int | str):
                raise WireError("a request without an id")
            if method == "hello":
                self._greeted = str(params.get("version", ""))
                answer = {"version": self._server.version, "pid": os.getpid(), "protocol": PROTOCOL}
                self._send({"id": number, "result": answer})
                return
            if not self._greeted:
                raise DaemonError("the first request must be hello")
            if self._greeted != self._server.version and method not in ("ping", "status", "shutdown"):
                raise DaemonError(
                    f"the daemon is octod {self._server.version}, not {self._greeted}",
                    "run `octod stop`, then again",
                )
            handler = self._methods.get(method) if isinstance(method, str) else None
            if handler is None or not isinstance(method, str):
                raise UsageError(
                    f"the daemon knows no method {method!r}", "client and daemon should be one version"
                )
            if "document" in params and not self._take_document(params):
                raise UnknownText("that version of the document is not known", "send it with its text")
        except OctodError as error:
            self._send({"id": number, "error": error_to_json(error)})
            return
        task = asyncio.ensure_future(handler(params))
        self._running[number] = task
        task.add_done_callback(lambda done: self._answer(number, done))
        document = params.get("document")
        if method in _SLOTTED and isinstance(document, Document):
            self._take_slot(method, document, task)

    def _take_document(self, params: Json) -> bool:
        document = Document.from_json(params["document"], self._documents)
        if document is None:
            return False
        known = self._documents.get(document.uri)
        if known is None or document.version >= known.version:
            self._documents[document.uri] = document
        if known is not None and document.version > known.version:
            for (uri, _), (asked, task) in list(self._slots.items()):
                if uri == document.uri and asked < document.version:
                    task.cancel()
        params["document"] = document
        return True

    def _take_slot(self, method: str, document: Document, task: asyncio.Future[Any]) -> None:
        slot = (document.uri, method)
        if (older := self._slots.get(slot)) is not None:
            older[1].cancel()
        self._slots[slot] = (document.version, task)

        def free(done: asyncio.Future[Any]) -> None:
            if (holder := self._slots.get(slot)) is not None and holder[1] is done:
                del self._slots[slot]

        task.add_done_callback(free)

    def _answer(self, number: int | str, done: asyncio.Future[Any]) -> None:
        self._running.pop(number, None)
        message: Json
        if done.cancelled():
            message = {"id": number, "result": None}  # superseded or given up: nobody waits for more
        elif (error := done.exception()) is None:
            message = {"id": number, "result": done.result()}
        else:
            if not isinstance(error, OctodError):
                log.error("a request failed", exc_info=error)
            message = {"id": number, "error": error_to_json(error)}
        try:
            self._send(message)
        except (WireError, TypeError, ValueError) as error:  # too long, or not JSON: better told than waited for
            log.error("an answer could not be sent", exc_info=error)
            self._send({"id": number, "error": error_to_json(error)})

    async def _ping(self, params: Json) -> Json:
        return {}

    async def _status(self, params: Json) -> Json:
        return await self._server.status()

    async def _shutdown(self, params: Json) -> None:
        asyncio.get_running_loop().call_soon(self._server.stop)

    async def _menu(self, params: Json) -> Json | None:
        document, offset = _place(params)
        menu = await (await self._server.service()).menu(document, offset)
        return None if menu is None else to_json(menu)

    async def _ghost(self, params: Json) -> Json | None:
        document, offset = _place(params)
        ghost = await (await self._server.service()).ghost(document, offset, _string(params, "selected"))
        return None if ghost is None else to_json(ghost)

    async def _hover(self, params: Json) -> Json | None:
        document, offset = _place(params)
        hover = await (await self._server.service()).hover(document, offset)
        return None if hover is None else to_json(hover)

    async def _describe(self, params: Json) -> Json | None:
        qualified = _string(params, "qualified")
        if not qualified:
            raise UsageError("qualified is missing")
        service = await self._server.service()
        hover = await service.describe(
            _string(params, "environment"), _string(params, "root"), _string(params, "path"), qualified, _string(params, "active")
        )
        return None if hover is None else to_json(hover)

    async def _signature(self, params: Json) -> Json | None:
        document, offset = _place(params)
        signature = await (await self._server.service()).signature(document, offset)
        return None if signature is None else to_json(signature)

    async def _fixes(self, params: Json) -> Json | None:
        document, start = _place(params)
        _, end = _place({**params, "offset": start + params.get("length", 0)})
        fixes = await (await self._server.service()).fixes(document, start, end)
        return None if fixes is None else to_json(fixes)

    async def _warm(self, params: Json) -> None:
        document, offset = _place(params)
        await (await self._server.service()).warm(document, offset)

    async def _close(self, params: Json) -> None:
        uri = _string(params, "uri") or ""
        self._documents.pop(uri, None)
        await (await self._server.service()).close(uri)

    async def _index(self, params: Json) -> Json:
        service = await self._server.service()
        return await service.index(_string(params, "environment"), bool(params.get("force", False)))

    async def _adapters_changed(self, params: Json) -> None:
        await (await self._server.service()).adapters_changed()

    async def _base_changed(self, params: Json) -> None:
        await (await self._server.service()).base_changed()


def _give_back() -> None:
    """Give free memory back to the system, a few milliseconds' work: glibc keeps what lies between pieces in use."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


def _key(value: object) -> object:
    return value if isinstance(value, int | str) else None


def _place(params: Json) -> tuple[Document, int]:
    document, offset = params.get("document"), params.get("offset")
    if not isinstance(document, Document):
        raise UsageError("a document is missing")
    if type(offset) is not int or not 0 <= offset <= len(document.text):
        raise UsageError(f"the offset {offset!r} is outside the document")
    return document, offset


def _string(params: Json, key: str) -> str | None:
    value = params.get(key)
    if not isinstance(value, str | None):
        raise UsageError(f"{key} must be a string or null")
    return value
