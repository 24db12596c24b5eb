"""The menu's features: each column says what its name says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from octod.adapters.ranker import FEATURES, Evidence, Matrix, features, fit
from octod.core.symbols import LibraryId, Member, Symbol
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


def test_fitted_weights_find_what_decides() -> None:
    """Menus whose right answer is the deprecated one give that feature the largest weight."""
    weights = fit([(features(MEMBERS, NOTHING), 1)], [FEATURES.index(f) for f in ("deprecated", "class", "dunder")])
    assert "deprecated" == FEATURES[int(weights.argmax())]
