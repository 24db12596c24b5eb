"""The engine over vLLM: a child of the daemon, or any server that speaks its dialect (dialect.py)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from octod.core.errors import EngineProblem, OctodError
from octod.core.paths import Paths, private_folder
from octod.daemon.engines.dialect import Call, Dialect, Lost
from octod.daemon.engines.protocol import (
    AdapterFiles,
    CallConstraint,
    Ending,
    EngineInfo,
    Generated,
    Mixture,
    Prompt,
)
from octod.daemon.engines.vllm_adapters import Shelf, publish
from octod.daemon.engines.vllm_canary import adapter_canary, prove_adapters
from octod.daemon.engines.vllm_questions import Questions

__all__ = ["Remote", "Server", "VllmEngine"]

_logger = logging.getLogger(__name__)
T = TypeVar("T")
Tell = Callable[[str], None]

# The first restart is at once; then the pause doubles until it has been up for LONG_UP seconds.
FIRST_PAUSE, LONGEST_PAUSE, LONG_UP = 0.5, 60.0, 120.0
_LOOK, _LOOK_SECONDS, _MISSES = 2.0, 5.0, 3  # a look at the server's health, its patience, and how many may fail
_THREADS = 8  # questions under way
_LATE, _PROBE_SECONDS = 5, 20.0  # answers in a row that were late, until it is asked whether it answers at all
_MOST_SECONDS = 60.0  # for a request without a deadline of its own


class Server(Protocol):
    """Where the engine's server comes from."""

    pid: int | None

    @property
    def place(self) -> str:
        """Where it runs, in words."""

    async def up(self, tell: Tell) -> Dialect:
        """Return when it answers; EngineProblem says why it does not."""

    async def ended(self) -> None:
        """Return when it is known to be gone."""

    async def down(self) -> None:
        """Give it back."""


class Remote:
    """A server that somebody else runs."""

    pid: int | None = None

    def __init__(self, address: str, token: str = "") -> None:
        self._dialect = Dialect(address, token)

    @property
    def place(self) -> str:
        """Its address."""
        return self._dialect.address

    async def up(self, tell: Tell) -> Dialect:
        """Look once."""
        tell(f"asking {self.place}")
        await asyncio.to_thread(self._dialect.models, Call(_LOOK_SECONDS))
        return self._dialect

    async def ended(self) -> None:
        """Nobody says so."""
        await asyncio.Event().wait()

    async def down(self) -> None:
        """Leave it alone."""
        self._dialect.close()


class VllmEngine:
    """An Engine over a server; all methods belong to one event loop, questions run in threads."""

    def __init__(self, server: Server, base: Path, paths: Paths, *, shared: Path | None = None, own: bool = True) -> None:
        self._server, self._base, self._paths, self._own = server, base, paths, own
        self._shelf = Shelf(paths.cache, own=own, shared=shared)
        self._proves = own or shared is not None
        self._shared = shared
        self._dialect: Dialect | None = None
        self._questions: Questions | None = None
        self._late = 0
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()  # a question found nobody there: look now
        self._keeper: asyncio.Task[None] | None = None
        self._failed: OctodError | None = None
        self._doing = ""
        self._opened = False
        self._warming: Call | None = None
        self._pool = _threads()

    # -- life

    @property
    def info(self) -> EngineInfo:
        """What runs now; ``alive`` is False while it restarts, ``doing`` says what it does then."""
        alive = self._ready.is_set()
        return EngineInfo(
            kind="vllm",
            base=self._base.name,
            context=self._questions.context if self._questions else 0,
            adapters=self._shelf.names,
            pid=self._server.pid if alive else None,
            alive=alive,
            base_hash=self._questions.base_hash if self._questions else "",
            doing=self._doing,
        )

    @property
    def failed(self) -> OctodError | None:
        """Why it does not run, or did not the last time."""
        return self._failed

    @property
    def findings(self) -> dict[str, object]:
        """What the server was found to do, as JSON values."""
        if self._questions is None:
            return {}
        found = self._questions.findings
        return {"model": self._questions.model, "likely_tokens": found.most, "constraints": found.constrained}

    async def start(self) -> None:
        """Bring the server up and examine it; EngineProblem says why it cannot be."""
        if self._keeper is not None:
            return
        self._failed = None
        self._keeper = asyncio.create_task(self._keep())
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({ready, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.stop()
            raise
        finally:
            ready.cancel()
        if not self._ready.is_set():
            await self.stop()
            raise self._failed or EngineProblem("the engine did not start", "see `octod logs`")

    async def stop(self) -> None:
        """End the server if it is ours; pending calls get EngineProblem."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        self._ready.clear()
        self._doing, self._opened = "", False
        self._pool.shutdown(wait=False)
        self._pool = _threads()

    async def _keep(self) -> None:
        """One life of the server after another, until stopped or until the very first one fails."""
        pause = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._live()
                self._failed = EngineProblem("vLLM ended", "it is restarted by itself; `octod logs` shows why")
            except OctodError as error:
                self._failed = error
            except (OSError, ValueError, LookupError, TypeError) as error:  # the last three: answers of another form
                self._failed = EngineProblem(f"vLLM cannot run: {type(error).__name__}: {error}", "see `octod logs`")
            _logger.warning("engine: %s", self._failed)
            if not self._opened:
                return
            if time.monotonic() - began > LONG_UP:
                pause = 0.0
            self._doing = f"waiting to start again: {self._failed.message}"
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)

    async def _live(self) -> None:
        """One life of the server: up, examined, serving, gone."""
        began = time.monotonic()
        try:
            dialect = await self._server.up(self._tell)
            self._tell("examining it")
            await asyncio.to_thread(self._open, dialect)
            self._dialect, self._opened, self._doing = dialect, True, ""
            self._ready.set()
            _logger.info("engine: vLLM is ready after %.1f s: %s", time.monotonic() - began, self._questions and self._questions.findings)
            await self._watch(dialect)
        finally:
            self._ready.clear()
            dialect_, self._dialect = self._dialect, None
            if dialect_ is not None:
                dialect_.close()
            # shielded: a child must be gone even when this task is cancelled once more
            await asyncio.shield(self._server.down())

    def _tell(self, what: str) -> None:
        if what != self._doing:
            _logger.info("engine: %s", what)
        self._doing = what

    def _open(self, dialect: Dialect) -> None:
        """Examine the server, and prove that adapters work on it."""
        self._shelf.emptied()
        questions = Questions.of(self._base, dialect, own=self._own)
        if not questions.findings.constrained:
            _logger.warning("engine: %s does not keep to constraints; octod's own reading does", dialect.address)
        if self._proves:
            canary = adapter_canary(self._base, private_folder(self._paths.cache / "engines" / "vllm"))
            if self._shared is not None:
                canary = publish(canary.name, canary, self._shared)
            prove_adapters(dialect, questions.model, canary, list(range(10, 40)), own=self._own)
        self._questions, self._late = questions, 0

    async def _watch(self, dialect: Dialect) -> None:
        """Return when the server ended, or was found ill so often that it must be begun anew."""
        ended = asyncio.create_task(self._server.ended())
        misses = 0
        try:
            while misses < _MISSES and not ended.done():
                lost = asyncio.create_task(self._lost.wait())
                await asyncio.wait({ended, lost}, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
                lost.cancel()
                self._lost.clear()
                if ended.done():
                    return
                healthy = await asyncio.to_thread(self._healthy, dialect)
                misses = 0 if healthy else misses + 1
                if misses and not self._own:  # nothing is ended by looking elsewhere meanwhile
                    raise Lost(f"no answer from {dialect.address}", "it is asked again by itself; see `octod status`")
        finally:
            ended.cancel()

    def _healthy(self, dialect: Dialect) -> bool:
        """Whether it says so and, where answers were late again and again, gives one."""
        if self._late < _LATE or self._questions is None:
            return dialect.healthy(Call(_LOOK_SECONDS))
        try:
            dialect.read(self._questions.model, [10], Call(_PROBE_SECONDS))
        except EngineProblem:
            return False
        self._late = 0
        return True

    # -- calls

    async def load(self, adapter: AdapterFiles) -> None:
        """Make an adapter usable; AdapterRefused gives the server's reason. It is loaded again when it is needed."""
        await self._ask(lambda dialect, call, _: self._shelf.add(adapter, dialect), _MOST_SECONDS)

    def know(self, adapter: AdapterFiles) -> None:
        """Note an adapter for later, when there is a server."""
        self._shelf.add(adapter, None)

    async def drop(self, name: str) -> None:
        """Forget an adapter."""
        if self._ready.is_set():
            await self._ask(lambda dialect, call, _: self._shelf.remove(name, dialect), _MOST_SECONDS)
        else:
            self._shelf.remove(name, None)

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """Have the prompt read ahead; an older one is given up."""
        if not self._ready.is_set():
            return
        if self._warming is not None:
            self._warming.stop()
        mine = self._warming = Call(30.0)

        def work(dialect: Dialect, call: Call, questions: Questions) -> None:
            model = self._shelf.model(mixture, questions.model, dialect)
            dialect.read(model, questions.tokens(prompt), call)

        try:
            await self._ask(work, 30.0, mine)
        except EngineProblem as error:
            _logger.debug("engine: warm-up: %s", error)
        finally:
            if self._warming is mine:
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
        names = list(candidates)

        def work(dialect: Dialect, call: Call, questions: Questions) -> list[float]:
            model = self._shelf.model(mixture, questions.model, dialect)
            return questions.score(dialect, call, model, prompt, names, end)

        return await self._ask(work, deadline)

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, deadline: float
    ) -> Generated:
        """Greedy arguments; an unfinished answer at the deadline."""

        def work(dialect: Dialect, call: Call, questions: Questions) -> Generated:
            model = self._shelf.model(mixture, questions.model, dialect)
            return questions.generate(dialect, call, model, prompt, constraint)

        return await self._ask(work, deadline, grace=0.25)

    async def _ask(
        self,
        work: Callable[[Dialect, Call, Questions], T],
        seconds: float,
        call: Call | None = None,
        grace: float = 0.0,
    ) -> T:
        """Run a question in a thread; cancelling the caller, or its deadline, closes the request."""
        call = call or Call(seconds)
        dialect, questions = self._dialect, self._questions
        if dialect is None or questions is None or not self._ready.is_set():
            raise self._failed or EngineProblem("the engine is still starting", "try again in a moment; see `octod status`")
        running = asyncio.get_running_loop().run_in_executor(self._pool, work, dialect, call, questions)
        try:
            async with asyncio.timeout(seconds + grace):
                found = await asyncio.shield(running)
        except TimeoutError as error:
            self._late += 1
            raise EngineProblem("the engine ran past its deadline", "see `octod status`") from error
        except Lost:
            self._lost.set()
            raise
        except EngineProblem:
            self._late += time.monotonic() >= call.until
            raise
        finally:
            if not running.done():
                call.stop()
                running.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._late = 0
        return found


def _threads() -> ThreadPoolExecutor:
    """Threads for questions; there is none until one is asked."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="vllm")
