"""P14: a disk that is full or cannot be written is told in words that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.house import House

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mounted(tmp_path: Path) -> Run:
    """Run ``octod`` with its home on a small file system of its own, made with mount's options."""
    place = tmp_path / "disk"
    place.mkdir()
    apart = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        permitted = subprocess.run([*apart, f"mount -t tmpfs -o size=64k none {place}"], capture_output=True, check=False)
    except FileNotFoundError:
        permitted = None
    if permitted is None or permitted.returncode:
        pytest.skip("this system does not let a user mount a file system of their own (unshare -rm)")

    def run(options: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = f'mount -t tmpfs -o {options} none {place} && exec "$0" -m octod.cli "$@"'
        environ = {**os.environ, "OCTOD_HOME": str(place / "o"), "HOME": str(place)}
        command = [*apart, script, sys.executable, *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_home_that_cannot_be_written_is_told(mounted: Run) -> None:
    """Exit code 1, the folder, the reason and the way out; no traceback."""
    done = mounted("ro", "start")
    assert 1 == done.returncode
    assert "Read-only file system" in done.stderr
    assert "OCTOD_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_told(mounted: Run, house: House) -> None:
    """An index that does not fit: exit code 1 and what to do, no traceback."""
    done = mounted("size=256k", "index", house.environment.python)
    assert done.returncode in (1, 3)
    assert "space" in done.stderr
    assert "Traceback" not in done.stderr
