"""Bundles: many small byte strings compressed together, each readable without parsing the others.

Neighbours in a bundle (the scopes of a folder, the usage of one library) share their words, so that together they
take half the space that they take one by one.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["LARGEST", "Bundle", "Damaged", "bundled", "groups"]

LARGEST = 64_000  # bytes before compression of a bundle of several parts: 0.2 ms to inflate
_LEVEL = 6  # of zlib: 9 gains half a percent for twice the time


def bundled(names: Sequence[str], parts: Sequence[bytes], notes: object = None) -> bytes:
    """The bytes of a bundle: ``parts`` by their ``names``, and ``notes`` as JSON."""
    sizes = [len(part) for part in parts]
    head = json.dumps([names, sizes, notes], separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(b"\n".join([head.encode("utf-8", "replace"), b"".join(parts)]), _LEVEL)


class Damaged(ValueError):
    """Bytes in the index that nobody wrote so."""


class Bundle:
    """An opened bundle.  Raises Damaged when the bytes are none."""

    __slots__ = ("_data", "_starts", "names", "notes")

    def __init__(self, data: bytes) -> None:
        try:
            raw = zlib.decompress(data)
            end = raw.index(b"\n")
            names, sizes, notes = json.loads(raw[:end])
            starts = list(accumulate(sizes, initial=end + 1))
        except (zlib.error, ValueError, TypeError) as error:
            raise Damaged(f"no bundle ({error})") from error
        if len(names) != len(sizes) or starts[-1] != len(raw):
            raise Damaged("no bundle (sizes)")
        self.names: list[str] = names
        self.notes: Any = notes
        self._data, self._starts = raw, starts

    def part(self, number: int) -> bytes:
        """The bytes of one part."""
        return self._data[self._starts[number] : self._starts[number + 1]]

    def between(self, first: str, end: str) -> Iterator[tuple[str, bytes]]:
        """The (name, bytes) from ``first`` to before ``end``, where the names are sorted."""
        for number in range(bisect_left(self.names, first), bisect_left(self.names, end)):
            yield self.names[number], self.part(number)

    def parts(self) -> dict[str, bytes]:
        """All parts by name."""
        return {name: self.part(number) for number, name in enumerate(self.names)}


def groups(entries: Iterable[tuple[str, bytes]], largest: int) -> Iterator[list[tuple[str, bytes]]]:
    """(name, bytes) pairs in groups of about ``largest`` bytes, in the order given."""
    group: list[tuple[str, bytes]] = []
    size = 0
    for name, data in entries:
        if group and size + len(name) + len(data) > largest:
            yield group
            group, size = [], 0
        group.append((name, data))
        size += len(name) + len(data)
    if group:
        yield group
