"""When the catalogue is made anew, and how much of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.cataloguing import catalogue
from octod.indexer.distribution import Distribution
from octod.indexer.packs import packs_of
from octod.indexer.rows import encode_scope
from octod.indexer.search import search
from octod.indexer.store import Index


def put(index: Index, name: str, packs: int) -> None:
    """A library of so many packs, one function in each."""
    library = LibraryId(name, "1", "")
    scopes = (
        Scope(f"{name}.m{n}", "module", library, f"/site/{name}/m{n}.py", symbols={f"{name}{n}": Symbol(f"{name}{n}", "function")})
        for n in range(packs)
    )
    made = [pack for scope in scopes for pack in packs_of([encode_scope(scope)])]
    index.replace_packs(Distribution(library, (name,), (), Path("/site")), made)


def segments(index: Index) -> list[int]:
    """How many packs each stored segment was made of."""
    connection = sqlite3.connect(index.path)
    found = [packs for (packs,) in connection.execute("SELECT packs FROM segments ORDER BY high")]
    assert bool(found) == bool(connection.execute("SELECT count(*) FROM catalogue").fetchone()[0])
    connection.close()
    return found


def test_little_that_is_new_waits_and_much_is_joined(tmp_path: Path) -> None:
    """A few packs are catalogued by who asks, more of them are stored, and pieces of like size become one."""
    with Index.open(tmp_path / "x.db") as index:
        seen = []
        for name, packs in (("big", 100), ("few", 3), ("more", 17), ("most", 20)):
            put(index, name, packs)
            catalogue(index, 0, [])
            seen.append(segments(index))
            assert search(index, f"{name}2")[0].qualified == f"{name}.m2.{name}2"
        assert seen == [[100], [100], [100, 20], [140]]


def test_what_nothing_was_written_to_is_left_alone(tmp_path: Path) -> None:
    """No new generation, and so nothing that others would have to read again."""
    with Index.open(tmp_path / "x.db") as index:
        put(index, "ham", 2)
        catalogue(index, 0, [])
        before = index.generation
        catalogue(index, 0, [])
        assert (segments(index), index.generation) == ([2], before)


def test_calls_that_were_mined_later_count(tmp_path: Path) -> None:
    """What was catalogued before anything was known of its usage is catalogued again."""
    with Index.open(tmp_path / "x.db") as index:
        put(index, "ham", 2)
        catalogue(index, 0, [])
        index.put_usage("user", {"ham": b"x"})
        index.merge_usage(b"".join, lambda receiver, entry: {"ham.m1.ham1": 50})
        assert search(index, "ham")[0].qualified == "ham.m0.ham0"
        catalogue(index, 0, [])
        assert [hit.qualified for hit in search(index, "ham")][:2] == ["ham.m1.ham1", "ham.m0.ham0"]


def test_another_process_catalogues_much(tmp_path: Path) -> None:
    """And the result is the one of this process."""
    with Index.open(tmp_path / "x.db") as index:
        put(index, "ham", 60)
        before = search(index, "ham", 60)
        problems: list[str] = []
        catalogue(index, None, problems)
        assert (segments(index), problems, search(index, "ham", 60)) == ([60], [], before)


def test_a_piece_that_came_too_late_is_dropped(tmp_path: Path) -> None:
    """Another process joined what it was to follow."""
    with Index.open(tmp_path / "x.db") as index:
        put(index, "big", 100)
        catalogue(index, 0, [])
        put(index, "more", 17)
        due = index.uncatalogued()
        assert due == (100, 17)
        late = index.piece(due[0])
        index.put_piece(index.piece(0))
        index.put_piece(late)
        assert segments(index) == [117]


def test_what_is_mostly_gone_is_made_again(tmp_path: Path) -> None:
    """And what is gone entirely leaves nothing."""
    with Index.open(tmp_path / "x.db") as index:
        put(index, "ham", 30)
        put(index, "eggs", 20)
        catalogue(index, 0, [])
        index.remove_library("ham")
        catalogue(index, 0, [])
        assert segments(index) == [20]
        index.remove_library("eggs")
        catalogue(index, 0, [])
        assert segments(index) == []
