"""Building the index of an environment and of a project."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import counting
import pytest
from octod.indexer import build as build_module
from octod.indexer.build import Progress, build, index_project
from octod.indexer.documentation import doc_of_member
from octod.indexer.environment import Environment
from octod.indexer.pool import run_tasks
from octod.indexer.project import project_name
from octod.indexer.store import Index
from packages import few_standard_modules, install, make_environment, uninstall


@pytest.fixture(autouse=True)
def small_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds read three modules of the standard library instead of seven hundred."""
    monkeypatch.setattr(build_module, "standard_library", few_standard_modules)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with two libraries, one of which uses the other."""
    made = make_environment(tmp_path / "env")
    install(made, "ham", "1", {"ham/__init__.py": "from .core import f", "ham/core.py": "def f(a): 'Do f.'\n"})
    tests = {"eggs/tests/test_eggs.py": "import ham\nham.f(1)\nham.f(2)\ndef test_a(): ...\n"}
    install(made, "eggs", "2", {"eggs/__init__.py": "import ham\nham.f(0)\nclass C: ...\n", **tests})
    return made


def built(environment: Environment, tmp_path: Path, processes: int = 0) -> Index:
    """An index brought up to date with the stand-in for mining."""
    build(environment, tmp_path / "i" / "x.db", processes=processes, mining="counting")
    return Index.open(tmp_path / "i" / "x.db")


@pytest.mark.parametrize("processes", [0, 2])
def test_a_build_indexes_everything_once(environment: Environment, tmp_path: Path, processes: int) -> None:
    """API and usage of all libraries; the second run reads nothing; worker processes give the same."""
    told: list[Progress] = []
    path = tmp_path / "i" / "x.db"
    report = build(environment, path, processes=processes, mining="counting", progress=told.append)
    assert (report.libraries, report.changed, report.removed) == (3, ("eggs", "ham", "stdlib"), ())
    assert (report.files > 5, report.symbols > 100, report.problems) == (True, True, ())
    assert {p.stage for p in told} == {"api", "usage"}
    assert all(0 < p.done <= p.total for p in told)
    with Index.open(path) as index:
        found = index.scope("ham.core")
        assert found is not None and doc_of_member(index, "ham.core.f", found.symbols["f"]) == "Do f."
        assert json.loads(index.usage("ham") or b"") == {"f": 3}
        dumps = index.scope("json")
        assert dumps is not None and dumps.symbols["dumps"].returns == "str"
        assert "JSON" in doc_of_member(index, "json.dumps", dumps.symbols["dumps"])
    again = build(environment, path, processes=processes, mining="counting")
    assert (again.changed, again.removed, again.files, again.libraries) == ((), (), 0, 3)


def test_tests_are_mined_but_are_no_api(environment: Environment, tmp_path: Path) -> None:
    """``eggs.tests`` counts for usage and is not there as a module."""
    with built(environment, tmp_path) as index:
        assert (index.scope("eggs.tests.test_eggs"), index.submodules("eggs")) == (None, ())


def test_an_upgrade_reads_one_library(environment: Environment, tmp_path: Path) -> None:
    """Only what has another version or RECORD."""
    built(environment, tmp_path).close()
    install(environment, "ham", "2", {"ham/__init__.py": "def g(): ...\n"})
    report = build(environment, tmp_path / "i" / "x.db", processes=0, mining="counting")
    assert report.changed == ("ham",)
    with Index.open(tmp_path / "i" / "x.db") as index:
        found = index.scope("ham")
        assert found is not None and list(found.symbols) == ["g"]
        assert index.scope("ham.core") is None


def test_what_is_uninstalled_is_forgotten(environment: Environment, tmp_path: Path) -> None:
    """Its scopes, and what it said of others' usage."""
    built(environment, tmp_path).close()
    uninstall(environment, "eggs")
    report = build(environment, tmp_path / "i" / "x.db", processes=0, mining="counting")
    assert report.removed == ("eggs",)
    with Index.open(tmp_path / "i" / "x.db") as index:
        assert (index.scope("eggs"), index.usage("ham")) == (None, None)


def test_mining_that_was_interrupted_is_made_up_for(environment: Environment, tmp_path: Path) -> None:
    """Usage has its own stamp: an API that is up to date does not hide usage that is not."""
    build(environment, tmp_path / "i" / "x.db", processes=0, mining=None)
    with built(environment, tmp_path) as index:
        assert json.loads(index.usage("ham") or b"") == {"f": 3}


def test_other_mining_code_mines_everything_again(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version is part of what a source is known by."""
    built(environment, tmp_path).close()
    monkeypatch.setattr(counting, "VERSION", 2)
    monkeypatch.setattr(counting, "encode", lambda usage: b'{"anew": 1}')
    with built(environment, tmp_path) as index:
        assert json.loads(index.usage("ham") or b"") == {"anew": 1}


def test_merging_that_was_interrupted_is_made_up_for(environment: Environment, tmp_path: Path) -> None:
    """What was mined but not yet merged counts after the next build."""
    with built(environment, tmp_path) as index:
        index.put_usage("eggs", {"ham": b'{"late": 7}'}, index.usage_sources()["eggs"])
        build(environment, index.path, processes=0, mining="counting")
        assert json.loads(index.usage("ham") or b"") == {"late": 7}


def test_a_damaged_index_is_built_again(environment: Environment, tmp_path: Path) -> None:
    """A reader met bytes that cannot be right; the next build starts from nothing and the reader sees it (promise P12)."""
    with built(environment, tmp_path) as index:
        with sqlite3.connect(index.path) as connection:
            connection.execute("UPDATE packs SET data = x'00'")
        connection.close()
        damaged = index.scope("ham.core")
        assert (dict(damaged.symbols) if damaged else {}, index.damaged) == ({}, True)
        assert build(environment, index.path, processes=0, mining="counting").changed == ("eggs", "ham", "stdlib")
        found = index.scope("ham.core")
        assert found is not None and list(found.symbols) == ["f"]


def test_without_a_mining_module_the_api_is_there(environment: Environment, tmp_path: Path) -> None:
    """And the report says what is missing."""
    report = build(environment, tmp_path / "x.db", processes=0, mining="no_such_module")
    assert any("no_such_module" in problem for problem in report.problems)
    with Index.open(tmp_path / "x.db") as index:
        assert index.scope("ham") is not None


def test_a_project_is_indexed_and_mined(environment: Environment, tmp_path: Path) -> None:
    """Its modules by the name they are imported under, its usage beside that of the libraries."""
    built(environment, tmp_path).close()
    root = tmp_path / "work"
    files = {
        "src/mine/__init__.py": "", "src/mine/tool.py": "import ham\nham.f(1)\ndef own(): 'Mine.'\n",
        "script.py": "import ham\nham.g(1)\n", ".venv/lib/no.py": "import ham\nham.hidden()\n",
        "node_modules/no.py": "import ham\nham.hidden()\n", "e/pyvenv.cfg": "", "e/lib/no.py": "import ham\nham.hidden()\n",
        "tests/test_mine.py": "import ham\nham.f(9)\n", "broken.py": "def (",
    }  # fmt: skip
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    report = index_project(root, tmp_path / "i" / "x.db", processes=0, mining="counting")
    assert (report.files, report.changed, report.removed) == (5, 5, 0)
    assert len(report.problems) == 1 and "broken.py" in report.problems[0]
    with Index.open(tmp_path / "i" / "x.db") as index:
        found = index.scope("mine.tool")
        assert found is not None and doc_of_member(index, "mine.tool.own", found.symbols["own"]) == "Mine."
        assert found.library.distribution == project_name(root)
        assert index.scope("test_mine") is None
        assert json.loads(index.usage("ham") or b"") == {"f": 5, "g": 1}
    assert index_project(root, tmp_path / "i" / "x.db", processes=0, mining="counting").changed == 0


def test_one_edited_file_is_read_again(environment: Environment, tmp_path: Path) -> None:
    """A changed file, a new one and one that went; the build of the environment leaves the project alone."""
    built(environment, tmp_path).close()
    root, path = tmp_path / "work", tmp_path / "i" / "x.db"
    root.mkdir()
    for name in ("a", "b", "c"):
        (root / f"{name}.py").write_text(f"import ham\nham.{name}()\ndef {name}(): ...\n")
    index_project(root, path, processes=0, mining="counting")
    (root / "a.py").write_text("import ham\nham.changed()\ndef changed(): ...\n")
    (root / "b.py").unlink()
    (root / "d.py").write_text("def d(): ...\n")
    report = index_project(root, path, processes=0, mining="counting")
    assert (report.files, report.changed, report.removed) == (3, 2, 1)
    assert build(environment, path, processes=0, mining="counting").removed == ()
    with Index.open(path) as index:
        scopes = {name: index.scope(name) for name in "abcd"}
        assert {n: list(s.symbols) for n, s in scopes.items() if s} == {"a": ["changed", "ham"], "c": ["c", "ham"], "d": ["d"]}
        assert json.loads(index.usage("ham") or b"") == {"f": 3, "changed": 1, "c": 1}


def test_a_task_that_kills_its_worker_is_passed_over() -> None:
    """The others are done all the same, and the reason is told."""
    results = {number: (result, reason) for number, result, reason in run_tasks(_square_or_die, [1, 2, -1, 3], 2)}
    assert {n: r for n, (r, _) in results.items() if r is not None} == {0: 1, 1: 4, 3: 9}
    assert results[2] == (None, "its worker process died")


def test_a_task_that_raises_is_told() -> None:
    """In this process and in a worker."""
    for processes in (0, 1):
        ((_, result, reason),) = run_tasks(_square_or_die, [0], processes)
        assert (result, reason) == (None, "ZeroDivisionError: zero")


def _square_or_die(number: int) -> int:
    if number < 0:
        os._exit(9)
    if number == 0:
        raise ZeroDivisionError("zero")
    return number * number
