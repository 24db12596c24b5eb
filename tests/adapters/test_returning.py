"""What members give, beside what is wanted."""

from __future__ import annotations

import pytest
from octod.adapters.returning import COLUMNS, Returning, words_of
from octod.core.symbols import LibraryId, Member, Symbol
from octod.indexer.expected import Expected, Use

LIBRARY = LibraryId("folds", "1.0", "")
NAMES = {
    "press": Symbol("press", "function", returns="None"),
    "is_flat": Symbol("is_flat", "function", returns="bool"),
    "sheets": Symbol("sheets", "function", returns="Iterator[Sheet]"),
    "locked": Symbol("locked", "function", returns="AbstractContextManager[None]"),
    "fetch": Symbol("fetch", "function", returns="Sheet", asynchronous=True),
    "TornError": Symbol("TornError", "class"),
    "Sheet": Symbol("Sheet", "class"),
    "other": Symbol("other", "function"),
}
ROWS = Returning([Member(symbol, "folds", LIBRARY) for symbol in NAMES.values()])


def marked(column: str, expected: Expected) -> set[str]:
    """The members that a column marks."""
    values = ROWS.columns(expected)[:, COLUMNS.index(column)]
    return {name for name, value in zip(NAMES, values, strict=True) if value}


@pytest.mark.parametrize(
    ("use", "wanted", "unwanted"),
    [
        ("value", set(), {"press", "fetch", "TornError"}),
        ("argument", set(), {"press", "TornError"}),
        ("condition", {"is_flat"}, {"press", "fetch", "TornError"}),
        ("iterable", {"sheets"}, {"press", "fetch", "TornError"}),
        ("manager", {"sheets", "locked"}, {"press", "fetch", "TornError"}),
        ("coroutine", {"fetch"}, {"press", "TornError"}),
        ("exception", {"TornError"}, {"press", "fetch"}),
        ("nothing", set(), {"fetch", "TornError", "Sheet"}),
    ],
)
def test_what_is_done_with_it_speaks_for_some_and_against_others(use: Use, wanted: set[str], unwanted: set[str]) -> None:
    """Each use of an expression has its members."""
    assert wanted == marked("wanted", Expected(use))
    assert unwanted == marked("unwanted", Expected(use))


def test_none_is_fine_where_the_result_is_thrown_away() -> None:
    """A statement of its own mostly calls for an effect."""
    assert {"press"} == marked("thrown_away", Expected("nothing"))
    assert set() == marked("thrown_away", Expected("value"))


def test_types_asked_for_speak_for_those_that_return_them() -> None:
    """A class gives itself; what is not annotated is neither right nor wrong."""
    wanted = Expected("argument", frozenset({"Sheet"}))
    assert {"sheets", "fetch", "Sheet"} == marked("typed", wanted)
    assert {"is_flat", "locked"} == marked("mistyped", wanted)


def test_words_of_names() -> None:
    """Snake case, camel case and digits, each word once."""
    assert ("read", "csv") == words_of("read_csv")
    assert ("http", "error", "2") == words_of("HTTPError2Error")
    assert () == words_of("_")
