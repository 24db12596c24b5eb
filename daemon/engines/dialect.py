"""The dialect that vLLM and its kin speak: OpenAI's completions, adapters loaded by name and path, over HTTP.

Blocking, on the standard library, for threads; a `Call` ends one from elsewhere by closing its connection, which is
what makes the server give the work up. Addresses are ``http(s)://host[:port][/prefix]`` or ``unix:/path/of/a/socket``.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from octod.core.errors import EngineProblem, UsageError

__all__ = ["Call", "Dialect", "Lost", "Rejected", "Row"]

Row = dict[int, float]  # token -> natural-log probability, of some tokens

_LARGEST = 256 * 2**20  # bytes of an answer
_IDLE = 8  # connections kept for the next question


class Lost(EngineProblem):
    """The server is not there, or went away."""


class Rejected(EngineProblem):
    """The server answered that it will not; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Call:
    """One question's deadline, in seconds from now, and the way to give it up."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.stopped = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def stop(self) -> None:
        """From any thread: the question is no longer asked."""
        with self._lock:
            self.stopped = True
            if self._socket is not None:
                _shut(self._socket)

    def left(self) -> float:
        """Seconds until the deadline; EngineProblem when it has passed or the question was given up."""
        left = self.until - time.monotonic()
        if self.stopped or left <= 0:
            raise EngineProblem("the engine ran past its deadline", "see `octod status`")
        return left

    def use(self, used: socket.socket | None) -> None:
        """The connection that the question is on now."""
        with self._lock:
            self._socket = used
            if self.stopped and used is not None:
                _shut(used)


class Dialect:
    """A server of the dialect; safe to use from several threads."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address, self._token = address, token
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https", "unix") or not (parts.hostname or parts.scheme == "unix"):
            raise UsageError(f"{address!r} is no server's address", "write http://HOST:PORT or unix:/PATH")
        self._parts, self._prefix = parts, "" if parts.scheme == "unix" else parts.path.rstrip("/").removesuffix("/v1")
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    # -- what is asked

    def healthy(self, call: Call) -> bool:
        """Whether the server says that it can answer."""
        try:
            self._ask("GET", "/health", None, call)
        except EngineProblem:
            return False
        return True

    def models(self, call: Call) -> dict[str, dict[str, Any]]:
        """Name -> what the server tells of it: the base and the adapters that it knows."""
        found = self._ask("GET", "/v1/models", None, call)
        try:
            return {str(one["id"]): one for one in found["data"]}
        except (TypeError, KeyError) as error:
            raise EngineProblem(f"{self.address} lists no models", "is it a server of vLLM's kind?") from error

    def load(self, name: str, path: str, call: Call) -> None:
        """Make an adapter usable under its name; Rejected says why it is not."""
        self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path}, call)

    def unload(self, name: str, call: Call) -> None:
        """Forget an adapter."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name}, call)

    def read(self, model: str, tokens: Sequence[int], call: Call) -> None:
        """Have a prompt read, so that its keys and values are kept."""
        self._complete(model, list(tokens), call, max_tokens=1)

    def after(self, model: str, prompts: Sequence[Sequence[int]], wanted: Sequence[int], call: Call) -> list[Row]:
        """The log-probabilities of ``wanted`` tokens, each right after each of the prompts."""
        return self._next(model, prompts, call, logprobs=1, logprob_token_ids=list(wanted))

    def likeliest(self, model: str, prompts: Sequence[Sequence[int]], count: int, call: Call) -> list[Row]:
        """The ``count`` likeliest tokens right after each of the prompts, with their log-probabilities."""
        return self._next(model, prompts, call, logprobs=count)

    def _next(self, model: str, prompts: Sequence[Sequence[int]], call: Call, **options: Any) -> list[Row]:
        answer = self._complete(model, [list(p) for p in prompts], call, max_tokens=1, **options)
        rows: list[Row] = [{} for _ in prompts]
        try:
            for choice in answer["choices"]:
                rows[choice["index"]] = _rows(choice)[0]
        except (LookupError, TypeError, ValueError) as error:
            raise EngineProblem(f"{self.address} answers in another dialect: {error!r}") from error
        return rows

    def choose(self, model: str, tokens: Sequence[int], choices: Sequence[str], call: Call) -> str:
        """One of some texts, by the server's own constraint."""
        answer = self._complete(
            model, list(tokens), call, max_tokens=16, structured_outputs={"choice": list(choices)}
        )
        try:
            return str(answer["choices"][0]["text"])
        except (LookupError, TypeError) as error:
            raise EngineProblem(f"{self.address} answers in another dialect: {error!r}") from error

    def draft(
        self, model: str, tokens: Sequence[int], most: int, count: int, call: Call
    ) -> Iterator[tuple[int, Row]]:
        """What the model would write, token by token as it comes, each with its ``count`` likeliest alternatives.

        Closing the iterator ends the work in the server.
        """
        body = _body(model, list(tokens), max_tokens=most, logprobs=count, stream=True, ignore_eos=True)
        connection, response = self._send("POST", "/v1/completions", body, call)
        whole = False
        try:
            while line := self._line(response, call):
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    response.read()
                    whole = True
                    return
                event = json.loads(data)
                if "error" in event:
                    raise Rejected(500, _reason(event, str(event)))
                for choice in event.get("choices", ()):
                    if choice.get("logprobs"):
                        names = choice["logprobs"]["tokens"]
                        yield from zip(map(_token, names), _rows(choice), strict=True)
            raise self._fault(ConnectionError("the answer broke off"), call)
        except (ValueError, LookupError, TypeError) as error:
            raise EngineProblem(f"{self.address} answers in another dialect: {error!r}") from error
        finally:
            call.use(None)
            self._give_back(connection, whole)

    def close(self) -> None:
        """Let go of idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # -- how it is asked

    def _complete(self, model: str, prompt: list[Any], call: Call, **options: Any) -> Any:
        return self._ask("POST", "/v1/completions", _body(model, prompt, **options), call)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, call: Call) -> Any:
        connection, response = self._send(method, path, body, call)
        whole = False
        try:
            data = response.read(_LARGEST)
            whole = True
        except (OSError, http.client.HTTPException) as error:
            raise self._fault(error, call) from error
        finally:
            call.use(None)
            self._give_back(connection, whole and not response.will_close)
        try:
            return json.loads(data) if data[:1] in (b"{", b"[") else data.decode(errors="replace")
        except ValueError as error:
            raise EngineProblem(f"{self.address} answers with damaged JSON") from error

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None, call: Call
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The answer's head. A kept connection that the server has closed meanwhile gives way to a new one."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        while True:
            connection, kept = self._take(call)
            try:
                if connection.sock is None:
                    connection.connect()
                assert connection.sock is not None
                connection.sock.settimeout(call.left())
                call.use(connection.sock)
                connection.request(method, self._prefix + path, data, headers)
                response = connection.getresponse()
                if response.status >= 400:
                    text = response.read(2**16).decode(errors="replace")
                    raise _rejected(response.status, text, self.address)
                return connection, response
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                connection.close()
                if not kept or call.stopped:
                    raise self._fault(error, call) from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise self._fault(error, call) from error
            except EngineProblem:
                call.use(None)
                connection.close()
                raise

    def _line(self, response: http.client.HTTPResponse, call: Call) -> bytes:
        try:
            call.left()
            return response.readline(2**24)
        except (OSError, http.client.HTTPException) as error:
            raise self._fault(error, call) from error

    def _take(self, call: Call) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        left = call.left()
        match self._parts.scheme:
            case "unix":
                return _UnixConnection(self._parts.path, left), False
            case "https":
                return http.client.HTTPSConnection(self._parts.netloc.rpartition("@")[2], timeout=left), False
            case _:
                return http.client.HTTPConnection(self._parts.netloc.rpartition("@")[2], timeout=left), False

    def _give_back(self, connection: http.client.HTTPConnection, whole: bool) -> None:
        with self._lock:
            if whole and connection.sock is not None and len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _fault(self, error: Exception, call: Call) -> EngineProblem:
        if call.stopped or isinstance(error, TimeoutError):
            return EngineProblem("the engine ran past its deadline", "see `octod status`")
        return Lost(f"no answer from {self.address}: {error}", "it is asked again by itself; see `octod status`")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _body(model: str, prompt: list[Any], **options: Any) -> dict[str, Any]:
    """A greedy completion whose tokens come back as numbers; nothing is put before the prompt."""
    return {
        "model": model,
        "prompt": prompt,
        "temperature": 0,
        "return_tokens_as_token_ids": True,
        "add_special_tokens": False,
        **options,
    }


def _rows(choice: Any) -> list[Row]:
    return [
        {_token(name): float(value) for name, value in (row or {}).items()}
        for row in choice["logprobs"]["top_logprobs"]
    ]


def _token(name: str) -> int:
    return int(name.removeprefix("token_id:"))


def _rejected(status: int, text: str, address: str) -> EngineProblem:
    try:
        reason = _reason(json.loads(text), text)
    except ValueError:
        reason = text
    if status in (401, 403):
        return Rejected(status, f"{address} wants another token: {reason[:200]}")
    if status in (502, 503, 504):
        return Lost(f"{address} is not ready: {reason[:200]}", "it is asked again by itself; see `octod status`")
    return Rejected(status, f"{address} refused: {reason[:400]}")


def _reason(answer: Any, text: str) -> str:
    """What vLLM, or a router in front of it, gives as its reason."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    found = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return str(found or text)


def _shut(used: socket.socket) -> None:
    try:
        used.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed already
