"""A small server of the dialect on a unix socket, whose model is a function; it has the faults that a test asks for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import numpy as np

__all__ = ["DialectServer", "logprobs"]


def logprobs(model: str, tokens: list[int], size: int) -> np.ndarray:
    """What the model thinks comes next: numbers that depend on the model's name and on the last tokens."""
    seed = hashlib.sha256(json.dumps([model, tokens[-3:]]).encode()).digest()[:8]
    logits = np.random.default_rng(int.from_bytes(seed, "big")).normal(0.0, 3.0, size)
    return logits - np.log(np.exp(logits).sum())


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    owner: DialectServer

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection: it ends with the server, as it does when a process ends."""
        self.owner.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was cut is no news."""


class DialectServer:
    """``with DialectServer(folder / "s.sock", size=600) as server``; ``asked`` lists paths and bodies."""

    def __init__(self, path: Path, size: int, token: str = "") -> None:
        self.socket, self.size, self.token = path, size, token
        self.address = f"unix:{path}"
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.adapters: dict[str, str] = {}
        self.most = 64  # --max-logprobs
        self.chosen = True  # honours logprob_token_ids
        self.effect = True  # adapters change something
        self.refused: dict[str, str] = {}  # adapter -> reason
        self.pause = 0.0  # seconds before each token
        self.ill = False  # /health says so
        self.short = 0  # answers that lack alternatives
        self.broken_off = threading.Event()  # somebody hung up in the middle of an answer
        self.connections: list[socket.socket] = []
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self.socket.unlink(missing_ok=True)
        self._server = _Server(str(self.socket), _Handler)
        self._server.owner = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be gone; what was loaded is forgotten."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()
        self.socket.unlink(missing_ok=True)
        self.adapters.clear()

    def paths(self) -> list[str]:
        """What was asked for, without the bodies."""
        return [path for path, _ in self.asked]

    def row(self, model: str, tokens: list[int], body: dict[str, Any]) -> tuple[int, dict[str, float]]:
        """The next token and what is told of it."""
        found = logprobs(model if self.effect else "", tokens, self.size)
        best = int(found.argmax())
        wanted = body.get("logprob_token_ids") if self.chosen else None
        if wanted is None:
            count = int(body.get("logprobs") or 0)
            if self.short and count > 1:
                self.short -= 1
                count = 0
            wanted = np.argsort(-found)[:count].tolist()
        return best, {f"token_id:{token}": float(found[token]) for token in dict.fromkeys([best, *wanted])}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.asked.append((self.path, {}))
        if self.path == "/health":
            self._answer(503 if owner.ill else 200, b"")
        elif not self._allowed():
            self._answer(401, b'{"error": "Unauthorized"}')
        else:
            models = [{"id": "code", "parent": None}, *({"id": name, "parent": "code"} for name in owner.adapters)]
            self._answer(200, json.dumps({"data": models}).encode())

    def do_POST(self) -> None:
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner.asked.append((self.path, body))
        if not self._allowed():
            return self._answer(401, b'{"error": "Unauthorized"}')
        if self.path == "/v1/load_lora_adapter":
            name = body["lora_name"]
            reason = owner.refused.get(name, "" if Path(body["lora_path"]).is_dir() else "no such folder")
            if name in owner.adapters:
                reason = f"The lora adapter '{name}' has already been loaded."
            if reason:
                return self._fault(reason)
            owner.adapters[name] = body["lora_path"]
            return self._answer(200, b"Success")
        if self.path == "/v1/unload_lora_adapter":
            owner.adapters.pop(body["lora_name"], None)
            return self._answer(200, b"Success")
        if int(body.get("logprobs") or 0) > owner.most:
            return self._fault(f"Requested sample logprobs of {body['logprobs']}, max allowed: {owner.most}")
        if body["model"] not in ("code", *owner.adapters):
            return self._answer(404, b'{"error": {"message": "no such model"}}')
        return self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        owner = self.server.owner
        if choices := body.get("structured_outputs", {}).get("choice"):
            return self._answer(200, json.dumps({"choices": [{"index": 0, "text": choices[0]}]}).encode())
        if body.get("stream"):
            return self._stream(body)
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        time.sleep(owner.pause)
        found = []
        for number, tokens in enumerate(prompts):
            best, row = owner.row(body["model"], tokens, body)
            found.append({"index": number, "text": "", "logprobs": {"tokens": [f"token_id:{best}"], "top_logprobs": [row]}})
        return self._answer(200, json.dumps({"choices": found[::-1]}).encode())

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        tokens = list(body["prompt"])
        try:
            for _ in range(body["max_tokens"]):
                time.sleep(self.server.owner.pause)
                best, row = self.server.owner.row(body["model"], tokens, body)
                tokens.append(best)
                told = {"choices": [{"index": 0, "logprobs": {"tokens": [f"token_id:{best}"], "top_logprobs": [row]}}]}
                self._chunk(f"data: {json.dumps(told)}\n\n".encode())
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except OSError:
            self.server.owner.broken_off.set()
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _allowed(self) -> bool:
        token = self.server.owner.token
        return not token or self.headers.get("Authorization") == f"Bearer {token}"

    def _fault(self, message: str) -> None:
        self._answer(400, json.dumps({"error": {"message": message, "code": 400}}).encode())

    def _answer(self, status: int, data: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.server.owner.broken_off.set()
            self.close_connection = True
