"""Call sites of finished files: whose member is called, with which arguments, where, and what surrounds the call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from octod.core.symbols import CallSite
from octod.indexer.features import Trail, surroundings
from octod.indexer.frames import Call
from octod.indexer.lookup import ScopeSource, TypeRef, refresh, resolve, scope_of
from octod.indexer.names import View
from octod.indexer.parse import parse_file
from octod.indexer.place import Place

__all__ = ["ResolvedCall", "argument_text", "call_sites", "module_of", "resolved_calls", "usage_key"]


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedCall:
    """A call of an attribute, or of a name imported from a module, whose receiver is known."""

    call: Call
    owner: TypeRef
    member: str
    features: tuple[str, ...]


def resolved_calls(view: View, with_features: bool = True) -> Iterator[ResolvedCall]:
    """The calls of a file whose receiver is a module, class or object of the index, in reading order."""
    trail = Trail()
    for block in range(view.last + 1):
        table = view.table(block)
        for call in table.calls:
            assert call.receiver is not None
            owner = _owner(view, view.place(block, call.use), call)
            if owner is not None:
                yield ResolvedCall(call, owner, call.member, surroundings(call, trail) if with_features else ())
            trail.note(call)
        for call in table.bare:
            if (imported := _imported_owner(view, block, call)) is not None:
                yield ResolvedCall(call, imported[0], imported[1], ())


def call_sites(
    source: ScopeSource, text: str, path: str, module: str = "", package: bool = False
) -> tuple[list[CallSite], list[str]]:
    """(every call site of a finished file whose receiver is known, problems)."""
    refresh(source)
    if not module:
        module, package = module_of(path)
    tree, problem = parse_file(text)
    if tree is None:
        return [], [f"{path}: {problem}"]
    view = View(source, tree, module, package)
    plain = tree.blocks[0].parsed.text
    starts = _line_starts(plain)
    found: list[CallSite] = []
    for resolved in resolved_calls(view):
        node, receiver = resolved.call.node, resolved.call.receiver
        if node is None or receiver is None:
            continue
        dot = _offset(plain, starts, node.func.end_lineno, node.func.end_col_offset) - len(resolved.member)
        close = _offset(plain, starts, node.end_lineno, node.end_col_offset) - 1
        opened = plain.find("(", dot)
        found.append(
            CallSite(
                receiver=resolved.owner.qualified,
                instance=resolved.owner.instance,
                member=resolved.member,
                library=_library(source, resolved.owner),
                start=_offset(plain, starts, receiver.lineno, receiver.col_offset),
                dot=dot,
                open=opened + 1,
                close=close,
                positional=tuple(ast.unparse(a) for a in node.args),
                keywords=tuple((k.arg or "**", ast.unparse(k.value)) for k in node.keywords),
                features=resolved.features,
            )
        )
    return found, []


def usage_key(owner: TypeRef) -> str:
    """The key that usage is counted under: the class or module, with ``()`` for objects of a class."""
    if owner.qualified.endswith("()") or not owner.instance:
        return owner.qualified
    return owner.qualified + "()"


def argument_text(lines: list[str], node: ast.Call, longest: int) -> str | None:
    """The source between the call's brackets on one line; None when it is longer than that, or cannot be told.

    ``lines`` are those of the text that the node was parsed from.
    """
    if not node.args and not node.keywords:
        return ""
    first, last = (node.func.end_lineno or 1) - 1, (node.end_lineno or 1) - 1
    if last - first > 8 or last >= len(lines):
        return None
    begin, end = node.func.end_col_offset or 0, node.end_col_offset or 0
    if first == last:
        text = _columns(lines[first], begin, end)
    else:
        rows = [_columns(lines[first], begin, None), *lines[first + 1 : last], _columns(lines[last], 0, end)]
        if any("#" in r or '"""' in r or r.endswith("\\") for r in rows):
            return None
        text = " ".join(r.strip() for r in rows).replace("( ", "(").replace(", )", ")")
    text = text.strip()
    if not (text.startswith("(") and text.endswith(")")):
        return None
    text = text[1:-1].strip().removesuffix(",")
    return text if len(text) <= longest else None


def _columns(line: str, begin: int, end: int | None) -> str:
    """A part of a line by columns in UTF-8 bytes."""
    if line.isascii():
        return line[begin:end]
    return line.encode("utf-8", "surrogatepass")[begin:end].decode("utf-8", "replace")


def module_of(path: str) -> tuple[str, bool]:
    """(dotted module name, is a package) of a file by the ``__init__.py`` files beside it; names only, nothing is read."""
    folder, _, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    package = stem == "__init__"
    prefix = _package_of(folder)
    return (prefix if package else f"{prefix}.{stem}" if prefix else stem), package


@lru_cache(maxsize=1024)
def _package_of(folder: str) -> str:
    parts: list[str] = []
    parent = Path(folder)
    for _ in range(20):
        if not parent.name.isidentifier() or not (parent / "__init__.py").exists():
            break
        parts.append(parent.name)
        parent = parent.parent
    return ".".join(reversed(parts))


def _owner(view: View, place: Place, call: Call) -> TypeRef | None:
    """The type that a call's receiver counts for: the first that has the member, else the first of the index."""
    assert call.receiver is not None
    first: TypeRef | None = None
    for one in place.infer(call.receiver):
        if not one.qualified or one.qualified.startswith(("~", ".", "typing.Callable")):
            continue
        if one.qualified.endswith("()"):
            first = first or one
            continue
        if view.owns(one.qualified):
            continue
        target = resolve(view.source, one.qualified)
        if target is None or target.kind not in ("module", "class"):
            continue
        plain = TypeRef(target.qualified, one.instance)
        if resolve(view.source, f"{target.qualified}.{call.member}") is not None:
            return plain
        first = first or plain
    return first


def _imported_owner(view: View, block: int, call: Call) -> tuple[TypeRef, str] | None:
    """(module, name there) of a call of a name that was imported from a module."""
    bindings = view.bindings(call.member, block, call.use)
    if not bindings or bindings[0][1].kind != "from":
        return None
    node = bindings[0][1].node
    assert isinstance(node, ast.ImportFrom)
    name = next((a.name for a in node.names if (a.asname or a.name) == call.member), call.member)
    module = view.absolute(node)
    target = resolve(view.source, module) if module else None
    if target is None or target.kind != "module" or resolve(view.source, f"{module}.{name}") is None:
        return None
    return TypeRef(target.qualified, False), name


def _library(source: ScopeSource, owner: TypeRef) -> str:
    name = owner.qualified.removesuffix("()")
    while name:
        scope = scope_of(source, name)
        if scope is not None:
            return scope.library.distribution
        name = name.rpartition(".")[0]
    return ""


def _line_starts(text: str) -> list[int]:
    starts = [0]
    at = text.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = text.find("\n", at + 1)
    return starts


def _offset(text: str, starts: list[int], line: int | None, column: int | None) -> int:
    """Code points from the file's start of an ast position (lines from 1, columns in UTF-8 bytes)."""
    start = starts[(line or 1) - 1]
    end = starts[line] if line is not None and line < len(starts) else len(text)
    content = text[start:end]
    if content.isascii():
        return start + (column or 0)
    return start + len(content.encode("utf-8", "surrogatepass")[: column or 0].decode("utf-8", "replace"))
