"""Import statements: which of their words is wanted at the cursor, and the modules that may stand there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from octod.core.answers import MenuItem
from octod.daemon.context import Place
from octod.daemon.unimported import ALIASES
from octod.indexer.parse import Cursor
from octod.indexer.store import Index

__all__ = ["Part", "left_out", "module_items", "part_at", "word_items"]

# ``module``: a module's name, ``member``: what a module offers, the words ``import`` and ``as``, ``alias``: a name after ``as``.
Part = Literal["module", "member", "import", "as", "alias"]

_HEAD = re.compile(r"(from|import)\b")
_NAMES = re.compile(r"\bimport\b(.*)", re.DOTALL)
_IMPORTED = re.compile(r"(\w+)(?:\s+as\s+\w+)?")
# What goes on with the names that are imported: behind a comma, and on the lines up to the closing bracket.
_AFTER = re.compile(r"(?:[ \t]*,[ \t\w,]*)?(?:(?:#[^\n]*)?\r?\n(?:[ \t]*\w[ \t\w,]*(?:#[^\n]*)?\r?\n)*[ \t]*\))?")
_ALIAS = re.compile(r"(?:\bimport|,|\()\s*([\w.]+)\s+as\s+\Z")


def part_at(cursor: Cursor) -> Part | None:
    """What the cursor's place in an import statement wants; None elsewhere."""
    text = _before(cursor)
    head = _HEAD.match(text)
    if head is None:
        return None
    if _ALIAS.search(text):
        return "alias"
    if cursor.importing is None:
        return "as"
    if head[1] == "from" and _NAMES.search(text):
        return "member"
    rest = text[head.end() :]
    rest = rest if head[1] == "from" else rest.rpartition(",")[2]
    written = rest.strip(" \t\\\n\r")
    if not written or (written.endswith(".") and rest.endswith(".")):
        return "module"
    return "import" if head[1] == "from" else "as"


def module_items(index: Index, place: Place, calls: Mapping[str, int]) -> list[MenuItem]:
    """The modules that may follow: installed ones, or those below the package that is written; the most used first."""
    found: list[MenuItem] = []
    if place.cursor.importing == "":
        for top, libraries in index.import_names().items():
            library = libraries[0].distribution if libraries else ""
            found.append(MenuItem(top, "module", top, "", library, score=float(calls.get(top, 0))))
    else:
        for member in place.members:
            if member.symbol.kind == "module":
                qualified = member.symbol.target or member.qualified
                uses = float(calls.get(qualified, 0))
                found.append(MenuItem(member.symbol.name, "module", qualified, "", member.library.distribution, score=uses))
    return sorted(found, key=lambda item: (item.name.startswith("_"), -item.score, item.name))


def word_items(part: Part, cursor: Cursor) -> list[MenuItem]:
    """The word of the statement itself that is due; after ``as`` the name by which everybody calls the module."""
    if part == "alias":
        named = _ALIAS.search(_before(cursor))
        usual = (alias for alias, module in ALIASES.items() if named is not None and module == _path(cursor, named[1]))
        return [MenuItem(alias, "module", ALIASES[alias]) for alias in usual if alias.startswith(cursor.partial)]
    return [MenuItem(part, "keyword", "")] if part.startswith(cursor.partial) else []


def left_out(place: Place) -> frozenset[str]:
    """The names that a ``from`` statement imports already, and special ones that nobody asks for."""
    cursor = place.cursor
    found = _NAMES.search(_before(cursor))
    if found is None:
        return frozenset()
    after = _AFTER.match(cursor.text, cursor.offset)
    names = set(_IMPORTED.findall(found[1])) | set(_IMPORTED.findall(after[0] if after is not None else ""))
    if not cursor.partial.startswith("_"):
        names |= {m.symbol.name for m in place.members if m.symbol.name.startswith("__")}
    return frozenset(names)


def _path(cursor: Cursor, name: str) -> str:
    """The full name of what an import statement names."""
    package = re.match(r"from\s+([\w.]+)\s+import\b", _before(cursor))
    return f"{package[1]}.{name}" if package is not None else name


def _before(cursor: Cursor) -> str:
    return cursor.text[cursor.statement : cursor.offset - len(cursor.partial)]
