"""The server: newest wins, cancelling arrives, status answers at once, errors are told."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from octod.core.errors import DaemonError, EnvironmentProblem, OctodError, UsageError
from octod.core.paths import Paths
from octod.daemon import client as client_module
from octod.daemon import server as server_module
from octod.daemon.client import Client, NoAnswer, WrongVersion
from octod.daemon.lifecycle import Hold, hold
from octod.daemon.protocol import Document
from octod.daemon.server import Server
from octod.daemon.wire import UnknownText, encode, read

from tests.daemon.stub_daemon import StubService

Json = dict[str, Any]


class House:
    """A server in this process and what its clients were told."""

    def __init__(self, service: StubService, held: Hold) -> None:
        self.service, self.held = service, held
        self.told: list[tuple[str, Json]] = []

    async def client(self, **options: Any) -> Client:
        """A client that collects notifications."""
        collect = lambda method, params: self.told.append((method, params))
        return await Client.open(self.held.paths, deadline=5, on_notification=collect, **options)


@contextlib.asynccontextmanager
async def served(make: Callable[[StubService], Awaitable[StubService]] | None = None) -> AsyncIterator[House]:
    """A server with a stub service, stopped at the end."""
    held, service = hold(Paths.of()), StubService()
    assert held is not None

    async def plain() -> StubService:
        return service if make is None else await make(service)

    server = Server(held.paths, plain)
    running = asyncio.create_task(server.run(held.listening))
    try:
        yield House(service, held)
    finally:
        server.stop()
        await asyncio.wait_for(running, 5)
        held.release()


def question(
    text: str, version: int = 1, offset: int | None = None, *, whole: bool = True, uri: str = "u"
) -> Json:
    """Params about the end of a document."""
    document = Document(uri, version, text).to_json(text=whole)
    return {"document": document, "offset": len(text) if offset is None else offset}


async def until(condition: Callable[[], bool], deadline: float = 5.0) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.005)


def run(scenario: Callable[[House, Client], Awaitable[None]]) -> None:
    """A scenario with one client."""

    async def play() -> None:
        async with served() as house:
            client = await house.client()
            try:
                await scenario(house, client)
            finally:
                await client.close()

    asyncio.run(play())


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="memory is given back by glibc")
def test_a_daemon_at_rest_gives_free_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free between pieces in use goes back to the system once nobody asks for a while."""
    monkeypatch.setattr(server_module, "_REST", 0.2)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000

    async def scenario(house: House, client: Client) -> None:
        pieces = [bytes(10_000) for _ in range(5_000)]
        full = resident()
        pieces = pieces[::50]
        await client.request("ping", {}, 5)
        await until(lambda: resident() < full - 25)
        assert 100 == len(pieces)

    run(scenario)


def test_a_menu_comes_back_as_json() -> None:
    """A question with its text is answered."""

    async def scenario(house: House, client: Client) -> None:
        found = await client.request("menu", question("httpx."), 5)
        assert ["get", "post", "Client"] == [item[0] for item in found["items"]]

    run(scenario)


def test_a_known_version_needs_no_text() -> None:
    """The text goes over the socket once for each version; another version without text is refused as unknown."""

    async def scenario(house: House, client: Client) -> None:
        await client.request("warm", question("httpx."), 5)
        assert (await client.request("menu", question("httpx.", whole=False), 5))["items"]
        with pytest.raises(UnknownText):
            await client.request("menu", question("httpx.", 2, whole=False), 5)
        await client.request("close", {"uri": "u"}, 5)
        with pytest.raises(UnknownText):
            await client.request("menu", question("httpx.", whole=False), 5)

    run(scenario)


def test_a_newer_question_ends_the_older_one() -> None:
    """One slot for each document and method: the older request is cancelled and answered with null."""

    async def scenario(house: House, client: Client) -> None:
        older = asyncio.create_task(client.request("menu", question("#slow."), 10))
        other = asyncio.create_task(client.request("hover", question("#slow.", uri="v"), 10))
        await until(lambda: len(house.service.environments) == 1)
        newer = await client.request("menu", question("httpx.", 2), 5)
        assert newer["items"] and await asyncio.wait_for(older, 1) is None
        assert not other.done()
        other.cancel()

    run(scenario)


def test_a_newer_version_ends_questions_about_the_older_one() -> None:
    """A change of the document cancels every question about what it was before."""

    async def scenario(house: House, client: Client) -> None:
        older = asyncio.create_task(client.request("menu", question("#slow."), 10))
        await until(lambda: len(house.service.environments) == 1)
        await client.request("warm", question("httpx.", 2), 5)
        assert await asyncio.wait_for(older, 1) is None

    run(scenario)


def test_cancelling_reaches_the_service_within_50_ms() -> None:
    """P7: a client that gives up stops the work."""

    async def scenario(house: House, client: Client) -> None:
        asking = asyncio.create_task(client.request("menu", question("#slow."), 10))
        await until(lambda: len(house.service.environments) == 1)
        before = time.monotonic()
        asking.cancel()
        await until(lambda: house.service.cancelled == 1, 1)
        assert time.monotonic() - before < 0.05

    run(scenario)


def test_a_late_answer_is_no_hang() -> None:
    """Past its deadline the client raises, and the work is cancelled."""

    async def scenario(house: House, client: Client) -> None:
        with pytest.raises(NoAnswer):
            await client.request("menu", question("#slow."), 0.05)
        await until(lambda: house.service.cancelled == 1)
        assert await client.request("ping", {}, 5) == {}

    run(scenario)


def test_a_client_that_leaves_takes_its_questions_along() -> None:
    """A closed connection cancels what ran for it."""

    async def scenario(house: House, client: Client) -> None:
        asking = asyncio.create_task(client.request("menu", question("#slow."), 10))
        await until(lambda: len(house.service.environments) == 1)
        await client.close()
        with pytest.raises(DaemonError):
            await asking
        await until(lambda: house.service.cancelled == 1)

    run(scenario)


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("menu", question("#refuse"), EnvironmentProblem),
        ("menu", question("#boom"), OctodError),
        ("menu", question("abc", offset=4), UsageError),
        ("menu", question("abc", offset=-1), UsageError),
        ("menu", {"document": {"uri": 3}, "offset": 0}, UsageError),
        ("menu", {}, UsageError),
        ("describe", {"qualified": 1}, UsageError),
        ("nonsense", {}, UsageError),
    ],
)
def test_what_fails_is_told_and_the_next_question_is_answered(
    method: str, params: Json, expected: type[OctodError]
) -> None:
    """An error is an answer; it ends neither the connection nor the server."""

    async def scenario(house: House, client: Client) -> None:
        with pytest.raises(OctodError) as caught:
            await client.request(method, dict(params), 5)
        assert expected is type(caught.value)
        assert {} == await client.request("ping", {}, 5)

    run(scenario)


def test_status_answers_while_the_service_comes_up() -> None:
    """hello, ping and status do not wait for index and engine; a menu does, as long as its client wants."""

    async def play() -> None:
        ready = asyncio.Event()

        async def slow(service: StubService) -> StubService:
            await ready.wait()
            return service

        async with served(slow) as house:
            before = time.monotonic()
            client = await house.client()
            assert "starting" == (await client.request("status", {}, 5))["state"]
            assert time.monotonic() - before < 0.3
            asking = asyncio.create_task(client.request("menu", question("httpx."), 5))
            await client.request("ping", {}, 5)
            ready.set()
            assert (await asking)["items"]
            assert "ready" == (await client.request("status", {}, 5))["state"]
            await until(lambda: ("changed", {"state": "ready"}) in house.told)
            await client.close()

    asyncio.run(play())


def test_a_service_that_does_not_come_up_is_told() -> None:
    """Status and every question say why there is no service; the daemon stays."""

    async def play() -> None:
        async def broken(service: StubService) -> StubService:
            raise EnvironmentProblem("no base model", "make one")

        async with served(broken) as house:
            client = await house.client()
            with pytest.raises(EnvironmentProblem, match="no base model"):
                await client.request("menu", question("httpx."), 5)
            status = await client.request("status", {}, 5)
            assert ("failed", "no base model") == (status["state"], status["problem"]["message"])
            await client.close()

    asyncio.run(play())


def test_progress_reaches_every_client() -> None:
    """Notifications are for all, in order."""

    async def scenario(house: House, client: Client) -> None:
        found = await client.request("index", {"environment": "/e", "force": True}, 10)
        assert {"environment": "/e", "force": True, "libraries": 3} == found
        assert [0.0, 0.5, 1.0] == [params["share"] for method, params in house.told if method == "progress"]

    run(scenario)


def test_another_version_is_refused_but_may_shut_down() -> None:
    """A client of another version learns so at hello; the daemon answers it nothing but status and shutdown."""

    async def play() -> None:
        async with served() as house:
            with pytest.raises(WrongVersion, match="octod stop"):
                await house.client(mine="9.9")
            reader, writer = await asyncio.open_unix_connection(str(house.held.paths.socket))
            for number, (method, params) in enumerate(
                [("hello", {"version": "9.9"}), ("menu", {}), ("status", {}), ("shutdown", {})]
            ):
                writer.write(encode({"id": number, "method": method, "params": params}))
            answers = [await read(reader) for _ in range(4)]
            assert [False, True, False, False] == ["error" in (answer or {}) for answer in answers]
            writer.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x09{}"]
)
def test_garbage_ends_the_connection_and_not_the_server(data: bytes) -> None:
    """What is no message gets an error and a closed connection; others go on."""

    async def scenario(house: House, client: Client) -> None:
        reader, writer = await asyncio.open_unix_connection(str(house.held.paths.socket))
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(read(reader), 5)
        assert answer is not None and "error" in answer
        assert await asyncio.wait_for(read(reader), 5) is None
        writer.close()
        assert {} == await client.request("ping", {}, 5)

    run(scenario)


def test_a_request_before_hello_is_refused() -> None:
    """The first request says which version asks."""

    async def scenario(house: House, client: Client) -> None:
        reader, writer = await asyncio.open_unix_connection(str(house.held.paths.socket))
        writer.write(encode({"id": 1, "method": "status", "params": {}}))
        answer = await asyncio.wait_for(read(reader), 5)
        assert answer is not None and "hello" in answer["error"]["message"]
        writer.close()

    run(scenario)


def test_a_foreign_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """P3: both ends look at the other's uid."""

    async def scenario(house: House, client: Client) -> None:
        monkeypatch.setattr("octod.daemon.server.peer_uid", lambda connection: os.getuid() + 1)
        reader, writer = await asyncio.open_unix_connection(str(house.held.paths.socket))
        assert await asyncio.wait_for(read(reader), 5) is None
        writer.close()
        monkeypatch.undo()
        os.environ["OCTOD_HOME"] = str(house.held.paths.data.parent)
        monkeypatch.setattr(client_module, "peer_uid", lambda connection: os.getuid() + 1)
        with pytest.raises(DaemonError, match="another user"):
            await house.client()

    run(scenario)
