"""The index of one environment: scopes, usage and full-text search in one SQLite file that can be made again.

Many processes read, one writes (a lock file beside the database).  A file that is damaged or of another format reads
as an empty index, and ``Index.rebuilt`` says so; the first write puts a new one in its place.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

from octod.core.errors import IndexProblem
from octod.core.symbols import LibraryId, Scope
from octod.indexer.bundles import Bundle, Damaged
from octod.indexer.database import damage_mark, key_of, locked, open_database, replace_database
from octod.indexer.distribution import Distribution
from octod.indexer.extract import merge_stub
from octod.indexer.ledger import Calls, calls_of, drop_usage, find_usage, merge_usage, put_usage
from octod.indexer.packs import MOST_SCOPES, Pack, Shelf, packs_of
from octod.indexer.rows import encode_scope
from octod.indexer.tables import forget_library, write_files, write_library

__all__ = ["Index"]

_CACHED = 2_000  # scopes kept decoded; a large class takes about 0.5 MB
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
        self._scopes: OrderedDict[str, Scope | None] = OrderedDict()
        self._shelf = Shelf(self._pack, _OPENED_SNAPSHOT if snapshot else _OPENED)
        self._usage: dict[str, Bundle] = {}
        self._version: tuple[int, ...] = (-1, -1)
        self._imports: Mapping[str, tuple[LibraryId, ...]] | None = None
        self._calls: Mapping[int, int] | None = None
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
                self._scopes.move_to_end(qualified)
                return self._scopes[qualified]
            except KeyError:
                found = self._scopes[qualified] = self._read(qualified)
                if len(self._scopes) > _CACHED:
                    self._scopes.popitem(last=False)
                return found

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

    def top_level(self, import_name: str) -> Scope | None:
        """The scope of a top-level import name, or None."""
        return None if "." in import_name else self.scope(import_name)

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
                self._hurt()
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

    def postings(self, word: str, end: str = "\U0010ffff") -> list[tuple[int, str, bytes]]:
        """(owner, word, numbers as ``words.py`` packs them) of the words that start so, up to those that go on with ``end``."""
        rows = self._all(
            "SELECT w.owner, w.data FROM"
            " (SELECT id * 2 AS owner FROM libraries UNION ALL SELECT id * 2 + 1 FROM files WHERE modules <> '') o"
            " CROSS JOIN words w ON w.owner = o.owner AND w.last >= ? AND w.first < ?",
            (word, word + end),
        )
        try:
            return [(owner, *one) for owner, data in rows for one in Bundle(data).between(word, word + end)]
        except Damaged:
            self._hurt()
            return []

    def packed_scope(self, place: int) -> Scope | None:
        """The scope at a place that postings name, as its own pack has it; None when it is gone."""
        with self._mutex:
            return self._unpacked(place)

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
        except (Damaged, UnicodeDecodeError) as error:
            problems.append(str(error))
        except sqlite3.DatabaseError as error:
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

    def search(self, query: str, limit: int = 20) -> list[tuple[Scope, str, float]]:
        """Public symbols for words of a person, best first; see ``octod.indexer.search.search`` for finished hits."""
        from octod.indexer.search import candidates

        return candidates(self, query, limit)

    # Below the surface

    def _all(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]  # rows of SQLite are untyped
        with self._mutex:
            if self.rebuilt and not sql.startswith("PRAGMA"):
                self._refresh()  # somebody may have built it by now
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.DatabaseError as error:
                if "malformed" in str(error) or "not a database" in str(error):
                    self._hurt()
                    return []
                raise self._problem(error) from error
            except UnicodeDecodeError:  # SQLite's message has a damaged name in it
                self._hurt()
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
            self._hurt()
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

    def _hurt(self) -> None:
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
        self._imports = self._calls = None

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
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
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
            self._hurt()
        if "readonly" in text or "unable to open" in text:
            return IndexProblem(f"the index {self.path} cannot be opened: {text}", "check the folder's permissions")
        return IndexProblem(f"the index {self.path} failed: {text}", "delete the file: it is made again")
