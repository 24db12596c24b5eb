"""The index of one environment: scopes, usage and full-text search in one SQLite file that can be made again.

Many processes read, one writes (a lock file beside the database).  A file that is damaged or of another format reads
as an empty index, and ``Index.rebuilt`` says so; the first write puts a new one in its place.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

from octod.core.cache import Cache
from octod.core.errors import IndexProblem
from octod.core.symbols import LibraryId, Scope
from octod.core.transactions import writing
from octod.indexer.bundles import Bundle, Damaged
from octod.indexer.database import damage_mark, key_of, locked, open_database, replace_database
from octod.indexer.distribution import Distribution
from octod.indexer.extract import merge_stub
from octod.indexer.ledger import Calls, calls_of, drop_usage, find_usage, merge_usage, put_usage
from octod.indexer.packs import MOST_SCOPES, Pack, Shelf, packs_of
from octod.indexer.rows import encode_scope, weight_of
from octod.indexer.segments import Piece, Segment, due, open_segments, piece_of, put_piece
from octod.indexer.tables import forget_library, write_files, write_library

__all__ = ["Index"]

_DECODED = 8_000_000  # bytes of scopes kept decoded; a large class takes about 0.5 MB
_ROOM, _ROOM_SNAPSHOT = 60_000_000, 80_000_000  # bytes of what names were found to mean, see ``Index.room``
_OPENED, _OPENED_SNAPSHOT, _OPENED_USAGE = 24, 400, 16  # packs and bundles kept inflated, at up to 80 KB each


class Index:
    """One environment's index; safe to share between threads.

    ``rebuilt`` says that what lay there is damaged or foreign, so that all answers are empty until somebody builds it
    anew; ``damaged`` that reading met bytes that cannot be right: what is missing is answered as unknown, and the next build starts from nothing.
    """

    def __init__(self, path: Path, *, snapshot: bool = False) -> None:
        self.path = path
        self.damaged = False
        self._snapshot = snapshot
        self._mutex = threading.RLock()
        self.room = _ROOM_SNAPSHOT if snapshot else _ROOM  # for what ``sources.py`` remembers of this index
        self._scopes: Cache[str, Scope | None] = Cache(_DECODED)
        self._shelf = Shelf(self._pack, _OPENED_SNAPSHOT if snapshot else _OPENED)
        self._usage: dict[str, Bundle] = {}
        self._version: tuple[int, ...] = (-1, -1)
        self._imports: Mapping[str, tuple[LibraryId, ...]] | None = None
        self._calls: Mapping[int, int] | None = None
        self._segments: list[Segment] | None = None
        self._generation: int | None = None
        self._places: dict[int, list[int]] | None = None
        self._names: set[str] = set()
        self._connection, self.rebuilt = open_database(path)
        if snapshot:
            self._learn()

    @classmethod
    def open(cls, path: Path | str) -> Index:
        """Open or create the index at ``path``.  Raises IndexProblem when it cannot be read or made."""
        return cls(Path(path))

    @classmethod
    def open_snapshot(cls, path: Path | str) -> Index:
        """For reading many scopes in a row, as mining does: with all names in memory, and blind to what is written later."""
        return cls(Path(path), snapshot=True)

    def close(self) -> None:
        """Close the database; safe to call twice."""
        with self._mutex:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # Reading

    def scope(self, qualified: str) -> Scope | None:
        """The module or class of that name; stubs are merged over sources, namespace packages have no symbols."""
        with self._mutex:
            self._refresh()
            try:
                return self._scopes[qualified]
            except KeyError:
                found = self._read(qualified)
                return self._scopes.put(qualified, found, weight_of(found))

    def submodules(self, qualified: str) -> tuple[str, ...]:
        """The dotted names, sorted, of the modules directly in a package."""
        rows = self._all("SELECT DISTINCT name FROM modules WHERE parent = ? ORDER BY name", (qualified,))
        return tuple(f"{qualified}.{name}" for (name,) in rows)

    def libraries(self) -> tuple[LibraryId, ...]:
        """What is indexed, by name."""
        rows = self._all("SELECT distribution, version, record FROM libraries ORDER BY distribution")
        return tuple(LibraryId(*row) for row in rows)

    def import_names(self) -> Mapping[str, tuple[LibraryId, ...]]:
        """Top-level import name -> the libraries that provide it (several for a namespace package)."""
        with self._mutex:
            self._refresh()
            if self._imports is None:
                found: dict[str, list[LibraryId]] = {}
                rows = self._all("SELECT distribution, version, record, imports FROM libraries ORDER BY id")
                for distribution, version, record, imports in rows:
                    for name in json.loads(imports):
                        found.setdefault(name, []).append(LibraryId(distribution, version, record))
                self._imports = MappingProxyType({name: tuple(ids) for name, ids in sorted(found.items())})
            return self._imports

    def usage(self, receiver: str) -> bytes | None:
        """The merged usage of a receiver, as the usage module encoded it."""
        with self._mutex:
            self._refresh()
            if len(self._usage) > _OPENED_USAGE:
                self._usage.clear()
            rows = self._all("SELECT first, data FROM usage WHERE first <= ? ORDER BY first DESC LIMIT 1", (receiver,))
            try:
                return find_usage(rows[0], self._usage, receiver) if rows else None
            except Damaged:
                self.hurt()
                return None

    def calls(self) -> Mapping[int, int]:
        """``key_of`` a qualified name -> how often code that was mined calls it; names called once or twice are left out."""
        with self._mutex:
            self._refresh()
            if self._calls is None:
                self._calls = calls_of(data for (data,) in self._all("SELECT calls FROM usage"))
            return self._calls

    def usage_sources(self) -> Mapping[str, str]:
        """Name -> stamp of what usage was put, also of sources that use nothing."""
        return dict(self._all("SELECT source, stamp FROM sources ORDER BY source"))

    def files(self, distribution: str) -> Mapping[str, str]:
        """Path -> stamp of the files that a library was extracted from."""
        rows = self._all(
            "SELECT l.root, f.path, f.stamp FROM files f JOIN libraries l ON l.id = f.library WHERE l.distribution = ?", (distribution,)
        )
        return {os.path.join(root, path): stamp for root, path, stamp in rows}

    def segments(self) -> list[Segment]:
        """The catalogue that search reads, with what was written since it was stored."""
        with self._mutex:
            self._refresh()
            if self._segments is None:
                try:
                    self._segments = open_segments(self._all, self.calls, self.scope)
                except Damaged:
                    self.hurt()
                    self._segments = []
            return self._segments

    def uncatalogued(self) -> tuple[int, int] | None:
        """The number of the pack after which the catalogue is to be made anew, and how many packs that takes; else None."""
        return due(self._all, self.calls)

    def piece(self, low: int) -> Piece:
        """The catalogue of the packs after the one numbered ``low``.  Raises Damaged."""
        return piece_of(self._all, low, self.calls(), self.scope)

    @property
    def generation(self) -> int:
        """A number that grows with each write, by whatever process; a snapshot's stays."""
        if self._snapshot and self._generation is not None:
            return self._generation
        self._generation = self._number("SELECT value FROM meta WHERE key = 'generation'")
        return self._generation

    def check(self) -> list[str]:
        """What is wrong with the file, by SQLite's own checks and by decoding every row; empty when it is sound."""
        problems: list[str] = []
        try:
            problems += [str(r[0]) for r in self._connection.execute("PRAGMA quick_check(5)") if r[0] != "ok"]
            for number, data in self._connection.execute("SELECT id, data FROM packs"):
                for place in range(len(Bundle(data).names)):
                    self._unpacked(number * MOST_SCOPES + place)
            for (data,) in self._connection.execute("SELECT data FROM usage UNION ALL SELECT data FROM mined"):
                Bundle(data)
            for (data,) in self._connection.execute("SELECT data FROM catalogue UNION ALL SELECT words FROM packs"):
                zlib.decompress(data)
        except (Damaged, UnicodeDecodeError, zlib.error, sqlite3.DatabaseError) as error:
            problems.append(str(error))
        if self.damaged:
            problems.append("a stored scope cannot be decoded")
        return problems

    # Writing

    def replace_library(self, distribution: Distribution, scopes: Iterable[Scope]) -> None:
        """Put a library's scopes in place of whatever was there under its name, in one transaction."""
        self.replace_packs(distribution, packs_of(map(encode_scope, scopes)))

    def replace_packs(
        self, distribution: Distribution, packs: Iterable[Pack], stamps: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """``replace_library`` for scopes that a worker already packed; ``stamps`` say how each file was when read."""
        with self._writing() as connection:
            write_library(connection, distribution, packs, stamps)

    def replace_files(
        self,
        distribution: Distribution,
        gone: Iterable[str],
        packs: Mapping[str, Iterable[Pack]],
        stamps: Mapping[str, str],
    ) -> None:
        """Replace what some files of a library gave; ``gone`` are the files whose rows go first, ``packs`` are by file."""
        with self._writing() as connection:
            write_files(connection, distribution, gone, packs, stamps)

    def remove_library(self, name: str) -> None:
        """Forget a library; nothing happens when it is not there."""
        with self._writing() as connection:
            for (library,) in connection.execute("SELECT id FROM libraries WHERE distribution = ?", (name,)).fetchall():
                forget_library(connection, library)
                connection.execute("DELETE FROM libraries WHERE id = ?", (library,))

    def put_usage(self, source: str, receivers: Mapping[str, bytes], stamp: str = "") -> None:
        """Replace what ``source`` (as it was at ``stamp``) says of usage; ``merge_usage`` makes it count."""
        with self._writing() as connection:
            put_usage(connection, source, receivers, stamp)

    def remove_usage(self, source: str) -> None:
        """Forget what ``source`` says of usage."""
        with self._writing() as connection:
            drop_usage(connection, source)

    def merge_usage(self, merge: Callable[[list[bytes]], bytes], calls: Calls | None = None) -> int:
        """Bring the merged usage of every touched receiver up to date; returns how many there were.

        ``calls`` reads from an entry how often names are called, for ``Index.calls``.
        """
        if not self._all("SELECT 1 FROM touched LIMIT 1"):
            return 0
        with self._writing() as connection:
            return merge_usage(connection, merge, calls)

    def put_piece(self, piece: Piece) -> None:
        """Put a piece of the catalogue in place of those that it replaces."""
        with self._writing() as connection:
            put_piece(connection, piece)

    # Below the surface

    def _all(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]  # rows of SQLite are untyped
        with self._mutex:
            if self.rebuilt and not sql.startswith("PRAGMA"):
                self._refresh()  # somebody may have built it by now
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.DatabaseError as error:
                if "malformed" in str(error) or "not a database" in str(error):
                    self.hurt()
                    return []
                raise self._problem(error) from error
            except UnicodeDecodeError:  # SQLite's message has a damaged name in it
                self.hurt()
                return []

    def _number(self, sql: str) -> int:
        return next((int(value) for (value,) in self._all(sql)), 0)  # nothing where the file is damaged

    def _read(self, qualified: str) -> Scope | None:
        key = key_of(qualified)
        if self._places is not None:
            places = self._places.get(key, [])
        else:
            places = [place for (place,) in self._all("SELECT place FROM scopes WHERE key = ?", (key,))]
        found = [scope for place in places if (scope := self._unpacked(place, qualified)) is not None]
        if not found:
            return self._namespace(qualified)
        found.sort(key=lambda s: ("-stubs/" not in s.file, s.library.distribution == "stdlib"))
        return found[0] if len(found) == 1 else merge_stub([found[0]], [found[1]])[0]

    def _unpacked(self, place: int, qualified: str = "") -> Scope | None:
        try:
            return self._shelf.scope(place, qualified)
        except Damaged:
            self.hurt()
            return None

    def _pack(self, number: int) -> tuple[bytes, LibraryId] | None:
        columns = "p.data, l.distribution, l.version, l.record"
        rows = self._all(f"SELECT {columns} FROM packs p JOIN libraries l ON l.id = p.library WHERE p.id = ?", (number,))
        return (rows[0][0], LibraryId(*rows[0][1:])) if rows else None

    def _learn(self) -> None:
        """Take the names of everything into memory: a miss then costs no question to the database."""
        places: dict[int, list[int]] = {}
        for key, place in self._all("SELECT key, place FROM scopes"):
            places.setdefault(key, []).append(place)
        self._names = {f"{parent}.{name}" if parent else name for parent, name in self._all("SELECT parent, name FROM modules")}
        self._places = places

    def hurt(self) -> None:
        """Remember damage beside the file: whoever opens it next, a build for one, makes it again."""
        self.damaged = True
        try:
            if os.stat(self.path).st_ino == self._version[1]:  # not a file that took this one's place meanwhile
                damage_mark(self.path).touch(0o600)
        except OSError:
            return

    def _namespace(self, qualified: str) -> Scope | None:
        """A module without a file of its own: a namespace package, or a compiled module of which nothing is known."""
        if self._places is not None and qualified not in self._names:
            return None
        parent, _, name = qualified.rpartition(".")
        rows = self._all(
            "SELECT l.distribution, l.version, l.record, EXISTS (SELECT 1 FROM modules WHERE parent = ?)"
            " FROM modules m JOIN libraries l ON l.id = m.library WHERE m.parent = ? AND m.name = ? LIMIT 1",
            (qualified, parent, name),
        )
        if not rows:
            return None
        distribution, version, record, has_children = rows[0]
        return Scope(qualified, "module", LibraryId(distribution, version, record), "", dynamic=not has_children)

    def _refresh(self) -> None:
        """Forget what is cached when another process wrote, or replaced the file."""
        if self._snapshot:
            return
        try:
            mark = self._marks()
        except FileNotFoundError:
            mark = (0,)
        version = (self._number("PRAGMA data_version"), *mark)
        if version != self._version:
            if self._version[1] != -1 and self._version[1:] != mark:
                self._connection.close()
                self._connection, self.rebuilt = open_database(self.path)
                self.damaged = False
                version = (self._number("PRAGMA data_version"), *self._marks())
            self._version = version
            self._forget_cached()

    def _marks(self) -> tuple[int, ...]:
        found = os.stat(self.path)
        # Of a file that is not open a new one may get the inode: time and size tell them apart.
        return (found.st_ino, found.st_size, found.st_mtime_ns) if self.rebuilt else (found.st_ino,)

    def _forget_cached(self) -> None:
        self._scopes.clear()
        self._shelf.clear()
        self._usage.clear()
        self._imports = self._calls = self._segments = None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, in one transaction that also counts up the generation."""
        with self._mutex, locked(self.path):
            self._refresh()
            if self.rebuilt:
                self._connection.close()
                self._connection, self.rebuilt, self.damaged = replace_database(self.path), False, False
                self._version = (-1, -1)
            connection = self._connection
            try:
                with writing(connection):
                    yield connection
                    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
            except sqlite3.DatabaseError as error:
                raise self._problem(error) from error
            except Damaged as error:
                raise self._problem(sqlite3.DatabaseError(f"malformed: {error}")) from error
            finally:
                self._forget_cached()

    def _problem(self, error: sqlite3.Error) -> IndexProblem:
        text = str(error)
        if "disk is full" in text or "disk I/O" in text:
            return IndexProblem(f"the index {self.path} cannot be written: {text}", "free some space and try again")
        if "malformed" in text or "not a database" in text:
            self.hurt()
        if "readonly" in text or "unable to open" in text:
            return IndexProblem(f"the index {self.path} cannot be opened: {text}", "check the folder's permissions")
        return IndexProblem(f"the index {self.path} failed: {text}", "delete the file: it is made again")
