"""Error-tolerant reading of a file that is being typed: the expression before the cursor and a tree of the rest.

A file is cut into *blocks*, the statements that start in column 0 (and the members of large classes).  Each block is
parsed alone and remembered by its text, so a keystroke parses one block and a fault stays inside its block.  The
statement at the cursor is completed (``ax = fig.add(x=[df.`` becomes ``ax = fig.add(x=[df.<cursor>])``) so that
everything around the cursor, even with open brackets and an open ``try``, reads like finished code; ``MARK`` is the
name put at the cursor.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from octod.core.cache import Cache
from octod.indexer.blocks import LARGEST, spans_of
from octod.indexer.mending import MARK, mended, statements
from octod.indexer.tokens import EnclosingCall, Scan, scan

__all__ = ["MARK", "Block", "Cursor", "EnclosingCall", "Tree", "parse_at", "parse_expression", "parse_file", "parse_text"]

_REMEMBERED = 3_000_000  # characters of blocks that are kept
_TREES = 350_000  # characters of those whose trees and tables are kept, which take some 50 times their text
_CURSORS, _CURSOR = 1_000_000, 40_000  # characters of texts whose cursors are kept; what a cursor counts for beside its text
_NEAR = 100_000  # characters from the cursor to blocks that are asked about again and again

_CLOSES = {"(": ")", "[": "]", "{": "}"}
_COMPOUND = frozenset({"if", "elif", "else", "for", "while", "with", "try", "except", "finally", "def", "class", "match", "case"})
# What stands before a clause so that it parses alone.
_CLAUSES = {
    "elif": "if 0: pass\n",
    "else": "if 0: pass\n",
    "except": "try: pass\n",
    "finally": "try: pass\n",
    "case": "match 0:\n ",
}


class Parsed:
    """A block's text and its statements, which are parsed when first asked for, mended where they are broken.

    ``table`` and ``names`` are for the reader of bindings, which fills them once.
    """

    __slots__ = ("_body", "names", "table", "text")

    def __init__(self, text: str, body: list[ast.stmt] | None = None) -> None:
        self.text = text
        self.table: Any = None
        self.names: frozenset[str] | None = None
        self._body = body

    @property
    def body(self) -> list[ast.stmt]:
        """The statements."""
        if self._body is None:
            self._body = mended(self.text.removeprefix("\0"))  # of mended text, see ``_parse_current``
            _trees.put(self, self, len(self.text))
        return self._body

    def grown(self) -> bool:
        """Whether there are statements by now."""
        return self._body is not None

    def shrink(self) -> None:
        """Forget the statements and the table: they are made again when they are asked for, the names stay.

        The table is taken apart, since its frames and bindings refer to each other: the garbage collector, which would have to
        find them among all that is remembered of the index, is a long pause and seldom runs.
        """
        if self.table is not None:
            self.table.clear()
        self._body = self.table = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A parsed block at its place: ``start`` (code points) is where it begins in the file.

    The members of a large class are blocks of their own, parsed as a class of that name with this member alone:
    ``part`` is true for all of them but the first, and their text has one line more than the file (the class's).
    """

    parsed: Parsed
    start: int
    part: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A file's blocks in order; ``current`` is the number of the one with the cursor, -1 without."""

    blocks: tuple[Block, ...]
    current: int = -1
    cache: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """What stands at an offset (code points) of a text.

    ``receiver`` is the source of the expression before the dot, starting at ``receiver_start``; empty when the cursor
    does not follow a dot.  ``dot`` is just after the dot (without one: where ``partial`` starts), ``partial`` what is
    typed of the name, ``statement`` the start of the logical line, ``inside`` tells a string or a comment.
    ``importing`` is the module (dots of a relative import included) whose names are wanted in ``import``/``from``
    statements, None elsewhere.  ``call`` is the innermost call around the cursor, ``given`` in it what stands
    before the cursor.
    """

    text: str
    offset: int
    receiver: str
    receiver_start: int
    dot: int
    partial: str
    statement: int
    inside: str
    importing: str | None
    call: EnclosingCall | None
    tree: Tree


def parse_at(text: str, offset: int) -> Cursor:
    """The cursor at ``offset`` of ``text``; never raises, whatever the text is.

    For one thread at a time; what was inferred from earlier cursors may be forgotten, so views of them are not kept.
    """
    known = _cursors.get((text, offset))
    if known is None:
        if _outgrown:
            for cursor in _cursors.values():
                _forgotten(cursor)
            _cursors.clear()
            for parsed in _outgrown:
                parsed.shrink()
            _outgrown.clear()
        known = _cursors.put((text, offset), _read_at(text, offset), _CURSOR + len(text))
    return known


def _read_at(text: str, offset: int) -> Cursor:
    offset = max(0, min(offset, len(text)))
    plain = _plain_line_ends(text)
    spans = spans_of(plain)
    number = next((i for i, (_, end, _) in enumerate(spans) if offset < end), len(spans) - 1)
    start, end, owner = spans[number] if spans else (0, 0, "")
    found = scan(plain, start, offset)
    blocks: list[Block] = []
    for i, (a, b, prefix) in enumerate(spans):
        if i == number:
            parsed = _parse_current(plain, found, start, end, offset, owner)
        else:
            parsed = _parse(prefix + plain[a:b])
            if parsed.grown() and abs(a - offset) < _NEAR:
                _trees.get(parsed)
        blocks.append(Block(parsed, a, bool(prefix)))
    tree = Tree(tuple(blocks), number if spans else -1)
    return Cursor(
        text=text,
        offset=offset,
        receiver=plain[found.receiver_start : found.receiver_end],
        receiver_start=found.receiver_start,
        dot=found.dot,
        partial=plain[found.name_start : offset],
        statement=found.statement,
        inside=found.inside,
        importing=found.importing,
        call=found.call,
        tree=tree,
    )


def parse_text(text: str) -> Tree:
    """The tree of a text without a cursor; statements that do not parse are left out."""
    plain = _plain_line_ends(text)
    return Tree(tuple(Block(_parse(prefix + plain[a:b]), a, bool(prefix)) for a, b, prefix in spans_of(plain)))


def parse_file(text: str) -> tuple[Tree | None, str]:
    """(tree of a finished file in one block, problem); nothing is remembered.  For mining many files once."""
    if len(text) > LARGEST:
        return None, f"larger than {LARGEST} characters"
    plain = _plain_line_ends(text)
    try:
        body = statements(plain)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return None, f"does not parse: {error}"
    return Tree((Block(Parsed(plain, body), 0),)), ""


@lru_cache(maxsize=2048)
def parse_expression(source: str) -> ast.expr | None:
    """The expression that ``source`` is, or None."""
    if len(source) > 20_000 or "\0" in source:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(f"({source}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# blocks ------------------------------------------------------------------------------------------------------------


def _plain_line_ends(text: str) -> str:
    """The same length with ``\\n`` as the only line end, and no character that the parser refuses outright."""
    if "\r" in text:
        text = text.replace("\\\r\n", " \\\n").replace("\r\n", " \n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", " ")
    return " " + text[1:] if text.startswith("\ufeff") else text


def _forgotten(cursor: Cursor) -> None:
    cursor.tree.cache.clear()  # what is there refers to the tree


_memory: Cache[str, Parsed] = Cache(_REMEMBERED)
_outgrown: list[Parsed] = []  # taken apart before the next text is read: somebody may be looking at them
_trees: Cache[Parsed, Parsed] = Cache(_TREES, _outgrown.append)
_cursors: Cache[tuple[str, int], Cursor] = Cache(_CURSORS, _forgotten)


def _remember(parsed: Parsed) -> Parsed:
    if parsed.grown():
        _trees.put(parsed, parsed, len(parsed.text))
    return _memory.put(parsed.text, parsed, len(parsed.text))


def _parse(text: str) -> Parsed:
    """The block of that text, parsed when it is needed."""
    return _memory.get(text) or _remember(Parsed(text))


def _parses(text: str) -> bool:
    try:
        statements(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _try(text: str) -> Parsed | None:
    if (known := _memory.get(text)) is not None:
        return known
    try:
        return _remember(Parsed(text, statements(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# the block with the cursor -----------------------------------------------------------------------------------------


def _parse_current(text: str, found: Scan, start: int, end: int, offset: int, prefix: str) -> Parsed:
    """The block from ``start`` to ``end`` with ``MARK`` at the cursor."""
    if found.inside:
        return _parse(prefix + text[start:end])
    before = prefix + text[start : found.statement]
    after_name = offset
    while after_name < end and (text[after_name].isalnum() or text[after_name] == "_"):
        after_name += 1
    rest = text[after_name:end]
    if rest.strip():
        as_is = prefix + text[start : found.name_start] + MARK + rest
        if (parsed := _try(as_is)) is not None:
            return parsed
        line_end = rest.find("\n")
        if line_end >= 0:
            dropped = text.count("\n", found.statement, offset) * "\n"
            following = rest[line_end:]
            deeper = _indent_of_first(following) > _indent_at(text, found.statement)
            completed = _complete(text, found, deeper)
            completed += dropped[completed.count("\n") :]
            if (parsed := _try(before + completed + following)) is not None:
                return parsed
    cut = before + _complete(text, found, False) + _close_tries(text, start, found.statement)
    if (parsed := _try(cut)) is not None:
        return parsed
    known = _memory.get("\0" + cut)  # a mended text is remembered apart from one that parses
    if known is not None and known.grown():
        return known
    body = mended(cut) or mended(_complete(text, found, False)) or statements(MARK)
    return _remember(Parsed("\0" + cut, body))


def _indent_at(text: str, offset: int) -> int:
    return offset - (text.rfind("\n", 0, offset) + 1)


def _indent_of_first(text: str) -> int:
    """Indentation of the first line with something on it; -1 without one."""
    for line in text.split("\n"):
        if line.strip():
            return len(line) - len(line.lstrip())
    return -1


def _complete(text: str, found: Scan, body_follows: bool) -> str:
    """The statement at the cursor as one that parses: marked, brackets closed, a body where one is due."""
    statement = text[found.statement : found.name_start]
    head = found.head
    column = _indent_at(text, found.statement)
    line_start = found.statement - column
    indent = text[line_start : found.statement] if text[line_start : found.statement].isspace() else ""
    closers = "".join(_CLOSES.get(c, c) for c in reversed(found.opened))
    tail = ""
    if head == "@":
        tail = f"\n{indent}def _(): pass"
    elif head == "try" and found.colon:
        tail = f"\n{indent}finally: pass"
    elif head == "match" and not found.colon and not body_follows:
        tail = f":\n{indent} case _: pass"
    elif head in _COMPOUND and not found.colon:
        tail = ":" if body_follows else ": pass"
    setting = _CLAUSES.get(head, "")
    check_tail = ": pass" if tail == ":" else tail.replace(f"\n{indent}", "\n")
    suffixes = (" import _",) if head == "from" and found.importing is not None else ()
    if head in ("match", "case") and _parses(statement + MARK + closers):
        return statement + MARK + closers  # a name that is called so
    for suffix in ("", " else 0", ": 0", " in ()", *suffixes):
        candidate: str = statement + MARK + suffix + closers
        if _parses(setting + candidate + check_tail):
            return candidate + tail
    receiver = text[found.receiver_start : found.receiver_end]
    marked: str = f"({receiver}).{MARK}" if receiver and parse_expression(receiver) else MARK
    if head in _CLAUSES and head in ("elif", "except", "case"):
        return f"{head} {marked}: pass"
    return f"if {marked}:" if body_follows else marked


def _close_tries(text: str, start: int, statement: int) -> str:
    """``finally`` clauses for the ``try:`` blocks that are still open at ``statement``."""
    column = _indent_at(text, statement)
    lines = text[start : statement - column].split("\n")
    closing = []
    for line in reversed(lines):
        body = line.lstrip()
        indent = len(line) - len(body)
        if not body or body.startswith(("#", ")", "]", "}")) or indent >= column:
            continue
        column = indent
        if body.startswith("try:"):
            closing.append(f"\n{line[:indent]}finally: pass")
        if column == 0:
            break
    return "".join(closing)
