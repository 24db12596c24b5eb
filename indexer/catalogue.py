"""The catalogue of search: what can be found in some packs, each thing once, the likeliest to be meant first.

An entry is a public function, class or property under its shortest public path, whatever aliases lead to it.  Entries are
numbered by how likely they are to be meant before anything is asked (calls in mined code, short paths), so that the first
numbers of any list are its best.  Entries of one class or module that share their public path are a group.
"""

from __future__ import annotations

import gc
import json
import math
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

from octod.core.symbols import LibraryId, Scope, SymbolKind
from octod.indexer.bundles import Bundle, Damaged
from octod.indexer.database import key_of
from octod.indexer.packs import MOST_SCOPES
from octod.indexer.postings import MARKS, packed, packed_words
from octod.indexer.rows import symbols_of
from octod.indexer.words import name_words

__all__ = ["AROUND", "DESCRIBED", "ENTRIES", "FIRST", "GROUPS", "HEAD", "KINDS", "LIBRARY", "MAP", "MORE", "NAMES", "STEP", "WORDS", "StoredPack", "catalogued"]

HEAD, WORDS, NAMES, GROUPS, MAP = range(5)  # kinds of rows
ENTRIES = {NAMES: 128, GROUPS: 64, MAP: 8_192}  # of one row
DESCRIBED, AROUND, LIBRARY = 4, 5, 6  # marks of lists: below are names by their number of words, less one, at most 3
STEP = 0.5  # of scores, between levels
MORE = "*"  # after the beginning of many words: the best entries of all of them, equally named or not
FIRST = 64  # entries that such rows have of a kind
_MANY, _LONGEST_BEGINNING = 32, 8  # words that begin alike, letters of it
_LARGEST = 8_000  # bytes of words and numbers in a row
_MOST_HOPS = 6  # aliases followed; real packages need three
KINDS: dict[str, SymbolKind] = {"m": "module", "c": "class", "f": "function", "p": "property", "a": "attribute", "l": "alias"}
_LETTERS = {kind: letter for letter, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class StoredPack:
    """A pack as it is stored."""

    number: int
    library: LibraryId
    data: bytes
    words: bytes


@dataclass(slots=True)
class _Scope:
    place: int
    path: str
    names: dict[str, tuple[SymbolKind, str, bool]]
    found: dict[str, int]  # what can be searched, and the line of ``words`` that says of it
    module: bool
    words: list[str]


class _Group(NamedTuple):
    number: int
    static: float  # what its entries are worth by their path alone
    key: int  # of the public path, with a dot behind it


def catalogued(
    packs: Iterable[StoredPack], calls: Mapping[int, int], elsewhere: Callable[[str], Scope | None]
) -> Iterator[tuple[int, int, bytes]]:
    """(kind, number, data) of the rows that a catalogue of ``packs`` (those of a library in a row) consists of.

    ``calls`` are those of ``Index.calls``, ``elsewhere`` finds scopes of other packs.  Raises Damaged on damaged bytes.
    """
    making = _Making(calls, elsewhere)
    collecting = gc.isenabled()
    gc.disable()  # nothing here refers to itself: looking for garbage costs a third of the time
    try:
        for _, library in groupby(packs, key=lambda pack: pack.library):
            making.add(list(library))
        yield from making.rows()
    finally:
        if collecting:
            gc.enable()


class _Making:
    """A catalogue on the way: entries and groups in the order in which they were met."""

    def __init__(self, calls: Mapping[int, int], elsewhere: Callable[[str], Scope | None]) -> None:
        self._calls, self._elsewhere = calls, elsewhere
        self._scopes: dict[str, _Scope] = {}
        self._names: list[str] = []  # with the letter of their kind in front
        self._groups_of = array("I")
        self._levels: list[int] = []
        self._groups: list[str] = []
        self._libraries: list[tuple[int, str, str, str]] = []  # the first group of each, and what it is
        self._postings: defaultdict[str, array[int]] = defaultdict(_numbers)  # entry * 8 + mark
        self._around: defaultdict[str, array[int]] = defaultdict(_numbers)
        self._speaking: defaultdict[str, array[int]] = defaultdict(_numbers)
        self._split: dict[str, tuple[frozenset[str], int, str]] = {}

    def add(self, packs: list[StoredPack]) -> None:
        """Add the packs of one library."""
        self._scopes = {}
        for pack in packs:
            for scope in _scopes(pack):
                self._scopes.setdefault(scope.path, scope)
        number = len(self._libraries)
        library = packs[0].library
        self._libraries.append((len(self._groups), library.distribution, library.version, library.record))
        ends, publicly = self._ends()
        entries: dict[tuple[str, str], int | None] = {}
        known: dict[tuple[str, str], _Group] = {}
        ways: dict[str, tuple[list[tuple[str, _Scope]], str]] = {}
        for path, scope in self._scopes.items():
            for name in scope.found:
                end = ends[path, name] if scope.names[name][0] == "alias" else (path, name)
                if end is None:
                    continue
                if end not in entries:
                    shown = self._home(*end, ways), end[1]
                    if _private(shown[0]):
                        shown = publicly.get(end, shown)
                    entries[end] = None if _private(shown[0]) else self._enter(end, shown, known)
                entry = entries[end]
                if entry is not None and name != end[1]:
                    self._name(entry, name)
            if "." not in path and library.distribution != "stdlib":  # whose modules have little in common
                for word in {*self._words(path), *scope.words[0].split()}:
                    self._speaking[word].append(number)

    def _ends(self) -> tuple[dict[tuple[str, str], tuple[str, str] | None], dict[tuple[str, str], tuple[str, str]]]:
        """Where the aliases of a library end, and of these ends the shortest public alias."""
        ends: dict[tuple[str, str], tuple[str, str] | None] = {}
        publicly: dict[tuple[str, str], tuple[str, str]] = {}
        for path, scope in self._scopes.items():
            private = _private(path)
            for name in scope.found:
                if scope.names[name][0] == "alias":
                    end = ends[path, name] = self._followed(path, name)
                    if end is not None and not private:
                        other = publicly.get(end, (path, name))
                        publicly[end] = min(other, (path, name), key=lambda one: (one[0].count("."), len(one[0])))
        return ends, publicly

    def _enter(self, end: tuple[str, str], shown: tuple[str, str], known: dict[tuple[str, str], _Group]) -> int:
        """A new entry for what is defined at ``end`` and publicly at ``shown``."""
        (path, defined), (home, name) = end, shown
        scope, entry = self._scopes[path], len(self._names)
        group = known.get((path, home))
        if group is None:
            group = known[path, home] = self._group(scope, home)
        self._names.append(_LETTERS[scope.names[defined][0]] + (name if name == defined else f"{name}={defined}"))
        self._groups_of.append(group.number)
        self._name(entry, name)
        parts, count, _ = self._split[name]
        called = self._calls.get(crc32(name.encode("utf-8", "replace"), group.key) >> 1, 0)
        if path != home or name != defined:
            called = max(called, self._calls.get(key_of(f"{path}.{defined}"), 0))
        self._levels.append(round(((3.0 * math.log1p(called) if called else 0.0) + group.static - 0.02 * len(name) - count) / STEP))
        line = scope.found.get(defined)
        if line is not None and (words := scope.words[line]):
            number = entry * 8 + DESCRIBED
            for word in words.split():
                if word not in parts:
                    self._postings[word].append(number)
        return entry

    def _group(self, scope: _Scope, home: str) -> _Group:
        """A new group, of what is defined in a scope and publicly at ``home``."""
        number, depth = len(self._groups), home.count(".") + 1
        self._groups.append(f"{scope.place} {scope.path} {home if home != scope.path else ''}")
        for word in {*self._words(scope.path), *self._words(home), *scope.words[0].split()}:
            self._around[word].append(number)
        static = -2.5 * depth - 0.02 * (len(home) + 1) + (6.0 if depth == 1 else 0.0)
        return _Group(number, static, crc32(f"{home}.".encode("utf-8", "replace")))

    def _name(self, entry: int, name: str) -> None:
        """Add the words of a name to an entry."""
        found = self._split.get(name)
        if found is None:
            parts = name_words(name)
            joined = "".join(parts) if len(parts) > 1 and "_" not in name else ""
            found = self._split[name] = frozenset(parts), len(parts), joined
        number = entry * 8 + min(3, len(found[0]) - 1)
        for word in found[0]:
            self._postings[word].append(number)
        if found[2]:
            self._postings[found[2]].append(entry * 8)

    def _words(self, path: str) -> Iterable[str]:
        """The words of the last part of a path."""
        last = path.rpartition(".")[2]
        return () if last.startswith("_") else (*name_words(last), last.lower())

    def _followed(self, path: str, name: str) -> tuple[str, str] | None:
        """Where an alias ends; one that leads nowhere stays.  None when it ends at a public place of another library."""
        for _ in range(_MOST_HOPS):
            kind, target, _ = self._scopes[path].names[name]
            if kind != "alias":
                break
            parent, _, last = target.rpartition(".")
            owner = self._scopes.get(parent)
            if owner is None:
                other = None if not parent or _private(parent) else self._elsewhere(parent)
                if other is not None and last in other.symbols:
                    return None
                break
            if last not in owner.names:
                break
            path, name = parent, last
        return path, name

    def _home(self, path: str, name: str, ways: dict[str, tuple[list[tuple[str, _Scope]], str]]) -> str:
        """The shortest public path to the scope of a symbol: for ``pandas.core.frame.DataFrame.agg`` it is
        ``pandas.DataFrame``."""
        way = ways.get(path) or self._way(path, ways)
        for above, scope in way[0]:
            if name in scope.names and self._leads(scope, name, path):
                return above
        return way[1] or path

    def _way(self, path: str, ways: dict[str, tuple[list[tuple[str, _Scope]], str]]) -> tuple[list[tuple[str, _Scope]], str]:
        """The modules around a path that come before the shortest public path to it, and that path."""
        parts = path.split(".")
        modules: list[tuple[str, _Scope]] = []
        found = ""
        for depth in range(1, len(parts) + 1):
            above = ".".join(parts[:depth])
            scope = self._scopes.get(above)
            if scope is None or not scope.module:
                continue
            modules.append((above, scope))
            for last in range(len(parts), depth, -1):
                if parts[last - 1] in scope.names and self._leads(scope, parts[last - 1], ".".join(parts[: last - 1])):
                    found = ".".join([*parts[:depth], *parts[last - 1 :]])
                    break
            if found:
                break
        made = ways[path] = modules, found
        return made

    def _leads(self, scope: _Scope, name: str, path: str) -> bool:
        """Whether ``name`` in a module is public and ends at the same name in ``path``."""
        kind, _, public = scope.names[name]
        if kind != "alias":
            return public and scope.path == path
        return public and self._followed(scope.path, name) == (path, name)

    def rows(self) -> Iterator[tuple[int, int, bytes]]:
        """All rows; the head comes last."""
        levels = self._levels
        order = sorted(range(len(levels)), key=levels.__getitem__, reverse=True)
        rank = array("I", bytes(4 * len(order)))
        for place, entry in enumerate(order):
            rank[entry] = place
        firsts: list[str] = []
        for number, row in enumerate(_rows(self._posted(rank))):
            firsts.append(row[0][0])
            yield WORDS, number, packed_words(row)
        for number, some in _chunks([self._names[entry] for entry in order], NAMES):
            yield NAMES, number, zlib.compress("\n".join(some).encode("utf-8", "replace"))
        for number, some in _chunks([self._groups_of[entry] for entry in order], MAP):
            yield MAP, number, packed(some)
        for number, some in _chunks(self._groups, GROUPS):
            yield GROUPS, number, zlib.compress("\n".join(some).encode("utf-8", "replace"))
        counts = sorted(Counter(levels).items(), reverse=True)
        head = json.dumps([firsts, counts, self._libraries, len(self._groups)], separators=(",", ":"), ensure_ascii=False)
        yield HEAD, 0, zlib.compress(head.encode("utf-8", "replace"))

    def _posted(self, rank: array[int]) -> list[tuple[str, list[Sequence[int]]]]:
        """(word, its lists by mark) of all words, in their order."""
        words = {*self._postings, *self._around, *self._speaking}
        beginnings = Counter(word[:end] for word in words for end in range(1, min(len(word), _LONGEST_BEGINNING) + 1))
        tops: dict[str, tuple[list[int], list[int]]] = {start: ([], []) for start, count in beginnings.items() if count > _MANY}
        made: list[tuple[str, list[Sequence[int]]]] = []
        for word in words:
            found: list[Sequence[int]] = [()] * MARKS
            numbers = self._postings.get(word, ())
            marks = {one & 7 for one in numbers}
            for mark in marks:
                found[mark] = array("I", sorted([rank[one >> 3] for one in numbers if one & 7 == mark]))
            for end in range(1, min(len(word), _LONGEST_BEGINNING) + 1):
                top = tops.get(word[:end])
                if top is None:
                    break
                for mark in marks:
                    _keep_first(top[mark == DESCRIBED], found[mark][:FIRST])
            found[AROUND], found[LIBRARY] = self._around.get(word, ()), self._speaking.get(word, ())
            made.append((word, found))
        for start, (named, described) in tops.items():
            found = [()] * MARKS
            found[0], found[DESCRIBED] = sorted(set(named))[:FIRST], sorted(set(described))[:FIRST]
            made.append((start + MORE, found))
        return sorted(made, key=itemgetter(0))


def _keep_first(best: list[int], numbers: Sequence[int]) -> None:
    best.extend(numbers)
    if len(best) > 64 * FIRST:
        best[:] = sorted(set(best))[:FIRST]


def _rows(words: list[tuple[str, list[Sequence[int]]]]) -> Iterator[list[tuple[str, list[Sequence[int]]]]]:
    """Words by rows of about ``_LARGEST`` bytes."""
    row: list[tuple[str, list[Sequence[int]]]] = []
    size = 0
    for one in words:
        more = len(one[0]) + 8 + 2 * sum(map(len, one[1]))
        if row and size + more > _LARGEST:
            yield row
            row, size = [], 0
        row.append(one)
        size += more
    if row:
        yield row


def _numbers() -> array[int]:
    return array("I")


def _scopes(pack: StoredPack) -> Iterator[_Scope]:
    bundle = Bundle(pack.data)
    try:
        lines = zlib.decompress(pack.words).decode().split("\n")
        at = 0
        for place, path in enumerate(bundle.names):
            names = symbols_of(bundle.part(place))
            searched = (name for name, (kind, _, public) in names.items() if public and kind != "attribute")
            found = {name: line for line, name in enumerate(searched, 1)}
            words = lines[at : at + len(found) + 1]
            at += len(found) + 1
            if len(words) <= len(found):
                raise Damaged("damaged pack (words)")
            module = not bundle.notes[2][place] & 1
            yield _Scope(pack.number * MOST_SCOPES + place, path, names, found, module, words)
    except (zlib.error, ValueError, TypeError, IndexError) as error:
        raise Damaged(f"damaged pack ({error})") from error


def _chunks(every: Sequence[Any], kind: int) -> Iterator[tuple[int, Sequence[Any]]]:
    size = ENTRIES[kind]
    return ((number, every[at : at + size]) for number, at in enumerate(range(0, len(every), size)))


def _private(path: str) -> bool:
    return path.startswith("_") or "._" in path
