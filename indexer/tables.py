"""What is written into the index's tables: a library, its files, scopes, submodules and search rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from octod.core.symbols import LibraryId
from octod.indexer.database import key_of, parents
from octod.indexer.distribution import Distribution
from octod.indexer.rows import MOST_SYMBOLS, Row, decode_row, search_texts

__all__ = ["forget_files", "insert_rows", "library_row", "put_modules"]


def library_row(connection: sqlite3.Connection, d: Distribution) -> int:
    """The row of a distribution, made or brought up to date."""
    row = connection.execute(
        "INSERT INTO libraries (distribution, version, record, root, editable, licence, imports)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (distribution) DO UPDATE SET version = excluded.version,"
        " record = excluded.record, root = excluded.root, editable = excluded.editable,"
        " licence = excluded.licence, imports = excluded.imports RETURNING id",
        (
            d.library.distribution, d.library.version, d.library.record, str(d.root),
            str(d.editable) if d.editable else None, d.licence, json.dumps(d.import_names),
        ),
    ).fetchall()  # fmt: skip
    return int(row[0][0])


def insert_rows(
    connection: sqlite3.Connection, library: int, root: str, rows: Iterable[Row], stamps: Mapping[str, str]
) -> None:
    """Insert a library's encoded scopes, the files they come from, and what search reads of them."""
    files: dict[str, int] = {}

    def file_id(path: str) -> int:
        if path not in files:
            relative = path.removeprefix(f"{root}/")
            values = (library, relative, stamps.get(path, ""))
            cursor = connection.execute("INSERT INTO files (library, path, stamp) VALUES (?, ?, ?)", values)
            files[path] = int(cursor.lastrowid or 0)
        return files[path]

    for row in rows:
        flags = (row.kind == "class") | ("-stubs/" in row.file) << 1
        cursor = connection.execute(
            "INSERT INTO scopes (key, qualified, flags, file, data, docs) VALUES (?, ?, ?, ?, ?, ?)",
            (key_of(row.qualified), row.qualified, flags, file_id(row.file), row.data, row.docs),
        )
        base = int(cursor.lastrowid or 0) * MOST_SYMBOLS
        connection.executemany(
            "INSERT INTO search (rowid, name, path, doc) VALUES (?, ?, ?, ?)",
            [(base + t.ordinal, t.name, t.path, t.doc) for t in row.search],
        )
        if row.kind == "module":
            put_modules(connection, library, [row.qualified])
    for path in stamps:
        file_id(path)


def put_modules(connection: sqlite3.Connection, library: int, modules: Iterable[str]) -> None:
    """Make modules, and the packages above them, known as submodules."""
    rows = [(parent, name, library) for module in modules for parent, name in parents(module)]
    connection.executemany("INSERT OR IGNORE INTO modules VALUES (?, ?, ?)", rows)


def forget_files(connection: sqlite3.Connection, files: str, parameters: tuple[object, ...]) -> bool:
    """Delete the scopes of the files that a query names, first of all from search, whose rows have no content.

    False when a row could not be read, so that search still speaks of it.
    """
    sound = True
    rows = connection.execute(
        f"SELECT id, qualified, data, docs FROM scopes WHERE file IN ({files})", parameters
    ).fetchall()
    for scope_id, qualified, data, docs in rows:
        try:
            scope = decode_row(qualified, "module", LibraryId("", "", ""), "", data, docs)
        except ValueError:
            sound = False
            continue
        connection.executemany(
            "INSERT INTO search (search, rowid, name, path, doc) VALUES ('delete', ?, ?, ?, ?)",
            [(scope_id * MOST_SYMBOLS + t.ordinal, t.name, t.path, t.doc) for t in search_texts(scope)],
        )
    connection.execute(f"DELETE FROM files WHERE id IN ({files})", parameters)
    return sound
