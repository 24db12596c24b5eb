"""Search by words: public names and the first lines of their docstrings, best first."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.rows import NAME_MARK, name_words
from octod.indexer.store import Index

__all__ = ["Hit", "match_query", "search"]

_MOST_HOPS = 6  # aliases followed; real packages need three
_CANDIDATES = 300  # symbols looked at of those whose name has every word
_FINALISTS = 60  # of them whose public path is worked out


@dataclass(frozen=True, slots=True)
class Hit:
    """A symbol found: ``qualified`` is the shortest public name, ``score`` grows with the fit."""

    qualified: str
    symbol: Symbol
    library: LibraryId
    score: float


def match_query(words: str, mark: str = "") -> str:
    """An FTS5 query in which every word must start something (of a name, with its mark); empty without words."""
    parts = re.findall(r"[^\W_]+", words)
    return " ".join(f'"{mark}{part}"*' for part in parts[:8])


def search(index: Index, words: str, limit: int = 20, popularity: Callable[[str], float] | None = None) -> list[Hit]:
    """Symbols whose name, path or docstring has words that start with those given; each symbol once.

    What is named so comes before what is only described so, an equal name first, then by ``popularity`` of the
    qualified name (0 or more; default: how often installed code calls it), then shorter public names.
    """
    query = match_query(words)
    if not query or limit < 1:
        return []
    asked = "".join(re.findall(r"[^\W_]+", words)).lower()
    # Equal names first: a common word begins more names than are looked at.
    candidates = index.matches(f'"{NAME_MARK}{asked}"', _CANDIDATES) if asked.isascii() else []
    candidates += index.matches(match_query(words, NAME_MARK), _CANDIDATES)
    if len(candidates) < _CANDIDATES:
        # `http get` means a `get` in something called http: the last word names it, the others may be around.
        *others, last = re.findall(r"[^\W_]+", words)
        if others:
            around = match_query(" ".join(others))
            candidates += index.matches(f'{around} "{NAME_MARK}{last}"', _CANDIDATES)
        candidates += index.matches(query, max(3 * limit, 60))
    fits: dict[tuple[str, str], tuple[float, Scope]] = {}
    for scope, name, rank in candidates:
        fits.setdefault((scope.qualified, name), (_fit(asked, words, scope.qualified, name) - 0.2 * rank, scope))
    finalists = sorted(fits.items(), key=lambda item: -item[1][0])[: max(_FINALISTS, 2 * limit)]
    known = popularity or _called(index)
    found: dict[str, Hit] = {}
    for (_, name), (fit, scope) in finalists:
        target, owner = _followed(index, scope, scope.symbols[name])
        qualified = _shortest(index, target)
        shown = _symbol(index, target) or scope.symbols[name]
        calls = max(known(qualified), known(target))
        score = fit + 4.0 * math.log1p(calls) - 1.5 * qualified.count(".") - 0.02 * len(qualified)
        if qualified not in found or found[qualified].score < score:
            found[qualified] = Hit(qualified, shown, owner.library, score)
    ordered = sorted(found.values(), key=lambda hit: (-hit.score, hit.qualified))
    return ordered[:limit]


def _fit(asked: str, words: str, path: str, name: str) -> float:
    """How well a name fits what was asked: equal, beginning so, made of the words, in a place so called."""
    parts = name_words(name)
    whole = "".join(parts)
    wanted = [word.lower() for word in re.findall(r"[^\W_]+", words)]
    in_path = set(path.lower().replace("_", ".").split("."))
    score = sum(6.0 for word in wanted if whole.startswith(word) or any(part.startswith(word) for part in parts))
    score += sum(4.0 for word in wanted if any(part.startswith(word) for part in in_path))
    if whole == asked or f".{path}.{name}".lower().endswith(f".{words.strip().lower()}"):
        score += 20.0
    elif whole.startswith(asked):
        score += 6.0
    return score - 1.0 * len(parts) - path.count(".")


def _called(index: Index) -> Callable[[str], float]:
    """How often a qualified name is called in what was mined; 0 for all where nothing was."""
    from octod.indexer.usage import decode

    known: dict[str, Mapping[str, int]] = {}

    def members(receiver: str) -> Mapping[str, int]:
        if receiver not in known:
            data = index.usage(receiver)
            known[receiver] = decode(data).members if data else {}
        return known[receiver]

    def count(qualified: str) -> float:
        receiver, _, name = qualified.rpartition(".")
        return float(members(receiver).get(name, 0) + members(f"{receiver}()").get(name, 0))

    return count


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
