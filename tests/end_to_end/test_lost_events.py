"""P9: where the system gives no file events, changes are found all the same and the user is told how to mend it."""

from __future__ import annotations

import asyncio
import errno

import pytest
from watchdog.observers.api import BaseObserver

from tests.end_to_end.house import House
from tests.end_to_end.inside import document, serving

pytestmark = pytest.mark.slow


def test_without_events_an_upgrade_shows_and_status_says_degraded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of inotify watches: `status` names the setting, a new package is in the menu within ten seconds."""

    def refuse(self: BaseObserver) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "start", refuse)
    text = "import depot\ndepot."

    async def run() -> str:
        async with serving(house, None) as service:
            menu = await service.menu(document(house, text), len(text))
            assert menu is not None and not menu.items
            house.environment.install("depot", "1.0", {"depot/__init__.py": "def store(box): ...\n"})
            async with asyncio.timeout(10):
                while menu is None or [item.name for item in menu.items][:1] != ["store"]:
                    await asyncio.sleep(0.05)
                    menu = await service.menu(document(house, text), len(text))
            told = (await service.status())["degraded"]
            assert isinstance(told, str)
            return told

    assert "fs.inotify.max_user_watches" in asyncio.run(run())
