"""What is taken from a menu is told by the next text, in whatever way the editor wrote it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from octod.adapters.accepted import Accepted
from octod.core.answers import Menu
from octod.core.paths import Paths
from octod.core.settings import Settings
from octod.daemon.context import place_at
from octod.daemon.learning import Learning
from octod.daemon.protocol import Document
from octod.daemon.service import OctodService
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.store import Index

from tests.daemon.installed import CLIENT, Installed

KEY = "shop.Basket()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with the shop."""
    made = Installed(tmp_path_factory.mktemp("learning") / "env")
    made.install("shop", "1.0", {"shop/__init__.py": CLIENT})
    return made


@pytest.fixture(scope="module")
def index(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Its index."""
    path = tmp_path_factory.mktemp("index") / "shop.db"
    build(find_environment(installed.python), path, processes=0)
    with Index.open(path) as opened:
        yield opened


@pytest.fixture
def learning(tmp_path: Path) -> Iterator[Learning]:
    """One with an empty store."""
    with ThreadPoolExecutor(1) as reader:
        yield Learning(Accepted(tmp_path / "data" / "learned.db"), reader)


def written(text: str, version: int = 1) -> Document:
    """A buffer that a person types in."""
    return Document("file:///a.py", version, text, typed=True)


def offered(learning: Learning, index: Index, marked: str) -> str:
    """Answer a menu at ``$0``; returns the text."""
    text, offset = marked.replace("$0", ""), marked.index("$0")
    document = written(text)
    learning.offered(document, place_at(index, document, offset))
    return text


START = "import shop\nc = shop.Basket()\n"


@pytest.mark.parametrize(
    ("asked", "then"),
    [
        ("c.$0", "c.add("),
        ("c.$0", "c.add()\n"),
        ("c.a$0", "c.add("),
        ("c.$0\nprint(1)\n", "c.add()\nprint(1)\n"),
        ("f(c.$0)", "f(c.add())"),
        ("f(c.$0)", "f(c.add, 1)"),
        ("c.$0", "c.add(1).done()\nc."),
    ],
)
def test_a_name_with_something_behind_it_was_taken(learning: Learning, index: Index, asked: str, then: str) -> None:
    """Brackets, commas, lines or more code behind the name; told once."""
    offered(learning, index, START + asked)
    document = written(START + then, 2)
    assert (KEY, "add") == learning.taken(document)
    assert learning.taken(document) is None


@pytest.mark.parametrize(
    ("asked", "then"),
    [
        ("c.$0", "c.ad"),
        ("c.$0", "c.add"),  # may become another name
        ("f(c.$0)", "f(c.add)"),
        ("c.$0", "c."),
        ("c.$0", "c.unheard()"),
        ("c.$0", "c.adder()"),
        ("c.$0", "d.add()"),
    ],
)
def test_what_is_not_taken_teaches_nothing(learning: Learning, index: Index, asked: str, then: str) -> None:
    """Half names, names that were not offered, changes elsewhere."""
    offered(learning, index, START + asked)
    assert learning.taken(written(START + then, 2)) is None


def test_a_name_is_taken_however_many_texts_it_took(learning: Learning, index: Index) -> None:
    """Typed letter by letter, it counts when it is whole."""
    offered(learning, index, f"{START}c.$0")
    found = [learning.taken(written(f"{START}c.{typed}", n)) for n, typed in enumerate(("a", "ad", "add", "add("), 2)]
    assert [None, None, None, (KEY, "add")] == found


def test_only_what_a_person_types_teaches(learning: Learning, index: Index) -> None:
    """The commands of the terminal and the ghost text of a selected entry ask with texts that nobody wrote."""
    text = START + "c."
    plain = replace(written(text), typed=False)
    learning.offered(plain, place_at(index, plain, len(text)))
    assert learning.taken(written(text + "add(")) is None
    offered(learning, index, f"{START}c.$0")
    assert learning.taken(replace(written(text + "add("), typed=False)) is None


def test_a_closed_document_is_forgotten(learning: Learning, index: Index) -> None:
    """Nothing of it is kept."""
    offered(learning, index, f"{START}c.$0")
    learning.closed("file:///a.py")
    assert learning.taken(written(START + "c.add(")) is None


@pytest.mark.parametrize("learn", [True, False])
def test_the_service_learns_what_is_taken_where_it_may(installed: Installed, tmp_path: Path, learn: bool) -> None:
    """A name taken a few times comes first in the next menu; with ``learn = false`` no file is made."""

    async def session() -> list[str]:
        service = OctodService(paths, Settings(engine="none", learn=learn), None, None)
        await service.index(installed.python, False)
        text, version = START, 1
        for _ in range(3):
            for more in ("c.", "checkout(1)\n"):
                text, version = text + more, version + 1
                document = Document("file:///a.py", version, text, None, installed.python, typed=True)
                await (service.menu if more == "c." else service.signature)(document, len(text))
        last = Document("file:///b.py", 1, START + "c.", None, installed.python, typed=True)
        deadline = time.monotonic() + 10
        while learn and not accepted.of(KEY) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        menu = await service.menu(last, len(last.text))
        await service.stop()
        assert isinstance(menu, Menu)
        return [item.name for item in menu.items]

    paths = Paths.of({"OCTOD_HOME": str(tmp_path)})
    accepted = Accepted.at(paths)
    names = asyncio.run(session())
    assert learn is accepted.path.exists()
    if learn:
        assert {"checkout"} == set(accepted.of(KEY))
        assert "checkout" == names[0]
