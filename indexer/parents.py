"""What a class derives from, as it is written, and the order of attribute lookup that follows (Python's C3)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from octod.indexer.parse import parse_expression
from octod.indexer.reading import dotted

__all__ = ["linear", "plain_name", "written"]

_LONGEST = 120


def written(bases: Iterable[str]) -> Iterator[tuple[str, ast.expr]]:
    """(dotted name, expression) of each base that has a name, from source text."""
    for text in bases:
        node = parse_expression(text)
        if isinstance(node, ast.Call):  # six.with_metaclass(Meta, Base) and its like: the first makes classes and is no base
            parts = node.args[(dotted(node.func) or "").endswith("with_metaclass") :]
        else:
            parts = [node] if node is not None else []
        for part in parts:
            name = dotted(part.value if isinstance(part, ast.Subscript) else part)
            if name:
                yield name, part


def plain_name(text: str) -> str:
    """The class in ``type[a.B[C]]``."""
    text = text.removeprefix("type[").removeprefix("Type[").rstrip("]")
    return text.partition("[")[0]


def linear(first: str, sequences: list[list[str]]) -> tuple[str, ...]:
    """A class, then the orders of its parents and the list of its parents merged into one, ``object`` at the end.

    The lists are used up.  An order that Python itself would refuse goes on with what the first of them begins with.
    """
    merged = [first]
    while sequences := [s for s in sequences if s]:
        for sequence in sequences:
            head = sequence[0]
            if not any(head in other[1:] for other in sequences):
                break
        else:
            head = sequences[0][0]
        if head not in merged:
            merged.append(head)
        for sequence in sequences:
            while head in sequence:
                sequence.remove(head)
        if len(merged) > _LONGEST:
            break
    if first != "builtins.object":
        merged.append("builtins.object")
    return tuple(merged)
