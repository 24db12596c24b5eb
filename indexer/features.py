"""What surrounds a call, as short strings that counts are kept for: the same for finished code and for a cursor.

Only what stands before the dot and the structure around it is used.  A feature is ``template:value``:

=============  ============================================================================================
``assign``     a word of the name that the statement assigns
``enclosing``  the function that the call is an argument of (its last name)
``keyword``    the keyword it is the value of
``statement``  the kind of statement: assign, return, with, for, if, expr, ...
``function``   a word of the enclosing function's name
``previous``   the member called before on the same receiver (for a chain: the call before the dot); ``-`` for none
``before``     the member called before in the file, on whatever
``context``    loop, with, try, except, if: the blocks of the same function around the call
=============  ============================================================================================
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from octod.indexer.frames import Call, Frame

__all__ = ["Trail", "receiver_text", "surroundings"]

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_MOST_WORDS = 4


class Trail:
    """The members called so far, in reading order."""

    __slots__ = ("before", "last")

    def __init__(self) -> None:
        self.before = ""
        self.last: dict[tuple[Frame | None, str], str] = {}

    def note(self, call: Call) -> None:
        """Remember a call once its own surroundings were taken."""
        self.before = call.member
        text = receiver_text(call.receiver)
        if text:
            self.last[_home(call.use.frame), text] = call.member


def surroundings(call: Call, trail: Trail) -> tuple[str, ...]:
    """The features of a call, or of the cursor, after what ``trail`` has seen."""
    statement = call.statement
    found = [f"statement:{statement.kind}"]
    words: list[str] = []
    for target in statement.targets:
        _target_words(target, words)
    found += [f"assign:{w}" for w in dict.fromkeys(words[:_MOST_WORDS])]
    if call.outer is not None:
        name = _last_name(call.outer.func)
        if name:
            found.append(f"enclosing:{name}")
        if call.keyword:
            found.append(f"keyword:{call.keyword}")
    home = _home(call.use.frame)
    if home is not None:
        found += [f"function:{w}" for w in _words(home.name.rpartition(".")[2])[:_MOST_WORDS]]
    receiver = call.receiver
    if isinstance(receiver, ast.Call):
        found.append(f"previous:{_last_name(receiver.func)}()")
    else:
        text = receiver_text(receiver)
        found.append(f"previous:{trail.last.get((home, text), '-') if text else '-'}")
    if trail.before:
        found.append(f"before:{trail.before}")
    found += [f"context:{b}" for b in dict.fromkeys(statement.blocks)]
    return tuple(found)


def receiver_text(node: ast.expr | None) -> str:
    """The receiver as a key: its dotted name; empty for anything but names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(node.id)
    return ".".join(reversed(parts))


def _home(frame: Frame | None) -> Frame | None:
    """The function that the frame belongs to, None in module and class bodies."""
    while frame is not None and frame.kind != "function":
        if frame.kind in ("module", "class"):
            return None
        frame = frame.parent
    return frame


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _target_words(target: ast.expr, words: list[str]) -> None:
    if isinstance(target, ast.Name):
        words += _words(target.id)
    elif isinstance(target, ast.Attribute):
        words += _words(target.attr)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            _target_words(element, words)
    elif isinstance(target, (ast.Starred, ast.Subscript)):
        _target_words(target.value, words)


@lru_cache(maxsize=65536)
def _words(name: str) -> tuple[str, ...]:
    return tuple(w.lower() for w in _WORD.findall(name)) or ((name,) if name != "_" else ())
