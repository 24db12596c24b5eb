"""The registry of adapters: one SQLite file and one immutable folder per adapter, never lost (promise P5).

Publishing is temp folder in the same file system -> fsync of files and folder -> rename -> row, under one lock that a
dying process gives up. So after a crash there is at most a temp folder, or a complete folder without its row,
which ``gc`` lists again when it verifies. Removing renames the folder away first, then deletes the row.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from octod.adapters.identity import BaseModel, adapter_name, content_hash, valid_name
from octod.core.errors import AdapterRefused, OctodError, RegistryProblem
from octod.core.paths import Paths, private_folder, sync_folder
from octod.core.symbols import LibraryId
from octod.core.transactions import writing

if TYPE_CHECKING:
    from octod.adapters.card import Card
    from octod.adapters.verify import LoraConfig
    from sqlite_utils import Database

__all__ = ["Adapter", "Registry"]

VERSION = 1
_TEMPORARY = ".tmp-"
_SCHEMA = """
CREATE TABLE adapters (
  name TEXT PRIMARY KEY,
  distribution TEXT NOT NULL,
  version TEXT NOT NULL,
  record TEXT NOT NULL,
  base_name TEXT NOT NULL,
  base_weights TEXT NOT NULL,
  base_tokenizer TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  rank INTEGER NOT NULL,
  alpha REAL NOT NULL,
  created TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A published adapter; ``scaling`` is alpha / rank, ``created`` UTC in ISO 8601."""

    name: str
    folder: Path
    library: LibraryId
    base_name: str
    base_weights: str
    base_tokenizer: str
    content_hash: str
    rank: int
    alpha: float
    created: str

    @property
    def scaling(self) -> float:
        """The factor of B @ A."""
        return self.alpha / self.rank


class Registry:
    """The adapters of one user. Processes may open it at the same time; those that write take turns."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, lock: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._lock = lock

    @classmethod
    def open(cls, paths: Paths) -> Registry:
        """Open or create the registry; RegistryProblem with what to do when that fails."""
        path = paths.registry
        try:
            private_folder(path.parent)
            folder = private_folder(paths.adapters)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            path.chmod(0o600)
            lock = path.with_suffix(".lock")
            connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        except (OSError, OctodError, sqlite3.Error) as error:
            raise RegistryProblem(
                f"cannot open the adapter registry {path}: {error}",
                "make the folder writable, free some space, or set OCTOD_HOME",
            ) from error
        try:
            for pragma in ("busy_timeout=10000", "foreign_keys=ON", "trusted_schema=OFF", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")
            connection.row_factory = sqlite3.Row
            registry = cls(connection, folder, lock)
            registry._migrate()
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise RegistryProblem(
                f"the adapter registry {path} is damaged or cannot be written: {error}",
                f"move {path} away and run `octod adapters gc`: complete adapters are listed again",
            ) from error
        except RegistryProblem:
            connection.close()
            raise
        return registry

    def close(self) -> None:
        """Give the database back."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def adapters(self) -> tuple[Adapter, ...]:
        """Every published adapter, the newest first; a row without its folder is half removed and not listed."""
        query = "SELECT * FROM adapters ORDER BY created DESC, name"
        found = (self._adapter(row) for row in self._connection.execute(query))
        return tuple(adapter for adapter in found if adapter.folder.is_dir())

    def get(self, name: str) -> Adapter:
        """One adapter by name, or by a beginning of its name that fits only one; else RegistryProblem."""
        found = self.adapters()
        named = [a for a in found if a.name == name] or [a for a in found if a.name.startswith(name)]
        if len(named) != 1:
            what = "several adapters begin with" if named else "no adapter is called"
            raise RegistryProblem(f"{what} {name!r}", "`octod adapters list` shows all of them")
        return named[0]

    def for_library(self, library: LibraryId, base: BaseModel) -> Adapter | None:
        """The newest adapter for exactly this library (version and record) and this base, or None."""
        for adapter in self.adapters():
            same = adapter.base_weights == base.weights_hash and adapter.base_tokenizer == base.tokenizer_hash
            if same and adapter.library == library:
                return adapter
        return None

    def card(self, name: str) -> Card:
        """The card of an adapter; AdapterRefused when it is damaged."""
        from octod.adapters.card import Card

        return Card.read(self.get(name).folder)

    def verify(self, name: str, base: BaseModel | None = None) -> LoraConfig:
        """Check an adapter's files against the registry, and against ``base``; AdapterRefused with the reason."""
        from octod.adapters.verify import check_folder

        adapter = self.get(valid_name(name))
        return check_folder(adapter.folder, base=base, expected_hash=adapter.content_hash)

    def publish(self, folder: Path, card: Card) -> Adapter:
        """Copy an adapter's two files and its card into the registry, all or nothing.

        The same content again gives the adapter that is there. AdapterRefused when the files are no adapter,
        RegistryProblem when they cannot be written.
        """
        from octod.adapters.verify import check_folder

        check_folder(folder, carded=False)
        try:
            with self._writing():
                staged = self._stage(folder, card)
                digest = content_hash(staged.iterdir())
                final = self._folder / adapter_name(card.library, digest)
                if final.is_symlink() or final.exists():
                    if self._listed(final.name) and _sound(final):
                        shutil.rmtree(staged)
                        return self.get(final.name)
                    self._discard(final)
                os.rename(staged, final)
                sync_folder(self._folder)
                try:
                    return self._insert(final)
                except BaseException:
                    self._discard(final)
                    raise
        except OSError as error:
            self._drop_temporary()
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "no space left" if full else error.strerror
            hint = "free some space" if full else "make it writable"
            raise RegistryProblem(
                f"cannot write {self._folder}: {what}", f"{hint}, or set OCTOD_HOME"
            ) from error
        except sqlite3.Error as error:
            raise RegistryProblem(f"cannot write the registry: {error}", "run `octod adapters gc`") from error

    def remove(self, name: str) -> None:
        """Remove an adapter and its files."""
        with self._writing():
            adapter = self.get(name)
            self._discard(adapter.folder)
            self._delete(adapter.name)

    def gc(self) -> list[str]:
        """Remove temp folders, folders without a row and rows without a folder; the names removed, sorted.

        A complete folder without a row (a crash before the row, or a lost database) is listed again instead.
        """
        removed = []
        with self._writing():
            rows = {str(row["name"]) for row in self._database.query("SELECT name FROM adapters")}
            for entry in sorted(self._folder.iterdir()):
                if entry.name in rows and entry.is_dir() and not entry.is_symlink():
                    continue
                if entry.is_dir() and not entry.is_symlink() and _sound(entry):
                    self._insert(entry)
                    rows.add(entry.name)
                    continue
                self._discard(entry)
                removed.append(entry.name)
            for name in sorted(rows):
                if not (self._folder / name).is_dir():
                    self._delete(name)
                    removed.append(name)
        return sorted(set(removed))

    @property
    def _database(self) -> Database:
        """For whoever writes: importing it takes longer than a first menu, which reads alone."""
        from sqlite_utils import Database

        return Database(self._connection)

    def _migrate(self) -> None:
        connection = self._connection
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise sqlite3.OperationalError("this file system cannot hold a write-ahead log")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION:
            return
        if version > VERSION:
            raise RegistryProblem("the adapter registry is of a newer octod", "upgrade octod")
        with writing(connection):
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                connection.execute(_SCHEMA)
                connection.execute(f"PRAGMA user_version={VERSION}")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time, over processes and threads; the kernel frees the lock of a killed one."""
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _stage(self, folder: Path, card: Card) -> Path:
        from octod.adapters.card import CARD
        from octod.adapters.verify import CONFIG, WEIGHTS

        staged = self._folder / f"{_TEMPORARY}{os.getpid()}-{os.urandom(6).hex()}"
        staged.mkdir(mode=0o700)
        for name in (WEIGHTS, CONFIG):
            with (folder / name).open("rb") as source, _create(staged / name) as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
        with _create(staged / CARD) as target:
            target.write(card.to_json().encode())
            target.flush()
            os.fsync(target.fileno())
        sync_folder(staged)
        return staged

    def _insert(self, folder: Path) -> Adapter:
        from octod.adapters.card import Card
        from octod.adapters.verify import check_folder

        card = Card.read(folder)
        config = check_folder(folder)
        row = {
            "name": folder.name,
            "distribution": card.library.distribution,
            "version": card.library.version,
            "record": card.library.record,
            "base_name": card.base_name,
            "base_weights": card.base_weights,
            "base_tokenizer": card.base_tokenizer,
            "content_hash": content_hash(folder.iterdir()),
            "rank": config.rank,
            "alpha": config.alpha,
            "created": card.created,
        }
        self._write(
            f"INSERT OR REPLACE INTO adapters ({', '.join(row)}) VALUES ({', '.join(':' + key for key in row)})",
            row,
        )
        return self._adapter(row)

    def _delete(self, name: str) -> None:
        self._write("DELETE FROM adapters WHERE name = :name", {"name": name})

    def _write(self, statement: str, values: dict[str, object]) -> None:
        with writing(self._connection):
            self._database.execute(statement, values)

    def _listed(self, name: str) -> bool:
        return any(self._database.query("SELECT 1 FROM adapters WHERE name = ?", [name]))

    def _discard(self, path: Path) -> None:
        """Rename away first, so a half-deleted folder is never taken for an adapter."""
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        if not path.name.startswith(_TEMPORARY):
            away = self._folder / f"{_TEMPORARY}{os.getpid()}-{os.urandom(6).hex()}"
            os.rename(path, away)
            sync_folder(self._folder)
            path = away
        shutil.rmtree(path)

    def _drop_temporary(self) -> None:
        for entry in self._folder.glob(f"{_TEMPORARY}{os.getpid()}-*"):
            shutil.rmtree(entry, ignore_errors=True)

    def _adapter(self, row: sqlite3.Row | dict[str, object]) -> Adapter:
        rank, alpha = row["rank"], row["alpha"]
        assert isinstance(rank, int) and isinstance(alpha, float)
        name = valid_name(str(row["name"]))
        return Adapter(
            name=name,
            folder=self._folder / name,
            library=LibraryId(str(row["distribution"]), str(row["version"]), str(row["record"])),
            base_name=str(row["base_name"]),
            base_weights=str(row["base_weights"]),
            base_tokenizer=str(row["base_tokenizer"]),
            content_hash=str(row["content_hash"]),
            rank=rank,
            alpha=alpha,
            created=str(row["created"]),
        )


def _sound(folder: Path) -> bool:
    from octod.adapters.verify import check_folder

    try:
        check_folder(folder)
    except AdapterRefused:
        return False
    return True


def _create(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
