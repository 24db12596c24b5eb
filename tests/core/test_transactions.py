"""Transactions are kept as a whole, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from octod.core.transactions import writing


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A file with an empty table."""
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0)) as opened:
        opened.execute("CREATE TABLE told (word TEXT UNIQUE)")
        yield opened


def words(connection: sqlite3.Connection) -> list[str]:
    """What another connection to the file sees."""
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    with closing(sqlite3.connect(path)) as other:
        return [word for (word,) in other.execute("SELECT word FROM told ORDER BY word")]


def test_a_block_that_ends_is_kept(connection: sqlite3.Connection) -> None:
    """Others see it after the block, and nothing of it before."""
    with writing(connection) as inside:
        inside.execute("INSERT INTO told VALUES ('one')")
        assert [] == words(connection)
    assert ["one"] == words(connection)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_nothing(connection: sqlite3.Connection, error: type[BaseException]) -> None:
    """Whatever was raised; the connection writes again afterwards."""
    with pytest.raises(error), writing(connection):
        connection.execute("INSERT INTO told VALUES ('one')")
        raise error
    with writing(connection):
        connection.execute("INSERT INTO told VALUES ('two')")
    assert ["two"] == words(connection)


def test_a_transaction_that_sqlite_ended_itself_tells_its_own_error(connection: sqlite3.Connection) -> None:
    """Undoing it once more would hide why it failed."""
    with pytest.raises(sqlite3.IntegrityError), writing(connection):
        connection.execute("INSERT INTO told VALUES ('one')")
        connection.execute("INSERT OR ROLLBACK INTO told VALUES ('one')")
    assert [] == words(connection)


def test_one_writes_at_a_time(connection: sqlite3.Connection) -> None:
    """The second is refused at its start, before it has read what the first will change."""
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other,
        writing(connection),
        pytest.raises(sqlite3.OperationalError, match="locked"),
        writing(other),
    ):
        pass
