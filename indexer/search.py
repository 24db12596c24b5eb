"""Search by words: public names and the first lines of their docstrings, best first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.store import Index

__all__ = ["Hit", "match_query", "search"]

_MOST_HOPS = 6  # aliases followed; real packages need three


@dataclass(frozen=True, slots=True)
class Hit:
    """A symbol found: ``qualified`` is the shortest public name, ``score`` grows with the fit."""

    qualified: str
    symbol: Symbol
    library: LibraryId
    score: float


def match_query(words: str) -> str:
    """An FTS5 query in which every word must start something; empty when there are no words."""
    parts = re.findall(r"\w+", words.replace("_", " "))
    return " ".join(f'"{part}"*' for part in parts[:8])


def search(index: Index, words: str, limit: int = 20) -> list[Hit]:
    """Symbols whose name, path or docstring has words that start with those given; each symbol once.

    A name equal to what was asked comes first, and shorter public names come before longer ones.
    """
    query = match_query(words)
    if not query or limit < 1:
        return []
    wanted = words.strip().lower()
    found: dict[str, Hit] = {}
    for scope, name, rank in index.matches(query, max(limit * 10, 200)):
        symbol = scope.symbols.get(name)
        if symbol is None:
            continue
        target, owner = _followed(index, scope, symbol)
        qualified = _shortest(index, target)
        score = -rank
        lowered = qualified.lower()
        if name.lower() == wanted or lowered == wanted:
            score += 40.0
        elif lowered.endswith(f".{wanted}") or lowered.startswith(wanted):
            score += 20.0
        score -= 1.5 * qualified.count(".") + 0.05 * len(qualified)
        shown = target_symbol if (target_symbol := _symbol(index, target)) is not None else symbol
        if qualified not in found or found[qualified].score < score:
            found[qualified] = Hit(qualified, shown, owner.library, score)
    ordered = sorted(found.values(), key=lambda hit: (-hit.score, hit.qualified))
    return ordered[:limit]


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
        for start in range(depth, len(parts)):
            symbol = package.symbols.get(parts[start])
            if symbol is None or not symbol.public:
                continue
            target, _ = _followed(index, package, symbol)
            if target == ".".join(parts[: start + 1]):
                return ".".join([*parts[:depth], *parts[start:]])
    return qualified
