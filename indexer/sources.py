"""Where names are looked up and what a look-up gives: sources of scopes, types, targets, and what is remembered of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from octod.core.symbols import LibraryId, Member, Scope, Symbol
from octod.indexer.rows import weight_of

__all__ = ["MEMBER", "LayeredSource", "ScopeSource", "Target", "TargetKind", "TypeRef", "layer", "lighten", "memo_of", "refresh", "scope_of", "tidy"]

K = TypeVar("K")
V = TypeVar("V")
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


class Kept(dict[K, V]):
    """What was looked up since the last ``turn``, and ``before`` it: that comes back when it is asked for by ``[]``.

    ``weight`` is about how many bytes the first takes, beyond what every entry does; ``weigh`` says it of what comes back.
    """

    __slots__ = ("_weigh", "before", "weight")

    def __init__(self, weigh: Callable[[V], int] | None = None) -> None:
        super().__init__()
        self.before: dict[K, V] = {}
        self.weight = 0
        self._weigh = weigh

    def __missing__(self, key: K) -> V:
        self[key] = value = self.before.pop(key)
        if self._weigh is not None:
            self.weight += self._weigh(value)
        return value

    def turn(self) -> None:
        """Forget what nobody asked for since the last turn."""
        self.before = dict(self)
        self.clear()

    def clear(self) -> None:
        """Forget what was asked for since the last turn."""
        super().clear()
        self.weight = 0


class _Memo:
    """What was looked up in one source, valid for one generation of it."""

    __slots__ = ("generation", "members", "nowhere", "orders", "other", "scopes", "targets")

    def __init__(self, generation: object) -> None:
        self.generation = generation
        self.scopes: Kept[str, Scope | None] = Kept(weight_of)
        self.targets: Kept[str, Target | None] = Kept(partial(_hold, self.scopes))
        self.nowhere: dict[str, int] = {}  # within one look-up: names not found, at which depth
        self.orders: Kept[str, tuple[str, ...]] = Kept()
        self.members: Kept[tuple[str, bool], tuple[Member, ...]] = Kept(lambda found: MEMBER * len(found))
        self.other: Kept[Any, Any] = Kept()

    @property
    def weight(self) -> int:
        """About how many bytes of it, since the last turn, are scopes and lists of members."""
        return self.scopes.weight + self.members.weight

    def turn(self) -> None:
        """Forget what was not asked for lately: all of it, when that happens twice."""
        for table in (self.scopes, self.targets, self.orders, self.members, self.other):
            table.turn()
        self.nowhere.clear()


def _hold(scopes: Kept[str, Scope | None], target: Target | None) -> int:
    """A target holds on to its scope: that counts as asked for too."""
    if target is not None and target.scope is not None:
        with suppress(KeyError):
            scopes[target.qualified]
    return 0


_memos: weakref.WeakKeyDictionary[Any, _Memo] = weakref.WeakKeyDictionary()
_pinned: dict[int, tuple[object, _Memo]] = {}  # sources that cannot be referred to weakly
_last: tuple[object, _Memo] | None = None
_ROOM = 40_000_000  # bytes, where a source does not say ``room``
MEMBER = 200  # bytes of a member in a list that is remembered, without its symbol
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


def _indexed(source: ScopeSource) -> ScopeSource:
    return source.base if isinstance(source, LayeredSource) else source


def _taken(memo: _Memo) -> int:
    """About how many bytes were looked up since the last turn."""
    return memo.weight + _ENTRY * (len(memo.other) + len(memo.targets) + len(memo.orders))


def _room(source: ScopeSource) -> int:
    """How many bytes may be remembered for a source, what was asked for before the last turn included."""
    room: int = getattr(_indexed(source), "room", _ROOM)
    return room


def refresh(source: ScopeSource) -> None:
    """Forget what was looked up when the index has changed since, or when it takes too much room; call it once per request."""
    source = _indexed(source)
    memo, generation = memo_of(source), getattr(source, "generation", 0)
    if generation != memo.generation:
        memo.generation = generation
        memo.turn()
        memo.turn()
    elif _taken(memo) > _room(source) // 2:
        memo.turn()


def tidy(source: ScopeSource) -> None:
    """Let go of what nobody asked for lately, which takes some milliseconds: between requests, so that ``refresh`` need not."""
    if _taken(memo := memo_of(_indexed(source))) > _room(source) // 4:
        memo.turn()


def lighten(source: ScopeSource, before: int) -> None:
    """After a list of members was made: where that filled much of the room, only lists of members stay.

    transformers imports stars from two thousand modules; their scopes would drive out everything else, the list itself included.
    """
    memo = memo_of(source)
    if memo.weight - before > _room(source) // 4:
        memo.scopes.clear()
        memo.targets.clear()


def scope_of(source: ScopeSource, qualified: str) -> Scope | None:
    """``source.scope``, remembered for one generation: an index asks its database each time."""
    source = layer(source, qualified)
    memo = memo_of(source)
    try:
        return memo.scopes[qualified]
    except KeyError:
        found = memo.scopes[qualified] = source.scope(qualified)
        memo.scopes.weight += weight_of(found)
        return found


def layer(source: ScopeSource, qualified: str) -> ScopeSource:
    """The source that answers for ``qualified``: only a file's own names need the layer."""
    if isinstance(source, LayeredSource) and qualified not in source.own:
        return source.base
    return source
