"""Usage of a project: it counts with everybody's, and for that project alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.mining import project_key
from octod.indexer.project import index_project, project_name
from octod.indexer.store import Index
from octod.indexer.usage import decode

from tests.daemon.installed import CLIENT, Installed

USING = "import shop\nshop.open_basket('me').add('tea')\n"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The index of an environment with a shop, whose own code calls it once."""
    environment = Installed(tmp_path / "env")
    environment.install("shop", "1.0", {"shop/__init__.py": CLIENT, "shop/own.py": USING})
    path = tmp_path / "index.db"
    build(find_environment(environment.python), path, processes=0)
    return path


def members(path: Path, key: str) -> dict[str, int]:
    """The member counts under a key."""
    with Index.open(path) as index:
        data = index.usage(key)
        return decode(data).members if data else {}


def test_a_project_counts_with_all_and_for_itself(database: Path, tmp_path: Path) -> None:
    """Two files of one project add up; another project's are apart."""
    roots = [tmp_path / "mine", tmp_path / "other"]
    for root in roots:
        root.mkdir()
        (root / "a.py").write_text(USING)
    (roots[0] / "b.py").write_text(USING)
    for root in roots:
        index_project(root, database, processes=0)
    assert {"open_basket": 4} == members(database, "shop")
    assert [{"open_basket": 2}, {"open_basket": 1}] == [members(database, project_key(project_name(r), "shop")) for r in roots]
    assert {"add": 2} == members(database, project_key(project_name(roots[0]), "shop.Basket()"))


def test_what_a_project_no_longer_says_is_forgotten(database: Path, tmp_path: Path) -> None:
    """A file that goes takes its counts with it."""
    root = tmp_path / "mine"
    root.mkdir()
    (root / "a.py").write_text(USING)
    index_project(root, database, processes=0)
    (root / "a.py").unlink()
    index_project(root, database, processes=0)
    assert {} == members(database, project_key(project_name(root), "shop"))
    assert {"open_basket": 1} == members(database, "shop")
