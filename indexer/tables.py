"""What is written into the index's tables: a library, its files, packs of scopes and submodules."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from octod.indexer.database import key_of, parents
from octod.indexer.distribution import Distribution
from octod.indexer.packs import MOST_SCOPES, Pack

__all__ = ["forget_library", "write_files", "write_library"]


def write_library(
    connection: sqlite3.Connection, distribution: Distribution, packs: Iterable[Pack], stamps: Mapping[str, str]
) -> None:
    """Put a library's packs in place of whatever was there under its name."""
    library = _library_row(connection, distribution)
    forget_library(connection, library)
    _insert_packs(connection, library, packs)
    _put_modules(connection, library, distribution.compiled)
    for path, stamp in stamps.items():
        _file_row(connection, library, str(distribution.root), path, stamp)


def write_files(
    connection: sqlite3.Connection,
    distribution: Distribution,
    gone: Iterable[str],
    packs: Mapping[str, Iterable[Pack]],
    stamps: Mapping[str, str],
) -> None:
    """Replace what single files of a library gave; ``gone`` are the files whose rows go first."""
    library, root = _library_row(connection, distribution), str(distribution.root)
    known = dict(connection.execute("SELECT path, id FROM files WHERE library = ?", (library,)).fetchall())
    paths = {path.removeprefix(f"{root}/") for path in gone}
    _forget_files(connection, [known[path] for path in paths if path in known])
    for path in {**packs, **stamps}:
        made = list(packs.get(path, ()))
        modules = [module for pack in made for module in pack.modules]
        file = _file_row(connection, library, root, path, stamps.get(path, ""), modules)
        _insert_packs(connection, library, made, file)
    connection.execute("DELETE FROM modules WHERE library = ?", (library,))
    _put_modules(connection, library, _modules_of(connection, library))


def _library_row(connection: sqlite3.Connection, d: Distribution) -> int:
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


def _file_row(
    connection: sqlite3.Connection, library: int, root: str, path: str, stamp: str, modules: Iterable[str] = ()
) -> int:
    """A new row for a file that is looked at on its own, with the modules that it alone defines."""
    values = (library, path.removeprefix(f"{root}/"), stamp, " ".join(modules))
    cursor = connection.execute("INSERT INTO files (library, path, stamp, modules) VALUES (?, ?, ?, ?)", values)
    return int(cursor.lastrowid or 0)


def _insert_packs(connection: sqlite3.Connection, library: int, packs: Iterable[Pack], file: int | None = None) -> None:
    """Insert packs of a library, or of one ``file`` of it."""
    keys: list[tuple[int, int]] = []
    modules: list[str] = []
    for pack in packs:
        row = connection.execute(
            "INSERT INTO packs (library, file, data, words) VALUES (?, ?, ?, ?)", (library, file, pack.data, pack.words)
        )
        number = int(row.lastrowid or 0)
        keys += [(key_of(name), number * MOST_SCOPES + place) for place, name in enumerate(pack.names)]
        modules += pack.modules
    connection.executemany("INSERT OR IGNORE INTO scopes VALUES (?, ?)", sorted(keys))
    _put_modules(connection, library, modules)


def _put_modules(connection: sqlite3.Connection, library: int, modules: Iterable[str]) -> None:
    """Make modules, and the packages above them, known as submodules."""
    rows = {(parent, name, library) for module in modules for parent, name in parents(module)}
    connection.executemany("INSERT OR IGNORE INTO modules VALUES (?, ?, ?)", sorted(rows))


def _modules_of(connection: sqlite3.Connection, library: int) -> list[str]:
    """The modules that a library's single files define."""
    rows = connection.execute("SELECT modules FROM files WHERE library = ?", (library,)).fetchall()
    return [module for (modules,) in rows for module in modules.split()]


def forget_library(connection: sqlite3.Connection, library: int) -> None:
    """Delete a library's scopes and files; its row stays."""
    _forget_packs(connection, "library = ?", library)
    connection.execute("DELETE FROM files WHERE library = ?", (library,))
    connection.execute("DELETE FROM modules WHERE library = ?", (library,))


def _forget_files(connection: sqlite3.Connection, files: Iterable[int]) -> None:
    """Delete what single files gave."""
    for file in files:
        _forget_packs(connection, "file = ?", file)
        connection.execute("DELETE FROM files WHERE id = ?", (file,))


def _forget_packs(connection: sqlite3.Connection, condition: str, value: int) -> None:
    packs = [(pack,) for (pack,) in connection.execute(f"SELECT id FROM packs WHERE {condition}", (value,)).fetchall()]
    if not packs:
        return
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS gone (pack INTEGER PRIMARY KEY)")
    connection.executemany("INSERT OR IGNORE INTO gone VALUES (?)", packs)
    connection.execute(f"DELETE FROM scopes WHERE place / {MOST_SCOPES} IN (SELECT pack FROM gone)")
    connection.execute("DELETE FROM gone")
    connection.execute(f"DELETE FROM packs WHERE {condition}", (value,))
