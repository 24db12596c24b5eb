"""Where a file is cut: statements in column 0, and the members of large classes, each to be parsed alone."""

from __future__ import annotations

import re
from collections import deque
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
    for start, end in _tops(text):
        if end - start > LARGE_CLASS and (header := _CLASS.match(text, start, end)):
            spans += [(start + a, start + b, prefix) for a, b, prefix in _members(text[start:end], header[1], header.end() - start)]
        else:
            spans.append((start, end, ""))
    return spans


_recent: deque[tuple[str, list[tuple[int, int]]]] = deque(maxlen=4)


def _tops(text: str) -> list[tuple[int, int]]:
    """The statements in column 0; those that an edit of a text seen just before left as they were are not read again."""
    for earlier, spans in _recent:
        same = 0
        for start, end in spans:
            if earlier[start:end] != text[start:end]:
                break
            same += 1
        if same < len(spans) // 4 and same < 20:
            continue
        shift, behind = len(text) - len(earlier), 0
        for start, end in reversed(spans[same:]):
            if earlier[start:end] != text[start + shift : end + shift]:
                break
            behind += 1
        # A block may end elsewhere when what follows it changes: one more on both sides is read again.
        kept = spans[: max(same - 2, 0)]
        later = [(s + shift, e + shift) for s, e in spans[len(spans) - behind :][2:]]
        begin = kept[-1][1] if kept else 0
        stop = later[0][0] if later else len(text)
        found = kept + _joined(text, _BLOCK, begin, len(text), stop)
        if later and found[-1][1] == stop:
            found += later
        elif later:
            continue  # the edit opened a string that ends elsewhere
        _recent.appendleft((text, found))
        return found
    found = _joined(text, _BLOCK, 0, len(text))
    _recent.appendleft((text, found))
    return found


def _joined(text: str, pattern: re.Pattern[str], begin: int, stop: int, until: int = -1) -> list[tuple[int, int]]:
    """The pattern's matches up to the first that ends at ``until``, decorators joined to what they decorate."""
    spans: list[tuple[int, int]] = []
    decorators = -1
    for match in pattern.finditer(text, begin, stop):
        start, end = match.span()
        if 0 <= until <= start and decorators < 0:
            break
        if decorators >= 0:
            start, decorators = decorators, -1
        if _DECORATOR.match(text, start) and end < stop and not _DEFINITION.search(text, start, end):
            decorators = start
            continue
        spans.append((start, end))
    if decorators >= 0:
        spans.append((decorators, stop))
    return spans


@lru_cache(maxsize=64)
def _members(text: str, name: str, begin: int) -> tuple[Span, ...]:
    """A large class, whose header ends at ``begin``, as its head (up to the first method) and its members."""
    body = _INDENTED.search(text, begin - 1)
    if body is None:
        return ((0, len(text), ""),)
    spans: list[Span] = []
    for a, b in _joined(text, _member_pattern(body[1]), 0, len(text)):
        if not spans or (len(spans) == 1 and not _MEMBER.match(text, a)):
            spans = [(0, b, "")]
        else:
            spans.append((a, b, f"class {name}:\n"))
    return tuple(spans)


@lru_cache(maxsize=16)
def _member_pattern(indent: str) -> re.Pattern[str]:
    """Like ``_BLOCK``, for what stands at this indentation."""
    here = re.escape(indent)
    return re.compile(
        rf"""(?: [^"'\#\n\\]++ | \\[\s\S]? | \#[^\n]*+ | {_STRINGS} | ["']
              | \n(?!{here}[^\s)\]}}\#]) | \n(?={here}(?:else|elif|except|finally)\b) )++ \n? | \n""",
        re.VERBOSE,
    )
