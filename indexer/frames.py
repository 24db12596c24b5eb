"""The frames of a block of code (module, classes, functions, comprehensions), their bindings, and the calls in them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from octod.indexer.parse import Block

__all__ = [
    "DEEPEST",
    "FILLING",
    "LATER",
    "STARRED",
    "Binding",
    "BindingKind",
    "Branch",
    "Call",
    "Frame",
    "FrameKind",
    "MatchedPart",
    "Statement",
    "Table",
    "Use",
    "choose",
    "in_try",
    "names_of",
    "path_text",
]

# An expression nested deeper than this is data; following it costs more than it tells.
DEEPEST = 120
_LONGEST_PATH = 5
# Methods that put their only argument into a container.
FILLING = frozenset({"append", "add", "appendleft", "put", "put_nowait"})
STARRED = 1 << 20  # a step of a path: the starred rest that begins at this plus its number
LATER = sys.maxsize  # the order of a use that runs after everything was read

FrameKind = Literal["module", "class", "function", "lambda", "comprehension"]
BindingKind = Literal[
    "import", "from", "assign", "annotated", "iterate", "enter", "def", "class", "parameter", "except", "narrow", "narrowed class", "exclude", "variable", "lambda", "none",
]  # fmt: skip
_DEFINITION = re.compile(r"(?:@[^\n]*\n)*(?:def|class|async[ \t]+def)[ \t]+(\w+)")
_GLOBAL = re.compile(r"^[ \t]+global[ \t]+([\w, \t]+)", re.MULTILINE)
_WALRUS = re.compile(r"(\w+)\s*:=")


class MatchedPart(ast.expr):
    """What a class pattern matches: an object of ``value`` (``index`` -1), or its part at a position."""

    _fields = ("value",)

    def __init__(self, value: ast.expr, index: int = -1) -> None:
        super().__init__()
        self.value, self.index = value, index


@dataclass(slots=True, eq=False)
class Branch:
    """One arm of an ``if`` or ``try``; ``group`` is shared by the arms, ``arms`` how many make it exhaustive (0: never)."""

    parent: Branch | None
    group: ast.AST
    arm: int
    arms: int = 0
    left: bool = False  # the arm ends with return, raise, continue or break


@dataclass(slots=True, eq=False)
class Binding:
    """A name bound at ``order`` in its frame.

    ``node`` is what it is made from: the value, annotation, definition or import; ``path`` leads through unpacked tuples
    (negative: counted from the end; from ``STARRED`` on: all from there).
    """

    name: str
    kind: BindingKind
    node: ast.AST
    frame: Frame
    order: int
    branch: Branch | None
    path: tuple[int, ...] = ()
    inner: Frame | None = None  # the frame of a ``def`` or ``class``


@dataclass(slots=True, eq=False)
class Frame:
    """A namespace.  ``name`` is dotted within the block; ``order`` and ``branch`` say where it stands in its parent."""

    kind: FrameKind
    name: str
    node: ast.AST | None
    parent: Frame | None
    order: int = 0
    branch: Branch | None = None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    attributes: dict[str, list[Binding]] = field(default_factory=dict)  # of a class: bound through ``self``
    returns: list[tuple[ast.expr, int, Branch | None]] = field(default_factory=list)
    yields: list[tuple[ast.expr, int, Branch | None]] = field(default_factory=list)
    stars: list[ast.ImportFrom] = field(default_factory=list)
    filled: dict[str, list[Binding]] = field(default_factory=dict)  # what is put into containers, by the container's text
    elsewhere: dict[str, Frame] = field(default_factory=dict)  # names of ``global`` and ``nonlocal``, and whose they are


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A place where names are read."""

    frame: Frame
    order: int
    branch: Branch | None


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """What is known of the statement around a call: its kind, assigned targets, and the blocks it is in."""

    kind: str
    targets: tuple[ast.expr, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """``receiver.member(...)``; for the cursor ``node`` is None.  ``outer`` is the call it is an argument of."""

    receiver: ast.expr | None
    member: str
    node: ast.Call | None
    use: Use
    statement: Statement
    outer: ast.Call | None
    keyword: str


@dataclass(slots=True, eq=False)
class Table:
    """What one block says.

    ``frames`` are the functions and classes by dotted name, ``nested`` the frames of comprehensions by their node,
    ``every`` all of them;
    ``calls`` are calls of attributes in reading order, ``bare`` those of plain names; ``cursor_calls`` says how many of
    the former stand before ``cursor``.
    """

    module: Frame
    frames: dict[str, Frame]
    calls: list[Call]
    bare: list[Call] = field(default_factory=list)
    nested: dict[ast.AST, Frame] = field(default_factory=dict)
    every: list[Frame] = field(default_factory=list)
    cursor: Call | None = None
    cursor_calls: int = 0

    def clear(self) -> None:
        """Take apart what refers to itself, so that the table goes without the garbage collector."""
        for frame in self.every:
            frame.bindings.clear()
            frame.attributes.clear()
            frame.filled.clear()
            frame.elsewhere.clear()


def choose(bindings: list[Binding], order: int, branch: Branch | None) -> tuple[list[Binding], bool]:
    """(bindings that may hold at the use, the last first; whether one of them certainly does)."""
    chosen: list[Binding] = []
    arms: dict[ast.AST, set[int]] = {}
    for binding in reversed(bindings):
        if binding.order > order:
            continue
        relation = _relation(binding.branch, branch)
        if relation == "no":
            continue
        chosen.append(binding)
        if relation == "certain":
            return chosen, True
        own = binding.branch
        if own is not None and own.arms:
            seen = arms.setdefault(own.group, set())
            seen.add(own.arm)
            if len(seen) == own.arms and _relation(own.parent, branch) == "certain":
                return chosen, True
    return chosen, False


def _relation(bound: Branch | None, used: Branch | None) -> str:
    """Whether what was bound in one branch holds in another: ``certain``, ``maybe`` or ``no``."""
    relation = "certain"
    while bound is not None:
        other = used
        while other is not None and other.group is not bound.group:
            other = other.parent
        if other is None:
            if bound.left:
                return "no"
            relation = "maybe"
        elif other.arm != bound.arm:
            if not isinstance(bound.group, (ast.Try, ast.TryStar)):
                return "no"
            relation = "maybe"
        bound = bound.parent
    return relation


def in_try(binding: Binding) -> bool:
    """Whether the name is bound in an arm of a ``try``."""
    return binding.branch is not None and isinstance(binding.branch.group, (ast.Try, ast.TryStar))


def path_text(node: ast.expr) -> str:
    """A name with what follows it as a key: ``a.b["c"][0]``; empty for anything else."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(f".{node.attr}")
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            parts.append(f"[{node.slice.value!r}]")
        else:
            break
        node = node.value
    if not isinstance(node, ast.Name) or len(parts) > _LONGEST_PATH:
        return ""
    return node.id + "".join(reversed(parts)) if parts else node.id


def names_of(block: Block) -> frozenset[str]:
    """The names that the block may bind in the module: a look that needs no table.

    ``*`` stands for a star import, ``a.b`` for an attribute that is assigned, ``a[]`` for something put into ``a``.
    """
    names = block.parsed.names
    if names is None and (definition := _DEFINITION.match(block.parsed.text)):
        globals_ = _GLOBAL.findall(block.parsed.text) if "global " in block.parsed.text else []
        names = block.parsed.names = frozenset([definition[1], *(n.strip() for g in globals_ for n in g.split(","))])
    if names is None:
        found: set[str] = set()
        _bound_names(block.parsed.body, found, 0)
        if ":=" in block.parsed.text:
            found.update(_WALRUS.findall(block.parsed.text))
        names = block.parsed.names = frozenset(found)
    return names


def _bound_names(body: Iterable[ast.AST], found: set[str], depth: int) -> None:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(a.asname or (a.name if isinstance(node, ast.ImportFrom) else a.name.split(".")[0]) for a in node.names)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                found.add(node.id)
        elif isinstance(node, ast.expr):
            if isinstance(node, (ast.Tuple, ast.List, ast.Starred)):
                _bound_names(ast.iter_child_nodes(node), found, depth + 1)
            elif isinstance(node, (ast.Attribute, ast.Subscript)):
                found.add(path_text(node))
                if isinstance(node, ast.Subscript):
                    found.add(f"{path_text(node.value)}[]")
        elif isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute) and node.value.func.attr in FILLING:
                found.add(f"{path_text(node.value.func.value)}[]")
        elif isinstance(node, ast.Assert):
            found.update(n.id for n in ast.walk(node.test) if isinstance(n, ast.Name))  # isinstance narrows
        elif depth < DEEPEST and not isinstance(node, (ast.Return, ast.Raise)):
            if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
                found.add(node.name)
            elif isinstance(node, ast.If):
                found.update(n.id for n in ast.walk(node.test) if isinstance(n, ast.Name))
            _bound_names(ast.iter_child_nodes(node), found, depth + 1)
