"""The functions and classes that a file itself defines: parameters, results, decorators, attributes."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from octod.indexer.annotations import substitute
from octod.indexer.attributes import Types, attribute
from octod.indexer.frames import LATER, Binding, Branch, Frame, Use
from octod.indexer.infer import awaited, called, elements
from octod.indexer.lookup import TypeRef, dotted

if TYPE_CHECKING:
    from octod.indexer.names import Place, View

__all__ = ["class_bases", "decorated", "own_attribute", "own_call", "parameter"]

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


def parameter(view: View, block: int, frame: Frame, node: ast.arg) -> Types:
    function = frame.node
    assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    outer = frame.parent
    assert outer is not None
    place = view.place(block, Use(outer, frame.order, frame.branch))
    if node.annotation is not None and (types := place.annotation(node.annotation, _self(view, outer))):
        return types
    every = [*function.args.posonlyargs, *function.args.args]
    names = _decorator_names(function)
    if outer.kind == "class" and every and every[0] is node and "staticmethod" not in names:
        on_class = "classmethod" in names or function.name in ("__new__", "__init_subclass__", "__class_getitem__")
        return (TypeRef(f"{view.module}.{outer.name}", not on_class),)
    default = _default(function, node)
    if default is not None and (types := place.infer(default)):
        return types
    if function.name.startswith("test") or "fixture" in names:
        return _fixture(view, node.arg)
    return ()


def _self(view: View, outer: Frame) -> TypeRef | None:
    return TypeRef(f"{view.module}.{outer.name}") if outer.kind == "class" else None


def _fixture(view: View, name: str) -> Types:
    """What a pytest fixture of the file gives."""
    found = view.parts(f"{view.module}.{name}")
    if not found or not isinstance(found[0][0].node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ()
    if "fixture" not in _decorator_names(found[0][0].node):
        return ()
    types = own_call(view, TypeRef(f"{view.module}.{name}", False)) or ()
    yielded = elements(view.source, types) if found[0][0].yields else types
    return awaited(view.source, yielded)


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
        value = objects or value
    return value


def own_call(view: View, function: TypeRef) -> Types | None:
    """What calling a function or class of the file gives; None when it is not the file's."""
    found = view.parts(function.qualified)
    if not found:
        return None
    frame, block = found[0]
    if frame.kind == "class":
        return (TypeRef(function.qualified),)
    known = view.calls.get(frame)
    if known is None:
        view.calls[frame] = ()
        known = view.calls[frame] = _returned(view, frame, block) if view.depth < _DEEPEST else ()
    if function.receiver is not None:
        known = substitute(known, function.receiver, None)
    return known


def _returned(view: View, frame: Frame, block: int) -> Types:
    node = frame.node
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or frame.parent is None:
        return ()
    view.depth += 1
    place = view.place(block, Use(frame.parent, frame.order, frame.branch))
    types: Types = ()
    if node.returns is not None:
        types = place.annotation(node.returns, _self(view, frame.parent))
    elif frame.yields:
        inside = _union(view, frame, block, frame.yields)
        types = tuple(TypeRef("typing.Iterator", True, (t,)) for t in inside)
    else:
        types = _union(view, frame, block, frame.returns)
    view.depth -= 1
    if isinstance(node, ast.AsyncFunctionDef) and not frame.yields:
        types = tuple(TypeRef("typing.Coroutine", True, (TypeRef(""), TypeRef(""), t)) for t in types)
    return types


def _union(view: View, frame: Frame, block: int, values: list[tuple[ast.expr, int, Branch | None]]) -> Types:
    found: dict[TypeRef, None] = {}
    for value, order, branch in values[:_MOST_RETURNS]:
        place = view.place(block, Use(frame, order, branch))
        found.update(dict.fromkeys(place.infer(value)))
    return tuple(found)


def class_bases(view: View, frame: Frame, block: int) -> Types:
    """The classes that a class of the file derives from."""
    if not isinstance(frame.node, ast.ClassDef) or frame.parent is None:
        return ()
    place = view.place(block, Use(frame.parent, frame.order, frame.branch))
    return tuple(t for b in frame.node.bases for t in place.infer(b) if not t.instance and t.known)


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
        if not _PROPERTIES.isdisjoint(_decorator_names(node)) or "setter" in _decorator_names(node):
            return own_call(view, function) or ()
        decorated = view.types(number, binding)
        return (function,) if decorated and not decorated[0].instance else decorated
    bound = in_body + [(number, b) for part, number in parts for b in part.attributes.get(name, ())]
    types = tuple(dict.fromkeys(t for number, b in bound for t in view.types(number, b)))
    if types or bound:
        return types
    frame, block = parts[0]
    for base in class_bases(view, frame, block):
        inherited = replace(base, instance=owner.instance, receiver=None)
        place = view.place(block, Use(frame, LATER, None))
        types = attribute(view.source, place, inherited, name)
        if types:
            return tuple(replace(t, receiver=owner) if t.receiver == inherited else t for t in types)
    return ()


def _decorator_names(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    heads = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return {dotted(h).rpartition(".")[2] for h in heads}


def _default(function: ast.FunctionDef | ast.AsyncFunctionDef, node: ast.arg) -> ast.expr | None:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        if argument is node:
            return default
    for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=False):
        if argument is node:
            return keyword_default
    return None
