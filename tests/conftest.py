"""Every test runs in a home of its own, without a network, and the slow ones run last, after them those of vLLM."""

from __future__ import annotations

import os
import socket
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
    """Fast tests first, then those with the real engine, then training, then the slow ones."""

    def cost(item: pytest.Item) -> int:
        return sum(weight for weight, mark in ((1, "engine"), (2, "train"), (4, "slow"), (8, "vllm")) if item.get_closest_marker(mark))

    items.sort(key=cost)
