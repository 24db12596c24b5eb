"""P12: what octod can make again may be deleted or damaged at any time; what it cannot is never touched."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from octod.adapters.registry import Registry
from octod.core.settings import Settings
from octod.daemon.service import OctodService

from tests.end_to_end.house import House
from tests.end_to_end.inside import document

pytestmark = pytest.mark.slow


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1_000)


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    source = random.Random(12)
    for _ in range(len(content) // 200):
        content[source.randrange(4096, len(content))] ^= source.randrange(1, 256)
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [_garbage, _flipped, _cut])
def test_an_index_damaged_before_the_start_is_built_again(house: House, harm: Callable[[Path], None]) -> None:
    """The service starts, says so, and answers when it has built the index again; the registry keeps every byte."""
    with Registry.open(house.paths):
        pass
    registry = house.paths.registry.read_bytes()
    harm(house.index)
    said: list[str] = []

    async def run() -> list[str]:
        service = OctodService(house.paths, Settings(), None, None)

        def listen(method: str, params: dict[str, Any]) -> None:
            if method == "message":
                said.append(params["text"])

        service.notify = listen
        text = "import shop\nshop."
        try:
            async with asyncio.timeout(120):
                while True:
                    try:
                        menu = await service.menu(document(house, text), len(text))
                    except Exception as error:  # noqa: BLE001 while it is mended an answer may fail, with a reason
                        assert "index" in str(error)
                        menu = None
                    status = await service.status()
                    idle = all(job["state"] != "running" for job in status["jobs"])
                    if menu and menu.items and idle and status["workspaces"][0]["report"]:
                        problem = status["workspaces"][0]["problem"]
                        assert not problem
                        return [item.name for item in menu.items]
                    await asyncio.sleep(0.05)
        finally:
            await service.stop()

    assert {"open_basket", "list_shops", "Basket", "more"} == {name for name in asyncio.run(run()) if not name.startswith("__")}
    assert any("is built again" in text for text in said)
    assert registry == house.paths.registry.read_bytes()
