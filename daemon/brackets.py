"""Where the brackets of a call belong behind a name that is taken from a menu."""

from __future__ import annotations

import re

from octod.core.answers import Brackets
from octod.daemon.context import Place
from octod.indexer.expected import expected_at

__all__ = ["brackets_at"]

# What follows on the line where a name is not called anew: its bracket, the rest of a longer name, an assignment to it.
_FOLLOWED = re.compile(r"\w|[ \t]*(?:\(|=(?!=)|:=)")
_NEVER = re.compile(r"(?:@|(?:import|from|del|global|nonlocal|except|class|case)\b)")
_ANNOTATION = re.compile(r"\A(?:(?:async\s+)?def\b.*(?:->|[(,]\s*\*{0,2}\w+\s*:)[^=]*|(?!(?:try|else|finally)\b)[\w.]+\s*:[^=]*)\Z", re.DOTALL)
# Behind these a class is there to be made an object of; as an argument or alone in a list it may be meant as it is.
_MAKING = re.compile(r"(?:[^=!<>:]=|:=|\b(?:return|raise|yield|await|with))\s*\Z")
_LAMBDA_OR_TERNARY = re.compile(r"\b(?:lambda|else)\b")
_LONGEST = 2_000  # characters of a statement that are read


def brackets_at(place: Place) -> Brackets:
    """Which of a menu's names are called at the cursor: ``functions``, ``all`` (classes too), or none (empty)."""
    cursor = place.cursor
    if cursor.inside or cursor.importing is not None or _FOLLOWED.match(cursor.text, cursor.offset):
        return ""
    start = cursor.receiver_start if cursor.receiver else cursor.offset - len(cursor.partial)
    before = cursor.text[max(cursor.statement, start - _LONGEST) : start]
    depth = sum((char in "([{") - (char in ")]}") for char in before)
    if depth <= 0 and _NEVER.match(before) or _ANNOTATION.match(before) and not _LAMBDA_OR_TERNARY.search(before):
        return ""
    if cursor.call is not None and "Callable" in expected_at(
        place.receiver.source, cursor, place.module, place.package
    ).types:
        return ""
    return "all" if depth <= 0 and _MAKING.search(before) else "functions"
