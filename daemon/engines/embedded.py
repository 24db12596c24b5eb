"""The engine inside octod: a worker process with onnxruntime, watched and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from octod.core.errors import AdapterRefused, EngineProblem, OctodError
from octod.core.paths import Paths
from octod.daemon.engines.protocol import (
    AdapterFiles,
    CallConstraint,
    Ending,
    EngineInfo,
    Generated,
    Mixture,
    Prompt,
)
from octod.daemon.engines.worker import LARGEST_MESSAGE, pack

__all__ = ["EmbeddedEngine"]

_log = logging.getLogger(__name__)

# Making the graph of a 64 MB base takes 0.5 s, of a 0.5 B one some 10 s on a slow disk.
START_SECONDS = 120.0
# The first restart is at once; then the pause doubles until it has been up for LONG_UP seconds.
FIRST_PAUSE, LONGEST_PAUSE, LONG_UP = 0.1, 30.0, 60.0
# A worker that is past a deadline by this much does not look at its clock any more.
GRACE_SECONDS = 0.25
_DIED = "the engine's process ended while it worked"
_DIED_HINT = "it is restarted by itself; `octod logs` shows why"


class EmbeddedEngine:
    """An Engine over `python -m octod.daemon.engines.worker`; all methods belong to one event loop."""

    def __init__(
        self, base: Path, paths: Paths, threads: int = 2, environ: Mapping[str, str] | None = None
    ) -> None:
        self._base, self._paths, self._threads = base, paths, threads
        self._environ = dict(os.environ if environ is None else environ)
        self._process: asyncio.subprocess.Process | None = None
        self._opened: dict[str, Any] = {}
        self._adapters: dict[str, AdapterFiles] = {}
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count(1)
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._failed: OctodError | None = None
        self._warming: int | None = None
        self._last_words: deque[str] = deque(maxlen=20)

    # -- life

    @property
    def info(self) -> EngineInfo:
        """What runs now; ``alive`` is False while it restarts."""
        return EngineInfo(
            kind="embedded",
            base=self._opened.get("base", self._base.name),
            context=self._opened.get("context", 0),
            adapters=tuple(sorted(self._adapters)),
            pid=self._process.pid if self._process is not None and self._ready.is_set() else None,
            alive=self._ready.is_set(),
            base_hash=self._opened.get("base_hash", ""),
        )

    async def start(self) -> None:
        """Start the worker and open the model; EngineProblem says why it cannot be."""
        if self._keeper is not None:
            return
        self._failed = None
        self._keeper = asyncio.create_task(self._keep())
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._ready.is_set():
            await self.stop()
            raise self._failed or EngineProblem("the engine did not start", "see `octod logs`")

    async def stop(self) -> None:
        """End the worker; pending calls get EngineProblem."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        self._ready.clear()

    async def _keep(self) -> None:
        """Run one worker after another until stopped, or until the very first cannot open the model."""
        pause = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._run_once()
            except OctodError as error:
                _log.warning("engine: %s", error)
                self._failed = error
                if not self._opened:
                    return
            except (OSError, ValueError) as error:  # no process to be had, or no JSON: another worker may do better
                _log.warning("engine: %s: %s", type(error).__name__, error)
                self._failed = EngineProblem(f"the engine cannot run: {error}", "see `octod logs`")
                if not self._opened:
                    return
            if time.monotonic() - began > LONG_UP:
                pause = 0.0
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)

    async def _run_once(self) -> None:
        """One worker's life: spawned, opened, adapters loaded, and served until it ends."""
        # -P and no PYTHONPATH: neither the current folder nor a project's folder may put modules in the way (P1).
        environ = {
            k: v for k, v in self._environ.items() if k not in ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME")
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "octod.daemon.engines.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ | {"TOKENIZERS_PARALLELISM": "false"},
            cwd="/",
        )
        self._process = process
        self._last_words.clear()
        listening = asyncio.create_task(self._listen(process))
        words = asyncio.create_task(self._hear(process))
        try:
            await self._open()
            await listening
        finally:
            self._ready.clear()
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            listening.cancel()
            await process.wait()
            words.cancel()
            await asyncio.gather(listening, words, return_exceptions=True)
            self._fail_pending()
        _log.warning("engine: ended with code %s: %s", process.returncode, " | ".join(self._last_words))

    async def _open(self) -> None:
        request = {"base": str(self._base), "cache": str(self._paths.cache), "threads": self._threads}
        self._opened = await self._request("open", request, START_SECONDS)
        for adapter in list(self._adapters.values()):
            try:
                await self._load(adapter)
            except AdapterRefused as error:
                _log.warning("engine: %s is not loaded again: %s", adapter.name, error)
                del self._adapters[adapter.name]
        self._ready.set()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await process.stdout.readexactly(4), "big")
                if length > LARGEST_MESSAGE:
                    _log.error("engine: a frame of %d bytes", length)
                    break
                answer = json.loads(await process.stdout.readexactly(length))
                waiting = self._pending.pop(answer["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        self._ready.clear()
        self._fail_pending()

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        """Keep the worker's last words for the log."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            for line in chunk.decode(errors="replace").splitlines():
                self._last_words.append(line[:400])
                _log.info("engine worker: %s", line[:400])

    def _fail_pending(self) -> None:
        pending, self._pending = self._pending, {}
        for waiting in pending.values():
            if not waiting.done():
                waiting.set_exception(EngineProblem(_DIED, _DIED_HINT))

    # -- calls

    async def load(self, adapter: AdapterFiles) -> None:
        """Make an adapter usable; AdapterRefused names what is wrong. It is loaded again after a restart."""
        await self._until_ready(START_SECONDS)
        await self._load(adapter)
        self._adapters[adapter.name] = adapter

    async def _load(self, adapter: AdapterFiles) -> None:
        await self._request("load", {"name": adapter.name, "folder": str(adapter.folder)}, 30.0)

    async def drop(self, name: str) -> None:
        """Forget an adapter."""
        self._adapters.pop(name, None)
        if self._ready.is_set():
            await self._request("drop", {"name": name}, 30.0)

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """Read ahead; an older warm-up returns early, and one that cannot be done is no error."""
        if not self._ready.is_set():
            return
        if self._warming is not None:
            self._cancel(self._warming)
        number = self._warming = next(self._numbers)
        try:
            await self._request("warm", {"prompt": asdict(prompt), "mixture": mixture}, 30.0, number)
        except EngineProblem as error:
            _log.debug("engine: warm-up: %s", error)
        finally:
            if self._warming == number:
                self._warming = None

    async def score(
        self,
        prompt: Prompt,
        candidates: Sequence[str],
        mixture: Mixture,
        deadline: float,
        end: Ending = "boundary",
    ) -> list[float]:
        """Sum of log-probabilities of each candidate; EngineProblem at the deadline."""
        if not candidates:
            return []
        request = {"prompt": asdict(prompt), "candidates": list(candidates), "mixture": mixture, "end": end}
        # No grace: half of the scores is of no use, and a menu waits for them. A large base is late every time.
        result: list[float] = await self._in_time("score", request, deadline, 0.0)
        return result

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, deadline: float
    ) -> Generated:
        """Greedy arguments; an unfinished answer at the deadline."""
        request = {"prompt": asdict(prompt), "constraint": asdict(constraint), "mixture": mixture}
        return Generated(**await self._in_time("generate", request, deadline))

    async def ping(self, deadline: float = 1.0) -> None:
        """Return when the worker answers."""
        await self._in_time("ping", {}, deadline)

    async def _in_time(self, op: str, request: dict[str, Any], deadline: float, grace: float = GRACE_SECONDS) -> Any:
        began = time.monotonic()
        await self._until_ready(deadline)
        left = max(deadline - (time.monotonic() - began), 0.001)
        return await self._request(op, request | {"deadline": left}, left + grace)

    async def _until_ready(self, deadline: float) -> None:
        if self._ready.is_set():
            return
        if self._keeper is None or self._keeper.done():
            raise self._failed or EngineProblem("the engine does not run", "start octod: `octod start`")
        try:
            async with asyncio.timeout(deadline):
                await self._ready.wait()
        except TimeoutError as error:
            raise EngineProblem(
                "the engine is still starting", "try again in a moment; see `octod status`"
            ) from error

    async def _request(
        self, op: str, request: dict[str, Any], deadline: float, number: int | None = None
    ) -> Any:
        """Send and await the answer. Cancelling the caller cancels the work in the worker."""
        number = next(self._numbers) if number is None else number
        if self._process is None or self._process.stdin is None:
            raise EngineProblem(_DIED, _DIED_HINT)
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = waiting
        try:
            self._process.stdin.write(pack({"id": number, "op": op, **request}))
            async with asyncio.timeout(deadline):
                answer = await waiting
        except (TimeoutError, asyncio.CancelledError) as error:
            self._cancel(number)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise EngineProblem("the engine ran past its deadline", "see `octod status`") from error
        except ConnectionError as error:
            raise EngineProblem(_DIED, _DIED_HINT) from error
        finally:
            self._pending.pop(number, None)
        match answer.get("error"):
            case None:
                return answer["result"]
            case "refused":
                raise AdapterRefused(answer["message"], answer["hint"])
            case _:
                raise EngineProblem(answer["message"], answer["hint"])

    def _cancel(self, number: int) -> None:
        if (
            self._process is not None
            and self._process.stdin is not None
            and not self._process.stdin.is_closing()
        ):
            self._process.stdin.write(pack({"id": number, "op": "cancel"}))
