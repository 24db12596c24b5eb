"""The base protocol of LSP: header lines, an empty line, a body of ``Content-Length`` bytes.

Bytes that cannot be a frame make the decoder skip to the next thing that looks like a header, so one bad message
does not end the session; what was skipped is told through ``problems``.
"""

from __future__ import annotations

import json
import os
import re
import select
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["LONGEST", "Frames", "Json", "frame", "read_frames", "write_all"]

Json = dict[str, Any]

# A document of 64 MB is beyond what any editor opens with a language server.
LONGEST = 256 * 1024 * 1024
_LONGEST_HEADER = 4096
_LENGTH = re.compile(rb"(?:\A|\n)content-length[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_END = re.compile(rb"\r?\n\r?\n")
_NEXT = re.compile(rb"content-(?:length|type)[ \t]*:", re.IGNORECASE)


def frame(message: object) -> bytes:
    """The bytes of one message."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


class Frames:
    """Turns bytes as they come into the bodies of messages."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._buffer = bytearray()
        self._missing: int | None = None  # length of the body that is being read

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies completed by ``data``; never raises."""
        self._buffer += data
        while True:
            if self._missing is None and not self._header():
                return
            if self._missing is None:
                continue
            if len(self._buffer) < self._missing:
                return
            body = bytes(self._buffer[: self._missing])
            del self._buffer[: self._missing]
            self._missing = None
            yield body

    def _header(self) -> bool:
        """Take one header; False when more bytes are needed."""
        end = _END.search(self._buffer)
        if end is None:
            if len(self._buffer) > _LONGEST_HEADER:
                self._skip("a header without an end", len(self._buffer) - _LONGEST_HEADER)
            return False
        header = bytes(self._buffer[: end.start()])
        lengths = set(_LENGTH.findall(header))
        if len(lengths) != 1:
            self._skip("a header with two lengths" if lengths else "a header without a length", end.end())
            return True
        (text,) = lengths
        if not text.strip().isdigit() or int(text[:20]) > LONGEST:
            self._skip(f"a length of {text[:40]!r}", end.end())
            return True
        del self._buffer[: end.end()]
        self._missing = int(text)
        return True

    def _skip(self, problem: str, at_least: int) -> None:
        """Drop ``at_least`` bytes and whatever follows up to the next header."""
        self.problems.append(problem)
        following = _NEXT.search(self._buffer, at_least)
        del self._buffer[: at_least if following is None else following.start()]


def read_frames(source: int, problem: Callable[[str], None]) -> Iterator[Json]:
    """The messages from a file descriptor until it ends; what is no JSON object is told and passed over."""
    frames = Frames()
    while data := _read(source):
        for body in frames.feed(data):
            try:
                message = json.loads(body)
            except (ValueError, RecursionError) as error:
                problem(f"a message is not JSON: {error}")
                continue
            if isinstance(message, dict):
                yield message
            else:
                problem(f"a message is no JSON object but {type(message).__name__}")
        while frames.problems:
            problem(frames.problems.pop(0))


def write_all(target: int, data: bytes) -> None:
    """Write all of ``data``; BrokenPipeError when nobody reads any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:  # some editors hand over descriptors that do not block
            select.select([], [target], [])


def _read(source: int) -> bytes:
    while True:
        try:
            return os.read(source, 1 << 16)
        except BlockingIOError:
            select.select([source], [], [])
        except OSError:
            return b""
