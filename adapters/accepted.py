"""What the user accepted from menus: counts by receiver in a private database, fading, bounded, and cleared on demand.

Each acceptance lets the receiver's other counts fade by a twentieth, so they never sum up to more than twenty and an old habit
goes after some dozens of new ones.  Nothing but qualified names and numbers is kept.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from octod.core.errors import OctodError
from octod.core.paths import Paths, private_folder
from octod.core.transactions import writing

__all__ = ["FADING", "Accepted"]

log = logging.getLogger("octod.adapters")

FADING = 0.95  # what is left of a count when something else of that receiver is accepted
_LEAST = 0.2  # a count below that is forgotten: 30 others were accepted since
_MOST_RECEIVERS = 5_000
_MOST_REMEMBERED = 512
_NONE: Mapping[str, float] = MappingProxyType({})
_TABLES = """
CREATE TABLE IF NOT EXISTS accepted (
  receiver TEXT NOT NULL, member TEXT NOT NULL, count REAL NOT NULL, PRIMARY KEY (receiver, member)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receivers (receiver TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""


class Accepted:
    """The counts in ``path``, which is made when something is noted first; may be used from several threads.

    A write that was killed is rolled back by SQLite at the next opening; a file that is no database is replaced, since these
    counts only order menus.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        self._known: OrderedDict[str, Mapping[str, float]] = OrderedDict()
        self._version = (-1, -1)
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def at(cls, paths: Paths) -> Accepted:
        """The user's own, in octod's data folder."""
        return cls(paths.data / "learned.db")

    def of(self, receiver: str) -> Mapping[str, float]:
        """Member -> faded count of a receiver key (octod.indexer.sites.usage_key); empty when nothing was accepted on it,
        or the file cannot be read."""
        with self._mutex:
            try:
                if self._opened(make=False) is None:
                    return _NONE
            except (OctodError, sqlite3.Error) as error:
                log.info("what was accepted is not known: %s", error)
                return _NONE
            known = self._known.get(receiver)
            if known is None:
                rows = self._rows("SELECT member, count FROM accepted WHERE receiver = ?", (receiver,))
                known = self._known[receiver] = {str(m): float(c) for m, c in rows}
                if len(self._known) > _MOST_REMEMBERED:
                    self._known.popitem(last=False)
            return known

    def note(self, receiver: str, member: str) -> None:
        """One more member was accepted on a receiver.  Raises OctodError when that cannot be kept."""
        with self._mutex:
            connection = self._opened(make=True)
            assert connection is not None
            try:
                with writing(connection):
                    self._add(connection, receiver, member)
            except sqlite3.Error as error:
                raise self._problem(error) from error
            self._known.pop(receiver, None)

    def listing(self) -> list[tuple[str, str, float]]:
        """(receiver, member, count), the receivers by name, on each the highest count first."""
        with self._mutex:
            if self._opened(make=False) is None:
                return []
            rows = self._rows("SELECT receiver, member, count FROM accepted ORDER BY receiver, count DESC, member", ())
            return [(str(r), str(m), float(c)) for r, m, c in rows]

    def clear(self) -> int:
        """Forget everything and overwrite it on the disk; returns how many counts there were.

        Raises OctodError when the file cannot be written.
        """
        with self._mutex:
            connection = self._opened(make=False)
            if connection is None:
                return 0
            try:
                count = int(connection.execute("SELECT count(*) FROM accepted").fetchone()[0])
                connection.execute("PRAGMA secure_delete = ON")
                with writing(connection):
                    connection.execute("DELETE FROM accepted")
                    connection.execute("DELETE FROM receivers")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise self._problem(error) from error
            self._known.clear()
            return count

    def close(self) -> None:
        """Close the file; the next question opens it again."""
        with self._mutex:
            self._close()

    def _add(self, connection: sqlite3.Connection, receiver: str, member: str) -> None:
        connection.execute("UPDATE accepted SET count = count * ? WHERE receiver = ?", (FADING, receiver))
        connection.execute("DELETE FROM accepted WHERE receiver = ? AND count < ?", (receiver, _LEAST))
        connection.execute(
            "INSERT INTO accepted VALUES (?, ?, 1.0) ON CONFLICT (receiver, member) DO UPDATE SET count = count + 1.0",
            (receiver, member),
        )
        connection.execute(
            "INSERT OR REPLACE INTO receivers SELECT ?, coalesce(max(last), 0) + 1 FROM receivers", (receiver,)
        )
        over = connection.execute("SELECT count(*) FROM receivers").fetchone()[0] - _MOST_RECEIVERS
        if over > 0:
            # a tenth at once, so that this is rare
            oldest = "SELECT receiver FROM receivers ORDER BY last LIMIT ?"
            most = (over + _MOST_RECEIVERS // 10,)
            connection.execute(f"DELETE FROM accepted WHERE receiver IN ({oldest})", most)
            connection.execute(f"DELETE FROM receivers WHERE receiver IN ({oldest})", most)

    def _opened(self, *, make: bool) -> sqlite3.Connection | None:
        """The connection; None where there is no file and none is to be made.  Forgets what another process changed."""
        try:
            inode = os.stat(self.path).st_ino
        except OSError:
            inode = 0
        if inode == 0 or (self._connection is not None and inode != self._version[1]):
            self._close()
        if self._connection is None:
            if inode == 0 and not make:
                return None
            self._connection = self._connect()
            inode = os.stat(self.path).st_ino
        version = (int(self._connection.execute("PRAGMA data_version").fetchone()[0]), inode)
        if version != self._version:
            self._known.clear()
            self._version = version
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._sound()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._problem(error) from error
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        try:
            return self._sound()
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _sound(self) -> sqlite3.Connection:
        private_folder(self.path.parent)
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            os.chmod(self.path, 0o600)
        except OSError as error:
            raise OctodError(f"{self.path} cannot be opened: {error.strerror}", "make it writable or remove it") from error
        connection = sqlite3.connect(self.path, timeout=2.0, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _rows(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """What there is; a table that cannot be read counts as empty."""
        assert self._connection is not None
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error:
            return []

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._known.clear()

    def _problem(self, error: sqlite3.Error) -> OctodError:
        return OctodError(f"{self.path} cannot be written: {error}", "free some space, or remove the file")
