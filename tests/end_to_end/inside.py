"""The real service in this process, with a fake engine, on an indexed environment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from octod.core.settings import Settings
from octod.daemon.engines.protocol import Engine
from octod.daemon.protocol import Document
from octod.daemon.service import OctodService

from tests.end_to_end.house import House

__all__ = ["document", "serving", "wait_for"]


@asynccontextmanager
async def serving(
    house: House, engine: Engine | None, settings: Settings | None = None
) -> AsyncIterator[OctodService]:
    """A service that has looked at the environment and whose engine is up, stopped at the end."""
    service = OctodService(house.paths, settings or Settings(menu_model_ms=40), engine, None)
    try:
        await service.index(house.environment.python, False)
        async with asyncio.timeout(30):
            while engine is not None and not (await service.status())["model"]["ready"]:
                await asyncio.sleep(0.01)
        yield service
    finally:
        await service.stop()


def document(house: House, text: str, version: int = 1) -> Document:
    """A buffer without a file."""
    return Document("file:///buffer.py", version, text, None, house.environment.python, None)


async def wait_for(condition: object, deadline: float = 10.0) -> None:
    """Wait until ``condition()`` holds."""
    assert callable(condition)
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.002)
