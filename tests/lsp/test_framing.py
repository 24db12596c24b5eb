"""P10: the base protocol reads what is right and survives what is not."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from octod.lsp.framing import LONGEST, Frames, frame, read_frames

GOOD = b'{"good":1}'


@given(st.lists(st.text(st.characters(), max_size=20), max_size=4), st.integers(1, 9))
def test_bodies_arrive_whole_however_they_are_cut(texts: list[str], step: int) -> None:
    """Frames fed in small pieces give the bodies that were framed."""
    data, frames = b"".join(frame(text) for text in texts), Frames()
    found = [
        json.loads(body) for at in range(0, len(data), step) for body in frames.feed(data[at : at + step])
    ]
    assert (texts, []) == (found, frames.problems)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Garbage never raises, and what is a frame of its own after a line end is still found or waited for."""
    list(Frames().feed(data))


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: -5",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: %d" % (LONGEST + 1),
        b"Content-Length: ten",
        b"Content-Length:",
        b"Content-Length: 3\r\nContent-Length: 10",
        b"Content-Type: text/plain",
        b"nonsense",
        b"",
        b"\xff\xfe" * 3000,
    ],
    ids=["negative", "astronomic", "huge", "word", "empty", "two", "missing", "nonsense", "nothing", "long"],
)
def test_a_bad_header_is_told_and_the_next_frame_is_read(header: bytes) -> None:
    """One bad message does not end the session."""
    frames = Frames()
    found = list(frames.feed(header + b"\r\n\r\n" + b"Content-Length: 10\r\n\r\n" + GOOD))
    assert [GOOD] == found
    assert frames.problems


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 10\r\n\r\n",
        b"content-length:10\r\n\r\n",
        b"Content-Length: 10\n\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 10\r\n\r\n",
        b"Content-Length: 10\r\nContent-Length: 10\r\n\r\n",
    ],
    ids=["plain", "lower case", "bare newlines", "with type", "twice the same"],
)
def test_a_good_header_is_read(header: bytes) -> None:
    """What editors send in practice is understood."""
    frames = Frames()
    assert ([GOOD], []) == (list(frames.feed(header + GOOD)), frames.problems)


def test_bodies_that_are_no_object_are_told() -> None:
    """Only JSON objects are messages."""
    source, target = os.pipe()
    problems: list[str] = []
    os.write(
        target, frame([1]) + b"Content-Length: 1\r\n\r\n{" + frame({"a": 1}) + b"Content-Length: 5\r\n\r\n"
    )
    os.close(target)
    assert [{"a": 1}] == list(read_frames(source, problems.append))
    assert 2 == len(problems)
    os.close(source)
