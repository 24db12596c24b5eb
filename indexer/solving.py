"""What type variables stand for in a call: annotations laid over the types that are given for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from octod.core.symbols import Parameter
from octod.indexer.annotations import arguments_of, class_variables, has_placeholder, template_of
from octod.indexer.attributes import Bindings, Types, attribute
from octod.indexer.iteration import awaited, elements, entered
from octod.indexer.lookup import ScopeSource, TypeRef, scope_of
from octod.indexer.reading import METACLASS

__all__ = ["Solution", "accepts", "given", "match", "solve"]

Solution = dict[str, Types]

_DEEPEST = 6
_LARGEST_PROTOCOL = 3  # methods; larger ones are containers, which are matched by their elements
_MOST = 4  # alternatives of an argument that are looked at
_AWAITED = frozenset({"Awaitable", "Coroutine", "Future", "Task"})
_MANAGERS = frozenset({"AbstractContextManager", "AbstractAsyncContextManager", "ContextManager", "AsyncContextManager"})
_ITERABLES = frozenset({
    "Iterable", "Iterator", "Sequence", "Collection", "Container", "AsyncIterable", "AsyncIterator", "Generator", "list", "set",
    "AbstractSet", "MutableSequence", "Reversible", "SupportsLenAndGetItem",
})  # fmt: skip


def given(parameters: tuple[Parameter, ...], call: ast.Call, skip: int = 0) -> Iterator[tuple[Parameter, ast.expr]]:
    """Each argument of a call with the parameter that it is for; what stands behind ``*args`` is passed over."""
    positional = [p for p in parameters if p.kind in ("positional", "standard", "vararg")]
    at = 0
    for argument in call.args[skip:]:
        if isinstance(argument, ast.Starred) or at >= len(positional):
            break
        yield positional[at], argument
        at += positional[at].kind != "vararg"
    named = {p.name: p for p in parameters if p.kind in ("standard", "keyword")}
    rest = next((p for p in parameters if p.kind == "kwarg"), None)
    for keyword in call.keywords:
        if keyword.arg is not None and (parameter := named.get(keyword.arg, rest)) is not None:
            yield parameter, keyword.value


def solve(
    source: ScopeSource, bindings: Bindings, parameters: tuple[Parameter, ...], home: str, call: ast.Call, skip: int, depth: int
) -> Solution:
    """The type variables in the parameters' annotations (written in ``home``), by the arguments of a call."""
    found: dict[str, dict[TypeRef, None]] = {}
    late: list[tuple[Types, ast.expr]] = []
    for parameter, value in given(parameters, call, skip):
        template = template_of(source, parameter.annotation, home) if parameter.annotation else ()
        if not any(has_placeholder(t) for t in template):
            continue
        if isinstance(value, ast.Lambda):
            late.append((template, value))  # its parameters may be what the other arguments say
            continue
        _match_all(source, bindings, template, bindings.infer(value, depth + 1), found)
    for template, value in late:
        _match_all(source, bindings, template, bindings.infer(value, depth + 1), found)
    return {name: tuple(types) for name, types in found.items()}


def _match_all(
    source: ScopeSource, bindings: Bindings, template: Types, values: Types, found: dict[str, dict[TypeRef, None]]
) -> None:
    # ``T | None`` beside ``Iterable[T]``: what is plainly a container is matched as one
    shaped = [t for t in template if t.args and not t.qualified.startswith("~") and has_placeholder(t)]
    plain = [t for t in template if t.qualified.startswith("~") and t.qualified != "~Self"]
    for value in values[:_MOST]:
        before = sum(map(len, found.values()))
        for one in shaped:
            match(source, bindings, one, value, found, 0)
        if not shaped or sum(map(len, found.values())) == before:
            for one in plain:
                match(source, bindings, one, value, found, 0)


def match(
    source: ScopeSource, bindings: Bindings, template: TypeRef, value: TypeRef, found: dict[str, dict[TypeRef, None]], depth: int
) -> None:  # fmt: skip
    """Note in ``found`` what the template's variables are when it describes ``value``."""
    if depth > _DEEPEST or not value.qualified or value.qualified.endswith("()"):
        return
    if template.qualified.startswith("~"):
        if template.qualified != "~Self" and (template.instance or not value.instance):
            one = replace(value, instance=True, receiver=None) if not template.instance else value
            found.setdefault(template.qualified[1:], {})[one] = None
        return
    if not has_placeholder(template):
        return
    if template.qualified == "typing.Callable":
        for result in bindings.result(value):
            match(source, bindings, template.args[0], result, found, depth + 1)
        return
    if not value.instance or value.qualified.startswith("~"):
        return
    for part, types in _parts(source, bindings, template, value, depth):
        for one in types[:_MOST]:
            match(source, bindings, part, one, found, depth + 1)


def _parts(
    source: ScopeSource, bindings: Bindings, template: TypeRef, value: TypeRef, depth: int
) -> Iterator[tuple[TypeRef, Types]]:
    """Each type argument of the template with what stands in its place in the value."""
    short = template.qualified.rpartition(".")[2]
    if template.qualified == value.qualified == "builtins.tuple":
        endless = [a.qualified for a in template.args[1:]] == ["..."]
        if endless:
            yield template.args[0], tuple(a for a in value.args if a.qualified not in ("", "..."))
        else:
            yield from ((t, (v,)) for t, v in zip(template.args, value.args, strict=False))
    elif template.qualified == value.qualified:
        yield from ((t, (v,)) for t, v in zip(template.args, value.args, strict=False) if v.qualified)
    elif template.qualified in (order := bindings.order(value)):
        known = arguments_of(source, value, template.qualified) if value.qualified == order[0] else {}
        names = class_variables(source, template.qualified)
        for part, name in zip(template.args, names, strict=False):
            if types := known.get(name):
                yield part, types
        if not known and short in _ITERABLES:
            yield template.args[0], elements(source, (value,), bindings)
    elif short in _ITERABLES:
        yield template.args[0], elements(source, (value,), bindings)
    elif short in _AWAITED:
        yield template.args[-1], tuple(t for t in awaited(source, (value,), bindings) if t != value)
    elif short in _MANAGERS:
        yield template.args[0], entered(source, (value,), bindings)
    elif is_protocol(source, template.qualified):
        yield from _by_methods(source, bindings, template, value, depth + 2)


def _by_methods(
    source: ScopeSource, bindings: Bindings, template: TypeRef, value: TypeRef, depth: int
) -> Iterator[tuple[TypeRef, Types]]:
    """A protocol's variables by what the value's methods of the same names return."""
    scope = scope_of(source, template.qualified)
    if scope is None or len(scope.symbols) > _LARGEST_PROTOCOL:
        return
    inner: dict[str, dict[TypeRef, None]] = {}
    for name, symbol in scope.symbols.items():
        if symbol.kind != "function" or not symbol.returns:
            continue
        wanted = template_of(source, symbol.returns, template.qualified)
        if any(has_placeholder(w) for w in wanted):
            for method in attribute(source, bindings, value, name)[:_MOST]:
                for result in bindings.result(method):
                    for one in wanted:
                        match(source, bindings, one, result, inner, depth)
    for part, variable in zip(template.args, class_variables(source, template.qualified), strict=False):
        yield part, tuple(inner.get(variable, ()))


# overloads ---------------------------------------------------------------------------------------------------------

_PROMOTED = {"builtins.int": ("builtins.float", "builtins.complex"), "builtins.float": ("builtins.complex",)}


def is_protocol(source: ScopeSource, qualified: str) -> bool:
    """Whether the class is a ``Protocol`` (or one of the abstract ones of the standard library)."""
    scope = scope_of(source, qualified)
    if scope is None or scope.kind != "class":
        return True
    return any(b.partition("[")[0].rpartition(".")[2] == "Protocol" for b in scope.bases)


def accepts(source: ScopeSource, bindings: Bindings, wanted: Types, types: Types) -> bool:
    """Whether a parameter that takes ``wanted`` may take a value of ``types``; only plain contradictions say no."""
    if not wanted or not types:
        return True
    return any(_accepted(source, bindings, w, t) for t in types for w in wanted)


def _accepted(source: ScopeSource, bindings: Bindings, wanted: TypeRef, value: TypeRef) -> bool:
    if not wanted.known or not value.known or wanted.qualified in ("builtins.object", "typing.Callable", "builtins.type"):
        return wanted.qualified != "typing.Callable" or not value.instance or not value.known or value.qualified not in _PLAIN
    if wanted.instance != value.instance:
        return not value.instance and is_protocol(source, wanted.qualified)
    order = bindings.order(value)
    if wanted.qualified in order or wanted.qualified in _PROMOTED.get(value.qualified, ()):
        return True
    if not wanted.instance:
        return False
    if is_protocol(source, wanted.qualified):
        scope = scope_of(source, wanted.qualified)
        needed = [n for n, s in scope.symbols.items() if s.kind in ("function", "property")] if scope is not None else []
        return all(any(n in s.symbols for c in order if (s := scope_of(source, c))) for n in needed)
    scope = scope_of(source, value.qualified)
    written = [b for b in scope.bases if not b.startswith(METACLASS) and not b.partition("[")[0].endswith(("Generic", "Protocol"))] if scope is not None else [""]
    return len(order) < 3 and bool(written)  # a class whose bases are not known may be anything


_PLAIN = frozenset(f"builtins.{n}" for n in (
    "str", "bytes", "int", "float", "complex", "bool", "list", "tuple", "dict", "set", "frozenset",
))  # fmt: skip
