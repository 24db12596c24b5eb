"""Lazy names: what a module's own ``__getattr__`` answers for, where the names are written out in it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from octod.core.symbols import Symbol
from octod.indexer.reading import Reading, dotted

__all__ = ["lazy_names"]

Absolute = Callable[[ast.ImportFrom], "str | None"]


def lazy_names(reading: Reading, module: list[ast.stmt], absolute: Absolute) -> Iterator[Symbol]:
    """Aliases for the names that ``def __getattr__(name)`` compares with literals and imports or finds in the module.

    ``absolute`` gives the module of a relative import.  Names that come with a warning are not offered.
    """
    getter = next((n for n in reversed(module) if isinstance(n, ast.FunctionDef) and n.name == "__getattr__"), None)
    if getter is None or not getter.args.args:
        return
    asked = getter.args.args[0].arg
    for test in (n for n in ast.walk(getter) if isinstance(n, ast.If)):
        names = _compared(test.test, asked)
        if not names:
            continue
        inside = [n for statement in test.body for n in ast.walk(statement)]
        quiet = not any(isinstance(n, ast.Call) and (dotted(n.func) or "").endswith("warn") for n in inside)
        imported = {
            a.asname or a.name: f"{base}.{a.name}"
            for n in inside
            if isinstance(n, ast.ImportFrom) and (base := absolute(n))
            for a in n.names
        }
        returned = [n.value for n in inside if isinstance(n, ast.Return) and n.value is not None]
        for name in names:
            for value in returned[:1]:
                if target := _target(reading, value, name, asked, names, imported):
                    public = quiet and not name.startswith("_")
                    yield Symbol(name, "alias", target=target, line=test.lineno, public=public)


def _compared(test: ast.expr, asked: str) -> list[str]:
    """The literals in ``name == "x"`` and ``name in {"x", "y"}``."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or dotted(test.left) != asked:
        return []
    other = test.comparators[0]
    if isinstance(test.ops[0], ast.Eq):
        values = [other]
    elif isinstance(test.ops[0], ast.In):
        values = getattr(other, "elts", [])
    else:
        return []
    return [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str) and v.value.isidentifier()]


def _target(reading: Reading, value: ast.expr, name: str, asked: str, names: list[str], imported: dict[str, str]) -> str | None:
    """Where a name leads by what is returned for it: an imported or own name, or one of ``globals()``."""
    if isinstance(value, ast.Name) and len(names) == 1:
        own = reading.imports.get(value.id) or (f"{reading.module}.{value.id}" if value.id in reading.defined else None)
        return imported.get(value.id) or own
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Call) and dotted(value.value.func) in ("globals", "locals"):
        written = _formatted(value.slice, name, asked)
        if written is not None:
            own = reading.imports.get(written) or (f"{reading.module}.{written}" if written in reading.defined else None)
            return imported.get(written) or (own if own != f"{reading.module}.{name}" else None)
    return None


def _formatted(value: ast.expr, name: str, asked: str) -> str | None:
    """``name`` and ``f"_{name}"`` with the name put in."""
    if dotted(value) == asked:
        return name
    if isinstance(value, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.Constant) else name if dotted(getattr(p, "value", p)) == asked else None for p in value.values]
        return "".join(map(str, parts)) if None not in parts else None
    return None
