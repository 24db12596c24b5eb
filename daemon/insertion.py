"""Where an import statement goes in a file: beside the other imports, into an existing one where that is safe."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from octod.core.answers import Edit
from octod.indexer.blocks import spans_of

__all__ = ["Imports", "imports_before", "statement"]

_LONGEST = 100  # characters of a line that another name may make; black and ruff break lines at 88 by default, pylint at 100
_IMPORT = re.compile(r"(?:import|from)\b")
_DEFINITION = re.compile(r"(?:@|def\b|class\b|async\b)")
_DOCSTRING = re.compile(r"[rRuU]?[\"']")
_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")
_COMMA = re.compile(r"[ \t]*,[ \t]*(?:#.*)?$")  # and nothing else behind a name
_FUTURE, _RELATIVE = -1, 3


@dataclass(frozen=True, slots=True)
class _Statement:
    """An import in column 0: ``after`` is the start of the next line; ``merge`` where another name may be added, or -1.

    The name goes between ``before`` and ``behind``; ``line`` is the length of the line that it makes longer, 0 on a line of its own.
    """

    start: int
    after: int
    module: str
    group: int
    merge: int = -1
    before: str = ", "
    behind: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Imports:
    """The imports at the head of a file, and where one goes when there are none (``top``), ``below`` a docstring or not."""

    text: str
    statements: tuple[_Statement, ...]
    top: int
    group_of: Callable[[str], int]
    below: bool = False

    def edit(self, module: str, name: str, alias: str = "") -> Edit:
        """What to change so that ``statement(module, name, alias)`` holds."""
        end = "\r\n" if "\r\n" in self.text else "\n"
        if name and not alias:
            for one in self.statements:
                if one.module == module and one.merge >= 0 and (not one.line or one.line + len(name) + 2 <= _LONGEST):
                    return Edit(one.merge, one.merge, f"{one.before}{name}{one.behind}".replace("\n", end))
        line = f"{statement(module, name, alias)}{end}"
        group = self.group_of(module)
        before = [s for s in self.statements if s.group < group or (s.group == group and s.module <= module)]
        same = [s for s in self.statements if s.group == group]
        if same and not any(s in before for s in same):
            place = same[0].start
        elif before:
            place = (([s for s in before if s.group == group] or before)[-1]).after
            if not same:  # a section of its own, as isort and ruff want it
                line = f"{end}{line}{end if any(s.start == place for s in self.statements) else ''}"
        elif self.statements:
            place = self.statements[0].start
            line = line + end
        else:
            place = self.top
            line = f"{end}{line}" if self.below else line
            following = self.text[place : place + 1]
            line = line + (end if following not in ("", "\n", "\r") else "")
        if place and self.text[place - 1] not in "\r\n":  # the last line has no end
            line = end + line.removesuffix(end)
        return Edit(place, place, line)


def statement(module: str, name: str, alias: str = "") -> str:
    """The import statement of a module (``name`` empty) or of a name in it."""
    suffix = f" as {alias}" if alias else ""
    return f"from {module} import {name}{suffix}" if name else f"import {module}{suffix}"


def imports_before(text: str, offset: int, group_of: Callable[[str], int]) -> Imports:
    """The imports in column 0 above ``offset`` and above the first definition; never raises for what the text is.

    ``group_of`` orders modules as isort does: 0 for the standard library, 1 for what is installed, 2 for one's own.
    """
    plain = text.replace("\r\n", " \n").replace("\r", "\n")
    found: list[_Statement] = []
    top: int | None = None
    below = False
    comments = _COMMENTS.match(plain, 1 if plain.startswith("\ufeff") else 0)
    first = comments.end() if comments else 0
    for start, end, part in spans_of(plain):
        at = max(start, first)
        if part or end <= at:
            continue
        here = offset < end or offset == len(plain) == end  # the block with the cursor
        importing = _IMPORT.match(plain, at)
        if _DEFINITION.match(plain, at) or (here and not importing):
            break
        if importing:
            if (one := _read(plain, at, end, group_of)) is not None and one.after <= offset:
                found.append(one)
        elif top is None and _DOCSTRING.match(plain, at) and not found:
            top, below = _line_after(plain, _last_line(plain, at, end)), True
        elif top is None:
            top = at
    return Imports(text, tuple(found), min(first if top is None else top, _line_start(plain, offset)), group_of, below)


def _read(plain: str, start: int, end: int, group_of: Callable[[str], int]) -> _Statement | None:
    body = _parsed(plain[start:end])
    if not body or not all(isinstance(node, ast.Import | ast.ImportFrom) for node in body):
        return None
    node = body[0]
    lines = plain[start:end].split("\n")
    used = max(n.end_lineno or 1 for n in body)
    after = start + sum(len(line) + 1 for line in lines[:used])
    after = min(after, len(plain))
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
    else:
        module = node.names[0].name if isinstance(node, ast.Import) else ""
    group = _FUTURE if module == "__future__" else _RELATIVE if module.startswith(".") else group_of(module)
    one = _Statement(start, after, module, group)
    return _mergeable(one, node, lines) if isinstance(node, ast.ImportFrom) and len(body) == 1 else one


def _mergeable(one: _Statement, node: ast.ImportFrom, lines: list[str]) -> _Statement:
    """The statement with the place behind its last name, where the names stand one to a line with a line of its own."""
    last = node.names[-1]
    row = (last.end_lineno or 1) - 1
    line = lines[row]
    if last.name == "*" or not line.isascii():  # columns of ``ast`` are bytes
        return one
    begin, column = one.start + sum(len(above) + 1 for above in lines[:row]), last.end_col_offset or 0
    if row == 0 or lines[row - 1].rstrip().endswith("\\"):
        return replace(one, merge=begin + column, line=len(line))
    indent = line[: len(line) - len(line.lstrip())]
    if _COMMA.match(line, column):
        return replace(one, merge=begin + len(line.rstrip()), before=f"\n{indent}", behind=",")
    return replace(one, merge=begin + column, before=f",\n{indent}")


def _parsed(source: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _last_line(plain: str, start: int, end: int) -> int:
    """An offset in the last line of the statement that a block starts with."""
    body = _parsed(plain[start:end])
    lines = plain[start:end].split("\n")
    used = (body[0].end_lineno or 1) if body else 1
    return start + sum(len(line) + 1 for line in lines[: used - 1])


def _line_after(plain: str, offset: int) -> int:
    end = plain.find("\n", offset)
    return len(plain) if end < 0 else end + 1


def _line_start(plain: str, offset: int) -> int:
    return plain.rfind("\n", 0, offset) + 1
