"""The index's database."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from octod.core.errors import IndexProblem
from octod.core.symbols import LibraryId, Parameter, Scope, Symbol
from octod.indexer.distribution import Distribution
from octod.indexer.packs import packs_of
from octod.indexer.rows import decode_scope, encode_scope, symbols_of
from octod.indexer.search import search
from octod.indexer.store import Index
from octod.indexer.words import searchable

ROOT = Path("/site")
HAM = LibraryId("ham", "1.0", "abc")


def distribution(name: str = "ham", version: str = "1.0", imports: tuple[str, ...] = ("ham",)) -> Distribution:
    """A distribution without files."""
    return Distribution(LibraryId(name, version, "abc"), imports, (), ROOT)


def module(qualified: str, *symbols: Symbol, library: LibraryId = HAM, file: str = "") -> Scope:
    """A module scope with these symbols."""
    place = file or f"{ROOT}/{qualified.replace('.', '/')}.py"
    return Scope(qualified, "module", library, place, "About it.", symbols={s.name: s for s in symbols})


def function(name: str, doc: str = "", **changes: object) -> Symbol:
    """A public function."""
    return replace(Symbol(name, "function", (Parameter("a"),), "int", doc=doc, line=3), **changes)  # type: ignore[arg-type]


def undocumented(scope: Scope) -> Scope:
    """The scope without its docstrings."""
    return replace(scope, doc="", symbols={n: replace(s, doc="") for n, s in scope.symbols.items()})


def opened(tmp_path: Path) -> Index:
    """An index in a folder of its own."""
    return Index.open(tmp_path / "index" / "ham.db")


def test_a_scope_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    """Every field of symbols, parameters and overloads survives, docstrings aside: those stay in the files."""
    overloads = (((Parameter("a", "positional", None, "int"), Parameter("b", "keyword", "1")), "str"), ((), None))
    scope = Scope(
        "ham.C", "class", HAM, f"{ROOT}/ham.py", "A class.", ("Base[int]", "object"),
        {
            "m": function("m", "Do m.", overloads=overloads, static=True, asynchronous=True, public=False, deprecated="no"),
            "p": Symbol("p", "property", returns="str | None", line=9),
            "a": Symbol("a", "attribute"),
            "other": Symbol("other", "alias", target="x.y.z"),
            "same": Symbol("same", "alias", target="x.y.same", public=False),
        },
        ("os",), True, "gone in 2", ("m", "p"),
    )  # fmt: skip
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham"), scope])
        assert index.scope("ham.C") == undocumented(scope)
        assert index.scope("ham.D") is None


names = st.text("abcdefgXYZ_é", min_size=1, max_size=8)
parameters = st.builds(
    Parameter, names, st.sampled_from(["positional", "standard", "vararg", "keyword", "kwarg"]),
    st.none() | st.text(max_size=5), st.none() | st.text(max_size=5),
)  # fmt: skip
signatures = st.lists(parameters, max_size=3).map(tuple)
symbols = st.builds(
    Symbol, names, st.sampled_from(["class", "function", "property", "attribute"]), st.none() | signatures,
    st.none() | st.text(max_size=9), st.none(), st.text(max_size=20), st.none() | names, st.integers(0, 10**6),
    st.booleans(), st.booleans(), st.booleans(), st.lists(st.tuples(signatures, st.none() | names), max_size=2).map(tuple),
)  # fmt: skip
aliases = st.builds(
    lambda name, target, public: Symbol(name, "alias", target=target, public=public),
    names, st.lists(names, min_size=1, max_size=3).map(".".join), st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(symbols | aliases, max_size=6))
def test_any_scope_survives_its_row(found: list[Symbol]) -> None:
    """Property: decode(encode(scope)) == scope but for docstrings, and its symbols keep their places for search."""
    scope = Scope("ham", "module", HAM, "f.py", symbols={s.name: s for s in found})
    row = encode_scope(scope)
    back = decode_scope(row.qualified, row.kind, HAM, row.file, row.data)
    assert back == undocumented(scope)
    assert [name for name, (kind, _, public) in symbols_of(row.data).items() if public and kind != "attribute"] == [
        symbol.name for symbol in searchable(back.symbols.values())
    ]
    assert len(row.words) == 1 + len(searchable(back.symbols.values()))
    assert encode_scope(back).data == row.data


def test_folder_and_file_are_private(tmp_path: Path) -> None:
    """0700 and 0600 whatever the umask."""
    before = os.umask(0)
    try:
        with opened(tmp_path) as index:
            index.replace_library(distribution(), [module("ham")])
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "index").iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "index").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_replaced_by_the_next_write(tmp_path: Path, content: bytes) -> None:
    """Reading answers nothing and says so; a build puts a new index in its place, which the reader then follows."""
    path = tmp_path / "ham.db"
    path.write_bytes(content)
    with Index.open(path) as index:
        assert (index.rebuilt, index.libraries(), index.scope("ham")) == (True, (), None)
        assert path.read_bytes() == content
        with Index.open(path) as writer:
            writer.replace_library(distribution(), [module("ham")])
            assert (writer.rebuilt, writer.scope("ham") is not None) == (False, True)
        assert (index.scope("ham") is not None, index.rebuilt) == (True, False)
    with Index.open(path) as index:
        assert index.rebuilt is False


def test_an_index_of_another_format_is_left_alone_by_readers(tmp_path: Path) -> None:
    """``user_version`` of another octod: neither misread nor wiped before a build replaces it."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham")])
        path = index.path
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Index.open(path) as index:
        assert (index.rebuilt, index.scope("ham")) == (True, None)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM packs").fetchone() == (1,)
    connection.close()


def test_an_index_cut_short_does_not_kill_its_reader(tmp_path: Path) -> None:
    """A page that is gone is an error or an unknown name, not a signal (promise P12)."""
    code = (
        "import os, sys; from octod.core.errors import IndexProblem; from octod.indexer.store import Index\n"
        "index = Index.open(sys.argv[1]); index.libraries()\n"
        "os.truncate(sys.argv[1], 4096)\n"
        "try: found = [index.scope(f'ham.m{i}') for i in range(300)]\n"
        "except IndexProblem: pass"
    )
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module(f"ham.m{i}", *map(function, "abcdef")) for i in range(300)])
    with sqlite3.connect(index.path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    command = [sys.executable, "-c", code, str(index.path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_flipped_bytes_never_raise_anything_but_our_own_error(tmp_path: Path) -> None:
    """Each damaged copy either answers, is rebuilt, or says that it is damaged."""
    with opened(tmp_path) as index:
        many = [module(f"ham.m{i}", *(function(f"f{j}", "Some words.") for j in range(10))) for i in range(40)]
        index.replace_library(distribution(), many)
        path = index.path
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    sound = path.read_bytes()
    for place in range(100, len(sound), len(sound) // 40):
        copy = tmp_path / "copy" / f"{place}.db"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(sound[:place] + bytes(b ^ 0xFF for b in sound[place : place + 64]) + sound[place + 64 :])
        try:
            with Index.open(copy) as index:
                for i in range(40):
                    found = index.scope(f"ham.m{i}")
                    assert found is None or found.qualified == f"ham.m{i}"
                index.check()
        except IndexProblem:
            pass  # told with a hint, as promised


def test_check_finds_a_damaged_row(tmp_path: Path) -> None:
    """A blob that does not inflate is found, and reading it says so without raising."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham", function("f"))])
        assert index.check() == []
        with sqlite3.connect(index.path) as connection:
            connection.execute("UPDATE packs SET data = x'00112233'")
        connection.close()
        found = index.scope("ham")
        assert (found.symbols if found else {}, index.damaged) == ({}, True)
        assert index.check() != []
    with Index.open(index.path) as index:
        assert (index.rebuilt, index.damaged, index.libraries()) == (True, False, ())


def test_a_library_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Scopes, submodules, search rows and the version of before are gone."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham"), module("ham.old", function("vanishing"))])
        index.replace_library(distribution(version="2.0"), [module("ham"), module("ham.new", function("fresh"))])
        assert index.libraries() == (LibraryId("ham", "2.0", "abc"),)
        assert (index.scope("ham.old"), index.submodules("ham")) == (None, ("ham.new",))
        assert (search(index, "vanishing"), [h.qualified for h in search(index, "fresh")]) == ([], ["ham.new.fresh"])
        assert index.check() == []


def test_removing_leaves_nothing(tmp_path: Path) -> None:
    """Not in any table."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham.a", function("f"))])
        index.remove_library("ham")
        counts = {
            table: sqlite3.connect(index.path).execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("libraries", "files", "packs", "scopes", "modules", "catalogue", "segments")
        }
        assert counts == dict.fromkeys(counts, 0)
        assert (index.scope("ham.a"), dict(index.import_names())) == (None, {})


def test_a_namespace_package_is_a_module_of_several_libraries(tmp_path: Path) -> None:
    """It has no file and no symbols, only submodules."""
    with opened(tmp_path) as index:
        index.replace_library(distribution("one", imports=("shared",)), [module("shared.one")])
        index.replace_library(distribution("two", imports=("shared",)), [module("shared.two.deep")])
        assert index.submodules("shared") == ("shared.one", "shared.two")
        found = index.scope("shared")
        assert found is not None and (found.kind, found.file, dict(found.symbols)) == ("module", "", {})
        assert [i.distribution for i in index.import_names()["shared"]] == ["one", "two"]


def test_a_compiled_module_is_there_but_unknown(tmp_path: Path) -> None:
    """Unknown is not invalid: the scope is marked dynamic."""
    with opened(tmp_path) as index:
        index.replace_library(replace(distribution(), compiled=("ham._fast",)), [module("ham")])
        found = index.scope("ham._fast")
        assert found is not None and found.dynamic
        assert index.submodules("ham") == ("ham._fast",)


def test_a_stub_package_is_merged_over_its_library(tmp_path: Path) -> None:
    """``ham-stubs`` gives the types, ``ham`` the file and the lines."""
    stub = module("ham", replace(function("f"), returns="str"), file=f"{ROOT}/ham-stubs/__init__.pyi")
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham", function("f", "Do f."))])
        index.replace_library(distribution("types-ham"), [stub])
        found = index.scope("ham")
        assert found is not None
        assert (found.symbols["f"].returns, found.file) == ("str", f"{ROOT}/ham.py")


def test_files_are_replaced_one_by_one(tmp_path: Path) -> None:
    """What a project's other files gave stays."""
    with opened(tmp_path) as index:
        first, second = module("ham.a", function("f")), module("ham.b", function("g"))
        both = {scope.file: packs_of([encode_scope(scope)]) for scope in (first, second)}
        index.replace_files(distribution(), [], both, {first.file: "1:1", second.file: ""})
        renamed = module("ham.a", function("renamed"))
        index.replace_files(distribution(), [first.file], {first.file: packs_of([encode_scope(renamed)])}, {first.file: "1:2"})
        assert index.scope("ham.a") == undocumented(renamed)
        assert index.scope("ham.b") == undocumented(second)
        assert index.files("ham") == {first.file: "1:2", second.file: ""}
        assert [h.qualified for h in search(index, "renamed")] == ["ham.a.renamed"]
        index.replace_files(distribution(), [first.file], {}, {})
        assert (index.scope("ham.a"), index.submodules("ham")) == (None, ("ham.b",))


def test_usage_is_merged_by_receiver_and_kept_by_source(tmp_path: Path) -> None:
    """Removing a source takes back what it said."""
    with opened(tmp_path) as index:
        index.put_usage("one", {"ham": b"a", "eggs": b"x"}, "stamp")
        index.put_usage("two", {"ham": b"b"})
        assert index.usage("ham") is None
        assert index.merge_usage(b"+".join) == 2
        assert (index.usage("ham"), index.usage("eggs"), index.usage("spam")) == (b"a+b", b"x", None)
        assert index.usage_sources() == {"one": "stamp", "two": ""}
        index.remove_usage("one")
        assert index.merge_usage(b"+".join) == 2
        assert (index.usage("ham"), index.usage("eggs")) == (b"b", None)


def test_another_process_writing_is_noticed(tmp_path: Path) -> None:
    """What was cached before is read again, and the generation grows."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham", function("f"))])
        assert index.scope("ham") is not None
        before = index.generation
        code = (
            "import sys; from pathlib import Path; from octod.indexer.store import Index\n"
            "index = Index.open(sys.argv[1]); index.remove_library('ham'); index.close()"
        )
        subprocess.run([sys.executable, "-c", code, str(index.path)], check=True, timeout=60)
        assert (index.scope("ham"), index.generation > before) == (None, True)


def test_a_file_replaced_under_a_reader_is_noticed(tmp_path: Path) -> None:
    """Another process found damage and made the index again: the reader follows."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham")])
        assert index.scope("ham") is not None
        for path in list((tmp_path / "index").iterdir()):
            if not path.name.endswith(".lock"):
                path.unlink()
        with Index.open(index.path) as other:
            other.replace_library(distribution("eggs", imports=("eggs",)), [module("eggs")])
        assert (index.scope("ham"), index.scope("eggs") is not None) == (None, True)


def test_threads_share_an_index(tmp_path: Path) -> None:
    """Readers on many threads beside a writer: no error, and no torn answer."""
    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham", function("f"))])
        failures: list[BaseException] = []

        def read() -> None:
            try:
                for _ in range(200):
                    found = index.scope("ham")
                    assert found is None or list(found.symbols) == ["f"]
            except (AssertionError, IndexProblem, sqlite3.Error) as error:
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            index.replace_library(distribution(), [module("ham", function("f"))])
        for thread in threads:
            thread.join()
        assert failures == []


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """One transaction: an error half way changes nothing."""
    def half(scope: Scope) -> object:
        yield scope
        raise RuntimeError("half way")

    with opened(tmp_path) as index:
        index.replace_library(distribution(), [module("ham", function("f"))])
        before = index.generation
        with pytest.raises(RuntimeError, match="half way"):
            index.replace_library(distribution(version="2"), half(module("eggs")))  # type: ignore[arg-type]
        assert (index.scope("ham") is not None, index.scope("eggs"), index.generation) == (True, None, before)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The message names the path and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="file") as caught:
        Index.open(tmp_path / "file" / "ham.db")
    assert getattr(caught.value, "hint", "")


def test_search_finds_public_names_by_words(tmp_path: Path) -> None:
    """By the start of words, of camel-case parts too; the exact name first; privates never."""
    with opened(tmp_path) as index:
        core = module(
            "ham.core", function("read_csv", "Read a table."), function("read_json"), function("_read_secret", public=False),
            Symbol("DataFrame", "class", doc="A table."),
        )  # fmt: skip
        package = module("ham", Symbol("read_csv", "alias", target="ham.core.read_csv"))
        index.replace_library(distribution(), [package, core, module("ham._private", function("read_hidden"))])
        assert [h.qualified for h in search(index, "read csv")] == ["ham.read_csv"]
        assert [h.qualified for h in search(index, "read")] == ["ham.read_csv", "ham.core.read_json"]
        assert [h.qualified for h in search(index, "frame")] == ["ham.core.DataFrame"]
        assert [h.qualified for h in search(index, "table")] == ["ham.read_csv", "ham.core.DataFrame"]
        assert search(index, '"* OR') == search(index, "") == []
