"""Which overloads of a function a call may mean, by the arguments that are written."""

from __future__ import annotations

import ast

from octod.core.symbols import Parameter, Symbol
from octod.indexer.sources import TypeRef

__all__ = ["Signature", "fitting", "signatures"]

Signature = tuple[tuple[Parameter, ...], str | None]  # parameters, returns


def signatures(symbol: Symbol) -> list[Signature]:
    """The (parameters, returns) that the function has for callers."""
    own = (symbol.parameters or (), symbol.returns)
    if not symbol.overloads:
        return [own]
    if symbol.overloads[0][1] == symbol.returns:  # the implementation's signature stands before its overloads
        return list(symbol.overloads)
    return [own, *symbol.overloads]


def fitting(
    choices: list[Signature], call: ast.Call | None, receiver: TypeRef | None, symbol: Symbol
) -> list[Signature]:
    """The overloads whose required parameters are given and whose literal ones agree; all of them when none fits."""
    if len(choices) == 1 or call is None:
        return choices
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return choices
    given = {k.arg: k.value for k in call.keywords}
    # a method called on its class gets its receiver as the first argument
    skip = 1 if receiver is not None and not receiver.instance and not symbol.static else 0
    found = [s for s in choices if _fits(s[0], call.args[skip:], given)]
    return found or choices


def _fits(parameters: tuple[Parameter, ...], positional: list[ast.expr], given: dict[str | None, ast.expr]) -> bool:
    left = list(positional)
    for parameter in parameters:
        if parameter.kind in ("vararg", "kwarg"):
            left = [] if parameter.kind == "vararg" else left
            continue
        value = left.pop(0) if left and parameter.kind in ("positional", "standard") else given.get(parameter.name)
        if value is None:
            if parameter.default is None:
                return False
            continue
        annotation = parameter.annotation or ""
        if isinstance(value, ast.Constant) and not _accepts(annotation, value.value):
            return False
    return not left


def _accepts(annotation: str, value: object) -> bool:
    """Whether an annotation of literals, None or str plainly excludes a constant."""
    if annotation == "None":
        return value is None
    if value is None:
        return "None" in annotation or "Any" in annotation or "Optional" in annotation or not annotation
    if "Literal[" in annotation and "|" not in annotation.replace("| None", ""):
        return repr(value) in annotation or f'"{value}"' in annotation
    if isinstance(value, bool):
        return annotation not in ("str", "bytes")
    if isinstance(value, str):
        return annotation not in ("int", "float", "bool", "bytes", "SupportsIndex", "slice")
    if isinstance(value, (int, float)):
        return annotation not in ("str", "bytes", "slice")
    return True
