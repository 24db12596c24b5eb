"""Where a file is cut: statements in column 0, and the members of large classes, each to be parsed alone."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["LARGEST", "Span", "spans_of"]

# More text than this is generated data: the deepest parse of such files is not worth a keystroke.
LARGEST = 2_000_000

_STRINGS = r'''
      """[^"\\]*+(?:(?:\\[\s\S]|"(?!""))[^"\\]*+)*+(?:"""|\Z)
    | \'\'\'[^'\\]*+(?:(?:\\[\s\S]|'(?!''))[^'\\]*+)*+(?:\'\'\'|\Z)
    | "[^"\\\n]*+(?:\\[\s\S][^"\\\n]*+)*+"
    | '[^'\\\n]*+(?:\\[\s\S][^'\\\n]*+)*+'
'''
# One block: everything up to a line break that is followed by a statement in column 0.
_BLOCK = re.compile(
    rf"""(?: [^"'\#\n\\]++ | \\[\s\S]? | \#[^\n]*+ | {_STRINGS} | ["']
          | \n(?=[\s)\]}}\#]|\Z|(?:else|elif|except|finally)\b) )++ \n? | \n""",
    re.VERBOSE,
)
LARGE_CLASS = 6_000  # characters; a smaller class is parsed as fast as it is cut up
_CLASS = re.compile(r"(?:@[^\n]*\n)*class[ \t]+(\w+)[^\n]*:[ \t]*(?:\#[^\n]*)?\n")
_INDENTED = re.compile(r"\n([ \t]+)(?=[^\s\#])")
_DECORATOR = re.compile(r"[ \t]*@")
_DEFINITION = re.compile(r"^[ \t]*(?:def|class|async)\b", re.MULTILINE)
_MEMBER = re.compile(r"[ \t]*(?:@|def\b|class\b|async\b)")

Span = tuple[int, int, str]  # start, end, and what is put before a member of a large class so that it parses alone


def spans_of(text: str) -> list[Span]:
    """Where the blocks are; together they are the whole text."""
    if len(text) > LARGEST:
        return [(0, len(text), "")]
    spans: list[Span] = []
    for start, end in _joined(text, _BLOCK, 0, len(text)):
        if end - start > LARGE_CLASS and (header := _CLASS.match(text, start, end)):
            spans += _members(text, start, end, header)
        else:
            spans.append((start, end, ""))
    return spans


def _joined(text: str, pattern: re.Pattern[str], begin: int, stop: int) -> list[tuple[int, int]]:
    """The pattern's matches, decorators joined to what they decorate."""
    spans: list[tuple[int, int]] = []
    decorators = -1
    for match in pattern.finditer(text, begin, stop):
        start, end = match.span()
        if decorators >= 0:
            start, decorators = decorators, -1
        if _DECORATOR.match(text, start) and end < stop and not _DEFINITION.search(text, start, end):
            decorators = start
            continue
        spans.append((start, end))
    if decorators >= 0:
        spans.append((decorators, stop))
    return spans


def _members(text: str, start: int, end: int, header: re.Match[str]) -> list[Span]:
    """A large class as its head (up to the first method) and its members."""
    body = _INDENTED.search(text, header.end() - 1, end)
    if body is None:
        return [(start, end, "")]
    spans: list[Span] = []
    for a, b in _joined(text, _member_pattern(body[1]), start, end):
        if not spans or (len(spans) == 1 and not _MEMBER.match(text, a)):
            spans = [(start, b, "")]
        else:
            spans.append((a, b, f"class {header[1]}:\n"))
    return spans


@lru_cache(maxsize=16)
def _member_pattern(indent: str) -> re.Pattern[str]:
    """Like ``_BLOCK``, for what stands at this indentation."""
    here = re.escape(indent)
    return re.compile(
        rf"""(?: [^"'\#\n\\]++ | \\[\s\S]? | \#[^\n]*+ | {_STRINGS} | ["']
              | \n(?!{here}[^\s)\]}}\#]) | \n(?={here}(?:else|elif|except|finally)\b) )++ \n? | \n""",
        re.VERBOSE,
    )
