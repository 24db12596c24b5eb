"""Packs: the scopes of neighbouring files as one compressed bundle, made by workers and stored as they are."""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from octod.core.symbols import LibraryId, Scope
from octod.indexer.bundles import LARGEST, Bundle, Damaged, bundled
from octod.indexer.rows import Row, decode_scope

__all__ = ["MOST_SCOPES", "Pack", "Shelf", "packs_of"]

MOST_SCOPES = 1_024  # of one pack


@dataclass(frozen=True, slots=True)
class Pack:
    """Scopes ready to be written: their names, which of them are modules, the files they come from, the words of their
    docstrings (compressed lines, as rows have them), and how many symbols they hold."""

    names: tuple[str, ...]
    modules: tuple[str, ...]
    files: tuple[str, ...]
    data: bytes
    words: bytes
    symbols: int


def packs_of(rows: Iterable[Row]) -> Iterator[Pack]:
    """Rows in packs of about ``LARGEST`` bytes, in the order given."""
    group: list[Row] = []
    size = 0
    for row in rows:
        if group and (size + len(row.data) > LARGEST or len(group) == MOST_SCOPES):
            yield _pack(group)
            group, size = [], 0
        group.append(row)
        size += len(row.data)
    if group:
        yield _pack(group)


def _pack(rows: list[Row]) -> Pack:
    files = list(dict.fromkeys(row.file for row in rows))
    number = {file: n for n, file in enumerate(files)}
    kinds = [number[row.file] * 2 + (row.kind == "class") for row in rows]
    folder = os.path.commonpath(files) if len(files) > 1 and all(map(os.path.isabs, files)) else ""
    short = [file[len(folder) :].lstrip("/") for file in files] if folder else files
    return Pack(
        names=tuple(row.qualified for row in rows),
        modules=tuple(row.qualified for row in rows if row.kind == "module"),
        files=tuple(files),
        data=bundled([row.qualified for row in rows], [row.data for row in rows], [folder, short, kinds]),
        words=zlib.compress("\n".join([line for row in rows for line in row.words]).encode()),
        symbols=sum(row.symbols for row in rows),
    )


class Shelf:
    """Packs kept open, those used last; ``fetch`` gets one from where they are stored."""

    def __init__(self, fetch: Callable[[int], tuple[bytes, LibraryId] | None], most: int) -> None:
        self._fetch, self._most = fetch, most
        self._open: OrderedDict[int, tuple[Bundle, LibraryId]] = OrderedDict()

    def scope(self, place: int, qualified: str = "") -> Scope | None:
        """The scope at a place (pack * MOST_SCOPES + place in the pack), when it is there and has that name.

        Raises Damaged on bytes that cannot be right.
        """
        number, place = divmod(place, MOST_SCOPES)
        if number in self._open:
            self._open.move_to_end(number)
        else:
            found = self._fetch(number)
            if found is None:
                return None
            self._open[number] = Bundle(found[0]), found[1]
            if len(self._open) > self._most:
                self._open.popitem(last=False)
        bundle, library = self._open[number]
        if place >= len(bundle.names) or (qualified and bundle.names[place] != qualified):
            return None
        try:
            folder, files, kinds = bundle.notes
            kind = kinds[place]
            file = os.path.join(folder, files[kind >> 1]) if folder else files[kind >> 1]
        except (ValueError, TypeError, IndexError) as error:
            raise Damaged(f"damaged pack ({error})") from error
        return decode_scope(bundle.names[place], "class" if kind & 1 else "module", library, file, bundle.part(place))

    def clear(self) -> None:
        """Close them all."""
        self._open.clear()
