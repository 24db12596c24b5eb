"""Text of a document and positions in it, as editors count them.

Lines end at ``\\n``, ``\\r\\n`` or a lone ``\\r`` and nowhere else (Language Server Protocol 3.18, "Text Documents");
``str.splitlines`` also splits at form feeds and U+2028, which would shift every later edit.  Offsets are code
points; a position's character is in the unit of the negotiated encoding.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Edit", "Encoding", "Position", "Text"]

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two characters: zero-based line, and character in units of an encoding."""

    line: int
    character: int


@dataclass(frozen=True, slots=True)
class Edit:
    """``text`` in place of ``start``..``end``; without a range it replaces the whole document."""

    text: str
    start: Position | None = None
    end: Position | None = None


class Text:
    """An immutable text that turns positions into code point offsets and back.

    Half a surrogate pair, which JSON can carry and UTF-8 cannot, is read as U+FFFD: as long in every encoding.
    """

    __slots__ = ("_starts", "content")

    def __init__(self, content: str) -> None:
        self.content = content if content.isascii() else _SURROGATE.sub("\ufffd", content)
        self._starts: list[int] | None = None

    def __len__(self) -> int:
        return len(self.content)

    @property
    def lines(self) -> int:
        """How many lines there are; an empty text has one."""
        return len(self._line_starts())

    def line(self, number: int) -> str:
        """The line ``number`` without its ending; IndexError outside."""
        starts = self._line_starts()
        return _without_ending(self.content[starts[number] : self._line_stop(number)])

    def offset(self, position: Position, encoding: Encoding) -> int:
        """The code point offset of ``position``.

        Beyond the line's end means its end (before the line ending), beyond the last line the end of the text,
        and within a character its start.
        """
        starts = self._line_starts()
        if position.line < 0:
            return 0
        if position.line >= len(starts):
            return len(self.content)
        line = self.line(position.line)
        return starts[position.line] + _to_code_points(line, max(position.character, 0), encoding)

    def position(self, offset: int, encoding: Encoding) -> Position:
        """The position of a code point offset, which is moved into the text when it is outside.

        Between ``\\r`` and ``\\n`` means before both: no position names the place between them.
        """
        offset = min(max(offset, 0), len(self.content))
        starts = self._line_starts()
        number = bisect_right(starts, offset) - 1
        before = _without_ending(self.content[starts[number] : offset])
        return Position(number, _units(before, encoding))

    def edited(self, edits: Iterable[Edit], encoding: Encoding) -> tuple[Text, int]:
        """The text after ``edits``, one after the other, and the offset just after the last one's new text."""
        text, cursor = self, len(self.content)
        for edit in edits:
            if edit.start is None or edit.end is None:
                text = Text(edit.text)
                cursor = len(text)
                continue
            start, end = text.offset(edit.start, encoding), text.offset(edit.end, encoding)
            start, end = min(start, end), max(start, end)
            text = Text(text.content[:start] + edit.text + text.content[end:])
            cursor = start + len(edit.text)
        return text, cursor

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.content))]
        return self._starts

    def _line_stop(self, number: int) -> int:
        starts = self._line_starts()
        return starts[number + 1] if number + 1 < len(starts) else len(self.content)


def _without_ending(line: str) -> str:
    if line.endswith("\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(("\n", "\r")) else line


def _units(text: str, encoding: Encoding) -> int:
    """How many units of ``encoding`` the text takes."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8"))
    return len(text.encode("utf-16-le")) // 2


def _to_code_points(line: str, units: int, encoding: Encoding) -> int:
    """How many whole characters of ``line`` fit into ``units``."""
    if encoding == "utf-32" or line.isascii():
        return min(units, len(line))
    taken = 0
    for index, character in enumerate(line):
        code = ord(character)
        taken += (2 if code > 0xFFFF else 1) if encoding == "utf-16" else len(character.encode("utf-8"))
        if taken > units:
            return index
    return len(line)
