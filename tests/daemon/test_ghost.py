"""Where the arguments of ghost text come from, and which of them is taken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from octod.daemon import ghost
from octod.daemon.context import Usages, place_at
from octod.daemon.protocol import Document
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.scope import callees_at
from octod.indexer.store import Index

from tests.daemon.installed import Installed

MATHS = """
def mean(values, axis=None): ...
def merge(left, right, how="inner"): ...
def clear(): ...
def blend(one, two, three): ...
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An environment with a library of functions that take none, one, two and three arguments."""
    folder = tmp_path_factory.mktemp("ghost")
    environment = Installed(folder / "env")
    environment.install("maths", "1.0", {"maths.py": MATHS})
    build(find_environment(environment.python), folder / "index.db", processes=0)
    with Index.open(folder / "index.db") as opened:
        yield opened


def texts(index: Index, source: str) -> list[str]:
    """The options at ``$0``."""
    text = f"import maths\n{source}"
    offset = text.index("$0")
    document = Document("file:///a.py", 1, text.replace("$0", ""), None)
    place = place_at(index, document, offset)
    call = ghost.call_at(place, callees_at(index, place.cursor, place.module, place.package))
    assert call is not None
    return [option.text for option in ghost.options(call, Usages(index))]


ABOVE = "def run(table, rows):\n    ages = table.ages  # 'word' of rows\n    size = 3\n    "


def test_values_of_the_lines_above_are_arguments_the_last_one_first(index: Index) -> None:
    """Variables and attributes in scope; neither calls nor modules nor words of strings."""
    assert ["size", "rows", "table.ages", "ages", "table"] == texts(index, f"{ABOVE}maths.mean($0")


def test_a_function_of_two_gets_pairs_and_one_of_none_or_many_nothing(index: Index) -> None:
    """The last three, in every order."""
    found = texts(index, f"{ABOVE}maths.merge($0")
    assert 6 == len(found)
    assert {"size, rows", "rows, size"} < set(found)
    assert [""] == texts(index, f"{ABOVE}maths.clear($0")
    assert [] == texts(index, f"{ABOVE}maths.blend($0")


def test_what_was_written_before_stays_in_front(index: Index) -> None:
    """The same list is there once."""
    found = texts(index, f"{ABOVE}maths.mean(rows)\n    maths.mean($0")
    assert "rows" == found[0]
    assert 1 == found.count("rows")


def test_without_a_model_only_what_was_written_is_taken() -> None:
    """A value that merely stands near is not said then."""
    near, earlier = ghost.Option("size"), ghost.Option("rows", earlier=1)
    assert ghost.choose([near], None) is None
    assert ghost.choose([], None) is None
    assert (1, 1.0) == ghost.choose([near, earlier], None)


def test_the_model_decides_between_values() -> None:
    """Of two that are alike otherwise the likelier is taken, with its share."""
    chosen = ghost.choose([ghost.Option("size"), ghost.Option("rows")], [-9.0, -1.0])
    assert chosen is not None
    assert 1 == chosen[0]
    assert 0.5 < chosen[1] < 1.0
