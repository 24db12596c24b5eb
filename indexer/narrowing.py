"""What conditions say of names, and what is put into containers that begin empty."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from octod.indexer.attributes import Types
from octod.indexer.frames import Binding, Use
from octod.indexer.iteration import elements
from octod.indexer.lookup import TypeRef
from octod.indexer.parse import parse_expression

if TYPE_CHECKING:
    from octod.indexer.names import View
    from octod.indexer.place import Place

__all__ = ["filled", "is_empty", "narrowed"]

_MOST_FILLED = 6  # values put into a container that are looked at
_EMPTY = frozenset({"list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Queue"})


def narrowed(view: View, place: Place, binding: Binding, node: ast.expr) -> Types:
    """The types of a name after ``isinstance`` held (or did not), or in an ``except`` clause."""
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    classes = tuple(dict.fromkeys(t for n in nodes for t in _classes(place, n)))
    if binding.kind == "except":
        return classes
    before = parse_expression(binding.name)
    earlier = tuple(t for t in place.infer(before) if t.known) if before is not None else ()
    names = {c.qualified for c in classes}
    if binding.kind == "exclude":
        return tuple(t for t in earlier if names.isdisjoint(view.order(t.qualified)) or not t.instance)
    instance = binding.kind == "narrow"
    # what was known more closely before stays
    kept = tuple(t for t in earlier if t.instance == instance and not names.isdisjoint(view.order(t.qualified)))
    return kept or tuple(replace(c, instance=instance) for c in classes)


def _classes(place: Place, node: ast.expr) -> Types:
    """The classes in the second argument of ``isinstance``: written out, or a name for a tuple of them."""
    if found := place.annotation(node):
        return found
    inside: Types = ()
    for one in place.infer(node):
        inside += one.args if one.qualified == "builtins.tuple" else ()
    return tuple(replace(t, instance=True) for t in inside if t.known and not t.instance)


def is_empty(node: ast.expr) -> bool:
    """Whether the expression makes a container with nothing in it."""
    if isinstance(node, (ast.List, ast.Set)):
        return not node.elts
    if isinstance(node, ast.Dict):
        return not node.keys
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in _EMPTY and not node.args and not node.keywords
    return False


def filled(view: View, place: Place, block: int, binding: Binding, types: Types) -> Types:
    """An empty container's types with what is put into it later in the same function (or through ``self``)."""
    found: Types = ()
    frame = binding.frame
    puts: list[tuple[int, Binding]] = [(block, b) for b in frame.filled.get(binding.name, ())]
    if frame.kind == "module":
        puts += [
            (number, b)
            for number in view.binding_blocks(f"{binding.name}[]", view.last)
            if number != block
            for b in view.table(number).module.filled.get(binding.name, ())
        ]
    outer = frame.parent
    if outer is not None and outer.kind == "class" and frame.kind == "function":
        for part, number in view.parts(f"{view.module}.{outer.name}") or [(outer, block)]:
            if binding.name in part.attributes:
                puts += [(number, b) for b in part.filled.get(binding.name, ())]
    for number, put in puts[:_MOST_FILLED]:
        assert isinstance(put.node, ast.expr)
        there = view.place(number, Use(put.frame, put.order, put.branch))
        values = there.infer(put.node) if put.kind == "assign" and not put.path else ()
        if put.kind == "iterate":
            values = elements(view.source, there.infer(put.node), there)
        found += tuple(v for v in values if v.known)
    if not found:
        return types
    kinds = tuple(dict.fromkeys(found))
    return tuple(
        replace(t, args=(TypeRef(""), k) if _keyed(t) else (k,)) if not t.args else t for t in types for k in kinds
    )


def _keyed(one: TypeRef) -> bool:
    return one.qualified in ("builtins.dict", "collections.defaultdict", "collections.OrderedDict")
