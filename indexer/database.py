"""The SQLite file below the index: its tables, how it is opened, made again when damaged, and locked for writing."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from octod.core.errors import IndexProblem
from octod.core.paths import private_folder

__all__ = ["damage_mark", "key_of", "locked", "open_database", "parents"]

FORMAT = 4  # PRAGMA user_version; another number means the file is made again
_LOCK_SECONDS = 120.0  # how long a writer waits for another one

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0);
CREATE TABLE libraries (
  id INTEGER PRIMARY KEY, distribution TEXT NOT NULL UNIQUE, version TEXT NOT NULL, record TEXT NOT NULL,
  root TEXT NOT NULL, editable TEXT, licence TEXT NOT NULL, imports TEXT NOT NULL) STRICT;
CREATE TABLE files (
  id INTEGER PRIMARY KEY, library INTEGER NOT NULL REFERENCES libraries(id) ON DELETE CASCADE, path TEXT NOT NULL,
  stamp TEXT NOT NULL) STRICT;
CREATE INDEX files_library ON files(library);
CREATE TABLE scopes (
  id INTEGER PRIMARY KEY, key INTEGER NOT NULL, qualified TEXT NOT NULL, flags INTEGER NOT NULL,
  file INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE, data BLOB NOT NULL, docs BLOB NOT NULL) STRICT;
CREATE INDEX scopes_key ON scopes(key);
CREATE INDEX scopes_file ON scopes(file);
CREATE TABLE modules (
  parent TEXT NOT NULL, name TEXT NOT NULL, library INTEGER NOT NULL, PRIMARY KEY (parent, name, library))
  STRICT, WITHOUT ROWID;
CREATE TABLE mined (
  receiver TEXT NOT NULL, source TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (receiver, source))
  STRICT, WITHOUT ROWID;
CREATE INDEX mined_source ON mined(source);
CREATE TABLE sources (source TEXT PRIMARY KEY, stamp TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE usage (receiver TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE touched (receiver TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5(
  name, path, doc, content='', detail=none, tokenize="unicode61 remove_diacritics 2");
"""


def open_database(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection to the database at ``path``, and whether a damaged or foreign file had to make way for it.

    The file is made 0600, and a folder that is missing 0700; a folder that is there is left as it is.  Raises
    IndexProblem when that cannot be done.
    """
    if not path.parent.is_dir():
        private_folder(path.parent)
    try:
        connection = _sound(path)
        if connection is not None:
            return connection, False
        with locked(path):
            connection = _sound(path)  # another process may have mended it meanwhile
            if connection is not None:
                return connection, False
            rebuilt = path.exists()
            for suffix in ("", "-wal", "-shm", ".damaged"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = _connected(path)
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {FORMAT};COMMIT;")
            return connection, rebuilt
    except (sqlite3.Error, OSError) as error:
        raise IndexProblem(
            f"the index {path} cannot be opened: {error}", "check its folder, or set OCTOD_HOME to another one"
        ) from error


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    for pragma in (
        "journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 10000", "foreign_keys = ON",
        "trusted_schema = OFF", "temp_store = MEMORY", "mmap_size = 268435456", "cache_size = -16384",
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
    except (sqlite3.DatabaseError, TypeError):
        pass  # whatever it is, it is not an index of this format: told through Index.rebuilt
    if connection is not None:
        connection.close()
    return None


def damage_mark(path: Path) -> Path:
    """The file whose presence says that the database beside it was found damaged."""
    return path.with_name(path.name + ".damaged")


def key_of(qualified: str) -> int:
    """64 bits that stand for a name in the scopes' index: a sixth of the space of the names themselves."""
    return int.from_bytes(blake2b(qualified.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


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
