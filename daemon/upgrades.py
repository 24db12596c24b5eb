"""Upgrades: what a new version of a library no longer has, in one line for the user."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from octod.core.errors import OctodError
from octod.core.symbols import LibraryId
from octod.indexer.diff import ApiDiff, compare
from octod.indexer.history import History
from octod.indexer.store import Index
from octod.indexer.versions import api_from_index

__all__ = ["Upgrades"]

log = logging.getLogger("octod.daemon")

_MOST_TOLD = 3  # upgrades told one by one after one build; of more only the number
_REMEMBERED = 900.0  # seconds after which an uninstalled library that comes back is no upgrade: pip removes it first


class Upgrades:
    """Sees upgrades between the builds of one environment's index; what a build does away with is in ``history``."""

    def __init__(self, history: History, clock: Callable[[], float] = time.monotonic) -> None:
        self._history, self._clock = history, clock
        self._gone: dict[str, tuple[float, LibraryId]] = {}

    def between(self, before: Iterable[LibraryId], after: Iterable[LibraryId]) -> list[tuple[LibraryId, LibraryId]]:
        """(old, new) of the libraries of another version now, those included that were away for a moment."""
        now = self._clock()
        old = {library.distribution: library for library in before}
        new = {library.distribution: library for library in after}
        self._gone = {name: one for name, one in self._gone.items() if now - one[0] < _REMEMBERED}
        found: list[tuple[LibraryId, LibraryId]] = []
        for name, library in new.items():
            was = old.get(name) or self._gone.pop(name, (0.0, None))[1]
            if was is not None and was.version != library.version and name != "stdlib":
                found.append((was, library))
        self._gone |= {name: (now, library) for name, library in old.items() if name not in new}
        return found

    def told(self, upgrades: list[tuple[LibraryId, LibraryId]], index: Path) -> list[str]:
        """A line for each of a few upgrades: how many public names went, and the command that lists them."""
        lines = []
        for old, new in upgrades[:_MOST_TOLD]:
            before = self._history.find(old)
            if before is None:
                continue
            try:
                with Index.open_snapshot(index) as opened:
                    now = api_from_index(opened, new)
                self._history.keep(now)
            except OctodError as error:
                log.warning("%s and %s are not compared: %s", old, new, error)
                continue
            lines.append(_line(old, new, _counts(compare(before, now))))
        if len(upgrades) > _MOST_TOLD:
            lines.append(f"{len(upgrades) - _MOST_TOLD} more libraries are of another version now")
        return lines


def _counts(diff: ApiDiff) -> Mapping[str, int]:
    return {
        "removed": sum(item.front for item in diff.removed),
        "renamed": sum(item.front for item in diff.renamed),
    }


def _line(old: LibraryId, new: LibraryId, counts: Mapping[str, int]) -> str:
    title = f"{new.distribution} {old.version} → {new.version}"
    said = ", ".join(f"{n:,} name{'s' if n > 1 else ''} {word}" for word, n in counts.items() if n)
    if not said:
        return f"{title}: no public name is gone"
    return f"{title}: {said}, run: octod diff {new.distribution} {old.version} {new.version}"
