"""The language server's line to the daemon: found or started when needed, and again when it breaks.

Every question has a deadline and one of three ends: the answer, None (the daemon had nothing to say), or a
DaemonError in time.  A daemon of another version is asked to stop and replaced, once: when another editor brings
the other version back, two versions do not fight.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from octod.core.errors import DaemonError, OctodError
from octod.core.paths import Paths
from octod.daemon import lifecycle
from octod.daemon.client import Client, WrongVersion
from octod.daemon.protocol import Document
from octod.daemon.wire import Json, UnknownText

__all__ = ["Link"]

_OPEN = 2.0  # seconds for a connection and its hello
_START = 15.0  # seconds for a new daemon on a busy machine
_BACKOFF, _BACKOFF_MOST = 0.25, 30.0  # seconds until a failed attempt is repeated; doubled each time


class Link:
    """A connection that comes back; ``problem`` says why there is none."""

    def __init__(
        self,
        paths: Paths,
        *,
        command: Sequence[str] | None = None,
        on_notification: Callable[[str, Json], None] = lambda method, params: None,
        on_state: Callable[[str | None], None] = lambda problem: None,
        mine: str | None = None,
    ) -> None:
        self._paths, self._command, self._mine = paths, command or lifecycle.COMMAND, mine
        self._on_notification, self._on_state = on_notification, on_state
        self._client: Client | None = None
        self._connecting: asyncio.Task[Client] | None = None
        self._sent: dict[str, int] = {}  # versions whose text this connection's daemon has
        self._replaced = False
        self._wait, self._not_before = _BACKOFF, 0.0
        self.problem: str | None = None

    def wake(self) -> None:
        """Begin to connect, if there is no connection; returns at once."""
        if self._client is not None and not self._client.closed:
            return
        if self._connecting is not None and not self._connecting.done():
            return
        if time.monotonic() < self._not_before:
            return
        self._client, self._sent = None, {}
        self._connecting = asyncio.create_task(self._connect())
        self._connecting.add_done_callback(self._connected)

    async def ask(self, method: str, params: Json, deadline: float, document: Document | None = None) -> Any:
        """The daemon's answer within ``deadline`` seconds; a connection that breaks meanwhile is made anew, once.

        Raises DaemonError (NoAnswer when late), and what the daemon answered with.
        """
        until = time.monotonic() + deadline
        for attempt in (1, 2, 3):
            client = await self._ready(until - time.monotonic())
            left = max(until - time.monotonic(), 0.001)
            if document is not None:
                whole = self._sent.get(document.uri) != document.version
                params = {**params, "document": document.to_json(text=whole)}
                self._sent[document.uri] = document.version
            try:
                return await client.request(method, params, left)
            except UnknownText:
                assert document is not None
                self._sent.pop(document.uri, None)
                if attempt == 3:
                    raise
            except DaemonError:
                if not client.closed or attempt == 3:
                    raise
        raise DaemonError("the daemon could not be asked")

    def forget(self, uri: str) -> None:
        """A document was closed: its text goes along with the next question."""
        self._sent.pop(uri, None)
        client = self._client
        if client is not None and not client.closed:
            client.post("close", {"uri": uri})

    async def close(self) -> None:
        """Leave the daemon, which goes on for others."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _ready(self, deadline: float) -> Client:
        self.wake()
        if self._client is not None and not self._client.closed:
            return self._client
        connecting = self._connecting
        if connecting is None or (connecting.done() and time.monotonic() < self._not_before):
            raise DaemonError(self.problem or "no daemon", "it is tried again shortly")
        done, _ = await asyncio.wait([connecting], timeout=max(deadline, 0))
        if not done:
            raise DaemonError("the daemon is still starting")
        return connecting.result()

    async def _connect(self) -> Client:
        try:
            return await self._open()
        except WrongVersion:
            if self._replaced:
                raise
            self._replaced = True
            await _in_thread(partial(lifecycle.stop, self._paths))
        except DaemonError:
            pass
        start = partial(lifecycle.start, self._paths, deadline=_START, command=self._command, mine=self._mine)
        await _in_thread(start)
        return await self._open()

    async def _open(self) -> Client:
        return await Client.open(
            self._paths, deadline=_OPEN, on_notification=self._on_notification, mine=self._mine
        )

    def _connected(self, task: asyncio.Task[Client]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._client, self._wait = task.result(), _BACKOFF
            problem = None
        else:
            self._not_before = time.monotonic() + self._wait
            self._wait = min(self._wait * 2, _BACKOFF_MOST)
            problem = str(error) if isinstance(error, OctodError) else f"{type(error).__name__}: {error}"
        if problem != self.problem:
            self.problem = problem
            self._on_state(problem)


async def _in_thread(work: Callable[[], object]) -> None:
    """Run blocking ``work``; unlike asyncio's own threads this one does not keep an ending process alive."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        problem: BaseException | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 handed on to who waits
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(end, problem)

    threading.Thread(target=run, name="octod-start", daemon=True).start()
    await ended
