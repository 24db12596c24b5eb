"""What the code around a cursor wants of the expression that is being typed: its use, and the types asked for.

Types are compared by their last names (``ndarray`` of ``np.ndarray | None``): a hint for ranking, never a proof.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from octod.indexer.bindings import table_of
from octod.indexer.lookup import ScopeSource
from octod.indexer.parse import Cursor
from octod.indexer.scope import callees_at

__all__ = ["Expected", "Use", "expected_at", "type_names"]

Use = Literal["nothing", "condition", "iterable", "manager", "coroutine", "exception", "argument", "value"]

_BEFORE: dict[str, Use] = {
    "": "nothing", ";": "nothing", "if": "condition", "elif": "condition", "while": "condition", "not": "condition",
    "and": "condition", "or": "condition", "assert": "condition", "with": "manager", "await": "coroutine",
    "raise": "exception", "except": "exception", "(": "argument", ",": "argument",
}  # fmt: skip
_LAST = re.compile(r"(\w+|\S)\s*\Z")
_FOR_IN = re.compile(r"\bfor\b[^\n]*\bin\s*\Z")
_ANNOTATED = re.compile(r"[\w.]+\s*:\s*([^=]+)=\s*\Z")
_NAME = re.compile(r"[A-Za-z_][\w.]*+(?!\()")  # what a function gives (reading.CALLED) says nothing by its name
_LONGEST = 2_000  # characters of a statement before the receiver that are read
_VAGUE = frozenset({"None", "Any", "object", "Optional", "Union", "T", "Incomplete", "Unused", "Literal", "Annotated", "Self"})


@dataclass(frozen=True, slots=True)
class Expected:
    """``use``: what is done with the expression (``nothing``: it is a statement of its own, its result is thrown away);
    ``types``: last names of the types that an annotation asks for, empty where nothing does."""

    use: Use = "value"
    types: frozenset[str] = frozenset()


def expected_at(source: ScopeSource, cursor: Cursor, module: str = "", package: bool = False) -> Expected:
    """What is wanted at the cursor; never raises for what the text is."""
    before = cursor.text[max(cursor.statement, cursor.receiver_start - _LONGEST) : cursor.receiver_start]
    last = found[1] if (found := _LAST.search(before)) else ""
    if last == "in" and _FOR_IN.search(before):
        return Expected("iterable")
    if cursor.call is not None and last in ("(", ",", "="):
        return Expected("argument", _parameter(source, cursor, module, package))
    if last == "return":
        return Expected("value", _returned(cursor))
    if last == "=":
        annotated = _ANNOTATED.fullmatch(before.strip())
        return Expected("value", type_names(annotated[1]) if annotated else frozenset())
    return Expected(_BEFORE.get(last, "value"))


@lru_cache(maxsize=16384)
def type_names(annotation: str) -> frozenset[str]:
    """The last names of the types in an annotation's source, without those that say nothing."""
    return frozenset(name.rpartition(".")[2] for name in _NAME.findall(annotation)) - _VAGUE


def _parameter(source: ScopeSource, cursor: Cursor, module: str, package: bool) -> frozenset[str]:
    """What the parameter that the cursor is in may take."""
    call = cursor.call
    assert call is not None
    wanted: frozenset[str] = frozenset()
    for target in callees_at(source, cursor, module, package)[:2]:
        parameters = target.symbol.parameters if target.symbol is not None else None
        if not parameters:
            continue
        plain = [p for p in parameters if p.kind in ("positional", "standard")]
        if call.keyword:
            chosen = next((p for p in parameters if p.name == call.keyword), None)
        elif call.argument < len(plain):
            chosen = plain[call.argument]
        else:
            chosen = next((p for p in parameters if p.kind == "vararg"), None)
        if chosen is not None and chosen.annotation:
            wanted |= type_names(chosen.annotation)
    return wanted


def _returned(cursor: Cursor) -> frozenset[str]:
    """What the function around the cursor is annotated to return."""
    if not 0 <= cursor.tree.current < len(cursor.tree.blocks):
        return frozenset()
    call = table_of(cursor.tree.blocks[cursor.tree.current]).cursor
    frame = call.use.frame if call is not None else None
    while frame is not None and frame.kind != "function":
        frame = frame.parent
    node = frame.node if frame is not None else None
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
        return type_names(ast.unparse(node.returns))
    return frozenset()
