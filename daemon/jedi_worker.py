"""jedi, for receivers that the index does not know: in a process of its own, with a deadline, never trusted.

jedi can import compiled modules of the environment it looks at.  Here it cannot: no environment is created, the
search path is handed over as text, what it calls its own search path is empty (compiled modules are loaded from
there only), and an audit hook refuses imports from elsewhere, processes, libraries and connections.

The parent keeps one worker.  A question past the caller's deadline is answered with nothing while the worker goes
on for a while (its caches fill, the late answer is kept); past ``_LIMIT`` it is killed and a new one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octod.core.paths import private_folder
from octod.daemon.wire import Decoder, Json, WireError, encode, read

__all__ = ["Completion", "JediWorker"]

log = logging.getLogger("octod.daemon")

_LIMIT = 10.0  # seconds for one question before the worker is killed
_KEPT = 256  # answers kept
_MEMORY = 250  # MiB resident, above which a worker is replaced between two questions
_PARSED = 3_000_000  # characters of files that jedi keeps parsed, at 30 bytes each
_MOST = 2_000  # completions in one answer


@dataclass(frozen=True, slots=True)
class Completion:
    """One name that jedi offers; ``kind`` is jedi's word (module, class, instance, function, param, property, ...)."""

    name: str
    kind: str
    full_name: str | None = None


class JediWorker:
    """Asks jedi in a child process; ``cache`` is a private folder for its parsed files."""

    def __init__(self, cache: Path, *, limit: float = _LIMIT, command: Sequence[str] | None = None) -> None:
        self._cache, self._limit = cache, limit
        self._command = command or (sys.executable, "-E", "-P", "-m", "octod.daemon.jedi_worker")
        self._answers: OrderedDict[str, tuple[Completion, ...]] = OrderedDict()
        self._process: asyncio.subprocess.Process | None = None
        self._asking: asyncio.Task[tuple[Completion, ...]] | None = None
        self._asking_key = ""
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The child, while there is one."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self) -> None:
        """Have a child ready; a question starts one, too."""
        if self.pid is None:
            private_folder(self._cache)
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                str(self._cache),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd="/",
                limit=1 << 20,
            )

    async def complete(
        self, text: str, line: int, column: int, sys_path: Sequence[str], *, deadline: float = 1.0
    ) -> tuple[Completion, ...]:
        """What jedi offers at ``line`` (from 1) and ``column`` (code points, from 0); empty when it is late or fails.

        One question at a time: while another one runs past its caller's deadline, this one is answered with nothing
        unless it is the same.
        """
        key = _key(text, line, column, sys_path)
        if (known := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
            return known
        if self._asking is None or self._asking.done():
            question = {"text": text, "line": line, "column": column, "sys_path": list(sys_path)}
            self._asking, self._asking_key = asyncio.create_task(self._ask(key, question)), key
        elif self._asking_key != key:
            # The slot is taken: wait for it within the deadline, then ask.
            before = asyncio.get_running_loop().time()
            done, _ = await asyncio.wait([self._asking], timeout=deadline)
            left = deadline - (asyncio.get_running_loop().time() - before)
            if not done or left <= 0:
                return ()
            return await self.complete(text, line, column, sys_path, deadline=left)
        done, _ = await asyncio.wait([self._asking], timeout=deadline)
        return next(iter(done)).result() if done else ()

    async def stop(self) -> None:
        """End the child."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._end()

    async def _ask(self, key: str, question: Json) -> tuple[Completion, ...]:
        """The answer, kept; nothing when the child fails, which is then replaced.  Never raises but CancelledError."""
        try:
            async with asyncio.timeout(self._limit):
                await self.start()
                assert self._process is not None and self._process.stdin and self._process.stdout
                self._process.stdin.write(encode(question))
                await self._process.stdin.drain()
                answer = await read(self._process.stdout)
            found = tuple(Completion(*map(_word, item)) for item in (answer or {})["completions"])
        except asyncio.CancelledError:
            await self._end()
            raise
        except (TimeoutError, OSError, WireError, KeyError, TypeError) as error:
            log.info("jedi was stopped: %s", str(error) or f"no answer in {self._limit:g} s")
            self.restarts += 1
            await self._end()
            return ()
        self._answers[key] = found
        while len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
        if (answer or {}).get("memory", 0) > _MEMORY:
            await self._end()
            with contextlib.suppress(OSError):  # the next question tries again
                await self.start()  # importing jedi takes a while
        return found

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


def _word(value: object) -> Any:
    if not isinstance(value, str | None):
        raise TypeError("not a word")
    return value


def _key(text: str, line: int, column: int, sys_path: Sequence[str]) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(repr((line, column, tuple(sys_path))).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


# --- the child ---------------------------------------------------------------------------------------------------


def main(cache: str) -> None:
    """Answer questions from stdin until it ends; the process ends with it, whatever jedi is doing."""
    import os
    import pickle
    import queue
    import threading

    answers = os.dup(1)
    os.dup2(2, 1)  # nothing but answers goes to the parent
    questions: queue.SimpleQueue[Json] = queue.SimpleQueue()

    def listen() -> None:
        decoder = Decoder()
        try:
            while data := os.read(0, 1 << 16):
                for message in decoder.feed(data):
                    questions.put(message)
        finally:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    try:
        complete = _prepare(cache)
    except Exception as error:  # noqa: BLE001 a file of the cache was cut short by a kill: the cache is disposable
        print(f"jedi: its cache is made again: {type(error).__name__}: {error}", file=sys.stderr)
        _empty(cache)
        complete = _prepare(cache)
    while True:
        message = questions.get()
        try:
            completions = complete(message)
        except (EOFError, pickle.UnpicklingError) as error:
            print(f"jedi: its cache is made again: {type(error).__name__}: {error}", file=sys.stderr)
            _empty(cache)
            completions = []
        except Exception as error:  # noqa: BLE001 jedi fails in many ways on half-written code: no answer then
            print(f"jedi: {type(error).__name__}: {error}", file=sys.stderr)
            completions = []
        _write(answers, encode({"completions": completions, "memory": _memory()}))
        _forget(_PARSED)


def _forget(most: int) -> None:
    """Let go of the parsed files that were used longest ago: parso keeps 600 of them for ten minutes at least."""
    import gc

    from parso.cache import parser_cache

    files = [(item.last_used, kept, path, item) for kept in parser_cache.values() for path, item in kept.items()]
    dropped = False
    for _, kept, path, item in sorted(files, key=lambda file: -file[0]):
        most -= sum(map(len, item.lines or ()))
        if most < 0:
            del kept[path]
            dropped = True
    del files
    if dropped:
        gc.collect()  # trees refer to themselves in circles


def _empty(cache: str) -> None:
    """Remove what is in a folder."""
    import shutil

    for entry in Path(cache).iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _prepare(cache: str) -> Any:
    """Import jedi, then close the doors."""
    import jedi  # type: ignore[import-untyped]
    import jedi.settings  # type: ignore[import-untyped]
    from jedi.api.environment import InterpreterEnvironment  # type: ignore[import-untyped]

    # All that jedi imports late is imported now, before the audit hook looks.
    trusted = list(sys.path)
    jedi.settings.cache_directory = cache
    jedi.settings.allow_unsafe_interpreter_executions = False
    jedi.settings.auto_import_modules = []
    jedi.settings.dynamic_params_for_other_modules = False
    jedi.settings.dynamic_params = False

    class NoEnvironment(InterpreterEnvironment):  # type: ignore[misc]
        def get_sys_path(self) -> list[str]:
            return []  # compiled modules are loaded from jedi's own path only: there is none

    environment = NoEnvironment()

    def ask(question: Json) -> list[tuple[str, str, str | None]]:
        project = jedi.Project(
            "/", sys_path=question["sys_path"], smart_sys_path=False, load_unsafe_extensions=False
        )
        script = jedi.Script(question["text"], project=project, environment=environment)
        found = script.complete(question["line"], question["column"])
        return [(item.name, item.type, item.full_name) for item in found[:_MOST]]

    ask({"text": "import os\nos.path.", "line": 2, "column": 8, "sys_path": []})
    sys.addaudithook(_closed(trusted))
    return ask


def _closed(trusted: list[str]) -> Any:
    """An audit hook that lets imports happen with this process's own search path only, and nothing leave it."""
    refused = (
        "subprocess.",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "os.system",
        "os.spawn",
        "socket.",
        "ctypes.dlopen",
    )

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            module, search_path = str(arguments[0]), arguments[2]
            ours = search_path == trusted or module.partition(".")[0] in sys.stdlib_module_names
            if not ours:
                raise ImportError(f"{module} belongs to the environment that is looked at")
        elif event.startswith(refused):
            raise PermissionError(f"{event} is not for jedi")

    return hook


def _memory() -> int:
    """MiB resident now; where the system does not tell, at most so far."""
    import os
    import resource

    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak // 1024 if sys.platform != "darwin" else peak // (1024 * 1024))


def _write(number: int, data: bytes) -> None:
    import os

    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


if __name__ == "__main__":
    main(sys.argv[1])
