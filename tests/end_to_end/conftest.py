"""One finished index for all tests of this folder: that of the standard library takes seconds to build."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from octod.indexer.build import build
from octod.indexer.environment import find_environment

from tests.end_to_end.house import House


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of an environment with shop 1.0, in one file."""
    house = House(tmp_path_factory.mktemp("template"))
    build(find_environment(house.environment.python), house.index)
    connection = sqlite3.connect(house.index)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return house.index


@pytest.fixture
def house(tmp_path: Path, index: Path) -> House:
    """A place of its own, indexed, without a daemon."""
    return House(tmp_path, index)
