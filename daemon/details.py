"""What a name is: hovers, signature help, and the description of a menu's entry."""

from __future__ import annotations

import re

from octod.adapters.signatures import render_parameters
from octod.core.answers import Hover, SignatureHelp
from octod.core.symbols import LibraryId, Parameter, Scope, Symbol
from octod.daemon.context import Place
from octod.daemon.keywords import called_at, defined_at, described
from octod.indexer.docstrings import parameter_docs
from octod.indexer.documentation import doc_of_member, doc_of_target
from octod.indexer.lookup import Target, find_member, resolve
from octod.indexer.overloads import signatures
from octod.indexer.reading import told
from octod.indexer.scope import types_at
from octod.indexer.store import Index

__all__ = ["describe", "hover_at", "signature_at", "word_end"]

_NOBODY = LibraryId("", "", "")
_WORD = re.compile(r"\w*")
_DOTTED = re.compile(r"[\w.]+")
_PARAMETER = re.compile(r"([\w.]+)\((\w+)\)")


def word_end(text: str, offset: int) -> int:
    """The end of the identifier at an offset."""
    found = _WORD.match(text, offset)
    return found.end() if found else offset


def hover_at(index: Index, place: Place) -> Hover | None:
    """What stands at the place, whose cursor is at the end of an identifier; None where that is unknown."""
    cursor = place.cursor
    name = cursor.partial
    if cursor.inside or not name:
        return None
    start = cursor.offset - len(name)
    if cursor.importing == "":  # the name of a module after ``import`` or ``from``
        module = resolve(index, name)
        return None if module is None else _hover(index, module, start, cursor.offset)
    if cursor.receiver or cursor.importing is not None:
        member = next((m for m in place.members if m.symbol.name == name), None)
        if member is None:
            return None
        target = resolve(place.receiver.source, member.qualified)
        if target is not None and target.symbol is not None and target.symbol.kind != "alias":
            found = _hover(index, target, start, cursor.offset)
            if found is not None:
                return found
        doc = doc_of_member(index, member.qualified, member.symbol)
        return _of(member.qualified, member.symbol, member.library, start, cursor.offset, doc)
    for one in types_at(index, cursor, name, place.module, place.package):
        target = resolve(index, one.qualified)
        if target is not None and (found := _hover(index, target, start, cursor.offset)) is not None:
            return found
    for called in defined_at(index, place, name):
        return _of(called.name, called, _NOBODY, start, cursor.offset)
    return None


def describe(index: Index, qualified: str) -> Hover | None:
    """What a qualified name is, public or where it is defined; ``pandas.read_csv(sep)`` is a parameter."""
    if (parameter := _PARAMETER.fullmatch(qualified)) is not None:
        return _parameter(index, parameter[1], parameter[2])
    if not _DOTTED.fullmatch(qualified):
        return None
    target = resolve(index, qualified)
    if target is not None and (found := _hover(index, target, 0, 0)) is not None:
        return found
    owner, _, name = qualified.rpartition(".")
    member = find_member(index, owner, name)
    if member is None:
        return None
    doc = doc_of_member(index, member.qualified, member.symbol)
    return _of(member.qualified, member.symbol, member.library, 0, 0, doc)


def signature_at(index: Index, place: Place) -> SignatureHelp | None:
    """The signature of the call around the cursor, and the parameter that the cursor is in."""
    around = place.cursor.call
    if around is None or place.cursor.inside == "comment":
        return None
    for called in called_at(index, place):
        symbol = called.symbol
        shown = tuple(str(p) for p in symbol.parameters or ())
        label = f"{around.function}({', '.join(shown)})"
        return SignatureHelp(label, shown, _active(symbol, around.keyword, around.argument), doc_of_member(index, called.qualified, symbol))
    return None


def _parameter(index: Index, function: str, name: str) -> Hover | None:
    """What a function's docstring says of one of its parameters."""
    called = described(index, function)
    if called is None:
        return None
    parameter = next((p for s in signatures(called.symbol) for p in s[0] if p.name == name), Parameter(name, "keyword"))
    line = f"{name}: {parameter.annotation}" if parameter.annotation else name
    line += f" = {parameter.default}" if parameter.default is not None else ""
    scope = index.scope(function)
    docs = parameter_docs(doc_of_member(index, called.qualified, called.symbol))
    if not docs and (target := resolve(index, function)) is not None:
        docs = parameter_docs(doc_of_target(index, target))
    library = scope.library if scope is not None else called.library
    return Hover(f"{function}({name})", "parameter", line, docs.get(name, ""), library.distribution, library.version, 0, 0)


def _active(symbol: Symbol, keyword: str, argument: int) -> int:
    """The parameter's number, -1 for none."""
    parameters = symbol.parameters or ()
    for number, parameter in enumerate(parameters):
        if keyword and parameter.name == keyword and parameter.kind in ("standard", "keyword"):
            return number
        if not keyword and (number == argument or parameter.kind == "vararg"):
            return number if parameter.kind in ("positional", "standard", "vararg") else -1
    if keyword:
        return next((n for n, p in enumerate(parameters) if p.kind == "kwarg"), -1)
    return -1


def _hover(index: Index, target: Target, start: int, end: int) -> Hover | None:
    symbol, scope = target.symbol, target.scope or _owner(index, target.qualified)
    if scope is None:
        return None
    if symbol is None:
        return _of_scope(scope, doc_of_target(index, target), start, end)
    return _of(target.qualified, symbol, scope.library, start, end, doc_of_target(index, target))


def _owner(index: Index, qualified: str) -> Scope | None:
    return index.scope(qualified.rpartition(".")[0])


def _of_scope(scope: Scope, doc: str, start: int, end: int) -> Hover:
    return Hover(
        scope.qualified, scope.kind, f"{scope.kind} {scope.qualified}", doc,
        scope.library.distribution, scope.library.version, start, end, scope.deprecated,
    )


def _of(qualified: str, symbol: Symbol, library: LibraryId, start: int, end: int, doc: str = "") -> Hover:
    name = symbol.name
    if symbol.parameters is not None:
        line = f"{'class ' if symbol.kind == 'class' else ''}{name}({render_parameters(symbol.parameters)})"
    else:
        line = f"class {name}" if symbol.kind == "class" else name
    if (returns := told(symbol.returns)) and symbol.kind != "class":
        line += f" -> {returns}" if symbol.parameters is not None else f": {returns}"
    return Hover(
        qualified, symbol.kind, line, symbol.doc or doc,
        library.distribution, library.version, start, end, symbol.deprecated,
    )

