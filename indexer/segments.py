"""Segments: the catalogue of search as it is stored, in pieces that grow as packs are written and are joined now and then.

What was written since the last piece is catalogued in memory by who asks; a build stores it (``cataloguing.py``).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from octod.core.symbols import LibraryId, Scope, SymbolKind
from octod.indexer.bundles import Damaged
from octod.indexer.catalogue import (
    ENTRIES,
    GROUPS,
    HEAD,
    KINDS,
    MAP,
    NAMES,
    STEP,
    WORDS,
    StoredPack,
    catalogued,
)
from octod.indexer.packs import MOST_SCOPES
from octod.indexer.postings import Words, unpacked

__all__ = ["Entry", "Piece", "Segment", "due", "open_segments", "piece_of", "put_piece"]

_MOST_FRESH = 16  # packs that are not worth a segment of their own
_SHARE = 4  # a segment with more than this part of the packs of the one before is joined with it
_KEPT = {WORDS: 64, NAMES: 512, GROUPS: 256}  # rows kept open
_MOST_ENTRIES = 4_000
_NO_END = 1 << 62

Ask = Callable[[str, tuple[object, ...]], list[Any]]  # SQL and its parameters give rows
Elsewhere = Callable[[str], Scope | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that search finds: its shortest public name, the name it is defined by, its kind and library."""

    qualified: str
    defined: str
    kind: SymbolKind
    library: LibraryId


class Segment:
    """One piece of the catalogue, read row by row; ``alive`` are the packs that are still there, where some are not.

    Methods raise Damaged on bytes that nobody wrote so.
    """

    def __init__(self, fetch: Callable[[int, int], bytes | None], alive: frozenset[int] | None = None) -> None:
        self._fetch, self._alive = fetch, alive
        self._rows: dict[int, dict[int, Any]] = {kind: {} for kind in _KEPT}
        self._entries: dict[int, Entry | None] = {}
        self.lock = threading.Lock()  # held by who searches
        self.known: dict[str, Any] = {}  # what search remembers of words
        try:
            firsts, counts, libraries, groups = json.loads(zlib.decompress(fetch(HEAD, 0) or b""))
            self._firsts: list[str] = list(firsts)
            self._starts: list[int] = [*(start for start, _, _, _ in libraries), groups]
            self._libraries = [LibraryId(*library) for _, *library in libraries]
            self.static = array("f")  # by entry: what it is worth before anything is asked
            for level, count in counts:
                self.static.extend(array("f", [level * STEP]) * count)
        except (zlib.error, ValueError, TypeError) as error:
            raise Damaged(f"no segment ({error})") from error

    def words(self, start: str, end: str) -> Iterator[tuple[Words, range]]:
        """Rows, and in each the places of the words from ``start`` to before ``end``."""
        for number in range(max(0, bisect_right(self._firsts, start) - 1), bisect_left(self._firsts, end)):
            row: Words = self._row(WORDS, number)
            if places := row.between(start, end):
                yield row, places

    @cached_property
    def groups(self) -> array[int]:
        """The groups of all entries."""
        found = array("I")
        for number in range(-(-len(self.static) // ENTRIES[MAP])):
            found += unpacked(self._fetch(MAP, number) or b"")
        return found

    def libraries(self, numbers: Iterable[int]) -> Iterator[range]:
        """The groups of each of some libraries."""
        return (range(self._starts[number], self._starts[number + 1]) for number in numbers)

    def entry(self, number: int) -> Entry | None:
        """What the entry of a number is; None when it is there no more."""
        try:
            return self._entries[number]
        except KeyError:
            pass
        try:
            group = self.groups[number]
            place, path, home = self._line(GROUPS, group).split(" ")
            line = self._line(NAMES, number)
            library = self._libraries[bisect_right(self._starts, group) - 1]
            name, _, defined = line[1:].partition("=")
            found = Entry(f"{home or path}.{name}", f"{path}.{defined or name}", KINDS[line[0]], library)
            there = self._alive is None or int(place) // MOST_SCOPES in self._alive
        except (ValueError, LookupError) as error:
            raise Damaged(f"no entry ({error})") from error
        if len(self._entries) > _MOST_ENTRIES:
            self._entries.clear()
        self._entries[number] = found if there else None
        return self._entries[number]

    def _line(self, kind: int, number: int) -> str:
        line: str = self._row(kind, number // ENTRIES[kind])[number % ENTRIES[kind]]
        return line

    def _row(self, kind: int, number: int) -> Any:
        rows = self._rows[kind]
        found = rows.get(number)
        if found is None:
            data = self._fetch(kind, number) or b""
            try:
                found = Words(data) if kind == WORDS else zlib.decompress(data).decode().split("\n")
            except (zlib.error, ValueError) as error:
                raise Damaged(f"no row of a segment ({error})") from error
            if len(rows) >= _KEPT[kind]:
                del rows[next(iter(rows))]
            rows[number] = found
        return found


def open_segments(ask: Ask, calls: Callable[[], Mapping[int, int]], elsewhere: Elsewhere) -> list[Segment]:
    """All segments, the last one of what is not stored yet.  Raises Damaged on damaged bytes, as segments do."""
    found: list[Segment] = []
    low = 0
    for number, high, packs in ask("SELECT id, high, packs FROM segments ORDER BY high", ()):
        alive = frozenset(pack for (pack,) in ask("SELECT id FROM packs WHERE id > ? AND id <= ?", (low, high)))
        found.append(Segment(partial(_stored, ask, number), None if len(alive) == packs else alive))
        low = high
    if _count(ask, low, _NO_END):
        rows = {(kind, number): data for kind, number, data in piece_of(ask, low, calls(), elsewhere).rows}
        found.append(Segment(lambda kind, number: rows.get((kind, number))))
    return found


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment that is ready to be stored: of the packs after the one numbered ``low``, up to ``high``."""

    low: int
    high: int
    packs: int
    calls: int
    rows: list[tuple[int, int, bytes]]


def due(ask: Ask, calls: Callable[[], Mapping[int, int]]) -> tuple[int, int] | None:
    """The number of the pack after which everything is to be catalogued anew, and how many packs these are; None when
    things may stay as they are."""
    low = 0
    stored: list[tuple[int, int, bool]] = []  # number before a segment's packs, how many there are, whether it is out of date
    for high, packs, known in ask("SELECT high, packs, calls FROM segments ORDER BY high", ()):
        living = _count(ask, low, high)
        stored.append((low, living, 2 * living < packs or 2 * known < len(calls())))
        low = high
    fresh = _count(ask, low, _NO_END)
    kept = next((place for place, (_, _, old) in enumerate(stored) if old), len(stored))
    if kept == len(stored) and (not fresh or (stored and fresh < _MOST_FRESH)):
        return None
    while len(stored) > kept or (stored and fresh * _SHARE > stored[-1][1]):
        low, living, _ = stored.pop()
        fresh += living
    return low, fresh


def piece_of(ask: Ask, low: int, calls: Mapping[int, int], elsewhere: Elsewhere) -> Piece:
    """The catalogue of what comes after a pack.  Raises Damaged on damaged bytes."""
    high, packs = next(iter(ask("SELECT max(id), count(*) FROM packs WHERE id > ?", (low,))), (0, 0))
    rows = catalogued((pack for pack in _packs(ask, low) if pack.number <= high), calls, elsewhere) if packs else ()
    return Piece(low, high or low, packs, len(calls), list(rows))


def put_piece(connection: sqlite3.Connection, piece: Piece) -> None:
    """Store a segment in place of those that it replaces."""
    if piece.low and not connection.execute("SELECT 1 FROM segments WHERE high = ?", (piece.low,)).fetchall():
        return  # somebody else was at work, too
    for (number,) in connection.execute("SELECT id FROM segments WHERE high > ?", (piece.low,)).fetchall():
        connection.execute("DELETE FROM catalogue WHERE id >= ? AND id < ?", (_row_of(number, 0, 0), _row_of(number + 1, 0, 0)))
        connection.execute("DELETE FROM segments WHERE id = ?", (number,))
    if piece.packs:
        values = (piece.high, piece.packs, piece.calls)
        made = connection.execute("INSERT INTO segments (high, packs, calls) VALUES (?, ?, ?)", values).lastrowid or 0
        rows = ((_row_of(made, kind, place), data) for kind, place, data in piece.rows)
        connection.executemany("INSERT INTO catalogue VALUES (?, ?)", rows)


def _stored(ask: Ask, segment: int, kind: int, number: int) -> bytes | None:
    rows = ask("SELECT data FROM catalogue WHERE id = ?", (_row_of(segment, kind, number),))
    return rows[0][0] if rows else None


def _packs(ask: Ask, low: int) -> Iterator[StoredPack]:
    columns = "p.id, l.distribution, l.version, l.record"
    rows = ask(f"SELECT {columns} FROM packs p JOIN libraries l ON l.id = p.library WHERE p.id > ? ORDER BY l.id, p.id", (low,))
    for number, *library in rows:
        for data, words in ask("SELECT data, words FROM packs WHERE id = ?", (number,)):
            yield StoredPack(number, LibraryId(*library), data, words)


def _count(ask: Ask, low: int, high: int) -> int:
    return int(next((count for (count,) in ask("SELECT count(*) FROM packs WHERE id > ? AND id <= ?", (low, high))), 0))


def _row_of(segment: int, kind: int, number: int) -> int:
    return segment << 32 | kind << 28 | number
