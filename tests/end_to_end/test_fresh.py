"""P7: an answer is for the text that is on the screen, or there is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from octod.core.settings import Settings
from octod.daemon.client import Client
from octod.daemon.engines.fake import FakeEngine
from octod.daemon.engines.protocol import Ending, Mixture, Prompt
from octod.daemon.lifecycle import hold
from octod.daemon.server import Server
from octod.daemon.service import OctodService

from tests.end_to_end.house import House
from tests.end_to_end.inside import document, serving, wait_for

pytestmark = pytest.mark.slow


class SlowEngine(FakeEngine):
    """Scores for ever where the line holds ``slow``; notes when it is asked and when it may stop."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.stopped: list[float] = []

    async def score(
        self, prompt: Prompt, candidates: Sequence[str], mixture: Mixture, deadline: float, end: Ending = "boundary"
    ) -> list[float]:
        """Wait to be cancelled, or score."""
        if "slow" in prompt.before:
            self.asked += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.stopped.append(time.monotonic())
                raise
        return await super().score(prompt, candidates, mixture, deadline, end)


def test_a_newer_version_and_a_cancel_stop_the_engine_within_50_ms(house: House) -> None:
    """The older question is answered with nothing, its work ends in the engine, the newer one gets its answer."""
    engine = SlowEngine()
    slow, quick = "import shop  # slow\nshop.", "import shop\nshop."

    async def run() -> list[float]:
        held = hold(house.paths)
        assert held is not None
        async with serving(house, engine, Settings(menu_model_ms=10_000)) as service:  # the engine is waited for

            async def make() -> OctodService:
                return service

            server = Server(house.paths, make)
            running = asyncio.create_task(server.run(held.listening))
            client = await Client.open(house.paths, deadline=5)
            waited = []
            for version, how in ((1, "a newer version"), (3, "a newer question"), (4, "a cancel")):
                asked = engine.asked
                params = {"document": document(house, slow, version).to_json(text=True), "offset": len(slow)}
                older = asyncio.create_task(client.request("menu", params, 30))
                await wait_for(lambda asked=asked: engine.asked > asked)
                began = time.monotonic()
                if how == "a cancel":
                    older.cancel()
                else:
                    version += how == "a newer version"
                    params = {"document": document(house, quick, version).to_json(text=True), "offset": len(quick)}
                    newer = await client.request("menu", params, 30)
                    assert "open_basket" in {item[0] for item in newer["items"]}
                    assert await older is None
                await wait_for(lambda: len(engine.stopped) > len(waited))
                waited.append(engine.stopped[-1] - began)
            await client.close()
            server.stop()
            await running
        held.release()
        return waited

    assert max(asyncio.run(run())) < 0.05
