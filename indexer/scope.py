"""The cursor and the file around it: the receiver's types, names in scope, the file's own history, all call sites.

These are the questions the editor asks about a ``Cursor`` (parse.py); mining asks the same code about finished files.
"""

from __future__ import annotations

import ast
import math
import time
from dataclasses import dataclass, replace

from octod.core.symbols import LibraryId, Scope
from octod.indexer.attributes import Types
from octod.indexer.bindings import table_of
from octod.indexer.extract_class import class_scopes
from octod.indexer.features import Trail, receiver_text, surroundings
from octod.indexer.frames import Call, Frame
from octod.indexer.lookup import (
    LayeredSource,
    ScopeSource,
    Target,
    TypeRef,
    find_member,
    refresh,
    resolve,
)
from octod.indexer.names import View, absolute_module
from octod.indexer.parse import MARK, Cursor, Tree, parse_expression
from octod.indexer.reading import Reading
from octod.indexer.sites import argument_text, call_sites, module_of, usage_key

__all__ = [
    "History",
    "Receiver",
    "arguments_at",
    "call_sites",
    "callees_at",
    "features_at",
    "history_at",
    "module_of",
    "names_at",
    "receiver_at",
    "types_at",
    "usage_key",
    "view_of",
]

_NEAREST = 250  # earlier calls whose receivers are inferred for the history
_FARTHEST = 120_000  # characters from the cursor to calls that count for the history
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
    ``whole`` says that there was time for all of it.
    """

    here: tuple[str, ...]
    same_type: tuple[str, ...]
    whole: bool = True


# the cursor --------------------------------------------------------------------------------------------------------


def receiver_at(source: ScopeSource, cursor: Cursor, module: str = "", package: bool = False) -> Receiver:
    """What the expression before the cursor's dot is; ``module`` is the dotted name of the file, where it is known.

    In ``import`` and ``from`` statements it is the module whose names are wanted.  Unknown gives no types.
    """
    view = view_of(source, cursor.tree, module, package)
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
    view = view_of(source, cursor.tree, module, package)
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
    view = view_of(source, cursor.tree, module, package)
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
    place, node = view_of(source, cursor.tree, module, package).cursor(), parse_expression(expression)
    return tuple(t for t in place.infer(node) if t.known) if place is not None and node is not None else ()


def features_at(cursor: Cursor) -> tuple[str, ...]:
    """What surrounds the cursor, as mining would see a call there (features.py)."""
    at = cursor.tree.current
    if not 0 <= at < len(cursor.tree.blocks):
        return ()
    blocks = cursor.tree.blocks
    table = table_of(blocks[at])
    if table.cursor is None:
        return ()
    trail = Trail()
    in_function = table.cursor.use.frame.kind == "function"
    root = receiver_text(table.cursor.receiver).partition(".")[0]
    earlier: list[Call] = []
    for number in range(at - 1, -1, -1):
        # wanted are the last call of all and, at the module's level, the last one on the receiver: other blocks are not read
        if earlier and (in_function or not root):
            break
        if earlier and root not in blocks[number].parsed.text:
            continue
        earlier[:0] = table_of(blocks[number]).calls
    for call in (*earlier, *table.calls[: table.cursor_calls]):
        trail.note(call)
    return surroundings(table.cursor, trail)


def history_at(
    source: ScopeSource,
    cursor: Cursor,
    receiver: Receiver,
    module: str = "",
    package: bool = False,
    patience: float = math.inf,
) -> History:
    """The file's own earlier members on the same receiver and on the same type; what follows the cursor counts as earliest.

    After ``patience`` seconds of work what is farthest from the cursor is left out; asked again about the same text it gets farther.
    """
    until = time.thread_time() + patience
    view = view_of(source, cursor.tree, module, package)
    ordered, whole = _around(view, cursor, until)
    place_node = _cursor_node(view)
    text = receiver_text(place_node)
    here = tuple(c.member for _, c in ordered if text and receiver_text(c.receiver) == text)
    wanted = {(t.qualified, t.instance) for t in receiver.types}
    same: list[str] = []
    for block, call in reversed(ordered[-_NEAREST:] if wanted else ()):
        if not (text and receiver_text(call.receiver) == text):
            if call.receiver not in view.receivers and time.thread_time() > until:
                whole = False
                continue
            if not _is_any(view, block, call, wanted):
                continue
        same.append(call.member)
    return History(here, tuple(reversed(same)), whole)


def arguments_at(
    source: ScopeSource, cursor: Cursor, receiver: Receiver, member: str, module: str = "", package: bool = False
) -> tuple[str, ...]:
    """Argument lists of earlier calls of ``member`` on the same type or the same expression, the nearest last."""
    view = view_of(source, cursor.tree, module, package)
    wanted = {(t.qualified, t.instance) for t in receiver.types}
    text = receiver_text(_cursor_node(view)) or receiver_text(parse_expression(receiver.expression))
    found: list[str] = []
    for block, call in _around(view, cursor, math.inf)[0]:
        if call.member != member or call.node is None or call.receiver is None:
            continue
        same = text and receiver_text(call.receiver) == text
        if not same and not _is_any(view, block, call, wanted):
            continue
        source_text = argument_text(view.lines(block), call.node, 200)
        if source_text is not None and MARK not in source_text:  # not the call that is being typed
            found.append(source_text)
    return tuple(found)


# helpers -----------------------------------------------------------------------------------------------------------


def view_of(source: ScopeSource, tree: Tree, module: str, package: bool) -> View:
    """The tree read against the index; made once for both."""
    if isinstance(source, LayeredSource):
        source = source.base
    refresh(source)
    key = (id(source), module, package, getattr(source, "generation", 0))
    known = tree.cache.get(key)
    if not isinstance(known, View) or known.source is not source:
        known = tree.cache[key] = View(source, tree, module, package)
    return known


def _cursor_node(view: View) -> ast.expr | None:
    if not 0 <= view.tree.current <= view.last:
        return None
    call = view.table(view.tree.current).cursor
    return call.receiver if call is not None else None


def _receiver_types(view: View, cursor: Cursor) -> Types:
    place = view.cursor()
    node = _cursor_node(view) or parse_expression(cursor.receiver)
    if place is None or node is None:
        return ()
    return place.infer(node)


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
            found[qualified] = replace(made[0], symbols=symbols, bases=tuple(map(_base_text, bases)))
            left += [b.qualified for b in bases if view.owns(b.qualified)]
    return found


def _base_text(base: TypeRef) -> str:
    """A base with its type arguments as an expression of absolute names."""
    inner = [_base_text(a) if a.known else "..." for a in base.args]
    return f"{base.qualified}[{', '.join(inner)}]" if any(i != "..." for i in inner) else base.qualified


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


def _around(view: View, cursor: Cursor, until: float) -> tuple[list[tuple[int, Call]], bool]:
    """(the file's calls except those on the cursor's line: those after it first, then those before it, in order; whether
    that is all of them).  Past ``until`` (thread_time) only what was read earlier counts."""
    blocks, at = view.tree.blocks, view.tree.current
    before: list[list[tuple[int, Call]]] = []
    after: list[list[tuple[int, Call]]] = []
    whole = True
    for number in sorted(range(view.last + 1), key=lambda n: abs(n - at)):
        if number == at:
            table = view.table(number)
            split = table.cursor_calls if table.cursor is not None else len(table.calls)
            before.append([(number, c) for c in table.calls[:split]])
            line = _statement_line(view, cursor)
            after.append([(number, c) for c in table.calls[split:] if c.node is not None and c.node.lineno > line])
        elif abs(blocks[number].start - cursor.offset) <= _FARTHEST:
            if blocks[number].parsed.table is None and time.thread_time() > until:
                whole = False
                continue
            (before if number < at else after).append([(number, c) for c in view.table(number).calls])
    return [call for group in (*after, *reversed(before)) for call in group], whole


def _is_any(view: View, block: int, call: Call, wanted: set[tuple[str, bool]]) -> bool:
    """Whether the call's receiver may be of one of the (class, instance) pairs."""
    if call.receiver is None:
        return False
    types = view.receivers.get(call.receiver)
    if types is None:
        types = view.receivers[call.receiver] = view.place(block, call.use).infer(call.receiver)
    return any((t.qualified, t.instance) in wanted for t in types)


def _statement_line(view: View, cursor: Cursor) -> int:
    """The cursor's line within its block, from 1."""
    block = view.tree.blocks[view.tree.current]
    return cursor.text.count("\n", block.start, cursor.offset) + 1 + block.part
