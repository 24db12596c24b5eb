"""Classes made by a call (``namedtuple``, ``NamedTuple``, ``Enum``, ``TypedDict``), written out as class statements."""

from __future__ import annotations

import ast

from octod.indexer.lookup import dotted

__all__ = ["class_of_call", "written_out"]

_MAKERS = frozenset({"namedtuple", "NamedTuple", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "TypedDict"})


def class_of_call(name: str, call: ast.Call) -> ast.ClassDef | None:
    """``name = namedtuple("name", "x y")`` as the class that it makes; None when its fields are not written out."""
    if dotted(call.func).rpartition(".")[2] not in _MAKERS or len(call.args) < 2:
        return None
    fields = _fields(call.args[1])
    if not fields:
        return None
    body: list[ast.stmt] = []
    enumeration = dotted(call.func).rpartition(".")[2].endswith(("Enum", "Flag"))
    for field, annotation in fields:
        target = ast.Name(field, ast.Store())
        if enumeration:
            body.append(ast.Assign([target], ast.Constant(field), lineno=call.lineno))
        else:
            body.append(ast.AnnAssign(target, annotation or ast.Name("Any", ast.Load()), None, 1))
    made = ast.ClassDef(name=name, bases=[call.func], keywords=[], body=body, decorator_list=[])
    ast.fix_missing_locations(ast.copy_location(made, call))
    return made


def written_out(node: ast.ClassDef) -> ast.ClassDef:
    """A class with ``namedtuple(...)`` among its bases as one that has the fields itself; any other as it is."""
    for number, base in enumerate(node.bases):
        if isinstance(base, ast.Call) and (made := class_of_call(node.name, base)) is not None:
            bases = [*node.bases[:number], *made.bases, *node.bases[number + 1 :]]
            again = ast.ClassDef(node.name, bases, node.keywords, [*made.body, *node.body], node.decorator_list)
            again.type_params = getattr(node, "type_params", [])  # type: ignore[attr-defined]  # since Python 3.12
            return ast.copy_location(again, node)
    return node


def _fields(written: ast.expr) -> list[tuple[str, ast.expr | None]]:
    """(name, annotation) of each field; nothing when one of them is no plain name."""
    found: list[tuple[str, ast.expr | None]] = []
    if isinstance(written, ast.Constant) and isinstance(written.value, str):
        found = [(f, None) for f in written.value.replace(",", " ").split()]
    elif isinstance(written, (ast.List, ast.Tuple)):
        for item in written.elts:
            if isinstance(item, ast.Constant):
                found.append((str(item.value), None))
            elif isinstance(item, ast.Tuple) and len(item.elts) == 2 and isinstance(item.elts[0], ast.Constant):
                found.append((str(item.elts[0].value), item.elts[1]))
            else:
                return []
    elif isinstance(written, ast.Dict):
        for key, value in zip(written.keys, written.values, strict=True):
            if not isinstance(key, ast.Constant):
                return []
            found.append((str(key.value), value))
    return found if all(f.isidentifier() for f, _ in found) else []
