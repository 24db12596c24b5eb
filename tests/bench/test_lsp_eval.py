"""What is counted of a server: its answers and its memory."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"


@pytest.fixture
def lsp_eval(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, as its neighbours import it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    return importlib.import_module("lsp_eval")


def test_times_of_answers_with_the_member_are_told_apart(lsp_eval: ModuleType) -> None:
    """Those without it may be the quickest or the slowest."""
    rows = [{"rank": rank, "offered": 3, "ms": float(ms)} for rank, ms in ((1, 10), (2, 20), (0, 900))]
    figures = lsp_eval.summary("members", rows)
    assert (20.0, 900.0) == (figures["ms_p50"], figures["ms_p95"])
    assert (20.0, 20.0) == (figures["ms_found_p50"], figures["ms_found_p95"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_all_processes_below_the_server(lsp_eval: ModuleType) -> None:
    """The one that was started, and what it started; nobody else's."""
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert b"1\n" == server.stdout.readline()
        found = lsp_eval.resident(server, ["server"])
        server.communicate(b"\n")
    assert 2 == len(found)
    assert str(server.pid) in {process.partition(" ")[0] for process in found}
    assert str(os.getpid()) not in {process.partition(" ")[0] for process in found}
    assert all(megabytes > 0 for megabytes in found.values())
