"""What the language's protocols give: iterating over a value, awaiting it, entering it, taking it apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from octod.indexer.annotations import types_of
from octod.indexer.attributes import Bindings, Types, attribute, held_by
from octod.indexer.lookup import ScopeSource, TypeRef, bases, find_member, scope_of

__all__ = [
    "ELEMENTS",
    "SEQUENCES",
    "as_tuple",
    "awaited",
    "elements",
    "entered",
    "is_enum",
    "keyed",
    "method_result",
    "short_name",
]

_MOST = 8  # alternatives followed
SEQUENCES = frozenset(f"builtins.{n}" for n in ("list", "set", "frozenset", "dict"))
ELEMENTS = frozenset({
    "Iterable", "Iterator", "Generator", "Sequence", "MutableSequence", "Collection", "Reversible", "Set",
    "MutableSet", "AbstractSet", "KeysView", "AsyncIterable", "AsyncIterator",
    "AsyncGenerator", "deque", "Mapping", "MutableMapping", "defaultdict", "OrderedDict", "Counter",
})  # fmt: skip
_ITERATORS = frozenset({
    "Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "Iterable", "AsyncIterable",
})  # fmt: skip


def short_name(one: TypeRef) -> str:
    """The class's own name."""
    return one.qualified.rpartition(".")[2]


def method_result(source: ScopeSource, bindings: Bindings, owner: TypeRef, name: str) -> Types:
    """What the object's special method returns; nothing when it has none."""
    found = attribute(source, bindings, owner, name)
    return tuple(dict.fromkeys(t for f in found if not f.instance for t in bindings.result(f)))


def is_enum(bindings: Bindings, one: TypeRef) -> bool:
    """Whether the class is an enumeration."""
    return "enum.Enum" in bindings.order(one)


def elements(source: ScopeSource, types: Types, bindings: Bindings) -> Types:
    """What iterating over objects of these types gives."""
    found: list[TypeRef] = []
    for one in types[:_MOST]:
        if not one.known:
            continue
        if not one.instance:
            if is_enum(bindings, one):
                found.append(TypeRef(one.qualified))
            continue
        name = short_name(one)
        if one.qualified == "builtins.tuple":
            found += [a for a in one.args if a.qualified not in ("", "...")]
        elif (held := held_by(one)) is not None:
            found += [held, one]  # a row of a grid is such an array again
        elif one.qualified in SEQUENCES or name in ELEMENTS:
            found += [a for a in one.args[:1] if a.qualified]
        elif name == "ValuesView":
            found += [a for a in one.args[-1:] if a.qualified]
        elif name == "ItemsView":
            found.append(TypeRef("builtins.tuple", True, one.args[:2]))
        elif one.qualified == "builtins.str":
            found.append(one)
        elif one.qualified == "typing.Coroutine":
            found += elements(source, one.args[-1:], bindings)
        elif (parts := as_tuple(source, bindings, one)) is not None:
            found += [a for a in parts.args if a.qualified not in ("", "...")]
        else:
            found += _iterated(source, bindings, one)
    return tuple(dict.fromkeys(f for f in found if f.qualified and (f.known or f.qualified[0] == "~")))[:_MOST]


def _iterated(source: ScopeSource, bindings: Bindings, one: TypeRef) -> Iterator[TypeRef]:
    """By ``__iter__`` and, where that gives no plain iterator, its ``__next__``."""
    iterators = method_result(source, bindings, one, "__iter__")
    again, next_name = iterators or method_result(source, bindings, one, "__aiter__"), "__next__" if iterators else "__anext__"
    for iterator in again:
        if short_name(iterator) in _ITERATORS:
            yield from (a for a in iterator.args[:1] if a.qualified)
        else:
            given = method_result(source, bindings, iterator, next_name)
            yield from given if iterators else awaited(source, given, bindings)


def as_tuple(source: ScopeSource, bindings: Bindings, one: TypeRef) -> TypeRef | None:
    """The object as a plain tuple when its class is a named one (or derives from ``tuple[...]``)."""
    if one.qualified == "builtins.tuple":
        return one
    if not one.instance:
        return None
    own = bindings.own_fields(one)
    order = bindings.order(one)
    if "builtins.tuple" not in order and "typing.NamedTuple" not in order:
        return None
    if own is not None:
        parts = [attribute(source, bindings, one, name) for name in own]
        return TypeRef("builtins.tuple", True, tuple(p[0] if p else TypeRef("") for p in parts))
    for owner in order:
        for base, written in bases(source, owner):
            if base == "typing.NamedTuple" and (scope := scope_of(source, owner)) is not None:
                names = [n for n, s in scope.symbols.items() if s.kind == "attribute" and not n.startswith("_")]
                parts = [attribute(source, bindings, one, name) for name in names]
                return TypeRef("builtins.tuple", True, tuple(p[0] if p else TypeRef("") for p in parts))
            if base == "builtins.tuple" and isinstance(written, ast.Subscript):
                found = types_of(source, ast.unparse(written), owner.rpartition(".")[0])
                if found:
                    return found[0]
    return None


def awaited(source: ScopeSource, types: Types, bindings: Bindings) -> Types:
    """What awaiting objects of these types gives."""
    found: list[TypeRef] = []
    for one in types:
        if one.qualified.endswith("()"):
            found.append(one)
        elif short_name(one) in ("Coroutine", "Awaitable", "Future", "Task", "CoroutineType"):
            found += [one.args[-1]] if one.args else []
        else:
            generators = method_result(source, bindings, one, "__await__") if one.instance and one.known else ()
            found += [g.args[-1] for g in generators if g.args] or [one]
    return tuple(f for f in found if f.qualified)


def entered(source: ScopeSource, types: Types, bindings: Bindings) -> Types:
    """What ``with ... as`` binds for context managers of these types."""
    found: list[TypeRef] = []
    for one in types:
        if not one.instance:
            continue
        if one.qualified.endswith("()"):
            found.append(one)
            continue
        name = short_name(one)
        if name in _ITERATORS or name in ("AbstractContextManager", "AbstractAsyncContextManager"):
            found += [a for a in one.args[:1] if a.qualified]
            continue
        if name == "Coroutine":
            found += entered(source, awaited(source, (one,), bindings), bindings)
            continue
        given = method_result(source, bindings, one, "__enter__")
        if not (kept := [t for t in given if t.known]):
            given = awaited(source, method_result(source, bindings, one, "__aenter__"), bindings)
            kept = [t for t in given if t.known]
        found += kept or [one]
    return tuple(dict.fromkeys(found))


def keyed(source: ScopeSource, bindings: Bindings, one: TypeRef, key: ast.expr | None) -> Types:
    """The item of a ``TypedDict`` under a literal key."""
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str) or one.qualified in SEQUENCES:
        return ()
    if "builtins.dict" not in bindings.order(one):
        return ()
    if bindings.own_fields(one) is None:
        member = find_member(source, one.qualified, key.value)
        if member is None or member.symbol.kind != "attribute":
            return ()
    return attribute(source, bindings, one, key.value)

