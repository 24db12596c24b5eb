"""The comparison of recipes: equal compute, the same text for every tokenizer, resumed where it stopped; and the scaling law."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import recipe

from tests.bench.shards import make_corpus


def runs_of(law: dict[str, float]) -> list[dict[str, float]]:
    return [
        {"parameters": n, "tokens": d, "bits_per_byte": float(recipe.law(law, n, d))}
        for n in (1e6, 4e6, 16e6)
        for d in (1e7, 4e7, 2e8)
    ]


def test_the_fit_finds_the_law_that_made_the_figures() -> None:
    """What it predicts far outside is within a hundredth of what the law gives."""
    law = {"E": 0.5, "A": 60.0, "a": 0.35, "B": 300.0, "b": 0.4}
    found = recipe.fit(runs_of(law))
    assert found["error"] < 2e-3
    assert pytest.approx(float(recipe.law(law, 64e6, 2e9)), abs=0.01) == float(recipe.law(found, 64e6, 2e9))


def test_no_term_of_the_law_is_negative() -> None:
    """Figures without a floor, and figures that grow with size, give zeros."""
    found = recipe.fit(runs_of({"E": 0.0, "A": 60.0, "a": 0.35, "B": 300.0, "b": 0.4}))
    assert 0 <= found["E"] < 0.1
    growing = [r | {"bits_per_byte": 1 + r["parameters"] / 1e9} for r in runs_of(found)]
    assert min(recipe.fit(growing)[k] for k in "EAB") >= 0


def test_a_prediction_spends_the_compute() -> None:
    """Six operations a parameter and token; more compute is never worse."""
    law = {"E": 0.5, "A": 60.0, "a": 0.35, "B": 300.0, "b": 0.4}
    few, many = recipe.prediction(law, 1e15), recipe.prediction(law, 1e16)
    assert pytest.approx(1e15, rel=1e-3) == 6 * few["parameters"] * few["tokens"]
    assert many["bits_per_byte"] < few["bits_per_byte"]
    assert many["parameters"] > few["parameters"]


def test_a_variant_is_a_line_of_changes() -> None:
    """Factors are of the standard as it was set; widths are whole groups of heads; a wrong key is told."""
    standard = recipe.Settings().changed(["hidden=512", "layers=8"])
    found = dict(recipe.variants(standard, []))
    assert len(found) == len(set(found.values()))
    assert (16, 384, 12, 6) == tuple(getattr(found["deep"].shape(), n) for n in ("layers", "hidden", "heads", "kv_heads"))
    assert ("adamw", 0.001) == (found["adamw-low"].optimiser, found["adamw-low"].muon_lr)
    assert ["deep"] == [name for name, _ in recipe.variants(standard, ["deep"])]
    with pytest.raises(SystemExit, match="no setting is called width"):
        standard.changed(["width=3"])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Shards of a tiny environment."""
    return make_corpus(tmp_path)


@pytest.mark.train
def test_another_vocabulary_has_the_same_texts_and_calls(corpus: Path, tmp_path: Path) -> None:
    """Documents, signatures and the text of every call are those of the corpus."""
    from octod.adapters.prompt import load_tokenizer

    other = recipe.retokenised(corpus, tmp_path / "other", 560)
    old, new = (load_tokenizer(f / "tokenizer" / "tokenizer.json") for f in (corpus, other))
    assert new.get_vocab_size() < old.get_vocab_size()
    for part in ("train", "heldout"):
        texts = []
        for folder, tokenizer in ((corpus / part, old), (other / part, new)):
            tokens, bounds, calls, spans, signatures = (
                np.load(folder / f"{n}.npy") for n in ("tokens", "documents", "calls", "spans", "signatures")
            )
            assert len(calls)
            pieces = [tokens[a:b] for a, b in pairwise(bounds)]
            for call in calls:
                begin = bounds[call["document"]]
                pieces += [tokens[begin + call["line"] : begin + call["stop"]], tokens[begin + call["member"] : begin + call["stop"]]]
            pieces += [signatures[a:b] for a, b in pairwise(spans)]
            texts.append([tokenizer.decode(piece.tolist(), skip_special_tokens=False) for piece in pieces])
        assert texts[0] == texts[1]
    assert other == recipe.retokenised(corpus, other, 560)


@pytest.mark.train
def test_of_a_large_corpus_a_part_is_read(corpus: Path, tmp_path: Path) -> None:
    """Every second document with its calls, where half of the tokens are enough; held-out text stays whole."""
    from octod.adapters.prompt import load_tokenizer

    most = 1 + len(np.load(corpus / "train" / "tokens.npy")) // 2
    whole, half = (recipe.retokenised(corpus, tmp_path / name, 560, n) for name, n in (("whole", np.inf), ("half", most)))
    said = []
    for folder in (whole, half):
        tokenizer = load_tokenizer(folder / "tokenizer" / "tokenizer.json")
        tokens, bounds, calls, weights = (np.load(folder / "train" / f"{n}.npy") for n in ("tokens", "documents", "calls", "weights"))
        assert len(weights) == len(bounds) - 1
        texts = [tokenizer.decode(tokens[a:b].tolist(), skip_special_tokens=False) for a, b in pairwise(bounds)]
        called = [(c["document"], tokenizer.decode(tokens[bounds[c["document"]] :][c["member"] : c["stop"]].tolist())) for c in calls]
        said.append((texts, called))
    (texts, called), (some, fewer) = said
    assert texts[::2] == some
    assert [(d // 2, text) for d, text in called if d % 2 == 0] == fewer
    held_out = [len(np.load(folder / "heldout" / "documents.npy")) for folder in (corpus, whole, half)]
    assert 1 == len(set(held_out))


@pytest.mark.train
@pytest.mark.slow
def test_runs_spend_the_same_are_measured_alike_and_are_not_run_again(corpus: Path, tmp_path: Path) -> None:
    """Runs of about the same operations on one text; the second command only prints."""
    pytest.importorskip("torch", reason="needs the [train] extra")
    work = tmp_path / "work"
    command = [
        sys.executable, str(BENCH / "recipe.py"), "--corpus", str(corpus), "--work", str(work), "--compute", "3e9", "--no-bf16",
        "--pieces", "6", "--set", "hidden=32", "layers=2", "head=16", "context=128", "batch=256", "vocabulary=8192",
        "--json", str(tmp_path / "report.json"), "--only", "standard", "seed-2", "context-256", "adamw-low",
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True)
    rows = [json.loads(line) for line in (work / "results.jsonl").read_text().splitlines()]
    assert ["standard", "seed-2", "adamw-low", "context-256"] == [r["name"] for r in rows]
    assert all(2.8e9 < r["flops"] < 3.2e9 for r in rows)
    assert 1 == len({tuple(r["bytes"]) for r in rows})
    assert all(r["curve"][-1][1] == r["bits_per_byte"] < r["curve"][0][1] for r in rows)
    assert rows[0]["bits_per_byte"] != rows[1]["bits_per_byte"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "---" in first.stdout.partition("| run |")[0]
    assert again.stdout.startswith("| run |")
    assert {"runs", "noise"} == set(json.loads((tmp_path / "report.json").read_text()))


@pytest.mark.train
@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_figures(corpus: Path, tmp_path: Path) -> None:
    """Stopped after its first point and started again: what it ends with is what an undisturbed run ends with."""
    pytest.importorskip("torch", reason="needs the [train] extra")
    ends = []
    for work in (tmp_path / "stopped", tmp_path / "undisturbed"):
        command = [
            sys.executable, str(BENCH / "recipe.py"), "--corpus", str(corpus), "--work", str(work), "--compute", "6e9", "--no-bf16",
            "--pieces", "2", "--set", "hidden=32", "layers=2", "head=16", "context=128", "batch=256", "--only", "standard",
        ]  # fmt: skip
        if work.name == "stopped":
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 120
            while not list(work.glob("standard-*/curve.jsonl")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.terminate()
            printed, _ = process.communicate(timeout=60)
            assert 1 == process.returncode
            assert printed.endswith("interrupted; the same command goes on\n")
            assert not (work / "results.jsonl").exists()
        subprocess.run(command, capture_output=True, timeout=120, check=True)
        ends.append(json.loads((work / "results.jsonl").read_text()))
    assert ends[0]["curve"] == ends[1]["curve"]
    assert ends[0]["nats"] == ends[1]["nats"]
