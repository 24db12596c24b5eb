"""A small library, `folds`, for tests: its members, files that call it, and an analyser that knows only `folds.`."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path

from octod.adapters.samples import Tools
from octod.core.symbols import CallSite, LibraryId, Member, Parameter, Scope, Symbol
from octod.indexer.lookup import ScopeSource

LIBRARY = LibraryId("folds", "1.2.0", "")
VALUES = ("paper", "sheet", "card", "leaf", "page", "foil", "cloth", "board")


def _function(name: str, *parameters: Parameter) -> Symbol:
    return Symbol(name, "function", parameters)


MODULE = (
    _function("fold", Parameter("paper"), Parameter("times", default="1")),
    _function("crease", Parameter("line"), Parameter("hard", "keyword", "False")),
    _function("unfold", Parameter("paper")),
    _function("measure", Parameter("paper", "positional"), Parameter("unit", default="'mm'")),
    _function("cut", Parameter("paper"), Parameter("along", "keyword")),
    _function("_hidden"),
    Symbol("Sheet", "class", (Parameter("width"), Parameter("height", default="None"))),
    Symbol("VERSION", "attribute"),
)
SHEET = (_function("turn", Parameter("angle")), _function("press", Parameter("weight", default="1")))


class Index:
    """What the index knows of folds."""

    def scope(self, qualified: str) -> Scope | None:
        """Nothing: the members come from `members`."""
        return None

    def submodules(self, qualified: str) -> tuple[str, ...]:
        """None."""
        return ()

    def import_names(self) -> Mapping[str, tuple[LibraryId, ...]]:
        """The one library."""
        return {"folds": (LIBRARY,)}


def members(source: ScopeSource, qualified: str, instance: bool) -> tuple[Member, ...]:
    """The module's members, or those of a Sheet."""
    symbols = SHEET if qualified == "folds.Sheet" else MODULE if qualified == "folds" else ()
    return tuple(Member(symbol, qualified, LIBRARY) for symbol in symbols)


def call_sites(source: ScopeSource, text: str, path: str) -> tuple[list[CallSite], list[str]]:
    """Every `folds.name(...)` of a file of plain ASCII."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [], [f"{path}: {error}"]
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        value = node.func.value
        if not (isinstance(value, ast.Name) and value.id == "folds"):
            continue
        end = starts[(node.func.end_lineno or 1) - 1] + (node.func.end_col_offset or 0)
        close = starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0) - 1
        start = starts[value.lineno - 1] + value.col_offset
        dot = end - len(node.func.attr)
        found.append(CallSite("folds", False, node.func.attr, "folds", start, dot, end + 1, close, (), ()))
    return found, []


TOOLS = Tools(call_sites, members)


def usage(number: int) -> str:
    """The text of a file that calls folds, different for each number."""
    lines = ["import folds", "", f"def work_{number}(paper, sheet, card, leaf, page, foil, cloth, board):"]
    for row in range(8):
        one = VALUES[hashlib.sha256(f"{number}/{row}".encode()).digest()[0] % len(VALUES)]
        lines.append(f"    step_{number}_{row} = 0")
        lines.append(
            [
                f"    folded = folds.fold({one}, times={row})",
                f"    folds.crease({one}, hard=True)",
                f"    flat = folds.unfold({one})",
                f"    size = folds.measure({one})",
            ][row % 4]
        )
    return "\n".join(lines) + "\n"


def write_usage(folder: Path, files: int) -> list[Path]:
    """So many files that call folds."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"use_{number}.py" for number in range(files)]
    for number, path in enumerate(paths):
        path.write_text(usage(number))
    return paths
