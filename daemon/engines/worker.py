"""The embedded engine's own process: reads requests from standard input, answers on standard output.

    request   {"id": n, "op": "open" | "load" | "drop" | "warm" | "score" | "generate" | "ping", ...}
              {"id": n, "op": "cancel"}                          n is the request to give up
    answer    {"id": n, "result": ...} | {"id": n, "error": kind, "message": ..., "hint": ...}

Each is a 4-byte big-endian length and JSON. A thread reads, so that a cancel is seen while the model computes; the
main thread computes. A warm-up gives way to everything else and keeps what it has read so far. The process ends
with its input. Nothing is unpickled and no connection is made: an audit hook refuses both.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from octod.core.errors import AdapterRefused, EngineProblem, OctodError
from octod.core.offline import stay_offline
from octod.daemon.engines.protocol import CallConstraint, Ending, Generated, Mixture, Prompt

if TYPE_CHECKING:
    from octod.daemon.engines.decoder import Decoder
    from tokenizers import Tokenizer

__all__ = ["LARGEST_MESSAGE", "main", "pack", "unpack"]

LARGEST_MESSAGE = 16 * 2**20
_REFUSED_EVENTS = frozenset(
    ("pickle.find_class", "socket.connect", "socket.bind", "subprocess.Popen", "os.system")
)


def pack(message: dict[str, Any]) -> bytes:
    """One frame."""
    data = json.dumps(message).encode()
    return len(data).to_bytes(4, "big") + data


def unpack(file: BinaryIO) -> dict[str, Any] | None:
    """The next frame's object; None at the end of the stream."""
    head = file.read(4)
    if len(head) < 4:
        return None
    length = int.from_bytes(head, "big")
    data = file.read(length) if length <= LARGEST_MESSAGE else b""
    if len(data) < length or not data:
        return None
    message = json.loads(data)
    return message if isinstance(message, dict) else None


class _Stopped(Exception):
    """The request was cancelled, or a warm-up gave way."""


@dataclass(eq=False, slots=True)
class _Job:
    """One request and whether it is still wanted; ``until`` is on time.monotonic's clock."""

    message: dict[str, Any]
    until: float
    stop: bool = field(default=False)

    def check(self) -> None:
        if self.stop:
            raise _Stopped
        if time.monotonic() > self.until:
            raise EngineProblem(
                "the engine ran past its deadline", "allow more time, or set a smaller base model"
            )


class _Queue:
    """Requests in order, warm-ups last and only the newest one."""

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._running: _Job | None = None
        self._changed = threading.Condition()

    def put(self, message: dict[str, Any]) -> list[_Job]:
        """Queue a request; returns the warm-ups that it replaces."""
        job = _Job(message, time.monotonic() + float(message.get("deadline") or 3600.0))
        with self._changed:
            replaced = [j for j in self._jobs if j.message["op"] == message["op"] == "warm"]
            for old in replaced:
                self._jobs.remove(old)
            if self._running is not None and self._running.message["op"] == "warm":
                self._running.stop = True
            self._jobs.append(job)
            self._changed.notify()
        return replaced

    def cancel(self, number: Any) -> None:
        """Mark a request, waiting or running, as no longer wanted."""
        with self._changed:
            for job in [*self._jobs, *([self._running] if self._running else [])]:
                if job.message["id"] == number:
                    job.stop = True

    def take(self) -> _Job:
        """Wait for the next request."""
        with self._changed:
            self._running = None
            while not self._jobs:
                self._changed.wait()
            job = next((j for j in self._jobs if j.message["op"] != "warm"), self._jobs[0])
            self._jobs.remove(job)
            self._running = job
            return job


class _Worker:
    """The open model and the operations on it."""

    def __init__(self) -> None:
        self.decoder: Decoder | None = None
        self.tokenizer: Tokenizer | None = None

    def answer(self, job: _Job) -> Any:
        """The result of one request."""
        job.check()
        message = job.message
        match message["op"]:
            case "open":
                return self.open(Path(message["base"]), Path(message["cache"]), int(message["threads"]))
            case "ping":
                return None
            case "load":
                self._open().load(message["name"], Path(message["folder"]))
            case "drop":
                self._open().drop(message["name"])
            case "warm":
                self._open().read(self.encode(_prompt(message)), _mixture(message), job.check)
            case "score":
                return self.score(
                    job, _prompt(message), message["candidates"], _mixture(message), message["end"]
                )
            case "generate":
                return asdict(self.generate(job, _prompt(message), _constraint(message), _mixture(message)))
            case op:
                raise EngineProblem(
                    f"the engine does not know {op!r}", "restart octod: `octod stop`, `octod start`"
                )
        return None

    def _open(self) -> Decoder:
        if self.decoder is None:
            raise EngineProblem("the engine has no model open", "restart octod: `octod stop`, `octod start`")
        return self.decoder

    def open(self, folder: Path, cache: Path, threads: int) -> dict[str, Any]:
        """Open a checkpoint folder; a damaged cached graph is made again once."""
        import shutil

        from octod.adapters.identity import BaseModel
        from octod.adapters.prompt import load_tokenizer
        from octod.daemon.engines.cost import machine_memory, memory_needed, require_memory
        from octod.daemon.engines.decoder import Decoder
        from octod.daemon.engines.generate import Vocabulary
        from octod.daemon.engines.graph import cached_graph
        from octod.daemon.engines.shape import read_shape

        base = BaseModel.of(folder)
        machine, dimensions = machine_memory(), read_shape(folder)
        require_memory(folder.name, dimensions, machine)
        free = "" if machine.free is None else f", {machine.free / 1e9:.1f} GB are free"
        needed = memory_needed(dimensions) / 1e9
        print(f"engine: {folder.name} takes about {needed:.2f} GB of memory{free}", file=sys.stderr, flush=True)
        path, shape = cached_graph(base, cache)
        try:
            self.decoder = Decoder(path, shape, threads)
        except Exception as error:  # noqa: BLE001  # onnxruntime's errors have no common root
            print(f"engine: {path} does not load, it is made again: {error}", file=sys.stderr, flush=True)
            shutil.rmtree(path.parent)
            path, shape = cached_graph(base, cache)
            self.decoder = Decoder(path, shape, threads)
        try:
            self.tokenizer = load_tokenizer(folder / "tokenizer.json")
        except Exception as error:  # tokenizers raises plain Exception
            raise EngineProblem(f"{folder}/tokenizer.json: {error}", "copy the base model again") from error
        self.vocabulary = Vocabulary.of(self.tokenizer, shape.vocabulary)
        return {"base": base.name, "base_hash": base.weights_hash, "context": shape.context}

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, with room for an answer."""
        from octod.daemon.engines.tokens import prompt_tokens

        assert self.tokenizer is not None
        return prompt_tokens(self.tokenizer, prompt, self._open().shape.context)

    def score(
        self, job: _Job, prompt: Prompt, candidates: list[str], mixture: Mixture, end: Ending
    ) -> list[float]:
        """Candidates' log-probabilities."""
        from octod.adapters.prompt import encode_text
        from octod.daemon.engines.generate import Trie, score
        from octod.daemon.engines.shape import TREE_SLOTS
        from octod.daemon.engines.tokens import candidate_tokens

        decoder = self._open()
        assert self.tokenizer is not None
        prefix, texts = candidate_tokens(self.tokenizer, prompt, candidates, decoder.shape.context)
        first = decoder.read(prefix, mixture, job.check)

        def branch(trie: Trie) -> Any:
            return decoder.branch(prefix, mixture, trie.tokens, trie.parents, job.check)

        bracket = encode_text(self.tokenizer, "(")
        return score(first, branch, self.vocabulary, texts, end, bracket[0] if bracket else None, TREE_SLOTS)

    def generate(self, job: _Job, prompt: Prompt, constraint: CallConstraint, mixture: Mixture) -> Generated:
        """Arguments up to the closing bracket, or what there is at the deadline."""
        from octod.daemon.engines.generate import generate

        decoder, tokens = self._open(), self.encode(prompt)

        def in_time() -> bool:
            if job.stop:
                raise _Stopped
            return time.monotonic() < job.until

        decoder.read(tokens, mixture, job.check)
        return generate(
            lambda made: decoder.read(tokens + made, mixture, lambda: None),
            self.vocabulary,
            constraint,
            in_time,
        )


def _prompt(message: dict[str, Any]) -> Prompt:
    fields = message["prompt"]
    return Prompt(fields["before"], tuple(fields["signatures"]), fields["line"], fields["after"])


def _constraint(message: dict[str, Any]) -> CallConstraint:
    fields: dict[str, Any] = {k: tuple(v) if type(v) is list else v for k, v in message["constraint"].items()}
    return CallConstraint(**fields)


def _mixture(message: dict[str, Any]) -> Mixture:
    return tuple((str(name), float(weight)) for name, weight in message["mixture"])


def _read(requests: BinaryIO, queue: _Queue, send: Callable[[dict[str, Any]], None]) -> None:
    """The reading thread; the process ends when its owner is gone."""
    try:
        while (message := unpack(requests)) is not None:
            if message["op"] == "cancel":
                queue.cancel(message["id"])
                continue
            for old in queue.put(message):
                send({"id": old.message["id"], "error": "stopped", "message": "a newer one came", "hint": ""})
    finally:
        os._exit(0)


def _guard(event: str, _: tuple[object, ...]) -> None:
    if event in _REFUSED_EVENTS:
        raise RuntimeError(f"the engine must not do this: {event}")


def main() -> None:
    """Serve until standard input ends."""
    stay_offline()
    sys.addaudithook(_guard)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the frames
    writing = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        with writing, contextlib.suppress(BrokenPipeError):
            answers.write(pack(message))
            answers.flush()

    queue, worker = _Queue(), _Worker()
    threading.Thread(target=_read, args=(requests, queue, send), daemon=True).start()
    while True:
        job = queue.take()
        number = job.message["id"]
        try:
            send({"id": number, "result": worker.answer(job)})
        except _Stopped:
            send({"id": number, "error": "stopped", "message": "cancelled", "hint": ""})
        except OctodError as error:
            kind = "refused" if isinstance(error, AdapterRefused) else "problem"
            send({"id": number, "error": kind, "message": error.message, "hint": error.hint})
        except Exception as error:  # noqa: BLE001  # answered, so that one bad request does not end the engine
            hint = "see the daemon's log: `octod logs`"
            send(
                {
                    "id": number,
                    "error": "problem",
                    "message": f"{type(error).__name__}: {error}",
                    "hint": hint,
                }
            )
            sys.excepthook(type(error), error, error.__traceback__)


if __name__ == "__main__":
    main()
