"""Random cursors over every request, on files that are really installed: nothing raises and nothing is late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.end_to_end.house import House

pytestmark = [pytest.mark.slow, pytest.mark.engine]

_FUZZ = Path(__file__).parents[2] / "bench" / "fuzz.py"
_SEED = 20  # bench/fuzz.py --seed and --seconds go on from here
_SECONDS = 40.0
_SLACK = 2.0  # seconds: the machine of a test may be busy


def test_random_cursors_raise_nothing_and_wait_for_nothing(house: House, tmp_path: Path) -> None:
    """Menu, resolve, ghost text, hover, signature, actions and notebooks in cut, garbled and unclosed text."""
    report = tmp_path / "report.json"
    command = [
        *(sys.executable, str(_FUZZ), "--env", str(house.environment.root), "--files", sysconfig.get_path("purelib")),
        *("--seconds", str(_SECONDS), "--seed", str(_SEED), "--slack", str(_SLACK), "--json", str(report)),
    ]
    environ = {**os.environ, **house.environ}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=False)
    finally:
        house.close()
    assert 0 == done.returncode, done.stderr[-4_000:]
    questions = json.loads(report.read_text())["questions"]
    kinds = {"completion", "inlineCompletion", "hover", "signatureHelp", "codeAction", "resolve"}
    assert kinds == {method.partition("/")[2] for method in questions}
    assert min(row["asked"] for row in questions.values()) > 20
    assert all(questions[f"textDocument/{kind}"]["answered"] for kind in ("completion", "hover"))
