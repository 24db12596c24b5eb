"""Search by words, on libraries that were catalogued and on ones that were not yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.cataloguing import catalogue
from octod.indexer.distribution import Distribution
from octod.indexer.search import search, symbol_of
from octod.indexer.store import Index


def function(name: str, doc: str = "", **changes: object) -> Symbol:
    """A public function."""
    return replace(Symbol(name, "function", (), doc=doc, line=3), **changes)  # type: ignore[arg-type]


def alias(target: str, name: str = "") -> Symbol:
    """A public re-export."""
    return Symbol(name or target.rpartition(".")[2], "alias", target=target)


def put(index: Index, name: str, scopes: dict[str, list[Symbol]], docs: dict[str, str] | None = None) -> None:
    """Write a library of these modules; a name that ends with a capitalised part is a class."""
    library = LibraryId(name, "1.0", "")
    made = [
        Scope(
            path, "class" if path.rpartition(".")[2][:1].isupper() else "module", library, f"/site/{path}.py",
            doc=(docs or {}).get(path, ""), symbols={symbol.name: symbol for symbol in symbols},
        )
        for path, symbols in scopes.items()
    ]  # fmt: skip
    index.replace_library(Distribution(library, (name,), (), Path("/site")), made)


def found(index: Index, words: str) -> list[str]:
    """The public names of the hits."""
    return [hit.qualified for hit in search(index, words)]


@pytest.fixture(params=["stored", "fresh"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """Two libraries, catalogued in the file or in memory alone."""
    with Index.open(tmp_path / "x.db") as made:
        scopes = {
            "ham": [alias("ham.core.read_csv"), alias("ham._io.Frame"), alias("os.getcwd")],
            "ham.core": [function("read_csv", "Read a table of text."), function("read"), function("_hidden", public=False)],
            "ham._io": [Symbol("Frame", "class", doc="Rows and columns."), function("inner")],
            "ham._io.Frame": [function("mean", "The average of rows."), function("plotTwice"), Symbol("size", "attribute")],
        }
        put(made, "ham", scopes, {"ham": "Cured tables."})
        put(made, "stdlib", {"os": [function("getcwd")], "_csv": [function("reader")], "csv": [alias("_csv.reader")]})
        if request.param == "stored":
            catalogue(made, 0, [])
        yield made


@pytest.mark.parametrize(
    ("words", "names"),
    {
        "a name of several words, then its place": ("read csv", ["ham.read_csv", "csv.reader"]),
        "the exact name first": ("read", ["ham.core.read", "ham.read_csv", "csv.reader"]),
        "written together": ("plot twice", ["ham.Frame.plotTwice"]),
        "and found apart": ("plottwice", ["ham.Frame.plotTwice"]),
        "a beginning": ("pl tw", ["ham.Frame.plotTwice"]),
        "a docstring in the plural": ("columns", ["ham.Frame"]),
        "a member of what is public elsewhere": ("average", ["ham.Frame.mean"]),
        "the class around it": ("frame mean", ["ham.Frame.mean"]),
        "the library's docstring": ("cured mean", ["ham.Frame.mean"]),
        "a private home of a public name": ("reader", ["csv.reader"]),
        "a re-export of another library": ("getcwd", ["os.getcwd"]),
        "in capitals": ("READ_CSV", ["ham.read_csv", "csv.reader"]),
        "attributes are not searched": ("size", []),
        "nor what is private": ("inner hidden", []),
        "nothing of the sort": ("qwertyuiop", []),
        "one word of two": ("read qwertyuiop", []),
    }.values(),
)
def test_words_find_public_names(index: Index, words: str, names: list[str]) -> None:
    """Each thing once, under its shortest public name, whatever leads to it."""
    assert found(index, words) == names


def test_a_hit_says_what_and_where_it_is(index: Index) -> None:
    """Its kind, its library, where it is defined; its symbol is read when asked for."""
    hit = search(index, "frame")[0]
    assert (hit.qualified, hit.defined, hit.kind, str(hit.library)) == ("ham.Frame", "ham._io.Frame", "class", "ham 1.0")
    symbol = symbol_of(index, hit)
    assert symbol is not None
    assert (symbol.name, symbol.kind) == ("Frame", "class")


def test_what_is_called_often_comes_first(tmp_path: Path) -> None:
    """Of equal names."""
    with Index.open(tmp_path / "x.db") as index:
        put(index, "ham", {f"ham.{module}": [function("smoke")] for module in "abcd"})
        index.put_usage("user", {"ham.c": b"x"})
        index.merge_usage(b"".join, lambda receiver, entry: {f"{receiver}.smoke": 9})
        assert found(index, "smoke")[0] == "ham.c.smoke"


def test_what_is_gone_is_found_no_more(index: Index) -> None:
    """A library that was replaced or removed, before anybody catalogues anew."""
    put(index, "ham", {"ham": [function("fresh")]})
    assert (found(index, "mean"), found(index, "fresh"), found(index, "getcwd")) == ([], ["ham.fresh"], ["os.getcwd"])
    index.remove_library("ham")
    assert (found(index, "fresh"), found(index, "getcwd")) == ([], ["os.getcwd"])
    catalogue(index, 0, [])
    assert (found(index, "fresh"), found(index, "getcwd")) == ([], ["os.getcwd"])


def test_of_many_words_that_begin_alike_all_are_found(tmp_path: Path) -> None:
    """Also where the index keeps a list of their best."""
    names = [f"data{chr(97 + a)}{chr(97 + b)}" for a in range(8) for b in range(8)]
    with Index.open(tmp_path / "x.db") as index:
        put(index, "ham", {"ham": [function(name) for name in names] + [function("data")]})
        catalogue(index, 0, [])
        assert found(index, "data")[0] == "ham.data"
        assert {hit.qualified for hit in search(index, "dat", 100)} >= {f"ham.{name}" for name in names}
        assert found(index, "ham datacc") == ["ham.datacc"]


def test_damage_is_no_answer_and_remembered(index: Index) -> None:
    """Bytes of the catalogue that cannot be right: what is missing is not found, and the next build makes it again."""
    with sqlite3.connect(index.path) as connection:
        stored = connection.execute("UPDATE catalogue SET data = x'0011'").rowcount
        connection.execute("UPDATE meta SET value = value + 1")
    connection.close()
    assert (found(index, "mean"), index.damaged) == (([], True) if stored else (["ham.Frame.mean"], False))
