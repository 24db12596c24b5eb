"""The ledger of usage: what each source said, in bundles, and the sum by receiver in sorted bundles.

What is inside an entry is the mining module's business: here it is bytes, added up by a function that is given.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping

from octod.indexer.bundles import LARGEST, Bundle, bundled, groups
from octod.indexer.database import key_of

__all__ = ["Calls", "calls_of", "drop_usage", "find_usage", "merge_usage", "put_usage"]

Calls = Callable[[str, bytes], Mapping[str, int]]  # receiver, entry -> qualified name -> how often it is called
_LARGEST = LARGEST // 2  # of a bundle that one receiver is looked up in
_FEWEST = 3  # calls of a name that are worth telling


def put_usage(connection: sqlite3.Connection, source: str, receivers: Mapping[str, bytes], stamp: str) -> None:
    """Replace what a source says."""
    drop_usage(connection, source)
    connection.execute("INSERT INTO sources VALUES (?, ?)", (source, stamp))
    for group in groups(sorted(receivers.items()), LARGEST):
        names = [name for name, _ in group]
        keys = array("I", [key_of(name) for name in names]).tobytes()
        data = bundled(names, [entry for _, entry in group])
        connection.execute("INSERT INTO mined (source, keys, data) VALUES (?, ?, ?)", (source, keys, data))
    connection.executemany("INSERT OR IGNORE INTO touched VALUES (?)", [(r,) for r in receivers])


def drop_usage(connection: sqlite3.Connection, source: str) -> None:
    """Forget what a source says; ``merge_usage`` takes it out of the sums.  Raises Damaged on damaged bytes."""
    for (data,) in connection.execute("SELECT data FROM mined WHERE source = ?", (source,)).fetchall():
        connection.executemany("INSERT OR IGNORE INTO touched VALUES (?)", [(r,) for r in Bundle(data).names])
    connection.execute("DELETE FROM mined WHERE source = ?", (source,))
    connection.execute("DELETE FROM sources WHERE source = ?", (source,))


def merge_usage(connection: sqlite3.Connection, merge: Callable[[list[bytes]], bytes], calls: Calls | None) -> int:
    """Bring the sums of every touched receiver up to date; returns how many there were.  Raises Damaged on damaged
    bytes."""
    touched = sorted(r for (r,) in connection.execute("SELECT receiver FROM touched").fetchall())
    wanted = {key_of(receiver) for receiver in touched}
    parts: dict[str, list[bytes]] = {receiver: [] for receiver in touched}
    rows = connection.execute("SELECT id, keys FROM mined ORDER BY source, id").fetchall()
    for number, keys in rows:
        if wanted.isdisjoint(array("I", keys)):
            continue
        bundle = Bundle(connection.execute("SELECT data FROM mined WHERE id = ?", (number,)).fetchone()[0])
        for place, receiver in enumerate(bundle.names):
            if receiver in parts:
                parts[receiver].append(bundle.part(place))
    firsts = sorted(first for (first,) in connection.execute("SELECT first FROM usage").fetchall())
    homes: dict[str, list[str]] = {}
    for receiver in touched:
        at = bisect_right(firsts, receiver) - 1
        homes.setdefault(firsts[at] if at >= 0 else "", []).append(receiver)
    for first, receivers in homes.items():
        row = connection.execute("SELECT data FROM usage WHERE first = ?", (first,)).fetchone()
        entries = Bundle(row[0]).parts() if row else {}
        for receiver in receivers:
            found = parts.pop(receiver)
            if found:
                entries[receiver] = found[0] if len(found) == 1 else merge(found)
            else:
                entries.pop(receiver, None)
        connection.execute("DELETE FROM usage WHERE first = ?", (first,))
        for number, group in enumerate(groups(sorted(entries.items()), _LARGEST)):
            # The first piece keeps its place, so that everything before the second one is looked for in it.
            values = (group[0][0] if number else first, _counted(group, calls), bundled([r for r, _ in group], [e for _, e in group]))
            connection.execute("INSERT INTO usage VALUES (?, ?, ?)", values)
    connection.execute("DELETE FROM touched")
    return len(touched)


def find_usage(row: tuple[str, bytes], opened: dict[str, Bundle], receiver: str) -> bytes | None:
    """A receiver's sum in the row that it would be in; ``opened`` remembers bundles by their first receiver."""
    first, data = row
    bundle = opened.get(first)
    if bundle is None:
        bundle = opened[first] = Bundle(data)
    return bundle.part(bundle.names.index(receiver)) if receiver in bundle.names else None


def calls_of(rows: Iterable[bytes]) -> dict[int, int]:
    """``key_of`` a qualified name -> how often it is called."""
    found: dict[int, int] = {}
    for data in rows:
        pairs = iter(array("I", data))
        for key, count in zip(pairs, pairs, strict=True):
            found[key] = found.get(key, 0) + count
    return found


def _counted(group: list[tuple[str, bytes]], calls: Calls | None) -> bytes:
    found = array("I")
    if calls is not None:
        for receiver, entry in group:
            for name, count in calls(receiver, entry).items():
                if count >= _FEWEST:
                    found.extend((key_of(name), min(count, 2**32 - 1)))
    return found.tobytes()
