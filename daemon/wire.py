"""Messages on the daemon's socket: a JSON object behind its length as four bytes, big-endian.

    request       {"id": 1, "method": "menu", "params": {...}}
    answer        {"id": 1, "result": ...}
    refusal       {"id": 1, "error": {"kind": "DaemonError", "code": 3, "message": "...", "hint": "..."}}
    notification  {"method": "progress", "params": {...}}       from the daemon, to every client
    cancel        {"method": "cancel", "params": {"id": 1}}     from the client

A length above ``LONGEST`` (which a negative one is, read unsigned), text that is not JSON and JSON that is not an
object raise WireError; after one, nothing more can be read from that connection.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from octod.core import errors
from octod.core.errors import DaemonError, OctodError

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "LONGEST",
    "PROTOCOL",
    "Decoder",
    "Json",
    "UnknownText",
    "WireError",
    "encode",
    "error_from_json",
    "error_to_json",
    "read",
    "version",
]

Json = dict[str, Any]

PROTOCOL = 1
# 64 MiB: a document of 10 MB, every character escaped as \uXXXX, still fits.
LONGEST = 64 * 1024 * 1024
_HEADER = 4


@lru_cache
def version() -> str:
    """octod's own version, from the name of its ``octod-*.dist-info``; "0" where it is not installed."""
    # importlib.metadata says the same and takes 25 ms to import, for which every start would wait
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue  # a zip file, or a folder that is not there
        for name in names:
            if name.startswith("octod-") and name.endswith(".dist-info"):
                return name[len("octod-") : -len(".dist-info")]
    return "0"


class WireError(DaemonError):
    """Bytes that are no message."""


class UnknownText(DaemonError):
    """A question about a version of a document whose text the daemon does not have: send it along."""


def encode(message: Mapping[str, Any]) -> bytes:
    """The bytes of one message; WireError when it is too long."""
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(body) > LONGEST:
        raise WireError(f"a message of {len(body)} bytes is too long", f"at most {LONGEST} bytes go through")
    return len(body).to_bytes(_HEADER, "big") + body


class Decoder:
    """Turns bytes as they come into messages, with nothing said about where they come from."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Json]:
        """The messages completed by ``data``; raises WireError."""
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            length = _length(bytes(self._buffer[:_HEADER]))
            if len(self._buffer) < _HEADER + length:
                return
            body = bytes(self._buffer[_HEADER : _HEADER + length])
            del self._buffer[: _HEADER + length]
            yield _message(body)

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished message wait."""
        return len(self._buffer)


async def read(reader: asyncio.StreamReader) -> Json | None:
    """The next message, or None where the stream ends between two; WireError for anything else."""
    import asyncio

    try:
        header = await reader.readexactly(_HEADER)
        length = _length(header)
        return _message(await reader.readexactly(length))
    except asyncio.IncompleteReadError as end:
        if end.partial or end.expected != _HEADER:
            raise WireError("the connection ended within a message") from None
        return None
    except ConnectionError:
        return None


def error_to_json(error: BaseException) -> Json:
    """What a client is told about an error; one that was not raised on purpose is named by its type."""
    if isinstance(error, OctodError):
        kind, code, message, hint = type(error).__name__, error.exit_code, error.message, error.hint
    else:
        kind, code = "OctodError", 1
        message, hint = f"{type(error).__name__}: {error}", "see `octod logs`"
    return {"kind": kind, "code": code, "message": message, "hint": hint}


def error_from_json(data: object) -> OctodError:
    """The error that ``error_to_json`` told of; whatever else was sent becomes a DaemonError."""
    if not isinstance(data, dict):
        return DaemonError("the daemon refused without a reason", "see `octod logs`")
    message, hint = str(data.get("message", "")), str(data.get("hint", ""))
    if data.get("kind") == UnknownText.__name__:
        return UnknownText(message, hint)
    kind = getattr(errors, str(data.get("kind")), None)
    if isinstance(kind, type) and issubclass(kind, OctodError):
        return kind(message, hint)
    return (
        DaemonError(message, hint) if data.get("code") == DaemonError.exit_code else OctodError(message, hint)
    )


def _length(header: bytes) -> int:
    length = int.from_bytes(header, "big")
    if length > LONGEST:
        raise WireError(f"a message of {length} bytes is announced", f"at most {LONGEST} bytes are read")
    return length


def _message(body: bytes) -> Json:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise WireError(f"a message is no JSON object but {type(message).__name__}")
    return message
