"""The menu's features: each column says what its name says."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from octod.adapters.ranker import FEATURES, INPUTS, Evidence, Matrix, Ranker, features, fit, inputs
from octod.core.symbols import LibraryId, Member, Symbol
from octod.indexer.expected import Expected
from octod.indexer.usage import ReceiverUsage

LIBRARY = LibraryId("folds", "1.0", "")
MEMBERS = tuple(
    Member(symbol, "folds.Sheet", LIBRARY, depth)
    for symbol, depth in (
        (Symbol("turn", "function"), 0),
        (Symbol("press", "function", deprecated="use turn"), 1),
        (Symbol("_edge", "attribute", public=False), 2),
        (Symbol("__len__", "function"), 2),
        (Symbol("Kind", "class"), 0),
    )
)
NOTHING = Evidence(None, (), (), (), ())


def column(table: Matrix, name: str) -> list[float]:
    """One feature of all members."""
    found: list[float] = table[:, FEATURES.index(name)].tolist()
    return found


def test_columns_that_depend_on_the_members_alone() -> None:
    """Kinds, names and places in the resolution order."""
    table = features(MEMBERS, NOTHING)
    assert [0, 0, 1, 0, 0] == column(table, "hidden")
    assert [0, 0, 1, 1, 0] == column(table, "private")
    assert [0, 0, 0, 1, 0] == column(table, "dunder")
    assert [1, 1, 0, 1, 1] == column(table, "callable")
    assert [0, 0, 0, 0, 1] == column(table, "class")
    assert [0, 1, 0, 0, 0] == column(table, "deprecated")
    assert [0, 0.5, 1, 1, 0] == column(table, "depth")
    assert [0] * 5 == column(table, "model")


def test_counts_history_and_surroundings_speak_for_their_members() -> None:
    """Shares are smoothed, names that are no members count for nothing, a feature seen with a member raises it."""
    usage = ReceiverUsage(11, {"turn": 8, "press": 2, "gone": 1}, {"assign:flat": {"press": 2, "gone": 1}})
    base = ReceiverUsage(3, {"press": 3})
    evidence = Evidence(usage, (base,), ("assign:flat", "assign:new", "other:x"), ("turn", "press"), ("turn", "turn"))
    table = features(MEMBERS, evidence)
    assert column(table, "count")[:3] == pytest.approx([math.log(n / 12) for n in (8.2, 2.2, 0.2)])
    assert column(table, "bases")[:2] == pytest.approx([math.log(n / 4) for n in (0.2, 3.2)])
    assert [1, 1, 0, 0, 0] == column(table, "seen")
    background = 3.5 / 12
    near = [math.log((n + 2 * background) / (count + 2) / background) for n, count in ((0, 8), (2, 2))]
    assert column(table, "near_assign") == pytest.approx([*near, 0, 0, 0])
    assert column(table, "used_here")[:2] == pytest.approx([math.log(2), math.log(2)])
    assert [0, 1, 0, 0, 0] == column(table, "used_last")
    assert column(table, "used_type")[:2] == pytest.approx([math.log(3), 0])


def test_what_is_remembered_of_members_is_not_changed_by_a_question() -> None:
    """The same tuple asked twice gives the same matrix."""
    before = features(MEMBERS, NOTHING)
    features(MEMBERS, Evidence(ReceiverUsage(1, {"turn": 1}), (), (), ("turn",), ()))[:] = 9
    np.testing.assert_array_equal(before, features(MEMBERS, NOTHING))


def test_rows_are_also_compared_with_the_menus_best() -> None:
    """The best row of a column has nothing less than itself; an empty menu has no rows."""
    usage = ReceiverUsage(10, {"turn": 8, "press": 2}, {"assign:flat": {"press": 2}})
    table = inputs(features(MEMBERS, Evidence(usage, near=("assign:flat",))))
    count, less = (table[:, INPUTS.index(name)] for name in ("count", "count less the best"))
    assert (count - count[0]).tolist() == less.tolist()
    assert 1 == int(np.argmax(table[:, INPUTS.index("near")]))
    assert 0 == table[1, INPUTS.index("near less the best")]
    assert (0, len(INPUTS)) == inputs(features((), NOTHING)).shape


def test_fitted_weights_find_what_decides() -> None:
    """Menus whose right answer is the deprecated one give that feature the largest weight."""
    weights = fit([(features(MEMBERS, NOTHING), 1)], [FEATURES.index(f) for f in ("deprecated", "class", "dunder")])
    assert "deprecated" == FEATURES[int(weights.argmax())]


def test_names_repository_and_acceptance_speak_for_their_members() -> None:
    """Counts of any receiver's member of that name; the repository's without what the file itself says; what was accepted."""
    evidence = Evidence(
        same_type=("turn",), names={"press": 9}, project={"turn": 1, "press": 4, "gone": 7}, accepted={"turn": 2.5, "gone": 1.0}
    )
    table = features(MEMBERS, evidence)
    assert column(table, "names") == pytest.approx([0, math.log(10), 0, 0, 0])
    assert column(table, "project") == pytest.approx([0, math.log(5), 0, 0, 0])
    assert column(table, "accepted") == pytest.approx([math.log(3.5), 0, 0, 0, 0])
    assert [1, 0, 0, 0, 0] == column(table, "used")


def test_words_of_what_is_assigned_and_of_the_names_around() -> None:
    """The share of a member's words that stand in the code around; a word that is often around counts fully."""
    members = tuple(Member(Symbol(name, "function"), "folds", LIBRARY) for name in ("read_sheet", "sheet", "turn"))
    table = features(members, Evidence(near=("assign:sheet", "function:turnAround"), around={"read": 1, "turn": 9}))
    assert [0.5, 1, 0] == column(table, "word_assigned")
    assert [0, 0, 1] == column(table, "word_function")
    assert column(table, "word_around") == pytest.approx([1 / 6, 0, 1])


def test_what_is_wanted_reaches_the_columns() -> None:
    """A class that is asked for by an annotation, thrown away results, exceptions."""
    table = features(MEMBERS, Evidence(expected=Expected("argument", frozenset({"Kind"}))))
    assert [0, 0, 0, 0, 1] == column(table, "typed")


def test_a_menu_of_six_hundred_is_ranked_in_a_few_milliseconds() -> None:
    """About a millisecond of one thread a menu, as in the daemon, measured over fifty, with room for a busy machine."""
    members = tuple(Member(Symbol(f"fold_{n}_of_sheet", "function", returns="Sheet"), "folds", LIBRARY) for n in range(600))
    usage = ReceiverUsage(
        9_000,
        {f"fold_{n}_of_sheet": n for n in range(600)},
        {f"assign:w{f}": {f"fold_{n}_of_sheet": 3 for n in range(f, 600, 30)} for f in range(30)},
    )
    evidence = Evidence(
        usage, (usage,), tuple(f"assign:w{n}" for n in range(8)), ("fold_1_of_sheet",) * 20, ("fold_2_of_sheet",) * 200,
        names={f"fold_{n}_of_sheet": n for n in range(600)}, around={"sheet": 3, "fold": 2}, expected=Expected("value", frozenset({"Sheet"})),
    )  # fmt: skip
    ranker = Ranker.shipped()
    ranker.scores(features(members, evidence), modelled=False)
    began = time.thread_time()
    for _ in range(50):
        ranker.scores(features(members, evidence), modelled=False)
    assert (time.thread_time() - began) / 50 < 0.003


def test_shares_say_how_much_a_menu_counts() -> None:
    """Two menus that disagree: the one that counts more decides."""
    table = features(MEMBERS, NOTHING)
    columns = [FEATURES.index("deprecated"), FEATURES.index("class")]
    weights = fit([(table, 1), (table, 4)], columns, shares=[0.9, 0.1])
    assert weights[columns[0]] > weights[columns[1]]
