"""The cursor and the file around it: the receiver's types, names in scope, the file's own history, all call sites.

These are the questions the editor asks about a ``Cursor`` (parse.py); mining asks the same code about finished files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from octod.core.symbols import CallSite, LibraryId, Scope
from octod.indexer.bindings import table_of
from octod.indexer.extract_class import class_scopes
from octod.indexer.features import Trail, receiver_text, surroundings
from octod.indexer.frames import Call, Frame
from octod.indexer.infer import Types
from octod.indexer.lookup import LayeredSource, ScopeSource, Target, TypeRef, find_member, refresh, resolve
from octod.indexer.names import Place, View, absolute_module
from octod.indexer.parse import MARK, Cursor, Tree, parse_expression, parse_file
from octod.indexer.reading import Reading

__all__ = [
    "History",
    "Receiver",
    "ResolvedCall",
    "argument_text",
    "arguments_at",
    "call_sites",
    "callees_at",
    "features_at",
    "history_at",
    "module_of",
    "names_at",
    "receiver_at",
    "resolved_calls",
    "types_at",
    "usage_key",
]

_NEAREST = 250  # earlier calls whose receivers are inferred for the history
_MOST_NAMES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Receiver:
    """What stands before the dot.

    ``types`` are those that the index or the file can list members of; ``module`` says that all of them are modules.
    ``unknown`` are usage keys (``pkg.func()``) of results whose type nobody declares.  ``source`` is to be used for looking up
    ``types``: it also knows the classes that the file itself defines.
    """

    types: Types
    expression: str
    module: bool
    unknown: tuple[str, ...]
    source: ScopeSource


@dataclass(frozen=True, slots=True)
class History:
    """Members called elsewhere in the file, those just before the cursor last.

    ``here`` on the same receiver expression, ``same_type`` on receivers of the same type (``here`` included).
    """

    here: tuple[str, ...]
    same_type: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedCall:
    """A call of an attribute, or of a name imported from a module, whose receiver is known."""

    call: Call
    owner: TypeRef
    member: str
    features: tuple[str, ...]


# the cursor --------------------------------------------------------------------------------------------------------


def receiver_at(source: ScopeSource, cursor: Cursor, module: str = "", package: bool = False) -> Receiver:
    """What the expression before the cursor's dot is; ``module`` is the dotted name of the file, where it is known.

    In ``import`` and ``from`` statements it is the module whose names are wanted.  Unknown gives no types.
    """
    view = _view(source, cursor.tree, module, package)
    if cursor.importing is not None:
        dots = len(cursor.importing) - len(cursor.importing.lstrip("."))
        name = absolute_module(cursor.importing.lstrip("."), dots, view.module, package)
        target = resolve(source, name) if name else None
        types: Types = (TypeRef(target.qualified, False),) if target is not None and target.kind == "module" else ()
        return Receiver(types, cursor.importing, True, (), source)
    if not cursor.receiver:
        return Receiver((), "", False, (), source)
    found = _receiver_types(view, cursor)
    types = tuple({(t.qualified, t.instance): t for t in reversed(found) if t.known}.values())[::-1]
    own = {t.qualified for t in types if view.owns(t.qualified)}
    types = tuple(t for t in types if t.qualified in own or _listable(source, t))
    unknown = tuple(t.qualified for t in found if t.qualified.endswith("()"))
    layered: ScopeSource = LayeredSource(source, _own_scopes(view, own)) if own else source
    is_module = bool(types) and all(not t.instance and _kind(source, t) == "module" for t in types)
    return Receiver(types, cursor.receiver, is_module, unknown, layered)


def names_at(
    source: ScopeSource, cursor: Cursor, module: str = "", package: bool = False
) -> tuple[tuple[str, Types], ...]:
    """The names in scope at the cursor with their types (empty: unknown), nearest first; at most 64.

    Imported modules, functions and classes are left out: these are values that an argument may be.
    """
    view = _view(source, cursor.tree, module, package)
    place = view.cursor()
    if place is None:
        return ()
    found: list[tuple[str, Types]] = []
    for name in view.visible(place.block, place.use):
        bindings = view.bindings(name, place.block, place.use)
        if not bindings or bindings[0][1].kind in ("import", "from", "class", "def") or name.startswith("__"):
            continue
        found.append((name, tuple(t for t in place.name(name) if t.known)))
        if len(found) == _MOST_NAMES:
            break
    return tuple(found)


def callees_at(source: ScopeSource, cursor: Cursor, module: str = "", package: bool = False) -> tuple[Target, ...]:
    """The functions and classes of the index that the call around the cursor may mean."""
    if cursor.call is None:
        return ()
    view = _view(source, cursor.tree, module, package)
    place = view.cursor()
    node = parse_expression(cursor.call.function)
    if place is None or node is None:
        return ()
    found: list[Target] = []
    for one in place.infer(node):
        if not one.known:
            continue
        if one.instance:
            member = find_member(source, one.qualified, "__call__")
            if member is not None:
                found.append(Target("function", member.qualified, member.symbol, None))
        elif (target := resolve(source, one.qualified)) is not None and target.kind in ("function", "class"):
            found.append(target)
    return tuple({t.qualified: t for t in found}.values())


def types_at(
    source: ScopeSource, cursor: Cursor, expression: str, module: str = "", package: bool = False
) -> Types:
    """What an expression would be if it stood at the cursor; unknown gives no types."""
    place, node = _view(source, cursor.tree, module, package).cursor(), parse_expression(expression)
    return tuple(t for t in place.infer(node) if t.known) if place is not None and node is not None else ()


def features_at(cursor: Cursor) -> tuple[str, ...]:
    """What surrounds the cursor, as mining would see a call there (features.py)."""
    trail = Trail()
    at = cursor.tree.current
    for number, block in enumerate(cursor.tree.blocks[: at + 1]):
        table = table_of(block)
        if number < at:
            for call in table.calls:
                trail.note(call)
        elif table.cursor is not None:
            for call in table.calls[: table.cursor_calls]:
                trail.note(call)
            return surroundings(table.cursor, trail)
    return ()


def history_at(
    source: ScopeSource, cursor: Cursor, receiver: Receiver, module: str = "", package: bool = False
) -> History:
    """The file's own earlier members on the same receiver and on the same type; what follows the cursor counts as earliest."""
    view = _view(source, cursor.tree, module, package)
    ordered = _around(view, cursor)
    place_node = _cursor_node(view)
    text = receiver_text(place_node)
    here = tuple(c.member for _, c in ordered if text and receiver_text(c.receiver) == text)
    wanted = {(t.qualified, t.instance) for t in receiver.types}
    same: list[str] = []
    if wanted:
        for block, call in ordered[-_NEAREST:]:
            if (text and receiver_text(call.receiver) == text) or _is_any(view, block, call, wanted):
                same.append(call.member)
    return History(here, tuple(same))


def arguments_at(
    source: ScopeSource, cursor: Cursor, receiver: Receiver, member: str, module: str = "", package: bool = False
) -> tuple[str, ...]:
    """Argument lists of earlier calls of ``member`` on the same type or the same expression, the nearest last."""
    view = _view(source, cursor.tree, module, package)
    wanted = {(t.qualified, t.instance) for t in receiver.types}
    text = receiver_text(_cursor_node(view)) or receiver_text(parse_expression(receiver.expression))
    found: list[str] = []
    for block, call in _around(view, cursor):
        if call.member != member or call.node is None or call.receiver is None:
            continue
        same = text and receiver_text(call.receiver) == text
        if not same and not _is_any(view, block, call, wanted):
            continue
        source_text = argument_text(view.lines(block), call.node, 200)
        if source_text is not None and MARK not in source_text:  # not the call that is being typed
            found.append(source_text)
    return tuple(found)


def module_of(path: str) -> tuple[str, bool]:
    """(dotted module name, is a package) of a file by the ``__init__.py`` files beside it; names only, nothing is read."""
    return _module_of(str(Path(path).parent), Path(path).stem)


@lru_cache(maxsize=1024)
def _module_of(folder: str, stem: str) -> tuple[str, bool]:
    package = stem == "__init__"
    parts = [] if package else [stem]
    parent = Path(folder)
    for _ in range(20):
        if not (parent / "__init__.py").exists() or not parent.name.isidentifier():
            break
        parts.append(parent.name)
        parent = parent.parent
    return ".".join(reversed(parts)), package


# finished files ----------------------------------------------------------------------------------------------------


def resolved_calls(view: View, with_features: bool = True) -> Iterator[ResolvedCall]:
    """The calls of a file whose receiver is a module, class or object of the index, in reading order."""
    trail = Trail()
    for block, table in enumerate(view.tables):
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


# helpers -----------------------------------------------------------------------------------------------------------


def _view(source: ScopeSource, tree: Tree, module: str, package: bool) -> View:
    if isinstance(source, LayeredSource):
        source = source.base
    refresh(source)
    key = (id(source), module, package, getattr(source, "generation", 0))
    known = tree.cache.get(key)
    if not isinstance(known, View) or known.source is not source:
        known = tree.cache[key] = View(source, tree, module, package)
    return known


def _cursor_node(view: View) -> ast.expr | None:
    if not 0 <= view.tree.current < len(view.tables):
        return None
    call = view.tables[view.tree.current].cursor
    return call.receiver if call is not None else None


def _receiver_types(view: View, cursor: Cursor) -> Types:
    place = view.cursor()
    node = _cursor_node(view) or parse_expression(cursor.receiver)
    if place is None or node is None:
        return ()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
        return _super(view, place)
    return place.infer(node)


def _super(view: View, place: Place) -> Types:
    """What ``super()`` gives members of: the bases of the class around."""
    frame = place.use.frame
    while frame.parent is not None and frame.kind != "class":
        frame = frame.parent
    return tuple(replace(b, instance=True) for b in view.class_bases(frame, place.block))


def _kind(source: ScopeSource, one: TypeRef) -> str:
    target = resolve(source, one.qualified)
    return target.kind if target is not None else ""


def _listable(source: ScopeSource, one: TypeRef) -> bool:
    return _kind(source, one) in ("module", "class")


def _own_scopes(view: View, wanted: set[str]) -> dict[str, Scope]:
    """Scopes of the file's own classes, and of those that they derive from in the file."""
    found: dict[str, Scope] = {}
    left = list(wanted)
    while left:
        qualified = left.pop()
        parts = view.parts(qualified)
        if qualified in found or not parts or parts[0][0].kind != "class":
            continue
        made = [scope for frame, block in parts if (scope := _own_scope(view, frame, block, qualified)) is not None]
        if made:
            bases = view.class_bases(*parts[0])
            symbols = {name: symbol for scope in made for name, symbol in scope.symbols.items()}
            found[qualified] = replace(made[0], symbols=symbols, bases=tuple(b.qualified for b in bases))
            left += [b.qualified for b in bases if view.owns(b.qualified)]
    return found


def _own_scope(view: View, frame: Frame, block: int, qualified: str) -> Scope | None:
    if not isinstance(frame.node, ast.ClassDef):
        return None
    reading = Reading(view.module, view.lines(block), view.package, False, (3, 99))
    outer = qualified.rpartition(".")[0]
    try:
        _, scopes = class_scopes(
            reading, frame.node, outer=outer, file="", library=LibraryId("", "", ""), public=True, known_fields={}
        )
    except (RecursionError, ValueError, IndexError):
        return None
    return scopes[0]


def _around(view: View, cursor: Cursor) -> list[tuple[int, Call]]:
    """The file's calls except those on the cursor's line: those after it first, then those before it, in order."""
    at = view.tree.current
    before: list[tuple[int, Call]] = []
    after: list[tuple[int, Call]] = []
    for number, table in enumerate(view.tables):
        if number < at:
            before += [(number, c) for c in table.calls]
        elif number > at:
            after += [(number, c) for c in table.calls]
        else:
            split = table.cursor_calls if table.cursor is not None else len(table.calls)
            before += [(number, c) for c in table.calls[:split]]
            line = _statement_line(view, cursor)
            after += [(number, c) for c in table.calls[split:] if c.node is not None and c.node.lineno > line]
    return after + before


def _is_any(view: View, block: int, call: Call, wanted: set[tuple[str, bool]]) -> bool:
    """Whether the call's receiver may be of one of the (class, instance) pairs."""
    if call.receiver is None:
        return False
    return any((t.qualified, t.instance) in wanted for t in view.place(block, call.use).infer(call.receiver))


def _statement_line(view: View, cursor: Cursor) -> int:
    """The cursor's line within its block, from 1."""
    block = view.tree.blocks[view.tree.current]
    return cursor.text.count("\n", block.start, cursor.offset) + 1 + block.part


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
        scope = source.scope(name)
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
