"""Reading ahead, in short turns: what the names of an imported module mean, before somebody asks for its menu."""

from __future__ import annotations

import time
from collections.abc import Iterator

from octod.indexer.lookup import ScopeSource, memo_of, resolve, scope_of

__all__ = ["read_ahead"]

_MOST = 400  # modules whose stars are followed; of more the menu itself sees to it


def read_ahead(source: ScopeSource, module: str, patience: float) -> bool:
    """Look up the names of a module for ``patience`` seconds of work; whether all of them are known now.

    What was looked up is remembered (sources.py), so that another call gets farther.
    """
    until = time.thread_time() + patience
    known = memo_of(source).targets
    for name in _names(source, module, set()):
        if name in known:
            continue
        resolve(source, name)
        if time.thread_time() > until:
            return False
    return True


def _names(source: ScopeSource, module: str, seen: set[str]) -> Iterator[str]:
    """The qualified names of a module's re-exports, of those of its stars too."""
    scope = scope_of(source, module)
    if scope is None or scope.kind != "module" or module in seen or len(seen) == _MOST:
        return
    seen.add(module)
    for name, symbol in scope.symbols.items():
        if symbol.kind == "alias":
            yield f"{module}.{name}"
    for star in scope.stars:
        yield star
        target = resolve(source, star)
        if target is not None:
            yield from _names(source, target.qualified, seen)
