"""What an attribute of a module, class or object is, by the index and by what the file itself defines."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from octod.indexer.annotations import arguments_of, types_of
from octod.indexer.lookup import ScopeSource, TypeRef, find_member, find_name, memo_of, mro, resolve, scope_of
from octod.indexer.lore import ACCESSORS, MISSING, OBJECTS, SAME_PART, VALUES
from octod.indexer.overloads import signatures
from octod.indexer.reading import METACLASS

__all__ = ["Bindings", "Types", "attribute", "held_by", "metaclass", "of_metaclass", "union"]

Types = tuple[TypeRef, ...]

_MOST = 8  # alternatives followed


class Bindings(Protocol):
    """The names around an expression, and what the file itself defines.  ``calls`` remembers what calls gave."""

    @property
    def calls(self) -> dict[ast.expr, Types]:
        """Results of the calls that were looked at."""

    def name(self, name: str) -> Types:
        """What the name is here."""

    def narrowed(self, node: ast.expr, assigned: bool) -> Types:
        """What a condition says here of an attribute or item (``self.x``), or what was ``assigned`` to it last."""

    def infer(self, expression: ast.expr, depth: int = 0) -> Types:
        """The types of an expression that stands here."""

    def annotation(self, node: ast.expr) -> Types:
        """The types that an annotation that stands here allows."""

    def result(self, function: TypeRef) -> Types:
        """What calling a function gives when nothing is known of the arguments."""

    def order(self, one: TypeRef) -> tuple[str, ...]:
        """The classes that attributes are looked up in, the file's own included."""

    def own_attribute(self, owner: TypeRef, name: str) -> Types | None:
        """The attribute of a class (or object of it) that the file defines; None when the class is not the file's."""

    def own_fields(self, owner: TypeRef) -> list[str] | None:
        """The annotated names of a class of the file in order; None when the class is not the file's."""

    def own_call(self, function: TypeRef, call: ast.Call | None = None, depth: int = 0) -> Types | None:
        """What a function of the file returns; None when it is not the file's."""

    def above(self) -> Types:
        """What ``super()`` gives the attributes of."""

    def inside(self, node: ast.expr) -> Bindings:
        """The bindings in the element of a comprehension, or the body of a lambda."""


def union(groups: Iterable[Types]) -> Types:
    """One union of several, in order; at most 16 alternatives."""
    return tuple(dict.fromkeys(t for group in groups for t in group))[: 2 * _MOST]


def attribute(source: ScopeSource, bindings: Bindings | None, owner: TypeRef, name: str) -> Types:
    """What ``owner.name`` is."""
    if not owner.known:
        return ()
    if name == "__class__" and owner.instance:
        return (replace(owner, instance=False, receiver=None),)
    if bindings is not None and (own := bindings.own_attribute(owner, name)) is not None:
        return own
    memo = memo_of(source).other
    key = ("attribute", owner, name)
    try:
        known = memo[key]
    except KeyError:
        known = memo[key] = _attribute(source, owner, name)
    assert isinstance(known, tuple)
    return known


def _attribute(source: ScopeSource, owner: TypeRef, name: str) -> Types:
    if not owner.instance:
        target = resolve(source, f"{owner.qualified}.{name}")
        if target is None:
            return of_metaclass(source, owner, metaclass(source, mro(source, owner.qualified)), name)
        if target.kind in ("module", "class"):
            return (TypeRef(target.qualified, False),)
        if target.kind == "function":
            return (TypeRef(target.qualified, False, (), owner if _is_class(source, owner) else None),)
        if target.symbol is None or target.kind == "property":
            return ()
        if value := VALUES.get(target.qualified):
            return types_of(source, value, "")
        return types_of(source, target.symbol.returns, target.qualified.rpartition(".")[0], replace(owner, instance=True))
    if held_by(owner) is not None and name in SAME_PART:
        return (owner,)
    member = find_member(source, owner.qualified, name)
    if member is None:
        return tuple(TypeRef(t) for t in MISSING.get(owner.qualified, ()))
    symbol, home = member.symbol, member.owner
    if symbol.kind == "alias":
        target = resolve(source, f"{home}.{symbol.name}")
        if target is None or target.symbol is None:
            return (TypeRef(target.qualified, False),) if target is not None else ()
        symbol, home = target.symbol, target.qualified.rpartition(".")[0]
        if target.kind in ("class", "module"):
            return (TypeRef(target.qualified, False),)
    if accessor := ACCESSORS.get(f"{home}.{name}"):
        return (TypeRef(accessor),)
    if symbol.kind == "function":
        return (TypeRef(f"{home}.{symbol.name}", False, (), owner),)
    if symbol.kind == "class":
        return (TypeRef(f"{home}.{symbol.name}", False),)
    found = types_of(source, symbol.returns, home, owner, arguments_of(source, owner, home))
    if symbol.kind == "attribute":
        return union(_described(source, t, owner) for t in found)
    if not found and symbol.kind == "property":
        return (TypeRef(f"{home}.{name}()"),)
    return found


def metaclass(source: ScopeSource, order: Iterable[str]) -> str | None:
    """The class that a class with this resolution order is an object of, where one of them names it."""
    for owner in order:
        scope = scope_of(source, owner)
        for text in scope.bases if scope is not None else ():
            if text.startswith(METACLASS):
                target = find_name(source, text.removeprefix(METACLASS), owner.rpartition(".")[0])
                return target.qualified if target is not None and target.kind == "class" else None
    return None


def of_metaclass(source: ScopeSource, owner: TypeRef, meta: str | None, name: str) -> Types:
    """What a class has by its metaclass: an attribute of that, whose objects are classes."""
    member = find_member(source, meta, name) if meta is not None else None
    if member is None or member.owner == "builtins.object":
        return ()
    if member.symbol.kind == "function":
        return (TypeRef(f"{member.owner}.{name}", False, (), replace(owner, instance=True, receiver=None)),)
    return types_of(source, member.symbol.returns, member.owner, replace(owner.receiver or owner, instance=True))


def held_by(one: TypeRef) -> TypeRef | None:
    """What an array of objects holds; None for anything else."""
    if one.qualified == OBJECTS and len(one.args) == 1 and one.args[0].known:
        return one.args[0]
    return None


def _described(source: ScopeSource, value: TypeRef, owner: TypeRef) -> Types:
    """What a descriptor gives when it is read from an object."""
    if not value.instance or value.qualified.startswith("builtins.") or not value.known:
        return (value,)
    getter = find_member(source, value.qualified, "__get__")
    if getter is None or getter.symbol.kind != "function":
        return (value,)
    found: Types = ()
    for _, returns in signatures(getter.symbol):
        found += types_of(source, returns, getter.owner, value, arguments_of(source, value, getter.owner))
    plain = tuple(t for t in found if t.qualified != value.qualified and t.qualified != "builtins.object")
    return plain or (value,)


def _is_class(source: ScopeSource, owner: TypeRef) -> bool:
    target = resolve(source, owner.qualified)
    return target is not None and target.kind == "class"
