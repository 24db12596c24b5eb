"""vLLM as a child of the daemon: started under a guard on a unix socket, watched while it starts, gone when it must be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from octod.core.errors import EngineProblem
from octod.core.paths import Paths, private_folder
from octod.daemon.engines import guard
from octod.daemon.engines.cost import machine_memory
from octod.daemon.engines.dialect import Call, Dialect
from octod.daemon.engines.shape import read_shape
from octod.daemon.engines.vllm_machine import build_of, environment, options

__all__ = ["Child"]

# 40 s with everything in the page cache; importing torch and vLLM from a slow disk takes minutes.
START_SECONDS = 600.0
_LOOK = 0.25  # seconds between two looks at a server that starts
_LOG_SIZE = 4 * 2**20
# What vLLM writes on its way, and what that means to a person, with the share of the time that has passed.
_STEPS = (
    ("non-default args", 0.25, "reading the model's settings"),
    ("Initializing a V1 LLM engine", 0.5, "starting the engine's process"),
    ("Starting to load model", 0.75, "loading the weights"),
    ("KV cache size", 0.9, "making room for keys and values"),
    ("Starting vLLM server", 0.95, "opening the socket"),
)
_ERROR = re.compile(r"\b(?:[A-Z]\w*Error|error): .+")
Tell = Callable[[str], None]


class Child:
    """One vLLM process at a time; ``up`` starts it, ``ended`` waits for its end, ``down`` ends it."""

    def __init__(self, python: Path, base: Path, paths: Paths, environ: Mapping[str, str] | None = None) -> None:
        self._python, self._base, self._paths = python, base, paths
        self._environ = environment(os.environ if environ is None else environ)
        self._guard: asyncio.subprocess.Process | None = None
        self._log = paths.state / "vllm.log"
        self._read_from = 0
        self.pid: int | None = None

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return f"a process on this machine (log: {self._log})"

    async def up(self, tell: Tell) -> Dialect:
        """Start it and return when it answers; EngineProblem says why it does not."""
        build = await asyncio.to_thread(build_of, self._python)
        shape = await asyncio.to_thread(read_shape, self._base)
        socket = private_folder(self._paths.runtime) / f"vllm-{os.getpid()}.sock"
        for old in self._paths.runtime.glob("vllm-*.sock"):  # the lock says that no other daemon is there
            old.unlink(missing_ok=True)
        command = [
            *(str(build.python), "-I", "-m", "vllm.entrypoints.openai.api_server", "--uds", str(socket)),
            *options(self._base, shape, build, machine_memory()),
        ]
        tell("starting vLLM")
        with self._open_log() as log:
            # -I -S: the guard needs nothing but the standard library; its own session outlives a killed daemon's group.
            self._guard = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guard.__file__, *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environ,
                cwd="/",
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        line = await self._guard.stdout.readline()
        self.pid = int(line) if line.strip().isdigit() else None
        dialect = Dialect(f"unix:{socket}")
        until = asyncio.get_running_loop().time() + START_SECONDS
        while not (socket.exists() and await asyncio.to_thread(dialect.healthy, Call(5.0))):
            if self._guard.returncode is not None:
                raise EngineProblem(f"vLLM ended while it started: {self.last_words()}", f"see {self._log}")
            if asyncio.get_running_loop().time() > until:
                raise EngineProblem(f"vLLM did not start in {START_SECONDS:.0f} s", f"see {self._log}")
            tell(self._step())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._guard.wait()), _LOOK)
        return dialect

    async def ended(self) -> None:
        """Return when the process is no more."""
        if self._guard is not None:
            await self._guard.wait()

    async def down(self) -> None:
        """End it and all of its children."""
        running, self._guard, group, self.pid = self._guard, None, self.pid, None
        if running is None:
            return
        if running.stdin is not None:
            running.stdin.close()
        if await running.wait() < 0 and group is not None:  # the guard itself was killed, and ended nobody
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def last_words(self) -> str:
        """The error that it wrote first, which is the cause of the others; else its last line."""
        text = self._written()
        lines = _ERROR.findall(text) or [line for line in text.splitlines() if line.strip()][-1:]
        return str(lines[0]).strip()[:300] if lines else "it wrote nothing"

    def _step(self) -> str:
        text, found = self._written(), "importing vLLM"
        for mark, share, what in _STEPS:
            if mark in text:
                found = f"{what} ({share:.0%})"
        return found

    def _written(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(self._read_from)
                return log.read(2**20).decode(errors="replace")
        except OSError:
            return ""

    def _open_log(self) -> BinaryIO:
        """Its log, private, begun anew when it is long."""
        private_folder(self._paths.state)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            if self._log.is_file() and self._log.stat().st_size > _LOG_SIZE:
                self._log.replace(self._log.with_name("vllm.log.1"))
            number = os.open(self._log, flags, 0o600)
        except OSError as error:
            raise EngineProblem(f"cannot write {self._log}: {error.strerror}", "remove it, or set OCTOD_HOME") from error
        self._read_from = os.fstat(number).st_size
        return os.fdopen(number, "ab")

