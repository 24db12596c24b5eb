"""The first menu after a start, with the real server and daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.installed import CLIENT, Installed

_FIRST = Path(__file__).parents[2] / "bench" / "first.py"


@pytest.mark.slow
def test_starts_are_timed_and_what_was_started_is_stopped(tmp_path: Path) -> None:
    """Five figures; no daemon is left."""
    environment = Installed(tmp_path / "env")
    environment.install("shop", "1.0", {"shop/__init__.py": CLIENT})
    octod = str(Path(sys.executable).with_name("octod"))
    subprocess.run([octod, "index", environment.python], check=True, capture_output=True)
    command = [sys.executable, str(_FIRST), "--python", environment.python, "--server", f"{octod} lsp", "--library", "shop"]
    done = subprocess.run([*command, "--times", "1", "--idle", "0.2"], check=True, capture_output=True, text=True)
    assert ["answering", "first menu", "next menu", "new daemon", "daemon alone"] == [line[:12].strip() for line in done.stdout.splitlines()]
    assert 3 == subprocess.run([octod, "status"], capture_output=True, check=False).returncode
