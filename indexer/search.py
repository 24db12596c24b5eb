"""Search by words: public names, the places they lie in and the first lines of their docstrings, best first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from octod.core.symbols import LibraryId, Symbol, SymbolKind
from octod.indexer.bundles import Damaged
from octod.indexer.catalogue import AROUND, DESCRIBED, FIRST, LIBRARY, MORE
from octod.indexer.postings import Words
from octod.indexer.segments import Entry, Segment
from octod.indexer.store import Index
from octod.indexer.words import asked_words, name_words, stem

__all__ = ["Hit", "search", "symbol_of"]

_FINALISTS = 20  # entries whose names are read
_EXACT, _BEGUN, _DESCRIBED = 8.0, 5.0, 3.0  # what a word of the question is worth in a name, at its start, in a docstring
_AROUND, _LIBRARY = 3.0, 2.0  # in the path or docstring of the scope, of the library's first module
_NAMED, _WHOLE, _EQUAL, _START, _PATH = 6.0, 12.0, 12.0, 4.0, 8.0  # all words in the name; no others; equal; beginning so; the path's last parts
_SHARE = _BEGUN / _EXACT  # what a word is worth that only begins as asked
_WORTH = [
    *[(False, LIBRARY, _LIBRARY * _SHARE), (True, LIBRARY, _LIBRARY), (False, AROUND, _AROUND * _SHARE), (True, AROUND, _AROUND)],
    *[(False, DESCRIBED, _DESCRIBED * _SHARE), (True, DESCRIBED, _DESCRIBED)],
    *[(equal, mark, _EXACT if equal else _BEGUN) for equal in (False, True) for mark in range(DESCRIBED)],
]
_STEP = 1_024  # entries looked at in a row
_MOST_KNOWN = 200_000  # places of words that are kept
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Hit:
    """A symbol found: ``qualified`` is the shortest public name, ``defined`` the one that it is defined by, ``score`` grows
    with the fit."""

    qualified: str
    kind: SymbolKind
    library: LibraryId
    score: float
    defined: str


def search(index: Index, words: str, limit: int = 20) -> list[Hit]:
    """Symbols whose name, path or docstring has words that start with those given; each symbol once.

    What is named so comes before what is only described so, an equal name first, then by how often installed code
    calls it, then shorter public names.
    """
    asked = asked_words(words)
    if limit < 1 or not asked:
        return []
    questions = [asked, ["".join(asked)]] if len(asked) == 2 else [asked]  # `group by` may be written groupby
    best: dict[str, tuple[float, Entry]] = {}
    for segment in index.segments():
        try:
            with segment.lock:
                found = [one for question in questions for one in _found(segment, question, asked, max(_FINALISTS, 2 * limit))]
        except Damaged:
            index.hurt()
            continue
        for score, entry in found:
            if entry.qualified not in best or best[entry.qualified][0] < score:
                best[entry.qualified] = score, entry
    ordered = sorted(best.values(), key=lambda one: (-one[0], one[1].qualified))[:limit]
    return [Hit(entry.qualified, entry.kind, entry.library, score, entry.defined) for score, entry in ordered]


def symbol_of(index: Index, hit: Hit) -> Symbol | None:
    """The symbol of a hit."""
    parent, _, name = hit.defined.rpartition(".")
    scope = index.scope(parent)
    return scope.symbols.get(name) if scope else None


def _found(segment: Segment, question: list[str], asked: list[str], limit: int) -> Iterator[tuple[float, Entry]]:
    """(score, entry) of the best of a segment, each word of ``question`` found; names are compared with ``asked``."""
    scored = _named(segment, question[0]) if len(question) == 1 else _combined(segment, question, limit)
    static = segment.static
    for score, number in heapq.nlargest(limit, [(worth + static[number], number) for number, worth in scored.items()]):
        entry = segment.entry(number)
        if entry is not None:
            yield score + _fit(entry.qualified, asked), entry


def _named(segment: Segment, word: str) -> dict[int, float]:
    """What the likeliest entries are worth for one word: of each list the first ones are the best."""
    best: dict[int, float] = {}
    start = stem(word)
    beginning = [(row, range(place, place + 1), False) for row, place in _beginning(segment, start)]
    equal = [(row, places, True) for one in {start, word} for row, places in segment.words(one, one + "\0")]
    for row, places, whole in beginning + equal:
        for equally, mark, worth in _WORTH:
            if mark <= DESCRIBED and equally is whole:
                worth += (_NAMED if mark < DESCRIBED else 0.0) + (_WHOLE if whole and not mark else 0.0)
                for number in row.numbers(places, mark, FIRST):
                    if worth > best.get(number, 0.0):
                        best[number] = worth
    return best


def _beginning(segment: Segment, start: str) -> Iterator[tuple[Words, int]]:
    """The words that begin so, or one row of their best entries."""
    for row, places in segment.words(start + MORE, start + MORE + "\0"):
        return iter([(row, places.start)])
    return ((row, place) for row, places in segment.words(start, start + _LAST) for place in places)


@dataclass(frozen=True, eq=False)
class _Places:
    """Where a word of a question is: what it is worth for entries by their own names and docstrings, and for groups by what
    is around them; ``rows`` are those of the word itself."""

    own: dict[int, float]
    around: dict[int, float]
    rows: list[tuple[Words, range]]

    @cached_property
    def likeliest(self) -> list[int]:
        """The entries, the likeliest first."""
        return sorted(self.own)

    def whole(self, count: int) -> set[int]:
        """The entries with names of so many words."""
        return {number for row, places in self.rows for number in row.numbers(places, min(count, DESCRIBED) - 1)}


def _places(segment: Segment, word: str) -> _Places:
    known: dict[str, _Places] = segment.known
    if word in known:
        return known[word]
    start = stem(word)
    equal = [one for whole in {start, word} for one in segment.words(whole, whole + "\0")]
    begun = list(segment.words(start, start + _LAST))
    own: dict[int, float] = {}
    around: dict[int, float] = {}
    for equally, mark, worth in _WORTH:  # the better ones come later
        for row, places in equal if equally else begun:
            numbers = row.numbers(places, mark)
            if mark <= DESCRIBED:
                own.update(dict.fromkeys(numbers, worth))
            for some in segment.libraries(numbers) if mark == LIBRARY else (numbers,) if mark == AROUND else ():
                around.update(dict.fromkeys(some, worth))
    if sum(len(one.own) + len(one.around) for one in known.values()) > _MOST_KNOWN:
        known.clear()
    known[word] = _Places(own, around, equal)
    return known[word]


def _combined(segment: Segment, question: list[str], limit: int) -> dict[int, float]:
    """What the likeliest entries are worth for several words, each of which is in their name, docstring or around them."""
    words = [_places(segment, word) for word in question]
    count, static, groups = len(words), segment.static, segment.groups
    best: dict[int, float] = {}
    counted, least = 0, -math.inf  # how many were the best when the least of those that are wanted was found
    for own in (own for size in range(count, max(0, count - 4), -1) for own in combinations(words, size)):
        others = [word.around for word in words if word not in own]
        beside = _common(others) if others else set()
        if others and not beside:
            continue
        entries = own[0].likeliest if len(own) == 1 else sorted(_common([word.own for word in own]))
        most = _EXACT * len(own) + _AROUND * len(others) + (0.0 if others else _NAMED + _WHOLE)
        for at in range(0, len(entries), _STEP):
            if len(best) > max(counted, limit - 1):
                counted = len(best)
                least = heapq.nlargest(limit, [worth + static[entry] for entry, worth in best.items()])[-1]
            if static[entries[at]] + most <= least:
                break
            some = entries[at : at + _STEP]
            if others:
                some = [entry for entry in some if groups[entry] in beside]
            around = [groups[entry] for entry in some] if others else []
            worths = [map(word.own.__getitem__, some) for word in own] + [map(other.__getitem__, around) for other in others]
            for entry, worth in zip(some, map(sum, zip(*worths, strict=True)), strict=True):
                best.setdefault(entry, worth)
        if not others:
            whole = _common([word.whole(count) for word in words])
            for entry in best:
                if all(word.own[entry] >= _BEGUN for word in words):
                    best[entry] += _NAMED + (_WHOLE if entry in whole else 0.0)
            counted = 0
    return best


def _common(every: Sequence[Collection[int]]) -> set[int]:
    """What is in all of them."""
    smallest = min(every, key=len)
    return set(smallest).intersection(*[one for one in every if one is not smallest]) if len(every) > 1 else set(smallest)


def _fit(qualified: str, asked: list[str]) -> float:
    """How well a name fits as a whole: equal, beginning so, with the words of its path."""
    whole, wanted = "".join(name_words(qualified.rpartition(".")[2])), "".join(asked)
    score = _EQUAL if whole == wanted else _START if whole.startswith(wanted) else 0.0
    return score + (_PATH if f".{qualified}".lower().endswith("." + ".".join(asked)) else 0.0)
