"""Docstrings, read in the installed files when somebody asks: the index keeps none.

A file is read as text and never parsed as a whole: the definition is found by its line, else by its name in the
classes around it.  What is gone, or no longer defined where it was, has no docstring.
"""

from __future__ import annotations

import ast
import os
import re
import sysconfig
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from octod.core.symbols import Member, Scope, Symbol
from octod.indexer.added_docs import ADDED_DOCS, added_docs
from octod.indexer.docstrings import cleaned
from octod.indexer.sources import ScopeSource, Target
from octod.indexer.work import read_source

__all__ = ["doc_of_member", "doc_of_scope", "doc_of_target", "documented"]

_LARGEST = 5_000_000  # bytes, as the extractor
_LONGEST = 20_000  # characters of a signature and its docstring
_DEFINITION = re.compile(r"^([ \t]*)(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_STRING = r"[rRuU]?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
_DOCSTRING = re.compile(rf"(?:\s|#[^\n]*\n|\\\n)*((?:{_STRING}[ \t]*(?:\\\n)?[ \t]*)+)(?=[\r\n;]|\Z|#)", re.DOTALL)
_HEADER = re.compile(rf"(?P<skip>{_STRING}|#[^\n]*)|(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<colon>:)", re.DOTALL)

_Definition = tuple[int, int, str, int]  # line, indentation, name, where the name ends


def doc_of_target(source: ScopeSource, target: Target) -> str:
    """The docstring of what a name means."""
    if target.symbol is not None and (found := doc_of_member(source, target.qualified, target.symbol)):
        return found
    return doc_of_scope(target.scope) if target.scope is not None else ""


def doc_of_member(source: ScopeSource, qualified: str, symbol: Symbol) -> str:
    """The docstring of a symbol that is defined as ``qualified``; its own where it was just extracted."""
    if symbol.doc or symbol.kind not in ("function", "class", "property"):
        return symbol.doc
    owner, _, name = qualified.rpartition(".")
    scope = source.scope(owner)
    if scope is None or name not in scope.symbols:
        return ""
    if scope.symbols[name].doc:
        return scope.symbols[name].doc
    inner = _within(source, scope)
    module = scope.qualified.removesuffix("." + inner) if inner else scope.qualified
    path = [*inner.split("."), name] if inner else [name]
    for file in _files(scope, module):
        if (doc := _defined(file, path, scope.symbols[name].line)) is not None:
            return doc
    if scope.library.distribution == "numpy" and module in ADDED_DOCS:
        return _added(scope.file, ADDED_DOCS[module]).get(".".join(path), "")
    return ""


def doc_of_scope(scope: Scope) -> str:
    """The docstring of a module; for a class ask for its symbol."""
    if scope.doc or scope.kind != "module":
        return scope.doc
    for file in _files(scope, scope.qualified):
        if (text := _text(file)[0]) and (doc := _docstring(text, 0)):
            return doc
    return ""


def documented(source: ScopeSource, member: Member) -> Member:
    """The member with its docstring."""
    doc = doc_of_member(source, member.qualified, member.symbol)
    return replace(member, symbol=replace(member.symbol, doc=doc)) if doc else member


def _within(source: ScopeSource, scope: Scope) -> str:
    """The classes that a scope is, within its module."""
    parts = scope.qualified.split(".")
    depth = len(parts)
    while depth and scope.kind == "class":
        depth -= 1
        outer = source.scope(".".join(parts[:depth]))
        if outer is None or outer.kind == "module":
            break
    return ".".join(parts[depth:])


def _files(scope: Scope, module: str) -> list[str]:
    """Where a scope's docstrings may be: its file; for a stub of the standard library this interpreter's source."""
    if scope.library.distribution != "stdlib" or scope.file.endswith(".py"):
        return [scope.file] if scope.file else []
    base = os.path.join(sysconfig.get_path("stdlib"), *module.split("."))
    return [f for f in (f"{base}/__init__.py", f"{base}.py") if os.path.isfile(f)] or [scope.file]


def _defined(file: str, path: list[str], line: int) -> str | None:
    """The docstring of ``path`` in a file, empty where it has none; None when it is not defined there."""
    text, found = _text(file)
    place = next((f for f in found if f[0] == line and f[2] == path[-1]), None)
    if place is None:
        place = _by_name(found, path)
        if place is None:
            return None
    body = _after_header(text, place[3])
    return _docstring(text, body) if body else ""


def _by_name(found: tuple[_Definition, ...], path: list[str]) -> _Definition | None:
    """The definition of the last name of ``path`` within those before."""
    place: _Definition | None = None
    first, end, depth = 0, len(found), -1
    for name in path:
        # Of several the outermost: a method is not the function of the same name.
        inside = (f for f in found[first:end] if f[2] == name and f[1] > depth)
        place = min(inside, key=lambda f: f[1], default=None)
        if place is None:
            return None
        first, depth = found.index(place) + 1, place[1]
        end = next((n for n in range(first, end) if found[n][1] <= depth), end)
    return place


def _after_header(text: str, start: int) -> int:
    """Where the body of a definition begins; 0 when that cannot be told."""
    depth = 0
    for match in _HEADER.finditer(text, start, start + _LONGEST):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
        elif match["colon"] and depth == 0:
            return match.end()
    return 0


def _docstring(text: str, start: int) -> str:
    match = _DOCSTRING.match(text, start, min(len(text), start + _LONGEST))
    if match is None:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(f"({match[1]})")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ""
    return cleaned(value) if isinstance(value, str) else ""


def _text(file: str) -> tuple[str, tuple[_Definition, ...]]:
    """A file's text and its definitions."""
    try:
        found = os.stat(file)
    except OSError:
        return "", ()
    return _read(file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _read(file: str, _time: int, _size: int) -> tuple[str, tuple[_Definition, ...]]:
    text, _ = read_source(Path(file), _LARGEST)
    if text is None:
        return "", ()
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found: list[_Definition] = []
    line, at = 1, 0
    for match in _DEFINITION.finditer(text):
        line += text.count("\n", at, match.start(2))
        at = match.start(2)
        found.append((line, len(match[1].expandtabs()), match[2], match.end()))
    return text, tuple(found)


def _added(file: str, place: str) -> dict[str, str]:
    """What numpy documents apart from the stubs beside which ``file`` lies."""
    root, _, _ = file.rpartition("/numpy/")
    try:
        found = os.stat(os.path.join(root, place))
    except OSError:
        return {}
    return _read_added(os.path.join(root, place), found.st_mtime_ns)


@lru_cache(maxsize=1)
def _read_added(path: str, _time: int) -> dict[str, str]:
    text, _ = read_source(Path(path), _LARGEST)
    return added_docs(text or "")
