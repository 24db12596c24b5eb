"""The frames of a block of code (module, classes, functions, comprehensions), their bindings, and the calls in them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Binding", "BindingKind", "Branch", "Call", "Frame", "FrameKind", "Statement", "Table", "Use"]

FrameKind = Literal["module", "class", "function", "lambda", "comprehension"]
BindingKind = Literal["import", "from", "assign", "annotated", "iterate", "enter", "def", "class", "parameter", "except", "narrow", "none"]

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
    (-1: starred).
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

    ``frames`` are the functions and classes by dotted name, ``nested`` the frames of comprehensions by their node;
    ``calls`` are calls of attributes in reading order, ``bare`` those of plain names; ``cursor_calls`` says how many of
    the former stand before ``cursor``.
    """

    module: Frame
    frames: dict[str, Frame]
    calls: list[Call]
    bare: list[Call] = field(default_factory=list)
    nested: dict[ast.AST, Frame] = field(default_factory=dict)
    cursor: Call | None = None
    cursor_calls: int = 0
