"""A server somewhere else, and the embedded engine while it is away: told, and mended by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from octod.core.paths import Paths
from octod.daemon.engines import fallback, vllm
from octod.daemon.engines.fake import FakeEngine
from octod.daemon.engines.fallback import FallbackEngine
from octod.daemon.engines.protocol import Prompt
from octod.daemon.engines.vllm import Remote, VllmEngine
from octod.daemon.model import Model

from .conftest import make_adapter
from .dialect_server import DialectServer

PROMPT = Prompt("import numpy as np\n", (), "result = np.")
NAMES = ["zeros", "get", "head"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DialectServer]:
    """A server that is looked for often."""
    monkeypatch.setattr(vllm, "_LOOK", 0.05)
    monkeypatch.setattr(fallback, "_AGAIN", 0.05)
    monkeypatch.setattr(fallback, "_WATCH", 0.02)
    with DialectServer(tmp_path / "s.sock", 600) as found:
        yield found


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def engine_over(server: DialectServer, base: Path, paths: Paths, shared: Path | None = None) -> FallbackEngine:
    """The server first, a fake engine while it is away."""
    return FallbackEngine(VllmEngine(Remote(server.address), base, paths, shared=shared, own=False), FakeEngine())


def test_a_server_that_goes_and_comes_is_told_and_answered_for(
    server: DialectServer, checkpoint: Path, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is missing, the user hears of both changes, and adapters are there on both sides."""
    monkeypatch.setattr(fallback, "_SAME", 1e9)
    shared = tmp_path / "shared"
    shared.mkdir()
    heard: list[str] = []

    async def run() -> None:
        engine = engine_over(server, checkpoint, paths, shared)
        model = Model(engine, None, paths, heard.append)
        await model.start()
        await until(lambda: engine.info.kind == "vllm")
        await engine.load(make_adapter(tmp_path / "one", 1))
        there = await model.score(PROMPT, NAMES, (("one", 1.0),), 5.0)
        assert there is not None
        server.stop()
        await until(lambda: engine.info.kind == "embedded")
        assert engine.info.alive
        await until(lambda: "No such file" in engine.info.doing)
        here = await model.score(PROMPT, NAMES, (("one", 1.0),), 5.0)
        assert here is not None and here != there
        await engine.load(make_adapter(tmp_path / "two", 2))  # while the server is away
        server.start()
        await until(lambda: engine.info.kind == "vllm")
        assert there == await model.score(PROMPT, NAMES, (("one", 1.0),), 5.0)
        assert there != await model.score(PROMPT, NAMES, (("two", 1.0),), 5.0)
        assert 2 == len(heard), heard
        assert "instead of the model server" in heard[0] and "from now on" in heard[1]
        await model.stop()

    asyncio.run(run())


def test_a_server_with_another_base_never_serves(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """Scores that are far apart: adapters would be put on another model."""

    async def run() -> None:
        engine = engine_over(server, checkpoint, paths)
        await engine.start()
        await until(lambda: "another base" in engine.info.doing)
        assert ("embedded", True) == (engine.info.kind, engine.info.alive)
        await engine.stop()

    asyncio.run(run())
