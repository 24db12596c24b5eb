"""Placeholders in types: type variables and ``Self`` as ``~T``, found and filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from octod.indexer.sources import TypeRef

__all__ = ["UNKNOWN", "Variables", "free_variables", "has_placeholder", "products", "substitute", "union_of", "weight"]

UNKNOWN = TypeRef("")
Variables = Mapping[str, tuple[TypeRef, ...]]

_MOST = 12  # alternatives kept of a union
_DEEPEST = 10


def products(choices: list[tuple[TypeRef, ...]]) -> list[tuple[TypeRef, ...]]:
    """Argument lists, one for each alternative of an argument: the k-th of each, the last repeated."""
    longest = min(max((len(c) for c in choices), default=1) or 1, _MOST)
    return [tuple(c[min(k, len(c) - 1)] if c else UNKNOWN for c in choices) for k in range(longest)]


def weight(one: TypeRef) -> int:
    """How many types there are in it, itself included."""
    return 1 + sum(map(weight, one.args))


def union_of(left: tuple[TypeRef, ...], right: tuple[TypeRef, ...]) -> tuple[TypeRef, ...]:
    return tuple(dict.fromkeys((*left, *right)))[:_MOST]


def free_variables(one: TypeRef, found: dict[str, None]) -> None:
    """The type variables of a template in the order in which they appear."""
    if one.qualified.startswith("~") and one.qualified != "~Self":
        found[one.qualified[1:]] = None
    else:
        for argument in one.args:
            free_variables(argument, found)


def substitute(
    types: tuple[TypeRef, ...], self_type: TypeRef | None, variables: Variables | None, keep: bool = False
) -> tuple[TypeRef, ...]:
    """The types with their placeholders filled in; a variable without value stays (``keep``), is its bound, or unknown."""
    if not any(has_placeholder(t) for t in types):
        return types
    found: list[TypeRef] = []
    for one in types:
        found += _filled(one, self_type, variables or {}, 0, keep)
    return tuple(dict.fromkeys(t for t in found if t.qualified))[:_MOST]


def has_placeholder(one: TypeRef) -> bool:
    """Whether a type variable or ``Self`` is left in it."""
    return one.qualified.startswith("~") or any(has_placeholder(a) for a in one.args)


def _filled(
    one: TypeRef, self_type: TypeRef | None, variables: Variables, depth: int, keep: bool
) -> tuple[TypeRef, ...]:
    if depth > _DEEPEST:
        return ()
    if one.qualified == "~Self":
        if self_type is None:
            return ()
        return (replace(self_type, instance=one.instance, receiver=None),)
    if one.qualified.startswith("~"):
        values = variables.get(one.qualified[1:])
        if not values and keep:
            return (one,)
        if not values:
            values = substitute(one.args, self_type, variables) if one.args else ()
        return tuple(v if one.instance else replace(v, instance=False) for v in values)
    if not one.args or not has_placeholder(one):
        return (one,)
    choices = [_filled(a, self_type, variables, depth + 1, keep) for a in one.args]
    return tuple(replace(one, args=arguments) for arguments in products(choices))
