"""Search by words: public names, the places they lie in and the first lines of their docstrings, best first."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.database import key_of
from octod.indexer.packs import MOST_SCOPES
from octod.indexer.rows import StoredSymbols
from octod.indexer.sources import memo_of, refresh
from octod.indexer.store import Index
from octod.indexer.words import (
    DESCRIBED,
    PARTS,
    SLOTS,
    TOP,
    asked_words,
    name_words,
    numbers,
    stem,
)

__all__ = ["Hit", "candidates", "search"]

_MOST_HOPS = 6  # aliases followed; real packages need three
_FINALISTS = 40  # symbols whose public path is worked out
_EXACT, _BEGUN, _DESCRIBED = 8.0, 5.0, 3.0  # what a word of the question is worth in a name, at its start, in a docstring
_AROUND, _LIBRARY = 3.0, 2.0  # in the path or docstring of the scope, of the library's first module


@dataclass(frozen=True, slots=True)
class Hit:
    """A symbol found: ``qualified`` is the shortest public name, ``defined`` the one that it is defined by, ``score`` grows
    with the fit."""

    qualified: str
    symbol: Symbol
    library: LibraryId
    score: float
    defined: str = ""


def search(index: Index, words: str, limit: int = 20, popularity: Callable[[str], float] | None = None) -> list[Hit]:
    """Symbols whose name, path or docstring has words that start with those given; each symbol once.

    What is named so comes before what is only described so, an equal name first, then by ``popularity`` of the
    qualified name (0 or more; default: how often installed code calls it), then shorter public names.
    """
    if limit < 1:
        return []
    known = popularity or _called(index)
    found: dict[str, Hit] = {}
    for scope, name, fit in candidates(index, words, max(_FINALISTS, 2 * limit)):
        target, owner = _followed(index, scope, scope.symbols[name])
        if found.get(target) is not None and found[target].qualified.count(".") <= 1:
            continue
        qualified = _shortest(index, target)
        shown = _symbol(index, target) or scope.symbols[name]
        calls = max(known(qualified), known(target), known(f"{scope.qualified}.{name}"))
        score = fit + 3.0 * math.log1p(calls) - 1.5 * qualified.count(".") - 0.02 * len(qualified)
        if target not in found or found[target].score < score:
            found[target] = Hit(qualified, shown, owner.library, score, target)
    best: dict[str, Hit] = {}
    for hit in found.values():
        if hit.qualified not in best or best[hit.qualified].score < hit.score:
            best[hit.qualified] = hit
    return sorted(best.values(), key=lambda hit: (-hit.score, hit.qualified))[:limit]


def candidates(index: Index, words: str, limit: int) -> list[tuple[Scope, str, float]]:
    """(scope, symbol's name, fit) of symbols for which every word is found in their name, path or docstring."""
    asked = asked_words(words)
    if not asked:
        return []
    if len(asked) == 2 and (joined := _candidates(index, ["".join(asked)], limit)):
        return joined + _candidates(index, asked, limit)  # `group by` may be written groupby
    return _candidates(index, asked, limit)


def _candidates(index: Index, asked: list[str], limit: int) -> list[tuple[Scope, str, float]]:
    named: dict[int, list[tuple[int, float, bytes]]] = {}  # owner -> (word's number, its worth, numbers)
    for number, word in enumerate(asked):
        start = stem(word)
        for owner, found, data in index.postings(start):
            worth = 1.0 if found in (word, start) else _BEGUN / _EXACT
            named.setdefault(owner, []).append((number, worth, data))
    starts = _starts(index)
    scored: list[tuple[float, int, int]] = []
    for owner, rows in named.items():
        if len({number for number, _, _ in rows}) == len(asked):
            best = heapq.nlargest(limit, _scored(rows, len(asked), starts[owner]))
            scored += [(fit, owner, number) for fit, number in best]
    made: list[tuple[Scope, str, float]] = []
    for fit, owner, number in heapq.nlargest(limit, scored):
        pack, slot = divmod(number, SLOTS)
        place = bisect_right(starts[owner][pack], slot) - 1
        scope = index.packed_scope(pack * MOST_SCOPES + place)
        shown = scope.symbols.searchable() if scope is not None and isinstance(scope.symbols, StoredSymbols) else []
        at = slot - starts[owner][pack][place] - 1
        if scope is not None and 0 <= at < len(shown):
            made.append((scope, shown[at], fit + _fit(asked, scope.qualified, shown[at])))
    return made


def _starts(index: Index) -> dict[int, dict[int, list[int]]]:
    """Owner -> pack -> the slots of its scopes."""
    refresh(index)
    known = memo_of(index).other
    if "starts" not in known:
        known["starts"] = {owner: dict(numbers(data)) for owner, _, data in index.postings("", "\0")}
    found: dict[int, dict[int, list[int]]] = known["starts"]
    return found


def _scored(
    rows: list[tuple[int, float, bytes]], asked: int, starts: dict[int, list[int]]
) -> list[tuple[float, int]]:
    """(fit, number of the symbol) within one library."""
    symbols: list[dict[int, float]] = [{} for _ in range(asked)]
    scopes: list[dict[int, float]] = [{} for _ in range(asked)]
    library = [0.0] * asked
    tops: set[int] = set()
    whole: dict[int, int] = {}
    for word, worth, data in rows:
        of_symbols, of_scopes = symbols[word], scopes[word]
        described, named = _DESCRIBED * worth, _EXACT * worth
        for pack, found in numbers(data):
            base = pack * SLOTS
            own = starts[pack]
            for one in found:
                slot, marks = one >> 4, one & 15
                number = base + slot
                if not slot or own[bisect_left(own, slot) % len(own)] == slot:  # the scope itself
                    of_scopes[number] = max(of_scopes.get(number, 0.0), _AROUND * worth)
                    if marks & TOP:
                        library[word] = max(library[word], _LIBRARY * worth)
                    continue
                value = described if marks & DESCRIBED else named
                if value > of_symbols.get(number, 0.0):
                    of_symbols[number] = value
                if marks & TOP:
                    tops.add(number)
                if worth == 1.0 and not marks & DESCRIBED:
                    whole[number] = max(whole.get(number, 0), marks // PARTS + 1)
    made: list[tuple[float, int]] = []
    for number in set().union(*symbols):
        fit, exact, around = 0.0, 0, -1
        for word in range(asked):
            value = max(symbols[word].get(number, 0.0), library[word])
            if value < _AROUND and scopes[word]:
                if around < 0:
                    pack, slot = divmod(number, SLOTS)
                    mine = starts[pack]
                    around = pack * SLOTS + mine[bisect_right(mine, slot) - 1]
                value = max(value, scopes[word].get(around, 0.0))
            if not value:
                break
            exact += value == _EXACT
            fit += value
        else:
            if exact == asked and whole.get(number) == asked:
                fit += 12.0
            made.append((fit + (6.0 if number in tops else 0.0), number))
    return made


def _fit(asked: list[str], path: str, name: str) -> float:
    """How well a name fits as a whole: equal, beginning so, short, not deep."""
    whole, wanted = "".join(name_words(name)), "".join(asked)
    score = 12.0 if whole == wanted else 4.0 if whole.startswith(wanted) else 0.0
    if f".{path}.{name}".lower().endswith("." + ".".join(asked)):
        score += 8.0
    return score - len(name_words(name)) - path.count(".")


def _called(index: Index) -> Callable[[str], float]:
    """How often a qualified name is called in what was mined; 0 for all where nothing was."""
    known = index.calls()
    return lambda qualified: float(known.get(key_of(qualified), 0))


def _followed(index: Index, scope: Scope, symbol: Symbol) -> tuple[str, Scope]:
    """The qualified name an alias ends at, and the scope it stands in; a name that leads nowhere stays."""
    for _ in range(_MOST_HOPS):
        if symbol.kind != "alias" or symbol.target is None:
            break
        parent, _, name = symbol.target.rpartition(".")
        owner = index.scope(parent) if parent else None
        following = owner.symbols.get(name) if owner else None
        if owner is None or following is None:
            break
        scope, symbol = owner, following
    return f"{scope.qualified}.{symbol.name}", scope


def _symbol(index: Index, qualified: str) -> Symbol | None:
    parent, _, name = qualified.rpartition(".")
    scope = index.scope(parent)
    return scope.symbols.get(name) if scope else None


def _shortest(index: Index, qualified: str) -> str:
    """The shortest public path to a symbol: ``pandas.core.frame.DataFrame.agg`` is ``pandas.DataFrame.agg``."""
    parts = qualified.split(".")
    for depth in range(1, len(parts)):
        package = index.scope(".".join(parts[:depth]))
        if package is None or package.kind != "module":
            continue
        for start in range(len(parts) - 1, depth - 1, -1):
            symbol = package.symbols.get(parts[start])
            if symbol is None or not symbol.public:
                continue
            target, _ = _followed(index, package, symbol)
            if target == ".".join(parts[: start + 1]):
                return ".".join([*parts[:depth], *parts[start:]])
    return qualified
