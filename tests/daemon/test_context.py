"""What is known at a cursor: counts of all, of the repository, what was accepted, the words around."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from octod.adapters.accepted import Accepted
from octod.adapters.priors import Priors, write
from octod.daemon.context import Usages, evidence_at, place_at, words_around
from octod.daemon.protocol import Document
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.project import index_project
from octod.indexer.store import Index
from octod.indexer.usage import ReceiverUsage

from tests.daemon.installed import CLIENT, Installed

USING = "import shop\nshop.open_basket('me').add('tea')\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that uses the shop of its environment."""
    folder = tmp_path_factory.mktemp("context")
    environment = Installed(folder / "env")
    environment.install("shop", "1.0", {"shop/__init__.py": CLIENT, "shop/own.py": USING})
    build(find_environment(environment.python), folder / "index.db", processes=0)
    (folder / "project").mkdir()
    (folder / "project" / "a.py").write_text(USING)
    index_project(folder / "project", folder / "index.db", processes=0)
    return folder


@pytest.fixture
def index(folder: Path) -> Iterator[Index]:
    """Their index."""
    with Index.open(folder / "index.db") as opened:
        yield opened


@pytest.fixture
def priors(tmp_path: Path) -> Priors:
    """Shipped counts that know more of baskets than the environment."""
    usage = ReceiverUsage(9, {"checkout": 9}, {"assign:bill": {"checkout": 4}})
    write(tmp_path / "priors.bin", {"shop.Basket()": usage}, {"add": 5, "checkout": 9})
    return Priors(tmp_path / "priors.bin")


def test_evidence_adds_up_what_all_know(folder: Path, index: Index, priors: Priors, tmp_path: Path) -> None:
    """The environment's counts with the shipped ones, the project's alone, what was accepted, what is wanted."""
    accepted = Accepted(tmp_path / "data" / "learned.db")
    accepted.note("shop.Basket()", "checkout")
    text = "import shop\nbasket = shop.open_basket('me')\nbill: Bill = basket."
    root = folder / "project"
    document = Document((root / "b.py").as_uri(), 1, text, str(root / "b.py"), None, str(root))
    place = place_at(index, document, len(text))
    evidence = evidence_at(index, Usages(index, priors, accepted), place)
    assert ["shop.Basket()"] == place.keys
    assert evidence.usage is not None
    assert {"checkout": 9, "add": 1} == evidence.usage.members
    assert {"add": 1} == evidence.project
    assert {"checkout": 1.0} == evidence.accepted
    assert {"add": 5, "checkout": 9} == evidence.names
    assert {"Bill"} == evidence.expected.types
    assert 2 == evidence.around["basket"]


def test_without_a_project_and_without_learning_nothing_speaks(index: Index, priors: Priors) -> None:
    """A document of no workspace in a daemon that does not learn."""
    text = "import shop\nshop."
    evidence = evidence_at(index, Usages(index, priors), place_at(index, Document("file:///a.py", 1, text), len(text)))
    assert ({}, {}) == (evidence.project, evidence.accepted)


def test_words_around_are_those_of_the_last_names() -> None:
    """Names are cut into words and counted; far ones do not count."""
    assert {"read": 2, "csv": 1, "path": 1} == words_around("read_csv(path, read=1)")
    assert "far" not in words_around("far = 1\n" + "near = 2\n" * 80)
