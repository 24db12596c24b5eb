"""The functions and classes that a file itself defines: parameters, results, decorators, attributes."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from octod.indexer.annotations import has_placeholder, substitute
from octod.indexer.attributes import Types, attribute, of_metaclass
from octod.indexer.calls import called
from octod.indexer.frames import LATER, Binding, Branch, Frame, Use
from octod.indexer.iteration import elements
from octod.indexer.lookup import TypeRef, dotted
from octod.indexer.lore import STAND_FOR
from octod.indexer.solving import match

if TYPE_CHECKING:
    from octod.indexer.names import View
    from octod.indexer.place import Place

__all__ = ["class_bases", "decorated", "decorator_names", "own_attribute", "own_call", "self_type"]

_DEEPEST = 12  # functions of the file followed into one another
_MOST_RETURNS = 6

# Decorators that leave a function what it is, or that are read elsewhere.
_TRANSPARENT = frozenset({
    "staticmethod", "classmethod", "abstractmethod", "overload", "override", "final", "wraps", "cache",
    "lru_cache", "contextmanager", "asynccontextmanager", "fixture", "dataclass", "property",
    "cached_property", "setter", "getter", "deleter", "singledispatch", "total_ordering",
    "runtime_checkable",
})  # fmt: skip
_PROPERTIES = frozenset({"property", "cached_property", "hybrid_property", "cache_readonly", "abstractproperty"})


def self_type(view: View, outer: Frame) -> TypeRef | None:
    """What ``Self`` stands for in a method of the frame, when that is a class."""
    return TypeRef(f"{view.module}.{outer.name}") if outer.kind == "class" else None


def decorated(view: View, place: Place, binding: Binding) -> Types:
    """The function, or what its decorators make of it (``@click.group()`` makes a Group)."""
    node = binding.node
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and binding.inner is not None
    value: Types = (TypeRef(f"{view.module}.{binding.inner.name}", False),)
    for decorator in reversed(node.decorator_list):
        head = decorator.func if isinstance(decorator, ast.Call) else decorator
        last = dotted(head).rpartition(".")[2]
        if last in _TRANSPARENT:
            continue
        call = ast.copy_location(ast.Call(decorator, [ast.Name(node.name, ast.Load())], []), node)
        made = tuple(t for d in place.infer(decorator) for t in called(view.source, place, d, call))
        objects = tuple(t for t in made if t.instance and t.known and t.qualified != "typing.Callable")
        if not objects and (results := {a for t in made for a in t.args[:1] if a.known}):
            plain = {r for f in value for r in place.result(f)}
            objects = made if plain and plain.isdisjoint(results) else ()
        value = objects or value
    return value


def own_call(view: View, around: Place, function: TypeRef, call: ast.Call | None = None, depth: int = 0) -> Types | None:
    """What calling a function or class of the file gives; None when it is not the file's."""
    found = view.parts(function.qualified)
    if not found:
        return None
    frame, block = found[0]
    if frame.kind == "class":
        return (TypeRef(function.qualified, True, function.args),)
    known = view.calls.get(frame)
    if known is None:
        view.calls[frame] = ()
        known = view.calls[frame] = _returned(view, frame, block) if view.depth < _DEEPEST else ()
    if not any(map(has_placeholder, known)):
        return known
    own = function.receiver or (self_type(view, frame.parent) if frame.parent is not None else None)
    values = _class_values(view, function.receiver, frame)
    if call is not None and depth < _DEEPEST:
        values |= _solved(view, around, frame, block, call, function.receiver is not None, depth)
    return substitute(known, replace(own, instance=True) if own is not None else None, values)


def _class_values(view: View, receiver: TypeRef | None, frame: Frame) -> dict[str, Types]:
    """What the type variables of a generic class of the file stand for in an object of it."""
    if receiver is None or not receiver.args or frame.parent is None or not isinstance(frame.parent.node, ast.ClassDef):
        return {}
    names = [p.name for p in getattr(frame.parent.node, "type_params", ())]
    for base in frame.parent.node.bases:
        if isinstance(base, ast.Subscript) and dotted(base.value).rpartition(".")[2] in ("Generic", "Protocol"):
            names = [n.id for n in ast.walk(base.slice) if isinstance(n, ast.Name)]
    return {n: (a,) for n, a in zip(names, receiver.args, strict=False) if a.qualified}


def _solved(
    view: View, around: Place, frame: Frame, block: int, call: ast.Call, bound: bool, depth: int
) -> dict[str, Types]:
    """Type variables, and parameters without annotation, by the arguments of a call."""
    node = frame.node
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and frame.parent is not None
    place = view.place(block, Use(frame.parent, frame.order, frame.branch))
    every = [*node.args.posonlyargs, *node.args.args]
    positional = every[1:] if bound and frame.parent.kind == "class" else every
    found: dict[str, dict[TypeRef, None]] = {}
    pairs = [(p, a) for p, a in zip(positional, call.args, strict=False) if not isinstance(a, ast.Starred)]
    pairs += [(p, k.value) for k in call.keywords for p in (*every, *node.args.kwonlyargs) if p.arg == k.arg]
    for argument, value in pairs:
        wanted = place.template(argument.annotation) if argument.annotation is not None else (TypeRef(f"~{frame.name}:{argument.arg}"),)
        if any(map(has_placeholder, wanted)):
            for one in around.infer(value, depth + 1):
                for template in wanted:
                    match(view.source, around, template, one, found, 0)
    return {name: tuple(types) for name, types in found.items()}


def _returned(view: View, frame: Frame, block: int) -> Types:
    node = frame.node
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or frame.parent is None:
        return ()
    view.depth += 1
    inner = getattr(node, "type_params", ())
    place = view.place(block, Use(frame, LATER, None) if inner else Use(frame.parent, frame.order, frame.branch))
    types: Types = ()
    managed = not {"contextmanager", "asynccontextmanager"}.isdisjoint(decorator_names(node))
    if node.returns is not None:
        types = place.template(node.returns)
    elif frame.yields:
        inside = _union(view, frame, block, frame.yields)
        types = tuple(TypeRef("typing.Iterator", True, (t,)) for t in inside)
    else:
        types = _union(view, frame, block, frame.returns)
    view.depth -= 1
    if managed:
        types = tuple(replace(t, qualified="contextlib.AbstractContextManager") for t in types if t.args)
    elif isinstance(node, ast.AsyncFunctionDef) and not frame.yields:
        types = tuple(TypeRef("typing.Coroutine", True, (TypeRef(""), TypeRef(""), t)) for t in types)
    return types


def _union(view: View, frame: Frame, block: int, values: list[tuple[ast.expr, int, Branch | None]]) -> Types:
    found: dict[TypeRef, None] = {}
    for value, order, branch in values[:_MOST_RETURNS]:
        place = view.place(block, Use(frame, order, branch))
        if isinstance(value, ast.Starred):  # yield from
            found.update(dict.fromkeys(elements(view.source, place.infer(value.value), place)))
            continue
        given = _given_back(frame, value)
        found.update(dict.fromkeys((given,) if given is not None else place.infer(value)))
    return tuple(found)


def _given_back(frame: Frame, value: ast.expr) -> TypeRef | None:
    """A placeholder for a parameter without annotation that is returned as it is."""
    if not isinstance(value, ast.Name) or not isinstance(frame.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    bound = frame.bindings.get(value.id, [])
    if len(bound) != 1 or bound[0].kind != "parameter" or not isinstance(bound[0].node, ast.arg) or bound[0].node.annotation is not None:
        return None
    arguments = [*frame.node.args.posonlyargs, *frame.node.args.args, *frame.node.args.kwonlyargs]
    in_class = frame.parent is not None and frame.parent.kind == "class"
    if bound[0].node not in arguments[1 if in_class else 0 :]:
        return None
    return TypeRef(f"~{frame.name}:{value.id}")


def class_bases(view: View, frame: Frame, block: int) -> Types:
    """The classes that a class of the file derives from, with their type arguments."""
    if not isinstance(frame.node, ast.ClassDef) or frame.parent is None:
        return ()
    place = view.place(block, Use(frame.parent, frame.order, frame.branch))
    found: Types = ()
    for base in frame.node.bases:
        types = tuple(t for t in place.infer(base) if not t.instance and t.known)
        if not types or types[0].qualified in STAND_FOR:
            target = place.target(dotted(base))
            known = STAND_FOR.get(target.qualified if target is not None else "")
            types = (TypeRef(known, False),) if known else types
        found += types
    return found


def own_attribute(view: View, owner: TypeRef, name: str) -> Types | None:
    """The attribute of a class of the file, inherited ones included; None when it is not the file's class."""
    found = view.parts(owner.qualified)
    if not found or found[0][0].kind != "class":
        return None
    if view.depth >= _DEEPEST:
        return ()
    view.depth += 1
    try:
        return _own_attribute(view, found, owner, name)
    finally:
        view.depth -= 1


def _own_attribute(view: View, parts: list[tuple[Frame, int]], owner: TypeRef, name: str) -> Types:
    in_body = [(number, b) for part, number in parts for b in part.bindings.get(name, ())]
    if in_body and in_body[-1][1].kind == "def":
        number, binding = in_body[-1]
        node = binding.node
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and binding.inner is not None
        function = TypeRef(f"{view.module}.{binding.inner.name}", False, (), owner)
        if not _PROPERTIES.isdisjoint(decorator_names(node)) or "setter" in decorator_names(node):
            return own_call(view, view.place(number, Use(parts[0][0], LATER, None)), function) or ()
        decorated = view.types(number, binding)
        return (function,) if decorated and not decorated[0].instance else decorated
    if in_body and in_body[-1][1].kind == "assign" and not name.startswith("_") and "enum.Enum" in view.order(owner.qualified):
        return (TypeRef(owner.qualified),)
    bound = in_body + [(number, b) for part, number in parts for b in part.attributes.get(name, ())]
    types = tuple(dict.fromkeys(t for number, b in bound for t in view.types(number, b)))
    if types:
        return types
    frame, block = parts[0]
    for base in class_bases(view, frame, block):
        inherited = replace(base, instance=owner.instance, receiver=None if owner.instance else owner)
        place = view.place(block, Use(frame, LATER, None))
        types = attribute(view.source, place, inherited, name)
        if types:
            # the object stays what it is; the base as written says what its type variables are
            whole = replace(owner, receiver=inherited) if inherited.args else owner
            return tuple(replace(t, receiver=whole) if t.receiver == inherited else t for t in types)
    return _of_metaclass(view, frame, block, owner, name) if not owner.instance else ()


def _of_metaclass(view: View, frame: Frame, block: int, owner: TypeRef, name: str) -> Types:
    """What the class has by the metaclass that it names."""
    assert isinstance(frame.node, ast.ClassDef) and frame.parent is not None
    place = view.place(block, Use(frame.parent, frame.order, frame.branch))
    for keyword in frame.node.keywords:
        if keyword.arg == "metaclass":
            for meta in place.infer(keyword.value):
                if view.owns(meta.qualified):
                    return attribute(view.source, place, TypeRef(meta.qualified), name)
                return of_metaclass(view.source, owner, meta.qualified, name)
    return ()


def decorator_names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The last names of a function's decorators."""
    heads = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return {dotted(h).rpartition(".")[2] for h in heads}
