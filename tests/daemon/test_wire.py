"""Messages survive the way through bytes; bytes that are none are an error, never a crash."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from octod.core.errors import DaemonError, EnvironmentProblem, OctodError
from octod.daemon.wire import (
    LONGEST,
    Decoder,
    UnknownText,
    WireError,
    encode,
    error_from_json,
    error_to_json,
    read,
)

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
MESSAGES = st.dictionaries(st.text(max_size=5), VALUES, max_size=5)


@given(st.lists(MESSAGES, max_size=4), st.integers(1, 7))
def test_messages_arrive_whole_however_they_are_cut(messages: list[dict[str, Any]], step: int) -> None:
    """A decoder fed in small pieces gives the messages that were encoded."""
    data, decoder = b"".join(encode(message) for message in messages), Decoder()
    found = [message for at in range(0, len(data), step) for message in decoder.feed(data[at : at + step])]
    assert (messages, 0) == (found, decoder.pending)


@given(st.binary(max_size=60))
def test_garbage_is_an_error_and_never_a_crash(data: bytes) -> None:
    """Any bytes give messages, wait for more, or raise WireError."""
    try:
        found = list(Decoder().feed(data))
    except WireError:
        return
    assert all(isinstance(message, dict) for message in found)


@pytest.mark.parametrize(
    "data",
    [
        (LONGEST + 1).to_bytes(4, "big"),
        (-1).to_bytes(4, "big", signed=True),
        b"\0\0\0\3[1]",
        b"\0\0\0\3{1}",
        b"\0\0\0\0",
        (200_000).to_bytes(4, "big") + b"[" * 200_000,
    ],
    ids=["huge", "negative", "list", "no json", "empty", "nested"],
)
def test_a_bad_message_is_refused(data: bytes) -> None:
    """Lengths and bodies that are none raise WireError."""
    with pytest.raises(WireError):
        list(Decoder().feed(data))


@pytest.mark.parametrize("data", [b"\0\0", b"\0\0\0\5{}"], ids=["header", "body"])
def test_a_stream_that_ends_within_a_message_is_an_error(data: bytes) -> None:
    """A truncated message is no quiet end."""

    async def run() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await read(reader)

    with pytest.raises(WireError):
        asyncio.run(run())


def test_a_stream_that_ends_between_messages_is_the_end() -> None:
    """None says that nothing more comes."""

    async def run() -> list[object]:
        reader = asyncio.StreamReader()
        reader.feed_data(encode({"id": 1}))
        reader.feed_eof()
        return [await read(reader), await read(reader)]

    assert [{"id": 1}, None] == asyncio.run(run())


@pytest.mark.parametrize(
    "error", [EnvironmentProblem("m", "h"), DaemonError("m", "h"), UnknownText("m", "h")]
)
def test_an_error_keeps_its_kind(error: OctodError) -> None:
    """The client raises what the daemon raised."""
    found = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert (type(error), "m", "h") == (type(found), found.message, found.hint)


@pytest.mark.parametrize(
    "data", [None, [], {"kind": "SystemExit"}, {"kind": 3, "code": 3}, {"kind": "__all__"}]
)
def test_an_error_that_is_none_is_still_one_of_ours(data: object) -> None:
    """Whatever a confused daemon sends becomes an OctodError."""
    assert isinstance(error_from_json(data), OctodError)
