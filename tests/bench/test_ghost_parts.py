"""What is counted where octod's choice, the model's and the copied one are compared."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import ghost_parts
from fit_ghost import Menu
from octod.daemon import ghost


def menu(options: list[ghost.Option], scores: list[float], gold: str) -> Menu:
    """The options of a site as bench/fit_ghost.py gathers them."""
    texts = [option.text for option in options]
    return Menu("a.py", texts, ghost.features(options, scores), gold, texts.index(gold) if gold in texts else -1)


SAID = [ghost.Option("rows", earlier=2), ghost.Option("size"), ghost.Option("x=1", made=True), ghost.Option("")]


def test_each_choice_takes_its_own() -> None:
    """The model its likeliest; without a model neither what it made nor what merely stands near; nothing where there is nothing."""
    one = menu(SAID, [-30.0, -0.5, -0.1, -20.0], "size")
    assert 2 == ghost_parts.alone(one)
    assert 0 == ghost_parts.copied(one)
    assert ghost_parts.copied(menu(SAID[1:3], [-0.5, -0.1], "size")) is None
    nothing = Menu("a.py", [], np.zeros((0, len(ghost.WEIGHTS))), "size", -1)
    assert [None] * 3 == [choice(nothing) for choice in (ghost_parts.by_weights, ghost_parts.alone, ghost_parts.copied)]


def test_a_site_where_nothing_is_said_counts_as_wrong() -> None:
    """Exact over all sites, and how many could have been."""
    sites = [menu(SAID, [-1.0] * 4, "rows"), menu(SAID, [-1.0] * 4, "else"), Menu("a.py", [], np.zeros((0, 8)), "rows", -1)]
    figures, exact = ghost_parts.row(sites, ghost_parts.copied)
    assert [1.0, 0.0, 0.0] == exact
    assert 3 == figures["sites"]
    assert pytest.approx(1 / 3, abs=1e-4) == figures["exact"] == figures["among_options"]
