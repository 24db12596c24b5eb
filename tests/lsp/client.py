"""A tiny scripted language client: starts a server, speaks LSP over its pipes, waits with deadlines; stdlib only."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

Json = dict[str, Any]

URI = "file:///work/example.py"

CAPABILITIES: Json = {
    "general": {"positionEncodings": ["utf-16"]},
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
    "textDocument": {
        "completion": {"completionItem": {"labelDetailsSupport": True, "tagSupport": {"valueSet": [1]}}},
        "hover": {"contentFormat": ["markdown", "plaintext"]},
        "signatureHelp": {"signatureInformation": {"parameterInformation": {"labelOffsetSupport": True}}},
    },
}

# Starts the server with a daemon command of the test's choice.
RUNNER = "import sys; from octod.lsp import serve; sys.exit(serve(command=sys.argv[1:] or None))"


class LspClient:
    """One session with ``octod lsp``; ``settings`` answer workspace/configuration."""

    def __init__(
        self, daemon: Sequence[str], *, settings: Json | None = None, environ: Mapping[str, str] | None = None
    ):
        self.settings = settings
        self.notifications: list[Json] = []
        self.requests: list[Json] = []
        self.unframed = b""
        self._answers: dict[int, Json] = {}
        self._arrived: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._last = 0
        self._version = 0
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, *daemon],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environ or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._errors: list[bytes] = []
        self._error_reader = threading.Thread(target=self._read_errors, daemon=True)
        self._error_reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        self._error_reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None and pipe is not self.process.stdin:
                pipe.close()
        try:
            self.process.stdin.close()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass

    @property
    def stderr(self) -> str:
        """What the server has said on stderr so far."""
        return b"".join(self._errors).decode()

    def initialize(self, capabilities: Json = CAPABILITIES, **params: Any) -> Json:
        """The result of ``initialize``; ``initialized`` is sent."""
        result = self.request("initialize", {"processId": None, "capabilities": capabilities, **params})
        self.notify("initialized", {})
        return result  # type: ignore[no-any-return]

    def open(self, text: str, uri: str = URI) -> None:
        """didOpen."""
        self._version = 1
        self.notify(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "python", "version": 1, "text": text}},
        )

    def type(self, text: str, line: int, character: int, uri: str = URI) -> None:
        """didChange: insert ``text``."""
        place = {"line": line, "character": character}
        self.change([{"range": {"start": place, "end": place}, "text": text}], uri)

    def change(self, changes: list[Json], uri: str = URI) -> None:
        """didChange with those content changes."""
        self._version += 1
        document = {"uri": uri, "version": self._version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    def ask(self, method: str, line: int, character: int, uri: str = URI, **params: Any) -> Any:
        """The result of a request about a position."""
        return self.request(method, self.place(line, character, uri, **params))

    @staticmethod
    def place(line: int, character: int, uri: str = URI, **params: Any) -> Json:
        """Params about a position."""
        position = {"line": line, "character": character}
        return {"textDocument": {"uri": uri}, "position": position, **params}

    def request(self, method: str, params: Any, deadline: float = 10.0) -> Any:
        """The result of a request; AssertionError with the error it was answered with."""
        answer = self.answer(self.send_request(method, params), deadline)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def send_request(self, method: str, params: Any) -> int:
        """Send without waiting; the request's id."""
        self._last += 1
        self.send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        return self._last

    def answer(self, number: int, deadline: float = 10.0) -> Json:
        """The whole answer to that request."""
        self.wait_for(lambda: number in self._answers, deadline, f"answer {number}")
        return self._answers.pop(number)

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def send(self, message: Json) -> None:
        """Send a message, framed."""
        body = json.dumps(message).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def notified(self, method: str, deadline: float = 10.0, count: int = 1) -> Json:
        """The params of the ``count``-th notification of that method."""
        self.wait_for(lambda: len(self._of(method)) >= count, deadline, method)
        return self._of(method)[count - 1]["params"]  # type: ignore[no-any-return]

    def wait_for(self, condition: Callable[[], bool], deadline: float, what: str) -> None:
        """Handle messages until ``condition`` holds; AssertionError when it does not in time."""
        until = time.monotonic() + deadline
        while not condition():
            left = until - time.monotonic()
            assert left > 0, f"no {what} in {deadline} s; stderr: {self.stderr}"
            try:
                message = self._arrived.get(timeout=min(left, 0.1))
            except queue.Empty:
                continue
            assert message is not None, f"the server ended before {what}; stderr: {self.stderr}"
            self._handle(message)

    def leave(self, deadline: float = 5.0) -> int:
        """shutdown and exit; the exit code."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(deadline)

    def _of(self, method: str) -> list[Json]:
        return [message for message in self.notifications if message["method"] == method]

    def _handle(self, message: Json) -> None:
        if "method" in message and "id" in message:
            self.requests.append(message)
            wants_settings = message["method"] == "workspace/configuration"
            result = [self.settings] if wants_settings else None
            self.send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        elif "method" in message:
            self.notifications.append(message)
        else:
            self._answers[message["id"]] = message

    def _read(self) -> None:
        assert self.process.stdout is not None
        while header := self.process.stdout.readline():
            if not header.lower().startswith(b"content-"):
                self.unframed += header
                continue
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                header = self.process.stdout.readline()
            self._arrived.put(json.loads(self.process.stdout.read(length)))
        self._arrived.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._errors.append(line)


STUB = (sys.executable, "-E", "-P", str(Path(__file__).parents[1] / "daemon" / "stub_daemon.py"))
