"""P11: an editor that stays open for weeks does not make the daemon grow."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from octod.daemon.engines.fake import FakeEngine

from tests.end_to_end.house import House
from tests.end_to_end.inside import document, serving

pytestmark = pytest.mark.slow

_WARM, _MEASURED, _EVERY = 500, 1_000, 100
_TEXT = """import shop
import json

def total(values):
    basket = shop.open_basket("me", currency="EUR")
    rows = {{"n{0}": json.dumps([{0}])}}
    basket.add("thing {0}", count={0})
    basket."""


def _memory() -> float:
    """Resident memory of this process, MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_thousand_completions_take_no_memory_files_or_threads(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Menus of ever new texts after a warm-up: under 1 MB more per 1,000, as many open files and threads as before."""
    # a cache of parsed text that is full after the warm-up, instead of after 40 MB
    monkeypatch.setattr("octod.indexer.parse._REMEMBERED", 20_000)
    engine = FakeEngine()

    async def run() -> list[float]:
        async with serving(house, engine) as service:

            async def ask(number: int) -> None:
                text = _TEXT.format(number)
                found = await service.menu(document(house, text, number), len(text))
                engine.calls.clear()
                assert found is not None and "add" in {item.name for item in found.items}

            for number in range(_WARM):
                await ask(number)
            counted = len(os.listdir("/proc/self/fd")), threading.active_count()
            memory = [_memory()]
            for number in range(_WARM, _WARM + _MEASURED):
                await ask(number)
                if number % _EVERY == 0:
                    memory.append(_memory())
            assert counted == (len(os.listdir("/proc/self/fd")), threading.active_count())
            return memory

    memory = asyncio.run(run())
    slope, _ = np.polyfit(range(0, _MEASURED + 1, _EVERY), memory, 1)  # MB for one completion
    assert slope * 1_000 < 1.0
