"""Where names are looked up and what a look-up gives: sources of scopes, types, targets, and what is remembered of them."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from octod.core.symbols import LibraryId, Member, Scope, Symbol
from octod.indexer.rows import weight_of

__all__ = ["LayeredSource", "ScopeSource", "Target", "TargetKind", "TypeRef", "layer", "memo_of", "refresh", "scope_of"]

TargetKind = Literal["module", "class", "function", "property", "attribute"]


@runtime_checkable
class ScopeSource(Protocol):
    """Where scopes come from: the index, or a few of them in a test."""

    def scope(self, qualified: str) -> Scope | None:
        """The module or class of that name."""

    def submodules(self, qualified: str) -> tuple[str, ...]:
        """The names (last parts) of the modules directly in a package."""

    def import_names(self) -> Mapping[str, tuple[LibraryId, ...]]:
        """Which distributions provide a top-level import name."""


@dataclass(frozen=True, slots=True)
class TypeRef:
    """What an expression is: an object of the class ``qualified`` (``instance``), or that module, class or function itself.

    ``args`` are type arguments (``list[str]``; the element of a tuple of any length is followed by ``...``), ``receiver``
    is what a method was taken from.  A name that ends with ``()`` is the unknown result of that function; an empty one
    is something unknown in the place of a type argument.
    """

    qualified: str
    instance: bool = True
    args: tuple[TypeRef, ...] = ()
    receiver: TypeRef | None = None

    @property
    def known(self) -> bool:
        """Whether this names something that can be looked up."""
        return bool(self.qualified) and not self.qualified.endswith("()") and self.qualified[0] not in "~."


@dataclass(frozen=True, slots=True)
class Target:
    """What a qualified name means: ``qualified`` is where it is defined, ``scope`` its own for a module or class."""

    kind: TargetKind
    qualified: str
    symbol: Symbol | None
    scope: Scope | None


@dataclass(slots=True, eq=False)
class LayeredSource:
    """The classes of one file on top of an index; ``own`` is what the file defines."""

    base: ScopeSource
    own: Mapping[str, Scope]

    def scope(self, qualified: str) -> Scope | None:
        """The file's class, else the index's scope."""
        return self.own.get(qualified) or self.base.scope(qualified)

    def submodules(self, qualified: str) -> tuple[str, ...]:
        """The index's submodules."""
        return self.base.submodules(qualified)

    def import_names(self) -> Mapping[str, tuple[LibraryId, ...]]:
        """The index's import names."""
        return self.base.import_names()


@dataclass(slots=True, eq=False)
class _Memo:
    """What was looked up in one source, valid for one generation of it; ``weight`` is about how many bytes of it are scopes
    and lists of members."""

    generation: object
    weight: int = 0
    targets: dict[str, Target | None] = field(default_factory=dict)
    nowhere: dict[str, int] = field(default_factory=dict)  # within one look-up: names not found, at which depth
    orders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    members: dict[tuple[str, bool], tuple[Member, ...]] = field(default_factory=dict)
    scopes: dict[str, Scope | None] = field(default_factory=dict)
    other: dict[Any, Any] = field(default_factory=dict)


_memos: weakref.WeakKeyDictionary[Any, _Memo] = weakref.WeakKeyDictionary()
_pinned: dict[int, tuple[object, _Memo]] = {}  # sources that cannot be referred to weakly
_last: tuple[object, _Memo] | None = None
_ROOM = 40_000_000  # bytes, where a source does not say ``room``
_ENTRY = 500  # bytes of anything else that is remembered, its key included


def memo_of(source: ScopeSource) -> _Memo:
    """What is remembered for ``source``; the modules of this folder keep their own entries in ``other``."""
    global _last
    if _last is not None and _last[0] is source:
        return _last[1]
    try:
        memo = _memos.get(source)
        if memo is None:
            memo = _memos[source] = _Memo(getattr(source, "generation", 0))
    except TypeError:
        found = _pinned.get(id(source))
        if found is None:
            if len(_pinned) > 8:
                _pinned.clear()
            found = _pinned[id(source)] = (source, _Memo(getattr(source, "generation", 0)))
        memo = found[1]
    if not isinstance(source, LayeredSource):
        _last = (source, memo)
    return memo


def refresh(source: ScopeSource) -> None:
    """Forget what was looked up when the index has changed since, or when it takes too much room; call it once per request.

    All of it goes at once: targets, members and types hold on to the same scopes.
    """
    if isinstance(source, LayeredSource):
        source = source.base
    memo = memo_of(source)
    generation = getattr(source, "generation", 0)
    weight = memo.weight + _ENTRY * (len(memo.other) + len(memo.targets) + len(memo.orders))
    if generation != memo.generation or weight > getattr(source, "room", _ROOM):
        memo.generation, memo.weight = generation, 0
        for table in (memo.targets, memo.nowhere, memo.orders, memo.members, memo.scopes, memo.other):
            table.clear()


def scope_of(source: ScopeSource, qualified: str) -> Scope | None:
    """``source.scope``, remembered for one generation: an index asks its database each time."""
    source = layer(source, qualified)
    memo = memo_of(source)
    try:
        return memo.scopes[qualified]
    except KeyError:
        found = memo.scopes[qualified] = source.scope(qualified)
        memo.weight += weight_of(found)
        return found


def layer(source: ScopeSource, qualified: str) -> ScopeSource:
    """The source that answers for ``qualified``: only a file's own names need the layer."""
    if isinstance(source, LayeredSource) and qualified not in source.own:
        return source.base
    return source
