"""jedi behind the index: asked ahead, its late answer kept for the next key."""

from __future__ import annotations

import asyncio
from pathlib import Path

from octod.daemon.context import place_at
from octod.daemon.jedi_worker import JediWorker
from octod.daemon.protocol import Document
from octod.daemon.unknown import ask_jedi
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.store import Index

from tests.daemon.installed import Installed


def test_a_late_answer_is_there_at_the_next_key(tmp_path: Path) -> None:
    """What is asked after the dot without patience answers the question with a letter typed."""
    installed = Installed(tmp_path / "env")
    environment = find_environment(installed.python)
    build(environment, tmp_path / "index.db", processes=0)
    before, after = "def pick(a):\n    return [a, 'x']\n\nthing = pick(1)[-1]\nthing.", "\nlater = 1\n"

    async def play() -> None:
        jedi = JediWorker(tmp_path / "jedi")
        try:
            with Index.open(tmp_path / "index.db") as index:
                for typed, deadline, expected in (("", 0.0, False), ("", 30.0, True), ("up", 0.0, True)):
                    text = before + typed
                    place = place_at(index, Document("file:///a.py", 1, text + after), len(text))
                    found = await ask_jedi(jedi, environment, place, deadline)
                    assert expected == any(one.name == "upper" for one in found), typed
        finally:
            await jedi.stop()

    asyncio.run(play())
