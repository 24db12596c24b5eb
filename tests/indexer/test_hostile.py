"""Hostile libraries stay data (promise P13): each is indexed or passed over with a reason, in bounded time and memory."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
from octod.core.symbols import LibraryId, Scope
from octod.indexer import build as build_module
from octod.indexer.build import build, index_project
from octod.indexer.environment import Environment, distributions
from octod.indexer.extract import extract_module
from octod.indexer.lookup import resolve
from octod.indexer.store import Index
from octod.indexer.work import read_source
from packages import few_standard_modules, install, make_environment

HAM = LibraryId("ham", "1", "")


def extracted(source: str) -> tuple[list[Scope], list[str]]:
    """Extraction of a hostile source, which may take a few seconds of processor time and not more."""
    started = time.process_time()
    found = extract_module(source, module="ham", file="ham.py", library=HAM, is_package=False, is_stub=False)
    assert time.process_time() - started < 20
    return found


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 10_000 + ")" * 10_000,
        "x = " + "[" * 10_000 + "]" * 10_000,
        "x = " + "-" * 100_000 + "1",
        "x = " + "not " * 50_000 + "1",
        "x = " + "+".join("1" * 50_000),
        "x" + ".a" * 50_000,
        "x = " + "lambda: " * 20_000 + "1",
        "".join(f"{' ' * i}if x:\n" for i in range(2_000)) + " " * 2_000 + "pass",
        "".join(f"{' ' * i}class C{i}:\n" for i in range(90)) + " " * 90 + "pass",
        "def f(a: " + "list[" * 3_000 + "]" * 3_000 + "): ...",
        "f'" + "{" * 200 + "'",
        "x = '\0'",
        "\x0c\x0c\n\\",
        "def (",
        "x = \ud800",
    ],
    ids=lambda s: s[:12].replace("\0", "null"),
)
def test_bombs_are_survived(source: str) -> None:
    """Deep nesting of every kind, null bytes, lone surrogates: a result or a reason, never an exception."""
    found, problems = extracted(source)
    assert bool(found) != bool(problems)
    assert all("ham.py" in problem and len(problem) < 300 for problem in problems)


def test_a_hundred_thousand_overloads_are_capped() -> None:
    """Fifty are kept."""
    found, _ = extracted("@overload\ndef f(a): ...\n" * 100_000)
    assert len(found[0].symbols["f"].overloads) == 49


def test_a_docstring_of_a_megabyte_is_cut() -> None:
    """To 2,000 characters, and its sections are searched in bounded time."""
    doc = "Returns\n" * 100_000 + ".. deprecated::" * 10_000
    found, _ = extracted(f'def f():\n    """{doc}"""\n')
    assert len(found[0].symbols["f"].doc) <= 2_000


def test_a_file_of_fifty_megabytes_is_passed_over(tmp_path: Path) -> None:
    """Its size is seen before it is read."""
    path = tmp_path / "large.py"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    text, problem = read_source(path, 5_000_000)
    assert (text, "50,000,000 bytes" in problem) == (None, True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"x = '\xff\xfe'", "UTF-8"), (b"a\0b", "null byte"), (b"# coding: no-such\nx = '\xff'", "encoding")],
)
def test_undecodable_files_are_passed_over(tmp_path: Path, content: bytes, reason: str) -> None:
    """With the reason."""
    (tmp_path / "x.py").write_bytes(content)
    text, problem = read_source(tmp_path / "x.py", 1_000)
    assert (text, reason in problem) == (None, True)


def test_an_old_encoding_is_read_by_its_cookie(tmp_path: Path) -> None:
    """Latin-1 with a cookie is no fault."""
    (tmp_path / "x.py").write_bytes("# -*- coding: latin-1 -*-\nname = 'é'\n".encode("latin-1"))
    assert read_source(tmp_path / "x.py", 1_000)[0] == "# -*- coding: latin-1 -*-\nname = 'é'\n"


def test_a_pipe_called_like_a_module_does_not_hang(tmp_path: Path) -> None:
    """Nothing is read from what is no regular file."""
    os.mkfifo(tmp_path / "x.py")
    text, problem = read_source(tmp_path / "x.py", 1_000)
    assert (text, "regular file" in problem) == (None, True)


def hostile(environment: Environment) -> None:
    """Installs a library of hostile files beside a good one."""
    files: dict[str, str | bytes] = {
        "bad/__init__.py": "", "bad/nested.py": "x = " + "(" * 10_000 + ")" * 10_000, "bad/null.py": b"a\0b",
        "bad/invalid.py": b"x = '\xff'", "bad/large.py": b"#" * 6_000_000, "bad/syntax.py": "def (", "bad/fine.py": "def ok(): ...",
        "bad/cycle.py": "from .cycle import *\nfrom .cycle import x as x\nclass A(B): ...\nclass B(A): ...\n",
    }  # fmt: skip
    install(environment, "bad", "1", files)
    site = environment.site_packages[0]
    (site / "bad" / "loop").symlink_to(site / "bad")
    record = site / "bad-1.dist-info" / "RECORD"
    loop = "bad/" + "loop/" * 30 + "fine.py"
    record.write_text(record.read_text() + f"{loop},,\nbad/{'x' * 400}.py,,\nbad/missing.py,,\n\x00,,\n" + '"unclosed\n')
    install(environment, "good", "1", {"good.py": "def f(): ...\n"})


def test_a_hostile_library_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good and bad side by side: what can be read is there, what cannot is told by name, memory stays bounded."""
    environment = make_environment(tmp_path / "env")
    hostile(environment)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(build_module, "standard_library", few_standard_modules)
    report = build(environment, tmp_path / "i" / "x.db", processes=0, mining=None)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kilobytes
    told = "\n".join(report.problems)
    assert all(name in told for name in ("nested.py", "null.py", "invalid.py", "large.py", "syntax.py")), told
    assert grown < 800_000
    with Index.open(tmp_path / "i" / "x.db") as index:
        for module, name in (("bad.fine", "ok"), ("good", "f")):
            found = index.scope(module)
            assert found is not None and name in found.symbols


def test_a_hostile_project_is_survived(tmp_path: Path) -> None:
    """A repository with a link to itself and unreadable files."""
    root = tmp_path / "work"
    root.mkdir()
    (root / "loop").symlink_to(root)
    (root / "dangling.py").symlink_to(root / "nowhere.py")
    (root / "nested.py").write_text("x = " + "-" * 100_000 + "1")
    (root / "fine.py").write_text("def ok(): ...\n")
    os.mkfifo(root / "pipe.py")
    report = index_project(root, tmp_path / "i" / "x.db", processes=0, mining=None)
    assert any("nested.py" in problem for problem in report.problems)
    with Index.open(tmp_path / "i" / "x.db") as index:
        assert index.scope("fine") is not None


def test_hostile_metadata_is_survived(tmp_path: Path) -> None:
    """Endless headers, a RECORD of garbage, a finder that is no literal, names that are paths."""
    environment = make_environment(tmp_path / "env")
    site = environment.site_packages[0]
    for name in ("a-1.dist-info", "..-1.dist-info", "b.dist-info", "c-1.dist-info"):
        (site / name).mkdir()
    (site / "a-1.dist-info" / "METADATA").write_bytes(b"Name: " + b"a" * 3_000_000)
    (site / "a-1.dist-info" / "RECORD").write_bytes(os.urandom(100_000))
    (site / "b.dist-info" / "METADATA").write_bytes(b"\xff\xfe\0\0")
    (site / "b.dist-info" / "RECORD").write_text('"' * 200_000)
    (site / "c-1.dist-info" / "direct_url.json").write_text("[" * 100_000)
    (site / "c-1.dist-info" / "RECORD").write_text("__editable___c_finder.py,,\n")
    (site / "__editable___c_finder.py").write_text("MAPPING = {" + "(" * 10_000 + "}\n")
    (site / "x.pth").write_text("\0\n/nonexistent\n" + "import os\n" * 1_000 + "/\n")
    found, problems = distributions(environment)
    assert isinstance(found, list) and all(isinstance(p, str) for p in problems)


def test_a_package_of_many_star_imports_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each star leads to a module that is not there, which may come from each of the other stars, and so on."""
    environment = make_environment(tmp_path / "env")
    stars = "".join(f"from .part{number} import *\n" for number in range(14))
    install(environment, "stars", "1", {"stars/__init__.py": stars, "user.py": "import stars\nstars.thing(1)\n"})
    monkeypatch.setattr(build_module, "standard_library", few_standard_modules)
    started = time.process_time()
    build(environment, tmp_path / "x.db", processes=0)
    with Index.open(tmp_path / "x.db") as index:
        assert resolve(index, "stars.thing") is None
        assert resolve(index, "stars.part3.thing") is None
    assert time.process_time() - started < 20
