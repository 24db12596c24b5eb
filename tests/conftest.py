"""Every test runs in a home of its own, without a network, and the slow ones run last, after them those of vLLM.

``OCTOD_TEST_UNTIL``, seconds since 1970, is when all tests must have ended: a slow one that may not be done by then is left out.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the daemon; numpy reads it when it is imported


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """HOME, the XDG folders and OCTOD_HOME point into a fresh folder; sockets other than unix ones are refused."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "OCTOD_KEEPS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OCTOD_HOME", str(home / "o"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    connect = socket.socket.connect

    def only_unix(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX:
            raise OSError(f"the tests have no network: {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", only_unix)
    yield home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, then those with the real engine, then training, then the slow ones, those of minutes at their end."""

    def cost(item: pytest.Item) -> tuple[int, bool]:
        weights = ((1, "engine"), (2, "train"), (4, "slow"), (8, "vllm"))
        return sum(weight for weight, mark in weights if item.get_closest_marker(mark)), _takes(item) > 60

    items.sort(key=cost)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What can no longer end in time is told apart from what failed."""
    left = float(os.environ.get("OCTOD_TEST_UNTIL", "inf")) - time.time()
    if item.get_closest_marker("slow") and left < _takes(item) + 30:
        pytest.skip(f"{left:.0f} s are left, this takes {_takes(item):.0f}")


def _takes(item: pytest.Item) -> float:
    """Seconds that a slow test takes on two busy cores."""
    mark = item.get_closest_marker("slow")
    return mark.kwargs.get("takes", 60.0) if mark else 0.0
