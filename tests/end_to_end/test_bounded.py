"""P11: an editor that stays open for weeks does not make the daemon grow."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from octod.daemon.engines.fake import FakeEngine
from octod.daemon.protocol import Document
from octod.daemon.service import OctodService
from octod.indexer.offer import offered
from octod.indexer.store import Index

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


_FILES, _FUNCTIONS = 200, 120  # different files, about 14 kB each
_MOST = 110.0  # MB that they may take; a daemon begins with some 80


def _resident() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _memory() -> float:
    """Resident memory of this process, MB, without what could be given back."""
    gc.collect()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)  # what is free is no growth: glibc keeps it where other tests have left holes
    return _resident()


@pytest.fixture
def _as_the_daemon_collects() -> Iterator[None]:
    """The garbage collector as rare as in the daemon."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def _file(number: int, modules: Sequence[str]) -> str:
    """A file like no other, which uses some of the modules and asks for the members of one."""
    used = random.Random(number).sample(modules, 6)
    lines = [f"import {module}" for module in used]
    for turn in range(_FUNCTIONS):
        module = used[turn % 6]
        lines += [
            f"def step_{number}_{turn}(value, *, limit={turn}):",
            f"    made = {module}.make_{turn}(value, [limit, {number}])",
            f"    for each in range(limit): made.append(each, key='{number}')",
            "    return made" if turn % 2 else f"    return {{'{turn}': made}}",
        ]
    return "\n".join([*lines, f"{used[0]}."])


@pytest.mark.slow(takes=220)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_10000_completions_and_200_re_indexes_take_no_memory_files_or_threads(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Menus of ever new texts and ever new versions: under 1 MB more per 1,000, as many open files and threads as before."""
    # a cache of parsed text that is full after the warm-up, instead of after 40 MB
    monkeypatch.setattr("octod.indexer.parse._memory.most", 20_000)
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
        half = len(counted) // 2  # a file may be open for a moment: what counts is how many usually are
        assert all(median(column[half:]) <= median(column[:half]) for column in zip(*counted, strict=True)), counted
        return memory

    memory = asyncio.run(run())
    slope, _ = np.polyfit(range(len(memory)), memory, 1)  # MB for ten rounds
    assert slope / (10 * _EACH) * 1_000 < 1.0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.usefixtures("_as_the_daemon_collects")
def test_menus_in_many_different_files_take_a_bounded_amount_of_memory(house: House) -> None:
    """What is remembered of files and libraries is bounded in bytes, and goes without waiting for the garbage collector."""

    async def ask(service: OctodService, modules: Sequence[str], number: int) -> None:
        text = _file(number, modules)
        uri = f"file:///{number}.py"
        found = await service.menu(Document(uri, 1, text, None, house.environment.python, None, typed=True), len(text))
        assert found is not None and found.items
        await service.close(uri)

    async def run() -> float:
        async with serving(house, None) as service:
            with Index.open(house.index) as index:
                modules = _modules(index)
            await ask(service, modules, _FILES)
            before = _resident()
            for number in range(_FILES):
                await ask(service, modules, number)
            return _resident() - before

    assert asyncio.run(run()) < _MOST


def _modules(index: Index) -> list[str]:
    """The modules of the standard library that have something to offer, those in packages included."""
    tops = [top for top in index.import_names() if not top.startswith("_") and len(offered(index, top, False)) > 5]
    return tops + [m for top in tops for m in index.submodules(top) if "._" not in m and len(offered(index, m, False)) > 5]
