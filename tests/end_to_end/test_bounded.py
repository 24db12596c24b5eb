"""P11: an editor that stays open for weeks does not make the daemon grow."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from octod.daemon.engines.fake import FakeEngine

from tests.end_to_end.house import SHOP, House
from tests.end_to_end.inside import document, serving

pytestmark = pytest.mark.slow

_WARM = 100  # rounds until caches and arenas are full
_ROUNDS, _EACH = 200, 50  # 200 times: a package is upgraded and indexed again, then 50 menus are asked for
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
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)  # what is free is no growth: glibc keeps it where other tests have left holes
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_10000_completions_and_200_re_indexes_take_no_memory_files_or_threads(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Menus of ever new texts and ever new versions: under 1 MB more per 1,000, as many open files and threads as before."""
    # a cache of parsed text that is full after the warm-up, instead of after 40 MB
    monkeypatch.setattr("octod.indexer.parse._REMEMBERED", 20_000)
    engine = FakeEngine()

    async def run() -> list[float]:
        memory: list[float] = []
        counted: list[tuple[int, int]] = []
        async with serving(house, engine) as service:
            for number in range(_WARM + _ROUNDS):
                house.environment.install("shop", f"1.{number}", {**SHOP, "shop/new.py": f"def new{number}(): ...\n"})
                await service.index(house.environment.python, False)
                for turn in range(_EACH):
                    text = _TEXT.format(number * _EACH + turn)
                    found = await service.menu(document(house, text, number * _EACH + turn), len(text))
                    engine.calls.clear()
                    assert found is not None and "add" in {item.name for item in found.items}
                if number >= _WARM and number % 10 == 0:
                    memory.append(_memory())
                    counted.append((len(os.listdir("/proc/self/fd")), threading.active_count()))
        half = len(counted) // 2  # a file may be open for a moment: not one more at any time later than before
        assert all(max(column[half:]) <= max(column[:half]) for column in zip(*counted, strict=True)), counted
        return memory

    memory = asyncio.run(run())
    slope, _ = np.polyfit(range(len(memory)), memory, 1)  # MB for ten rounds
    assert slope / (10 * _EACH) * 1_000 < 1.0
