"""Bare names: what may stand at a cursor that no dot precedes, from the file's scope to what it could import."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator

from octod.core.answers import MenuItem
from octod.daemon.context import Place
from octod.daemon.insertion import imports_before, statement
from octod.daemon.unimported import ALIASES, Importable, Unimported
from octod.indexer.parse import Cursor
from octod.indexer.store import Index
from octod.indexer.visible import visible_at

__all__ = ["bare_items", "names_something_new", "worth"]

_MOST_IMPORTS = 50  # entries with an import, each of which carries its edit
_MOST_OF_ONE = 4  # modules that offer the same name
_NEW = re.compile(r"(?:\b(?:def|class|as|global|nonlocal|type)|\bfor(?:\s+\w+\s*,)*|\blambda\b[^:]*)\s*\Z")
_PARAMETERS = re.compile(r"(?:async\s+)?def\s+\w+\s*(?:\[[^\]]*\])?\(")
# Builtins by how often the standard library's own sources name them; the others follow.
_USUAL = {name: number for number, name in enumerate((
    "len", "isinstance", "ValueError", "str", "type", "object", "int", "TypeError", "print", "getattr",
    "OSError", "list", "hasattr", "input", "property", "super", "tuple", "bytes", "AttributeError",
    "KeyError", "range", "ImportError", "NotImplementedError", "dir", "dict", "set", "repr", "Exception",
    "open", "classmethod", "RuntimeError", "DeprecationWarning", "map", "id", "max", "next", "min", "float",
    "sorted", "setattr", "bool", "globals", "format", "iter", "staticmethod", "issubclass", "enumerate",
    "vars", "bytearray", "BaseException", "KeyboardInterrupt", "IndexError", "zip", "SystemExit", "ord",
    "locals", "callable", "StopIteration",
))}  # fmt: skip
_WORDS = tuple(sorted((*keyword.kwlist, "match", "case")))


def bare_items(index: Index, place: Place, unimported: Unimported, imported: Collection[str]) -> list[MenuItem]:
    """Names that go on from what is typed: those in scope, nearest first, Python's words, names that could be imported.

    With nothing typed the names in scope alone.  ``imported`` are the top-level modules that the file imports.
    """
    cursor = place.cursor
    typed = cursor.partial
    if names_something_new(cursor):
        return []
    scoped = [
        (v.where == "builtin", MenuItem(v.name, v.kind, v.qualified))
        for v in visible_at(index, cursor, place.module, place.package, inferred=0)
    ]
    known = {item.name for _, item in scoped}
    near = _private_last(item for builtin, item in scoped if not builtin)
    far = sorted((item for builtin, item in scoped if builtin), key=lambda item: _USUAL.get(item.name, len(_USUAL)))
    if not typed:
        return _numbered([*near, *far])
    new = _imports(index, place, unimported, known, imported)
    exact = {item.name for item in new if item.name == typed and item.kind in ("class", "module")}
    words = [MenuItem(word, "keyword", "") for word in _WORDS if word.startswith(typed)]
    return _numbered([
        *(item for item in near if _begins(item.name, typed)),
        *(item for item in new if item.name in exact),
        *words,
        *(item for item in far if _begins(item.name, typed)),
        *(item for item in new if item.name not in exact),
        *(item for item in (*near, *far) if not _begins(item.name, typed) and _scattered(item.name, typed)),
    ])  # fmt: skip


def names_something_new(cursor: Cursor) -> bool:
    """Whether the cursor is where a name is made up: after ``def``, ``as`` or ``for``, or as a parameter."""
    text = cursor.text[cursor.statement : cursor.offset - len(cursor.partial)]
    if _NEW.search(text):
        return True
    header = _PARAMETERS.match(text)
    if header is None:
        return False
    depth, begun = 1, True  # whether the parameter at hand has only its name so far
    for char in text[header.end() :]:
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return False
        if depth == 1 and char in ",:=":
            begun = char == ","
    return begun


def _imports(
    index: Index, place: Place, unimported: Unimported, known: set[str], imported: Collection[str]
) -> list[MenuItem]:
    """Entries for names of libraries that are installed and not imported yet, the likeliest first."""
    text, typed = place.cursor.text, place.cursor.partial
    tops = index.import_names()
    found: list[tuple[float, Importable, str]] = []  # worth, what, alias
    for alias, module in ALIASES.items():
        if alias.startswith(typed) and alias not in known and module.partition(".")[0] in tops and index.scope(module) is not None:
            parent, _, name = module.rpartition(".")
            one = Importable("" if name != alias else name, module if name != alias else parent, "module", 0)
            found.append((12.0 if alias == typed else 9.0 - len(alias) + len(typed), one, alias if name != alias else ""))
    for one in unimported.beginning(typed):
        if one.name not in known and (not one.module or one.module != place.module) and one.name != typed.rstrip("_") + "_":
            found.append((worth(one, typed, imported), one, ""))
    found.sort(key=lambda entry: (-entry[0], entry[1].name, entry[1].module))
    group = _grouping(index)
    head = imports_before(text, place.cursor.offset, group)
    items: list[MenuItem] = []
    of_one: dict[str, int] = {}
    for score, one, alias in found:
        name = alias or one.name
        of_one[name] = of_one.get(name, 0) + 1
        if of_one[name] > _MOST_OF_ONE:
            continue
        # ``import name`` and ``import module as alias`` name a module alone
        module, member = (one.module, one.name) if one.module and one.name else (one.module or one.name, "")
        libraries = tops.get(module.partition(".")[0], ())
        items.append(
            MenuItem(
                name,
                one.kind,
                f"{module}.{member}" if member else module,
                library=libraries[0].distribution if libraries else "",
                score=score,
                imports=statement(module, member, alias),
                edit=head.edit(module, member, alias),
            )
        )
        if len(items) == _MOST_IMPORTS:
            break
    return items


def worth(one: Importable, typed: str, imported: Collection[str]) -> float:
    """How likely it is meant: used often, of a library that the file imports already, not deep inside."""
    top = (one.module or one.name).partition(".")[0]
    value = math.log1p(one.uses) - 0.7 * one.module.count(".") + 2.5 * (top in imported)
    value += 4.0 * (one.name == typed) + 2.0 * one.name.startswith(typed) - 0.05 * (len(one.name) - len(typed))
    return value - (one.kind == "attribute") - 3.0 * (one.kind == "module" and bool(one.module))


def _grouping(index: Index) -> Callable[[str], int]:
    """isort's sections: the standard library, what is installed, the user's own."""
    tops = index.import_names()

    def group(module: str) -> int:
        libraries = tops.get(module.partition(".")[0], ())
        if not libraries:
            return 1
        return 0 if libraries[0].distribution == "stdlib" else 2 if libraries[0].distribution.startswith("project:") else 1

    return group


def _begins(name: str, typed: str) -> bool:
    return name.lower().startswith(typed.lower())


def _scattered(name: str, typed: str) -> bool:
    """Whether a name has the typed characters in their order, the first one first, as editors match them."""
    left: Iterator[str] = iter(name.lower())
    return name[:1].lower() == typed[:1].lower() and all(char in left for char in typed.lower())


def _private_last(items: Iterable[MenuItem]) -> list[MenuItem]:
    return sorted(items, key=lambda item: item.name.startswith("_"))


def _numbered(items: list[MenuItem]) -> list[MenuItem]:
    """The entries in their order, each name of the scope once."""
    found: dict[tuple[str, str], MenuItem] = {}
    for item in items:
        found.setdefault((item.name, item.imports), item)
    return list(found.values())
