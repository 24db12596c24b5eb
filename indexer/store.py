"""The index of one environment: scopes, usage and full-text search in one SQLite file that can be made again.

Many processes read, one writes (a lock file beside the database).  A file that is damaged or of another format is
replaced by an empty one, and ``Index.rebuilt`` says so.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from octod.core.errors import IndexProblem
from octod.core.symbols import LibraryId, Scope
from octod.indexer.database import damage_mark, key_of, locked, open_database
from octod.indexer.distribution import Distribution
from octod.indexer.extract import merge_stub
from octod.indexer.rows import MOST_SYMBOLS, Row, decode_row, encode_scope
from octod.indexer.tables import forget_files, insert_rows, library_row, put_modules

__all__ = ["Index"]

_CACHED = 2_000  # scopes kept decoded; a large class takes about 0.5 MB


class Index:
    """One environment's index; safe to share between threads.

    ``rebuilt`` says that opening replaced a damaged or foreign file by an empty one; ``damaged`` that reading met
    bytes that cannot be right: what is missing is answered as unknown, and the next build starts from nothing.
    """

    def __init__(self, path: Path, *, snapshot: bool = False) -> None:
        self.path = path
        self.damaged = False
        self._snapshot = snapshot
        self._mutex = threading.RLock()
        self._scopes: OrderedDict[str, Scope | None] = OrderedDict()
        self._version: tuple[int, int] = (-1, -1)
        self._imports: Mapping[str, tuple[LibraryId, ...]] | None = None
        self._generation: int | None = None
        self._connection, self.rebuilt = open_database(path)

    @classmethod
    def open(cls, path: Path | str) -> Index:
        """Open or create the index at ``path``.  Raises IndexProblem when it cannot be read or made."""
        return cls(Path(path))

    @classmethod
    def open_snapshot(cls, path: Path | str) -> Index:
        """For reading many scopes in a row, as mining does: without docstrings, and blind to what is written later."""
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
        rows = self._all("SELECT data FROM usage WHERE receiver = ?", (receiver,))
        return rows[0][0] if rows else None

    def usage_sources(self) -> Mapping[str, str]:
        """Name -> stamp of what usage was put, also of sources that use nothing."""
        return dict(self._all("SELECT source, stamp FROM sources ORDER BY source"))

    def files(self, distribution: str) -> Mapping[str, str]:
        """Path -> stamp of the files that a library was extracted from."""
        rows = self._all(
            "SELECT l.root, f.path, f.stamp FROM files f JOIN libraries l ON l.id = f.library WHERE l.distribution = ?",
            (distribution,),
        )
        return {os.path.join(root, path): stamp for root, path, stamp in rows}

    def matches(self, query: str, limit: int) -> list[tuple[Scope, str, float]]:
        """(scope, symbol name, rank; smaller is better) for an FTS5 query; see ``octod.indexer.search``."""
        sql = "SELECT rowid, bm25(search) AS score FROM search WHERE search MATCH ? ORDER BY score LIMIT ?"
        found = []
        for rowid, score in self._all(sql, (query, limit)):
            rows = self._all("SELECT qualified FROM scopes WHERE id = ?", (rowid // MOST_SYMBOLS,))
            scope = self.scope(rows[0][0]) if rows else None
            # A stub's symbols stand before what its source adds, so the place in the row is the place in the scope.
            name = next(islice(scope.symbols, rowid % MOST_SYMBOLS, None), None) if scope is not None else None
            if scope is not None and name is not None:
                found.append((scope, name, float(score)))
        return found

    @property
    def generation(self) -> int:
        """A number that grows with each write, by whatever process; a snapshot's stays."""
        if self._snapshot and self._generation is not None:
            return self._generation
        self._generation = int(self._all("SELECT value FROM meta WHERE key = 'generation'")[0][0])
        return self._generation

    def check(self) -> list[str]:
        """What is wrong with the file, by SQLite's own checks and by decoding every row; empty when it is sound."""
        problems: list[str] = []
        try:
            problems += [str(r[0]) for r in self._connection.execute("PRAGMA quick_check(5)") if r[0] != "ok"]
            self._connection.execute("INSERT INTO search(search) VALUES ('integrity-check')")
            for (qualified,) in self._connection.execute("SELECT DISTINCT qualified FROM scopes").fetchall():
                self._read(qualified)
        except sqlite3.DatabaseError as error:
            problems.append(str(error))
        if self.damaged:
            problems.append("a stored scope cannot be decoded")
        return problems

    # Writing

    def replace_library(self, distribution: Distribution, scopes: Iterable[Scope]) -> None:
        """Put a library's scopes in place of whatever was there under its name, in one transaction."""
        self.replace_rows(distribution, map(encode_scope, scopes))

    def replace_rows(
        self, distribution: Distribution, rows: Iterable[Row], stamps: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """``replace_library`` for scopes that a worker already encoded; ``stamps`` say how each file was when read."""
        with self._writing() as connection:
            library = library_row(connection, distribution)
            self._forgotten(connection, "SELECT id FROM files WHERE library = ?", (library,))
            connection.execute("DELETE FROM modules WHERE library = ?", (library,))
            insert_rows(connection, library, str(distribution.root), rows, stamps)
            put_modules(connection, library, distribution.compiled)

    def replace_files(
        self, distribution: Distribution, gone: Iterable[str], rows: Iterable[Row], stamps: Mapping[str, str]
    ) -> None:
        """Replace what some files of a library gave; ``gone`` are the files whose rows go first."""
        with self._writing() as connection:
            library = library_row(connection, distribution)
            for path in gone:
                relative = path.removeprefix(f"{distribution.root}/")
                self._forgotten(connection, "SELECT id FROM files WHERE library = ? AND path = ?", (library, relative))
            insert_rows(connection, library, str(distribution.root), rows, stamps)
            connection.execute("DELETE FROM modules WHERE library = ?", (library,))
            modules = connection.execute(
                "SELECT qualified FROM scopes WHERE NOT flags & 1 AND file IN (SELECT id FROM files WHERE library = ?)",
                (library,),
            ).fetchall()
            put_modules(connection, library, [m for (m,) in modules])

    def remove_library(self, name: str) -> None:
        """Forget a library; nothing happens when it is not there."""
        with self._writing() as connection:
            wanted = "SELECT id FROM libraries WHERE distribution = ?"
            self._forgotten(connection, f"SELECT id FROM files WHERE library = ({wanted})", (name,))
            connection.execute(f"DELETE FROM modules WHERE library = ({wanted})", (name,))
            connection.execute("DELETE FROM libraries WHERE distribution = ?", (name,))

    def put_usage(self, source: str, receivers: Mapping[str, bytes], stamp: str = "") -> None:
        """Replace what ``source`` (as it was at ``stamp``) says of usage; ``merge_usage`` makes it count."""
        with self._writing() as connection:
            self._drop_usage(connection, source)
            connection.execute("INSERT INTO sources VALUES (?, ?)", (source, stamp))
            connection.executemany("INSERT INTO mined VALUES (?, ?, ?)", [(r, source, d) for r, d in receivers.items()])
            connection.executemany("INSERT OR IGNORE INTO touched VALUES (?)", [(r,) for r in receivers])

    def remove_usage(self, source: str) -> None:
        """Forget what ``source`` says of usage."""
        with self._writing() as connection:
            self._drop_usage(connection, source)

    def merge_usage(self, merge: Callable[[list[bytes]], bytes]) -> int:
        """Bring the merged usage of every touched receiver up to date; returns how many there were."""
        if not self._all("SELECT 1 FROM touched LIMIT 1"):
            return 0
        with self._writing() as connection:
            touched = [r for (r,) in connection.execute("SELECT receiver FROM touched").fetchall()]
            for receiver in touched:
                rows = connection.execute("SELECT data FROM mined WHERE receiver = ? ORDER BY source", (receiver,))
                parts = [data for (data,) in rows.fetchall()]
                if parts:
                    merged = parts[0] if len(parts) == 1 else merge(parts)
                    connection.execute("INSERT OR REPLACE INTO usage VALUES (?, ?)", (receiver, merged))
                else:
                    connection.execute("DELETE FROM usage WHERE receiver = ?", (receiver,))
            connection.execute("DELETE FROM touched")
        return len(touched)

    def search(self, query: str, limit: int = 20) -> list[tuple[Scope, str, float]]:
        """Public symbols for words of a person, best first; see ``octod.indexer.search.search`` for finished hits."""
        from octod.indexer.search import match_query

        wanted = match_query(query)
        return self.matches(wanted, limit) if wanted else []

    # Below the surface

    def _all(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]  # rows of SQLite are untyped
        with self._mutex:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.DatabaseError as error:
                if "malformed" in str(error) or "not a database" in str(error):
                    self._hurt()
                    return []
                raise self._problem(error) from error

    def _read(self, qualified: str) -> Scope | None:
        docs = "x''" if self._snapshot else "s.docs"
        rows = self._all(
            f"SELECT s.flags, l.distribution, l.version, l.record, l.root, f.path, s.data, {docs} FROM scopes s"
            " JOIN files f ON f.id = s.file JOIN libraries l ON l.id = f.library"
            " WHERE s.key = ? AND s.qualified = ? ORDER BY s.flags & 2 DESC, l.distribution = 'stdlib', s.id LIMIT 2",
            (key_of(qualified), qualified),
        )
        found: Scope | None = None
        for flags, distribution, version, record, root, path, data, documented in rows:
            library = LibraryId(distribution, version, record)
            try:
                kind: Literal["class", "module"] = "class" if flags & 1 else "module"
                scope = decode_row(qualified, kind, library, os.path.join(root, path), data, documented)
            except ValueError:
                self._hurt()
                continue
            found = scope if found is None else merge_stub([found], [scope])[0]
        return found if found is not None else self._namespace(qualified)

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
            inode = os.stat(self.path).st_ino
        except FileNotFoundError:
            inode = 0
        version = (int(self._all("PRAGMA data_version")[0][0]), inode)
        if version != self._version:
            if self._version[1] not in (-1, inode):
                self._connection.close()
                self._connection, self.rebuilt = open_database(self.path)
                self.damaged = False
                version = (int(self._all("PRAGMA data_version")[0][0]), os.stat(self.path).st_ino)
            self._version = version
            self._forget_cached()

    def _forget_cached(self) -> None:
        self._scopes.clear()
        self._imports = None

    def _forgotten(self, connection: sqlite3.Connection, files: str, parameters: tuple[object, ...]) -> None:
        if not forget_files(connection, files, parameters):
            self._hurt()

    @staticmethod
    def _drop_usage(connection: sqlite3.Connection, source: str) -> None:
        connection.execute("INSERT OR IGNORE INTO touched SELECT receiver FROM mined WHERE source = ?", (source,))
        connection.execute("DELETE FROM mined WHERE source = ?", (source,))
        connection.execute("DELETE FROM sources WHERE source = ?", (source,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, in one transaction that also counts up the generation."""
        with self._mutex, locked(self.path):
            self._refresh()
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
