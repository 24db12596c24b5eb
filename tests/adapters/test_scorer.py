"""The network that scores a menu's rows: its sum, its written form, and what it does with values that are far out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from octod.adapters.scorer import Scorer


@pytest.fixture
def scorer() -> Scorer:
    """Two inputs, one hidden unit: (x0 - 1) / 2 straight on, and x1 where it is above 1."""
    parts = [[1.0, 0.0], [2.0, 1.0], [1.0, 0.0], [[0.0], [1.0]], [-1.0], [3.0]]
    return Scorer(*(np.array(part, dtype=np.float32) for part in parts))


def test_scores_are_the_linear_part_and_the_hidden_layers(scorer: Scorer) -> None:
    """Rows do not know of each other."""
    assert [1.0, 0.0, 3.0] == scorer(np.array([[3.0, 0.0], [1.0, 1.0], [1.0, 2.0]])).tolist()


def test_values_far_out_say_no_more(scorer: Scorer) -> None:
    """They are cut at six standard deviations."""
    assert scorer(np.array([[13.0, 6.0]])).tolist() == scorer(np.array([[1e9, 1e9]])).tolist()


def test_what_is_written_reads_the_same(scorer: Scorer) -> None:
    """As JSON."""
    again = Scorer.of(json.loads(json.dumps(scorer.numbers())))
    assert [7.0] == again(np.array([[3.0, 3.0]])).tolist()
