"""P10: positions are right for any Unicode, any line ending and every encoding."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from octod.core.text import Edit, Encoding, Position, Text

ALPHABET = (
    st.sampled_from(list("ab \t\n\r\f\v\x1c\x85\u2028\u2029é漢\u0301😀🏳\u200d\ud83d\ude00")) | st.characters()
)
TEXTS = st.lists(ALPHABET | st.just("\r\n"), max_size=30).map("".join)
ENCODINGS = st.sampled_from(get_args(Encoding))
NUMBERS = st.integers(0, 12)
POSITIONS = st.builds(Position, NUMBERS, NUMBERS)
WIDTHS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def mended(text: str) -> str:
    """Lone surrogates as Text reads them."""
    return "".join("\ufffd" if 0xD800 <= ord(character) <= 0xDFFF else character for character in text)


def model_offset(text: str, position: Position, encoding: Encoding) -> int:
    """An offset by way of bytes: the first lines, then as many whole characters as the units hold."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if position.line >= len(plain):
        return len(text)
    start = 0
    for line in plain[: position.line]:
        start += len(line)
        start += 2 if text[start : start + 2] == "\r\n" else 1
    codec, width = WIDTHS[encoding]
    cut = plain[position.line].encode(codec)[: position.character * width]
    return start + len(cut.decode(codec, "ignore"))


@given(TEXTS, POSITIONS, ENCODINGS)
def test_offset_equals_the_one_found_by_bytes(text: str, position: Position, encoding: Encoding) -> None:
    """An offset is the number of whole characters before the position, clamped to line and text."""
    assert model_offset(mended(text), position, encoding) == Text(text).offset(position, encoding)


@given(TEXTS, ENCODINGS)
def test_position_of_an_offset_leads_back(text: str, encoding: Encoding) -> None:
    """Every offset but the one inside a CRLF survives the way to a position and back."""
    made = Text(text)
    for offset in range(len(text) + 1):
        expected = offset - 1 if made.content[offset - 1 : offset + 1] == "\r\n" and offset else offset
        assert expected == made.offset(made.position(offset, encoding), encoding)


@settings(max_examples=200)
@given(TEXTS, st.lists(st.tuples(TEXTS, POSITIONS, POSITIONS, st.booleans()), max_size=6), ENCODINGS)
def test_edits_give_what_the_model_gives(
    text: str, changes: list[tuple[str, Position, Position, bool]], encoding: Encoding
) -> None:
    """A series of incremental and whole edits leaves the same buffer as slicing by the model's offsets."""
    expected, edits = mended(text), []
    for new, one, other, whole in changes:
        start, end = min(one, other), max(one, other)
        edits.append(Edit(new) if whole else Edit(new, start, end))
        if whole:
            expected = mended(new)
        else:
            before, after = (model_offset(expected, place, encoding) for place in (start, end))
            expected = expected[:before] + mended(new) + expected[after:]
    found, _ = Text(text).edited(edits, encoding)
    assert expected == found.content


@given(TEXTS)
def test_lines_are_split_at_three_endings_only(text: str) -> None:
    """Form feeds, U+2028 and the other separators of str.splitlines stay within a line."""
    made = Text(text)
    expected = mended(text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert expected == [made.line(number) for number in range(made.lines)]


def test_the_end_of_the_last_edit_is_the_cursor() -> None:
    """The offset that comes with an edit stands behind the text it put in."""
    text, cursor = Text("a\nb😀c").edited([Edit("xy", Position(1, 1), Position(1, 3))], "utf-16")
    assert ("a\nbxyc", 5) == (text.content, cursor)


def test_an_edit_whose_range_is_backwards_is_put_right() -> None:
    """A range with its ends swapped means the same range."""
    text, _ = Text("abcd").edited([Edit("-", Position(0, 3), Position(0, 1))], "utf-8")
    assert "a-d" == text.content


@pytest.mark.parametrize(("character", "expected"), [(0, 0), (1, 0), (2, 1), (3, 2), (99, 2)])
def test_a_position_within_a_character_is_its_start(character: int, expected: int) -> None:
    """Half of a surrogate pair is no place of its own."""
    assert expected == Text("😀a\n").offset(Position(0, character), "utf-16")
