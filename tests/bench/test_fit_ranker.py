"""Fitting the menu's weights and telling what each part is worth, on a small environment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from octod.adapters.ranker import INPUTS
from octod.adapters.scorer import Scorer

from tests.bench.conftest import Shop


@pytest.mark.slow
def test_weights_are_fitted_and_written(shop: Shop, tmp_path: Path) -> None:
    """On the menus that have the author's member; what is there of the weights with the model stays."""
    out = tmp_path / "ranker.json"
    out.write_text('{"with_model": {"model": 2.0}}')
    printed = shop.run("fit_ranker.py", "--sites", "sites.jsonl", "--index", "index.db", "--no-model", "--steps", "40", "--out", str(out))
    written = json.loads(out.read_text())
    assert {"model": 2.0} == written["with_model"]
    assert (3,) == Scorer.of(written["without_model"])(np.zeros((3, len(INPUTS)))).shape
    assert "linear" in printed and "fitted" in printed


@pytest.mark.slow
def test_each_row_of_the_ablation_is_measured_on_all_sites(shop: Shop, tmp_path: Path) -> None:
    """Sites whose member is not offered count as missed in every row."""
    sites = ("--sites", "sites.jsonl", "--fit", "sites.jsonl", "--index", "index.db")
    printed = shop.run("ablation.py", *sites, "--no-model", "--json", str(tmp_path / "out.json"))
    told = json.loads((tmp_path / "out.json").read_text())
    assert 12 == told["sites"]
    assert "index order" in told["rows"] and "all, shipped weights" in told["rows"] and "all + model" not in told["rows"]
    assert 0.75 == told["rows"]["all, project"]["top5"] == told["rows"]["+ expected types"]["top5"]
    assert "12 sites of 3 files" in printed
