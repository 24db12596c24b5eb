"""Broken text made to parse: offending lines are taken out one after the other, what is missing is put in."""

from __future__ import annotations

import ast
import gc
import re
import warnings

from octod.indexer.blocks import LARGEST
from octod.indexer.newer import rewritten

__all__ = ["MARK", "mended", "statements"]

MARK = "__octod_cursor__"

_MENDS = 8


def statements(text: str) -> list[ast.stmt]:
    """The statements of a text; raises what ``ast.parse`` raises."""
    # A tree is many new objects without cycles: looking for garbage meanwhile can take longer than parsing.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return ast.parse(text).body
            except SyntaxError:
                if (older := rewritten(text)) == text:
                    raise
                return ast.parse(older).body
    finally:
        if collecting:
            gc.enable()


def mended(text: str) -> list[ast.stmt]:
    """The statements of ``text`` after taking out at most ``_MENDS`` offending lines."""
    if len(text) > LARGEST:
        return []
    lines = text.split("\n")
    for _ in range(_MENDS):
        try:
            return statements("\n".join(lines))
        except SyntaxError as error:
            if not _mend_line(lines, error):
                return []
        except (ValueError, RecursionError, MemoryError):
            return []
    return []


def _mend_line(lines: list[str], error: SyntaxError) -> bool:
    """Make the line that ``error`` names harmless; False when there is nothing more to do."""
    at = (error.lineno or 0) - 1
    missing = re.match(r"expected an indented block after .* on line (\d+)", error.msg or "")
    if missing:
        header = int(missing[1]) - 1
        if 0 <= header < len(lines) and not lines[header].rstrip().endswith(" pass"):
            lines[header] = lines[header].rstrip() + " pass"
            return True
    if "expected 'except' or 'finally'" in (error.msg or "") and 0 < at <= len(lines):
        indent = _open_try(lines, min(at, len(lines)))
        if indent is not None:
            lines[at - 1] += f"\n{indent}finally: pass" if lines[at - 1].strip() else f"{indent}finally: pass"
            return True
    at = min(at, len(lines) - 1)
    while at >= 0 and (not lines[at].strip() or MARK in lines[at]):
        at -= 1
    if at < 0:
        return False
    line = lines[at]
    indent = line[: len(line) - len(line.lstrip())]
    harmless = f"{indent}if 1:" if line.rstrip().endswith(":") else f"{indent}pass"
    lines[at] = "" if line in (harmless, f"{indent}pass") or "indent" in (error.msg or "") else harmless
    return True


def _open_try(lines: list[str], before: int) -> str | None:
    """The indentation of the nearest ``try:`` above line ``before``."""
    for line in reversed(lines[:before]):
        if line.strip().startswith("try:"):
            return line[: len(line) - len(line.lstrip())]
    return None
