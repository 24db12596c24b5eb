"""The counts to ship: read from unpacked archives, tests for a fifth, what is measured and what forbids it left out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from octod.adapters.priors import Priors
from octod.indexer.usage import ReceiverUsage

from tests.bench.conftest import BENCH

CODE = "import folds\n" + "".join(f"folds.turn(first_argument={n}, second={n})\n" for n in range(10))


@pytest.fixture
def make_priors(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("make_priors")


def archive(folder: Path, name: str, licence: str, files: dict[str, str]) -> None:
    """An unpacked source archive."""
    root = folder / name / f"{name}-1.0"
    for path, text in {"PKG-INFO": f"Name: {name}\nLicense-Expression: {licence}\n", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_only_files_that_may_be_counted_are(make_priors: Any, tmp_path: Path) -> None:
    """Each text once, nothing vendored, no archive without a permissive licence, nothing near to what is measured."""
    archive(tmp_path / "a", "alpha", "MIT", {"alpha/one.py": CODE, "alpha/two.py": CODE, "alpha/_vendor/x.py": "import y"})
    archive(tmp_path / "a", "beta", "GPL-3.0-only", {"beta.py": "import folds"})
    archive(tmp_path / "a", "gamma", "BSD-3-Clause", {"gamma.py": CODE.replace("turn", "press"), "tests/test_it.py": "import folds"})
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "m.py").write_text(CODE.replace("turn", "press") + "more_of_it = 1\n")
    fresh = make_priors.Fresh([tmp_path / "measured"])
    tasks = [t for n, root, files in make_priors.sources([], [tmp_path / "a"]) for t in make_priors.chunks(n, root, files, fresh)]
    assert [("alpha", False, ["one.py"]), ("gamma", True, ["test_it.py"])] == [(n, t, [f.name for f in fs]) for n, t, fs in tasks]


def test_a_call_in_a_test_counts_a_fifth(make_priors: Any, tmp_path: Path) -> None:
    """Members that tests alone call stay; receivers that one distribution alone calls do not."""
    counts = make_priors.Counts()
    used = ReceiverUsage(10, {"turn": 10}, {"assign:flat": {"turn": 10}}, {}, {"turn": {"times": 10}})
    tested = ReceiverUsage(22, {"turn": 20, "check": 2}, {"context:loop": {"check": 2}})
    counts.add("alpha", False, {"folds": used, "folds.Sheet()": used})
    counts.add("beta", True, {"folds": tested})
    size, kept, least = counts.write(tmp_path / "priors.bin")
    assert ((tmp_path / "priors.bin").stat().st_size, 1, 2) == (size, kept, least)
    priors = Priors(tmp_path / "priors.bin")
    assert ReceiverUsage(15, {"turn": 14, "check": 1}, {"assign:flat": {"turn": 10}}, {}, {"turn": {"times": 10}}) == priors.of("folds")
    assert priors.of("folds.Sheet()") is None
    assert {"turn": 24} == priors.names
