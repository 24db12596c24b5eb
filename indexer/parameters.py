"""What parameters are: by annotation, default, docstring, pytest's fixtures, the calls in the file, or the caller of a lambda."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from octod.indexer.annotations import arguments_of, substitute, template_of, types_of
from octod.indexer.attributes import Types
from octod.indexer.calls import called, fitting_types, makers_of
from octod.indexer.definitions import decorator_names, own_call, self_type
from octod.indexer.docstrings import return_type
from octod.indexer.frames import Binding, Call, Frame, Use
from octod.indexer.iteration import awaited, elements
from octod.indexer.lookup import TypeRef, dotted, mro, resolve
from octod.indexer.lore import CALLBACKS, FIXTURES
from octod.indexer.parse import parse_expression
from octod.indexer.solving import given, solve

if TYPE_CHECKING:
    from octod.indexer.names import View
    from octod.indexer.place import Place

__all__ = ["of_function", "of_lambda"]

_MOST_CALLS = 4  # calls of a function in the file that say what its parameters are
_DEEPEST = 8
_ON_CLASS = ("__new__", "__init_subclass__", "__class_getitem__")


def of_function(view: View, block: int, frame: Frame, node: ast.arg) -> Types:
    """The types of a parameter of a function of the file."""
    function = frame.node
    assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    outer = frame.parent
    assert outer is not None
    place = view.place(block, Use(outer, frame.order, frame.branch))
    if node is function.args.vararg:
        inside = place.annotation(node.annotation) if node.annotation is not None else ()
        return tuple(TypeRef("builtins.tuple", True, (t, TypeRef("..."))) for t in inside) or (TypeRef("builtins.tuple"),)
    if node is function.args.kwarg:
        inside = place.annotation(node.annotation) if node.annotation is not None else ()
        if isinstance(node.annotation, ast.Subscript) and dotted(node.annotation.value).rpartition(".")[2] == "Unpack":
            return inside  # PEP 692: a TypedDict says which keywords there are
        word = TypeRef("builtins.str")
        return tuple(TypeRef("builtins.dict", True, (word, t)) for t in inside) or (TypeRef("builtins.dict", True, (word, TypeRef(""))),)
    if node.annotation is not None:
        inner = view.place(block, Use(frame, 1 << 30, None)) if getattr(function, "type_params", ()) else place
        if types := inner.annotation(node.annotation, self_type(view, outer)):
            return types
    every = [*function.args.posonlyargs, *function.args.args]
    names = decorator_names(function)
    if outer.kind == "class" and every and every[0] is node and "staticmethod" not in names:
        on_class = "classmethod" in names or function.name in _ON_CLASS
        return (TypeRef(f"{view.module}.{outer.name}", not on_class),)
    default = _default(function, node)
    types = place.infer(default) if default is not None else ()
    if function.name.startswith("test") or "fixture" in names:
        return types or _parametrized(place, function, node.arg) or _fixture(view, outer, node.arg)
    if types and not all(t.qualified in _FLAGS for t in types):
        return types
    return _by_callers(view, frame, function, node) or types or _documented(place, function, node.arg)


_FLAGS = frozenset({"builtins.bool", "builtins.int", "builtins.str"})  # ``x=False`` is often of another type, too


def _documented(place: Place, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Types:
    """What the function's docstring says of a parameter (numpydoc, Sphinx and Google styles)."""
    doc = ast.get_docstring(function, clean=False) or ""
    if name not in doc:
        return ()
    found = re.search(rf"^[ \t]*(?:{name}[ \t]*:[ \t]*|:type[ \t]+{name}:[ \t]*|{name}[ \t]*\(([^)\n]+)\):)(.*)$", doc, re.MULTILINE)
    if found is None:
        return ()
    text = return_type(f":rtype: {found[1] or found[2]}", lambda root: bool(place.name(root)))
    node = parse_expression(text) if text else None
    types = place.annotation(node) if node is not None else ()
    return types or types_of(place.view.source, text, "")


# pytest ------------------------------------------------------------------------------------------------------------


def _parametrized(place: Place, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Types:
    """What ``@pytest.mark.parametrize`` gives a test."""
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call) or not dotted(decorator.func).endswith("parametrize") or len(decorator.args) < 2:
            continue
        written, values = decorator.args[0], decorator.args[1]
        names = [e.value for e in getattr(written, "elts", []) if isinstance(e, ast.Constant)]
        if isinstance(written, ast.Constant):
            names = [n.strip() for n in str(written.value).split(",")]
        if name not in names:
            continue
        found: Types = ()
        for value in getattr(values, "elts", [])[:3]:
            parts = value.args if isinstance(value, ast.Call) and dotted(value.func).endswith("param") else getattr(value, "elts", [])
            one = value if len(names) == 1 and not isinstance(value, ast.Call) else (parts or [value])[0]
            if len(names) > 1:
                if names.index(name) >= len(parts):
                    continue
                one = parts[names.index(name)]
            found += place.infer(one)
        return tuple(dict.fromkeys(found)) or elements(place.view.source, place.infer(values), place)
    return ()


def _fixture(view: View, outer: Frame, name: str) -> Types:
    """What a pytest fixture of the file, its class, a ``conftest.py`` above or pytest itself gives."""
    homes = [f"{view.module}.{outer.name}"] if outer.kind == "class" else []
    for home in (*homes, view.module):
        found = view.parts(f"{home}.{name}") or _renamed_fixture(view, name)
        node = found[0][0].node if found else None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and "fixture" in decorator_names(node):
            frame, block = found[0]
            place = view.place(block, Use(frame.parent or frame, frame.order, frame.branch))
            types = own_call(view, place, TypeRef(f"{view.module}.{frame.name}", False)) or ()
            return awaited(view.source, elements(view.source, types, place) if frame.yields else types, place)
    package = view.module.rpartition(".")[0]
    while package:
        target = resolve(view.source, f"{package}.conftest.{name}")
        if target is not None and target.kind == "function":
            place = view.place(0, Use(view.table(0).module, 0, None))
            types = called(view.source, place, TypeRef(target.qualified, False), None)
            many = any(t.qualified in ("typing.Iterator", "typing.Generator") for t in types)
            return elements(view.source, types, place) if many else types
        package = package.rpartition(".")[0]
    known = FIXTURES.get(name)
    target = resolve(view.source, known) if known is not None else None
    return (TypeRef(target.qualified),) if target is not None and target.kind == "class" else ()


def _renamed_fixture(view: View, name: str) -> list[tuple[Frame, int]]:
    """The fixture that says ``name="..."``."""
    for number, block in enumerate(view.tree.blocks):
        text = block.parsed.text
        if "fixture" in text and (f'name="{name}"' in text or f"name='{name}'" in text):
            for frame in view.table(number).frames.values():
                for decorator in getattr(frame.node, "decorator_list", ()):
                    if isinstance(decorator, ast.Call) and any(
                        k.arg == "name" and isinstance(k.value, ast.Constant) and k.value.value == name for k in decorator.keywords
                    ):
                        return [(frame, number)]
    return []


# callers -----------------------------------------------------------------------------------------------------------


def _by_callers(view: View, frame: Frame, function: ast.FunctionDef | ast.AsyncFunctionDef, node: ast.arg) -> Types:
    """What the file's own calls of the function give for a parameter that nothing else is known of."""
    if view.depth >= _DEEPEST or function.name.startswith("__") and function.name != "__init__":
        return ()
    outer = frame.parent
    method = outer is not None and outer.kind == "class"
    name = function.name
    if name == "__init__" and outer is not None:
        name, method = outer.name.rpartition(".")[2], False
    positional = [*function.args.posonlyargs, *function.args.args]
    bound = 1 if outer is not None and outer.kind == "class" and "staticmethod" not in decorator_names(function) else 0
    index = positional.index(node) - bound if node in positional else -1
    found: Types = ()
    looked = 0
    view.depth += 1
    try:
        for number, call in _calls_of(view, name, method):
            assert call.node is not None
            value = next((k.value for k in call.node.keywords if k.arg == node.arg), None)
            if value is None and 0 <= index < len(call.node.args) and not any(isinstance(a, ast.Starred) for a in call.node.args):
                value = call.node.args[index]
            if value is None or call.use.frame is frame:
                continue
            found += view.place(number, call.use).infer(value)
            looked += 1
            if looked >= _MOST_CALLS:
                break
    finally:
        view.depth -= 1
    return tuple(dict.fromkeys(t for t in found if t.known))


def _calls_of(view: View, name: str, method: bool) -> Iterator[tuple[int, Call]]:
    written = f"{name}("
    for number, block in enumerate(view.tree.blocks):
        if written not in block.parsed.text:
            continue
        table = view.table(number)
        for call in table.calls if method else table.bare:
            if call.member != name or call.node is None:
                continue
            if method and not (isinstance(call.receiver, ast.Name) and call.receiver.id in ("self", "cls")):
                continue
            yield number, call


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


# lambdas -----------------------------------------------------------------------------------------------------------


def of_lambda(view: View, place: Place, binding: Binding) -> Types:
    """What a lambda's parameter is: its default, or what the function that the lambda is given to passes to it."""
    node = binding.frame.node
    assert isinstance(node, ast.Lambda)
    number = binding.path[0]
    outer = binding.frame.parent
    assert outer is not None
    around = view.place(place.block, Use(outer, binding.frame.order, binding.frame.branch))
    every = [*node.args.posonlyargs, *node.args.args]
    if (at := number - len(every) + len(node.args.defaults)) >= 0 and number < len(every):
        return around.infer(node.args.defaults[at])
    call = binding.node
    if not isinstance(call, ast.Call):
        return ()
    found: Types = ()
    for function in around.infer(call.func)[:2]:
        found += _passed(view, around, function, call, node, number)
    return tuple(dict.fromkeys(t for t in found if t.known))


def _passed(view: View, place: Place, function: TypeRef, call: ast.Call, node: ast.Lambda, number: int) -> Types:
    source, receiver = view.source, function.receiver
    if receiver is not None and number == 0:
        name = function.qualified.rpartition(".")[2]
        for owner in mro(source, receiver.qualified):
            if known := CALLBACKS.get(f"{owner}.{name}"):
                return (receiver if known == "Self" else TypeRef(known),)
    target = resolve(source, function.qualified) if not function.instance else None
    if target is None or target.symbol is None:
        return ()
    functions = [(target.symbol, target.qualified.rpartition(".")[0])]
    if target.kind == "class":
        functions = [(m.symbol, m.owner) for m in makers_of(source, target.qualified)]
    values = arguments_of(source, receiver.receiver or receiver, functions[0][1]) if receiver is not None and functions else {}
    for home, parameters in [
        (h, p) for s, h in functions for p, _ in fitting_types(source, place, s, h, call, receiver, 1)
    ]:
        wanted = next((p for p, v in given(parameters, call) if v is node), None)
        if wanted is None or not wanted.annotation:
            continue
        others = ast.Call(call.func, [a if a is not node else ast.Constant(None) for a in call.args],
                          [k for k in call.keywords if k.value is not node])  # fmt: skip
        solved = {**solve(source, place, parameters, home, others, 0, 1), **values}
        for one in template_of(source, wanted.annotation, home):
            passed = one.args[number + 1 :][:1] if one.qualified == "typing.Callable" else ()
            if types := substitute(passed, receiver, solved):
                return types
    return ()
