"""Which overloads of a function a call may mean, by the arguments that are written."""

from __future__ import annotations

import ast

from octod.core.symbols import Parameter, Symbol
from octod.indexer.extract_function import narrower
from octod.indexer.lookup import find_name
from octod.indexer.parse import parse_expression
from octod.indexer.sources import ScopeSource, TypeRef

__all__ = ["Signature", "fitting", "literals", "signatures"]

Signature = tuple[tuple[Parameter, ...], str | None]  # parameters, returns


def signatures(symbol: Symbol) -> list[Signature]:
    """The (parameters, returns) that the function has for callers."""
    own = (symbol.parameters or (), symbol.returns)
    if not symbol.overloads:
        return [own]
    if symbol.overloads[0][1] == symbol.returns and _implements(own[0], symbol.overloads):
        return list(symbol.overloads)
    return [own, *((parameters, returns or symbol.returns) for parameters, returns in symbol.overloads)]


def _implements(parameters: tuple[Parameter, ...], overloads: tuple[Signature, ...]) -> bool:
    """Whether a signature is the implementation's, which stands before its overloads: it takes what all of them take."""
    names = {p.name for p in parameters}
    if narrower(parameters, overloads):
        return False
    if any(p.kind in ("vararg", "kwarg") for p in parameters):
        return parameters != overloads[0][0]
    return all(p.name in names for other, _ in overloads for p in other)


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
    names = {p.name for p in parameters}
    if not names.issuperset(given) and all(p.kind != "kwarg" for p in parameters):
        return False
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


def literals(source: ScopeSource, annotation: str, home: str, depth: int = 0) -> frozenset[object] | None:
    """The values that an alias of ``Literal[...]`` written in ``home`` allows; None when it is anything else."""
    target = find_name(source, annotation, home)
    if target is None or target.symbol is None or target.kind != "attribute" or depth > 6:
        return None
    text = target.symbol.returns or ""
    node = parse_expression(text[5:-1]) if text.startswith("type[") else None
    left: list[ast.expr] = [node] if node is not None else []
    found: set[object] = set()
    while left:
        part = left.pop()
        if isinstance(part, ast.BinOp):
            left += [part.left, part.right]
        elif isinstance(part, ast.Subscript) and ast.unparse(part.value).rpartition(".")[2] in ("Literal", "Union"):
            inner = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
            if ast.unparse(part.value).endswith("Union"):
                left += inner
            else:
                found.update(i.value for i in inner if isinstance(i, ast.Constant))
        elif isinstance(part, (ast.Name, ast.Attribute)):
            known = literals(source, ast.unparse(part), target.qualified.rpartition(".")[0], depth + 1)
            if known is None:
                return None
            found |= known
        else:
            return None
    return frozenset(found) or None
