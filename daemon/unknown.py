"""Receivers that the index does not know: jedi, in its worker, may."""

from __future__ import annotations

import logging

from octod.core.errors import OctodError
from octod.daemon.context import Place
from octod.daemon.jedi_worker import Completion, JediWorker
from octod.indexer.environment import Environment

__all__ = ["ask_jedi"]

log = logging.getLogger("octod.daemon")


async def ask_jedi(jedi: JediWorker, environment: Environment, place: Place, deadline: float) -> tuple[Completion, ...]:
    """What jedi offers after the dot; nothing when it takes longer than ``deadline`` seconds or fails.

    The question is the same whatever is typed of the name by now, so a late answer is there at the next key.
    """
    cursor = place.cursor
    text = cursor.text[: cursor.dot] + cursor.text[cursor.offset :]
    line, column = cursor.text.count("\n", 0, cursor.dot) + 1, cursor.dot - (cursor.text.rfind("\n", 0, cursor.dot) + 1)
    search = [str(path) for path in environment.site_packages]
    try:
        return await jedi.complete(text, line, column, search, deadline=deadline)
    except OctodError as error:
        log.info("jedi: %s", error)
        return ()
