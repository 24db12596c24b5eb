"""The engine beside llama.cpp: what stands in the way is told, and the forms of the weights agree."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import engine_speed

from tests.bench.conftest import Shop


@pytest.mark.slow
def test_it_runs_or_says_what_it_needs(shop: Shop) -> None:
    """With llama-cpp-python a row an engine and equal logits; without it one line."""
    printed = shop.run("engine_speed.py", "--runs", "1", "--threads", "1")
    if find_spec("llama_cpp") is None or find_spec("gguf") is None:
        assert printed.startswith("skipped: ")
        assert "pip install llama-cpp-python gguf" in printed
        return
    exact = next(line for line in printed.splitlines() if line.startswith("| octod fp32, names"))
    assert float(exact.split("|")[2]) < 1e-3
    assert 6 == printed.partition("ms a token")[2].count("\n| ")


def test_rotation_pairs_are_put_side_by_side() -> None:
    """Two heads of four rows: first half against second half becomes pairs."""
    matrix = np.arange(8)[:, None]
    assert [0, 2, 1, 3, 4, 6, 5, 7] == engine_speed.interleaved(matrix, 2)[:, 0].tolist()


def test_agreement_is_zero_for_the_same_logits() -> None:
    """And counts rows whose likeliest token is another."""
    one = np.array([[0.0, 2.0], [3.0, 1.0]])
    assert {"largest_difference": 0.0, "largest_logit": 3.0, "greedy_equal": 1.0} == engine_speed.agreement(one, one)
    assert 0.5 == engine_speed.agreement(one, np.array([[0.0, 2.0], [1.0, 3.0]]))["greedy_equal"]
