"""Docstrings that numpy attaches to compiled functions with ``add_newdoc``: read from the calls, which never run."""

from __future__ import annotations

import ast
import warnings
from dataclasses import replace

from octod.core.symbols import Scope
from octod.indexer.docstrings import cleaned
from octod.indexer.reading import dotted

__all__ = ["ADDED_DOCS", "added_docs", "with_added_docs"]

# Modules of numpy whose stubs describe compiled code, and the file that documents it.
ADDED_DOCS = {
    "numpy": "numpy/_core/_add_newdocs.py",
    "numpy._core.multiarray": "numpy/_core/_add_newdocs.py",
}


def added_docs(source: str) -> dict[str, str]:
    """``array`` or ``ndarray.reshape`` -> docstring, by the literal arguments of ``add_newdoc(place, name, doc)``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Expr) or not isinstance(call := node.value, ast.Call):
            continue
        callee = dotted(call.func)
        if callee == "_array_method_doc" and len(call.args) == 3:  # (name, parameters, doc), since numpy 2.4
            found[f"ndarray.{_text(call.args[0])}"] = cleaned(_text(call.args[2]))
        if callee != "add_newdoc" or len(call.args) != 3:
            continue
        name, doc = _text(call.args[1]), call.args[2]
        if isinstance(doc, ast.Tuple) and len(doc.elts) == 2:
            member, text = _text(doc.elts[0]), _text(doc.elts[1])
            if name and member and text:
                found[f"{name}.{member}"] = cleaned(text)
        elif name and (text := _text(doc)):
            found[name] = cleaned(text)
    return found


def with_added_docs(scopes: list[Scope], docs: dict[str, str]) -> list[Scope]:
    """The scopes with what is documented so, where they have no docstring of their own."""
    made = []
    for scope in scopes:
        prefix = f"{scope.qualified.rpartition('.')[2]}." if scope.kind == "class" else ""
        symbols = {
            name: symbol if symbol.doc or symbol.kind == "alias" else replace(symbol, doc=docs.get(prefix + name, ""))
            for name, symbol in scope.symbols.items()
        }
        made.append(replace(scope, symbols=symbols))
    return made


def _text(node: ast.expr) -> str:
    """A literal string, also where ``.replace`` or ``.format`` is called on it; empty for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
