"""The fake engine keeps the protocol, in milliseconds."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from octod.core.errors import AdapterRefused, EngineProblem
from octod.core.symbols import Parameter
from octod.daemon.engines.fake import FakeEngine
from octod.daemon.engines.protocol import AdapterFiles, Engine, Prompt, constraint_for

PROMPT = Prompt("", (), "requests.get(", "")


def test_a_fake_scores_generates_and_remembers() -> None:
    """Scores fall with length, arguments are valid, calls are listed."""

    async def run() -> None:
        fake = FakeEngine()
        engine: Engine = fake
        await engine.start()
        scores = await engine.score(PROMPT, ["get", "get_all"], (), 1.0)
        assert scores[0] > scores[1]
        constraint = constraint_for((Parameter("url"), Parameter("timeout", "keyword")))
        found = await engine.generate(PROMPT, constraint, (), 1.0)
        assert found.finished
        call = ast.parse(f"f({found.text}", mode="eval").body
        assert isinstance(call, ast.Call)
        assert ["timeout"] == [k.arg for k in call.keywords]
        assert ["score", "generate"] == [op for op, _, _ in fake.calls]

    asyncio.run(run())


def test_a_fake_knows_its_adapters_and_can_break() -> None:
    """Unknown adapters are refused; a broken or stopped one raises EngineProblem."""

    async def run() -> None:
        fake = FakeEngine()
        with pytest.raises(EngineProblem):
            await fake.warm(PROMPT, ())
        await fake.start()
        with pytest.raises(AdapterRefused):
            await fake.warm(PROMPT, (("a", 1.0),))
        await fake.load(AdapterFiles("a", Path("a"), 4, 2.0))
        await fake.warm(PROMPT, (("a", 1.0),))
        fake.broken = True
        with pytest.raises(EngineProblem):
            await fake.score(PROMPT, ["x"], (), 1.0)

    asyncio.run(run())
