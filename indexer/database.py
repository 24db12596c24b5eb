"""The SQLite file below the index: its tables, how it is opened, replaced when it cannot be used, and locked for writing."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from octod.core.errors import IndexProblem
from octod.core.paths import private_folder

__all__ = ["damage_mark", "key_of", "locked", "open_database", "parents", "replace_database"]

FORMAT = 6  # PRAGMA user_version; another number means that the next build makes the file again
_PAGE = 2048  # bytes: packs end anywhere in a page, so large ones waste space
_LOCK_SECONDS = 120.0  # how long a writer waits for another one

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0);
CREATE TABLE libraries (
  id INTEGER PRIMARY KEY, distribution TEXT NOT NULL UNIQUE, version TEXT NOT NULL, record TEXT NOT NULL,
  root TEXT NOT NULL, editable TEXT, licence TEXT NOT NULL, imports TEXT NOT NULL) STRICT;
CREATE TABLE files (  -- those that are looked at one by one
  id INTEGER PRIMARY KEY, library INTEGER NOT NULL, path TEXT NOT NULL, stamp TEXT NOT NULL,
  modules TEXT NOT NULL) STRICT;
CREATE INDEX files_library ON files(library);
CREATE TABLE packs (  -- a number is never given twice
  id INTEGER PRIMARY KEY AUTOINCREMENT, library INTEGER NOT NULL, file INTEGER, data BLOB NOT NULL, words BLOB NOT NULL) STRICT;
CREATE INDEX packs_file ON packs(file) WHERE file IS NOT NULL;
CREATE TABLE scopes (  -- place: pack * MOST_SCOPES + place in the pack
  key INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, place)) STRICT, WITHOUT ROWID;
CREATE TABLE modules (
  parent TEXT NOT NULL, name TEXT NOT NULL, library INTEGER NOT NULL, PRIMARY KEY (parent, name, library))
  STRICT, WITHOUT ROWID;
CREATE TABLE segments (  -- of the catalogue: what search finds in those packs up to ``high`` that no earlier segment has
  id INTEGER PRIMARY KEY AUTOINCREMENT, high INTEGER NOT NULL, packs INTEGER NOT NULL, calls INTEGER NOT NULL) STRICT;
CREATE TABLE catalogue (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;  -- rows of segments
CREATE TABLE sources (source TEXT PRIMARY KEY, stamp TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE mined (id INTEGER PRIMARY KEY, source TEXT NOT NULL, keys BLOB NOT NULL, data BLOB NOT NULL) STRICT;
CREATE INDEX mined_source ON mined(source);
CREATE TABLE usage (first TEXT NOT NULL UNIQUE, calls BLOB NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE touched (receiver TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""


def open_database(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection to the database at ``path``, made when it is missing, and whether what lies there cannot be used.

    Then the connection is to an empty one in memory and the file stays as it is: only a writer replaces it
    (``replace_database``).  The file is made 0600, and a folder that is missing 0700; a folder that is there is left
    as it is.  Raises IndexProblem when that cannot be done.
    """
    if not path.parent.is_dir():
        private_folder(path.parent)
    try:
        connection = _sound(path)
        if connection is None and _missing(path):
            with locked(path):
                connection = _sound(path)  # another process may have made it meanwhile
                if connection is None and _missing(path):
                    connection = _made(path)
        if connection is not None:
            return connection, False
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        memory.executescript(_SCHEMA)
        return memory, True
    except (sqlite3.Error, OSError) as error:
        raise _unopened(path, error) from error


def replace_database(path: Path) -> sqlite3.Connection:
    """A connection to a usable database at ``path``, for who holds the writers' lock: another writer's, else an empty one."""
    try:
        return _sound(path) or _made(path)
    except (sqlite3.Error, OSError) as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: Exception) -> IndexProblem:
    return IndexProblem(f"the index {path} cannot be opened: {error}", "check its folder, or set OCTOD_HOME to another one")


def _missing(path: Path) -> bool:
    return not path.exists() or not path.stat().st_size


def _made(path: Path) -> sqlite3.Connection:
    for suffix in ("", "-wal", "-shm", ".damaged"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = _connected(path)
    connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {FORMAT};COMMIT;")
    return connection


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    for pragma in (
        f"page_size = {_PAGE}", "journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 10000", "foreign_keys = ON",
        "trusted_schema = OFF", "temp_store = MEMORY", "cache_size = -16384",
        "mmap_size = 0",  # a mapped file that somebody cuts short kills whoever reads it (SIGBUS)
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _sound(path: Path) -> sqlite3.Connection | None:
    """A connection to a readable index of this format, else None."""
    if not path.is_file() or not path.stat().st_size or damage_mark(path).exists():
        return None
    connection = None
    try:
        connection = _connected(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0]
        if version == FORMAT:
            return connection
    except (sqlite3.DatabaseError, TypeError, UnicodeDecodeError):  # the last for names in messages
        pass  # whatever it is, it is not an index of this format: told through Index.rebuilt
    if connection is not None:
        connection.close()
    return None


def damage_mark(path: Path) -> Path:
    """The file whose presence says that the database beside it was found damaged."""
    return path.with_name(path.name + ".damaged")


def key_of(qualified: str) -> int:
    """31 bits that stand for a name in tables; whoever finds them compares the name itself."""
    return crc32(qualified.encode("utf-8", "replace")) >> 1


def parents(module: str) -> list[tuple[str, str]]:
    """(parent, name) of a dotted module and of every package above it."""
    parts = module.split(".")
    return [(".".join(parts[:i]), parts[i]) for i in range(len(parts))]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the writers' lock beside the database; raises IndexProblem when another writer keeps it too long."""
    import fcntl

    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise IndexProblem(f"another process keeps writing {path}", "run: octod status") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
