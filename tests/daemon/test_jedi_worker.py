"""jedi answers from a process of its own: bounded in time, and nothing of the environment runs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import parso
import pytest
from octod.daemon import jedi_worker
from octod.daemon.jedi_worker import JediWorker
from parso.cache import parser_cache


def run(worker: JediWorker, scenario: Callable[[JediWorker], Awaitable[None]]) -> None:
    """A scenario, and the worker stopped after it."""

    async def play() -> None:
        try:
            await scenario(worker)
        finally:
            await worker.stop()

    asyncio.run(play())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages with a package whose import would leave a trace, and a hostile neighbour."""
    folder = tmp_path / "site-packages"
    trace = f"open({str(tmp_path / 'fired')!r}, 'w').close()\n"
    (folder / "pack").mkdir(parents=True)
    (folder / "pack" / "__init__.py").write_text(
        trace
        + "from pack.native import thing\nclass Box:\n    def lift(self): ...\ndef make():\n    return Box()\n"
    )
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "gi.py"):
        (folder / name).write_text(trace)
    (folder / "evil.pth").write_text("import pack\n")
    return folder


def test_a_member_of_an_inferred_object_is_found(site: Path, tmp_path: Path) -> None:
    """jedi follows a call to its return value, and nothing in the environment runs (P1)."""

    async def scenario(worker: JediWorker) -> None:
        found = await worker.complete("import pack\npack.make().l", 2, 13, [str(site)], deadline=20)
        assert [("lift", "function", "pack.Box.lift")] == [(f.name, f.kind, f.full_name) for f in found]
        await worker.complete("import gi\ngi.", 2, 3, [str(site)], deadline=20)
        assert not (tmp_path / "fired").exists()

    run(JediWorker(tmp_path / "cache"), scenario)


@pytest.mark.skipif(
    subprocess.run(["cc", "--version"], capture_output=True, check=False).returncode != 0,
    reason="needs a C compiler",
)
def test_a_compiled_module_is_not_loaded(site: Path, tmp_path: Path) -> None:
    """P1: an extension in the environment stays a file, also when the environment is octod's own search path."""
    source = tmp_path / "native.c"
    fired = tmp_path / "loaded"
    source.write_text(
        "#include <Python.h>\n#include <stdio.h>\n"
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", 0, -1, 0};\n'
        f'PyMODINIT_FUNC PyInit_native(void) {{ fclose(fopen("{fired}", "w")); return PyModule_Create(&module); }}\n'
    )
    target = site / "pack" / f"native{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_paths()["include"]
    if not (Path(include) / "Python.h").exists():
        pytest.skip("needs Python's headers")
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{include}", "-o", target, source], check=True)
    (site / target.name).write_bytes(target.read_bytes())

    async def scenario(worker: JediWorker) -> None:
        for text in (
            "import native\nnative.",
            "from pack import native\nnative.",
            "import pack\npack.thing.",
        ):
            await worker.complete(text, 2, len(text.split("\n")[1]), [str(site)], deadline=20)

    code = (
        f"import sys; sys.path.append({str(site)!r}); "
        "from octod.daemon.jedi_worker import main; main(sys.argv[1])"
    )
    command = (sys.executable, "-c", code)
    run(JediWorker(tmp_path / "cache", command=command), scenario)
    assert [False, False] == [fired.exists(), (tmp_path / "fired").exists()]


def test_an_answer_is_kept(site: Path, tmp_path: Path) -> None:
    """The same question again does not reach the child."""

    async def scenario(worker: JediWorker) -> None:
        first = await worker.complete("import pack\npack.", 2, 5, [str(site)], deadline=20)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        assert first and first == await worker.complete("import pack\npack.", 2, 5, [str(site)], deadline=0.1)

    run(JediWorker(tmp_path / "cache"), scenario)


def test_a_question_that_takes_too_long_is_answered_with_nothing_and_the_child_replaced(
    tmp_path: Path,
) -> None:
    """Past the deadline the answer is empty; past the limit the child is killed, and the next one answers."""

    async def scenario(worker: JediWorker) -> None:
        await worker.complete("import os\nos.", 2, 3, [], deadline=20)
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        worker._limit = 0.3
        before = time.monotonic()
        assert () == await worker.complete("import re\nre.", 2, 3, [], deadline=0.1)
        assert time.monotonic() - before < 0.3
        async with asyncio.timeout(5):
            while worker.restarts == 0:
                await asyncio.sleep(0.01)
        worker._limit = 20
        assert await worker.complete("import sys\nsys.", 2, 4, [], deadline=20)
        assert worker.pid not in (None, first)

    run(JediWorker(tmp_path / "cache", limit=20), scenario)


def test_a_child_that_dies_is_replaced(tmp_path: Path) -> None:
    """A crash is an empty answer, then service as before."""

    async def scenario(worker: JediWorker) -> None:
        await worker.start()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        await worker.complete("import os\nos.", 2, 3, [], deadline=20)
        assert await worker.complete("import os\nos.", 2, 3, [], deadline=20)

    run(JediWorker(tmp_path / "cache"), scenario)


def test_a_child_that_has_grown_is_replaced_between_two_questions(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above its share of memory a child gives its answer and goes; the next one is there for the next question."""
    monkeypatch.setattr(jedi_worker, "_MEMORY", 0)

    async def scenario(worker: JediWorker) -> None:
        await worker.start()
        first = worker.pid
        assert await worker.complete("import pack\npack.", 2, 5, [str(site)], deadline=20)
        assert worker.pid not in (None, first)
        assert await worker.complete("import pack\npack.make().", 2, 12, [str(site)], deadline=20)
        assert 0 == worker.restarts

    run(JediWorker(tmp_path / "cache"), scenario)


def test_parsed_files_that_were_used_longest_ago_are_forgotten(tmp_path: Path) -> None:
    """What jedi keeps of the files that it read is bounded in characters."""
    grammar = parso.load_grammar()
    for number in range(4):
        path = tmp_path / f"m{number}.py"
        path.write_text("x = 1\n" * 100)
        grammar.parse(path=path, cache=True, cache_path=tmp_path / "cache")
    kept = next(files for files in parser_cache.values() if tmp_path / "m0.py" in files)
    kept[tmp_path / "m0.py"].last_used = time.time() + 1
    jedi_worker._forget(1_300)
    assert {tmp_path / "m0.py", tmp_path / "m3.py"} == set(kept)
    jedi_worker._forget(0)
    assert not kept


def test_garbage_from_the_child_is_an_empty_answer(tmp_path: Path) -> None:
    """Whatever comes back, the caller gets a tuple."""

    async def scenario(worker: JediWorker) -> None:
        assert () == await worker.complete("x.", 1, 2, [], deadline=5)

    run(JediWorker(tmp_path / "cache", command=(sys.executable, "-c", "print('no frame at all')")), scenario)


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    """A child whose input ends is gone, busy or not."""

    async def scenario(worker: JediWorker) -> None:
        await worker.start()
        assert worker._process is not None and worker._process.stdin is not None
        worker._process.stdin.close()
        assert 0 == await asyncio.wait_for(worker._process.wait(), 10)

    run(JediWorker(tmp_path / "cache"), scenario)


def test_a_cache_cut_short_is_made_again(site: Path, tmp_path: Path) -> None:
    """P12: files that a killed process left half written do not end every worker after it."""
    cache = tmp_path / "cache"
    asked = ("import pack\npack.make().l", 2, 13, [str(site)])

    async def first(worker: JediWorker) -> None:
        assert await worker.complete(*asked, deadline=20)

    async def second(worker: JediWorker) -> None:
        found = await worker.complete(*asked, deadline=20) or await worker.complete(f"\n{asked[0]}", 3, *asked[2:], deadline=20)
        assert ["lift"] == [f.name for f in found]

    run(JediWorker(cache), first)
    for path in cache.rglob("*.pkl"):
        path.write_bytes(b"")
    run(JediWorker(cache), second)
