"""Keyword arguments of the call around the cursor, in the order of its signature, the required ones first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from octod.core.answers import MenuItem
from octod.core.symbols import LibraryId, Parameter, Symbol
from octod.daemon.context import Place, Usages
from octod.indexer.calls import makers_of
from octod.indexer.extract_class import class_scopes
from octod.indexer.extract_function import function_symbol
from octod.indexer.frames import Frame
from octod.indexer.lookup import ScopeSource, Target, TypeRef, find_member, resolve, scope_of
from octod.indexer.names import View
from octod.indexer.overloads import Signature, signatures
from octod.indexer.parse import EnclosingCall, parse_expression
from octod.indexer.reading import Reading
from octod.indexer.scope import callees_at, types_at, usage_key, view_of

__all__ = ["KIND", "Called", "at_argument", "called_at", "defined_at", "described", "keyword_items"]

KIND = "keyword-argument"
_LONGEST = 60  # characters shown of an annotation and default
_NOBODY = LibraryId("", "", "")
_SEEN = 3  # times that a keyword which ``**kwargs`` takes must have been seen: once may be a slip
_MOST_TAKEN = 24  # such keywords offered
_UNPACK = re.compile(r"(?:\w+\.)*Unpack\[\s*[\"']?([\w.]+)[\"']?\s*\]")


@dataclass(frozen=True, slots=True)
class Called:
    """What a call may mean: ``qualified`` is empty for what the file itself defines."""

    symbol: Symbol
    qualified: str
    library: LibraryId


def called_at(source: ScopeSource, place: Place) -> list[Called]:
    """The functions and constructors that the call around the cursor may mean, with their parameters."""
    cursor = place.cursor
    if cursor.call is None:
        return []
    found: list[Called] = []
    for symbol in defined_at(source, place, cursor.call.function):
        found.append(Called(symbol, "", _NOBODY))
    for target in callees_at(source, cursor, place.module, place.package):
        if (called := _of_target(source, target)) is not None:
            found.append(called)
    return found


def defined_at(source: ScopeSource, place: Place, expression: str) -> Iterator[Symbol]:
    """The functions and classes of the file itself that an expression at the cursor may mean."""
    view = view_of(source, place.cursor.tree, place.module, place.package)
    for one in types_at(source, place.cursor, expression, place.module, place.package):
        if not one.instance and view.owns(one.qualified) and (symbol := _own(view, one)) is not None:
            yield symbol


def described(source: ScopeSource, qualified: str) -> Called | None:
    """The function or constructor of that name, with its parameters."""
    target = resolve(source, qualified)
    if target is None or target.kind not in ("function", "class"):
        owner, _, name = qualified.rpartition(".")
        member = find_member(source, owner, name)
        target = None if member is None else Target("function", member.qualified, member.symbol, None)
    return None if target is None else _of_target(source, target)


def _of_target(source: ScopeSource, target: Target) -> Called | None:
    symbol, qualified = target.symbol, target.qualified
    if target.kind == "class" and (symbol is None or symbol.parameters is None):
        maker = next((m for m in makers_of(source, qualified) if m.symbol.parameters is not None), None)
        symbol = maker.symbol if maker is not None else None
    if symbol is None or symbol.parameters is None:
        return None
    scope = scope_of(source, qualified.rpartition(".")[0])
    return Called(symbol, qualified, scope.library if scope is not None else _NOBODY)


def at_argument(text: str, call: EnclosingCall, start: int) -> bool:
    """Whether an argument of the call begins at ``start``: a keyword may stand there."""
    return not call.keyword and parse_expression(f"f({text[call.open:start]}\n_octod_=0)") is not None


def keyword_items(source: ScopeSource, usages: Usages, place: Place) -> list[MenuItem]:
    """The keywords that may be given at the cursor, partly typed or not; none where no argument begins."""
    cursor, call = place.cursor, place.cursor.call
    start = cursor.offset - len(cursor.partial)
    if call is None or cursor.receiver or cursor.inside or not at_argument(cursor.text, call, start):
        return []
    end = "" if cursor.text[cursor.offset : cursor.offset + 1] == "=" else "="
    found: dict[str, MenuItem] = {}
    for one in called_at(source, place):
        for parameter in _open(one.symbol, call):
            if parameter.name not in found:
                found[parameter.name] = _item(one, parameter, end)
        if rest := [p for s in signatures(one.symbol) for p in s[0] if p.kind == "kwarg"]:
            for name, annotation in _unpacked(source, one, rest[0]):
                if name not in call.given:
                    found.setdefault(name, _item(one, Parameter(name, "keyword", None, annotation), end))
            for name in _taken(usages, _counted(source, place, one), one.symbol, call):
                found.setdefault(name, _item(one, Parameter(name, "keyword"), end))
    return [replace(item, score=float(-rank)) for rank, item in enumerate(found.values())]


def _open(symbol: Symbol, call: EnclosingCall) -> list[Parameter]:
    """The parameters that may still be given by name, those first that every fitting signature requires."""
    choices = signatures(symbol)
    fitting = [s for s in choices if _takes(s, call)] or choices
    named: dict[str, list[Parameter]] = {}
    for parameters, _ in fitting:
        for parameter in _left(parameters, call):
            named.setdefault(parameter.name, []).append(parameter)
    required = {n for n, each in named.items() if len(each) == len(fitting) and all(p.default is None for p in each)}
    # of several overloads that one is shown which says most of the default
    shown = {n: next((p for p in each if p.default is not None), each[0]) for n, each in named.items()}
    return [p for n, p in shown.items() if n in required] + [p for n, p in shown.items() if n not in required]


def _left(parameters: tuple[Parameter, ...], call: EnclosingCall) -> Iterator[Parameter]:
    positional = call.positional
    for parameter in parameters:
        if parameter.kind in ("positional", "standard") and positional > 0:
            positional -= 1
        elif parameter.kind in ("standard", "keyword") and parameter.name not in call.given:
            yield parameter


def _takes(signature: Signature, call: EnclosingCall) -> bool:
    """Whether a signature takes what is given so far."""
    parameters, _ = signature
    kinds = {p.kind for p in parameters}
    places = sum(p.kind in ("positional", "standard") for p in parameters)
    names = {p.name for p in parameters if p.kind in ("standard", "keyword")}
    return (places >= call.positional or "vararg" in kinds) and ("kwarg" in kinds or names >= set(call.given))


def _unpacked(source: ScopeSource, one: Called, rest: Parameter) -> list[tuple[str, str]]:
    """(name, annotation) of the keywords that ``**kwargs: Unpack[SomeTypedDict]`` takes (PEP 692)."""
    written = _UNPACK.fullmatch(rest.annotation or "")
    module = one.qualified.rpartition(".")[0]
    while written is not None and module:
        target = resolve(source, f"{module}.{written[1]}")
        if target is not None and target.kind == "class" and target.symbol is not None:
            return [(p.name, p.annotation or "") for p in target.symbol.parameters or ()]
        module = module.rpartition(".")[0]
    return []


def _counted(source: ScopeSource, place: Place, one: Called) -> list[tuple[str, str]]:
    """(key of usage, member) under which calls of a function are counted: by the module or object that the file takes it from,
    which may give it on, then by where it is defined."""
    call = place.cursor.call
    assert call is not None
    written, _, member = call.function.rpartition(".")
    owners = types_at(source, place.cursor, written, place.module, place.package) if written else ()
    owner, _, name = one.qualified.rpartition(".")
    imported = () if written else _imported(source, place, call.function)
    return [*((usage_key(t), member) for t in owners), *imported, (f"{owner}()", name), (owner, name)]


def _imported(source: ScopeSource, place: Place, name: str) -> list[tuple[str, str]]:
    """(module, name there) of a name that the file imports from a module."""
    view = view_of(source, place.cursor.tree, place.module, place.package)
    at = view.cursor()
    bindings = view.bindings(name, at.block, at.use) if at is not None else ()
    found: list[tuple[str, str]] = []
    for _, binding in bindings[:1]:
        if isinstance(node := binding.node, ast.ImportFrom) and (target := resolve(source, view.absolute(node) or "")) is not None:
            found = [(target.qualified, a.name) for a in node.names if (a.asname or a.name) == name]
    return found


def _taken(usages: Usages, keys: list[tuple[str, str]], symbol: Symbol, call: EnclosingCall) -> list[str]:
    """Keywords that a function with ``**kwargs`` was given elsewhere, the most frequent first."""
    known = ((usages.of(key), name) for key, name in keys)
    counts: Mapping[str, int] = next((u.keywords[name] for u, name in known if u is not None and u.keywords.get(name)), {})
    own = {p.name for s in signatures(symbol) for p in s[0]}
    names = [n for n, count in sorted(counts.items(), key=lambda c: -c[1]) if count >= _SEEN and n not in call.given]
    return [n for n in names if n not in own][:_MOST_TAKEN]


def _item(one: Called, parameter: Parameter, end: str) -> MenuItem:
    detail = parameter.annotation or ""
    if parameter.default is not None:
        detail = f"{detail} = {parameter.default}" if detail else f"= {parameter.default}"
    if len(detail) > _LONGEST:
        detail = f"{detail[: _LONGEST - 1]}…"
    qualified = f"{one.qualified}({parameter.name})" if one.qualified else ""
    return MenuItem(f"{parameter.name}{end}", KIND, qualified, " ".join(detail.split()), one.library.distribution)


# what the file itself defines --------------------------------------------------------------------------------------


def _own(view: View, one: TypeRef) -> Symbol | None:
    """The function, or the class with its constructor's parameters, of the file itself."""
    parts = view.parts(one.qualified)
    if not parts:
        return None
    frame, block = parts[0]
    reading = Reading(view.module, view.lines(block), view.package, False, (3, 99))
    node = frame.node
    try:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            owner = frame.parent.name if frame.parent is not None and frame.parent.kind == "class" else ""
            symbol = function_symbol(reading, node, public=True, owner=owner)
            return symbol if symbol.parameters is not None else None
        return _own_class(view, reading, frame, block)
    except (RecursionError, ValueError, IndexError):
        return None


def _own_class(view: View, reading: Reading, frame: Frame, block: int) -> Symbol | None:
    if not isinstance(frame.node, ast.ClassDef):
        return None
    symbol, _ = class_scopes(reading, frame.node, outer="", file="", library=_NOBODY, public=True, known_fields={})
    if symbol.parameters is not None:
        return symbol
    for base in view.class_bases(frame, block):
        if view.owns(base.qualified):
            inherited = _own(view, base)
            parameters = inherited.parameters if inherited is not None else None
        else:
            makers = makers_of(view.source, base.qualified)
            parameters = makers[0].symbol.parameters if makers else None
        if parameters is not None:
            return replace(symbol, parameters=parameters)
    return None
