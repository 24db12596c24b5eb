"""The pictures of docs/ are drawn from figures alone, and always alike."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "plots.py"


def draw(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--results", str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def figures(folder: Path) -> Path:
    """Figures in the form that the benches write them, and a log."""
    results = folder / "results"
    results.mkdir()
    runs = [
        {"name": name, "parameters": n, "tokens": d, "flops": 6 * n * d, "bits_per_byte": 2.0 - 1e-8 * d, "seconds": 1.0,
         "call_loss": None, "curve": [[d / 4, 2.5], [d / 2, 2.2], [d, 2.0]]}
        for name, n, d in (("standard", 1_000_000, 1e7), ("scale-s", 500_000, 2e7), ("a <odd> & name", 1_000_000, 1e7))
    ]  # fmt: skip
    law = {"E": 0.5, "A": 60.0, "a": 0.35, "B": 300.0, "b": 0.4, "error": 0.01}
    ahead = {"flops": 6e14, "parameters": 3_000_000, "tokens": 33_000_000, "bits_per_byte": 1.4, "lowest": 1.3, "highest": 1.5}
    (results / "recipe.json").write_text(json.dumps({"runs": runs, "law": law, "prediction": ahead}))
    library = {"sites": 10, "top5": 0.8, "top5_95": [0.7, 0.9]}
    (results / "members.json").write_text(json.dumps({"octod": {"all": {}, "by_library": {"numpy": library, "requests": library | {"top5": 0.9}}}}))
    rows = [{"tokens": 100 * n, "loss": 5 - n / 10} for n in range(30)] + [{"tokens": 3000, "bits_per_byte": 1.9}, {"tokens": 4000, "bits_per_byte": 1.8}]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return results


def test_every_figure_has_its_picture(tmp_path: Path) -> None:
    """Five well-formed SVG files, the curves' names in them; a second drawing changes nothing."""
    results = figures(tmp_path)
    assert 0 == draw(results, "--log", str(tmp_path / "log.jsonl")).returncode
    found = {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
    assert {"loss.svg", "held-out.svg", "recipe.svg", "scaling.svg", "members.svg"} == set(found)
    words = {name: " ".join(ET.fromstring(text).itertext()) for name, text in found.items()}
    assert "a <odd> & name" in words["recipe.svg"]
    assert "10 x compute: 3.0 M" in words["scaling.svg"]
    assert words["members.svg"].index("requests") < words["members.svg"].index("numpy")
    assert all("nan" not in text for text in found.values())
    assert 0 == draw(results, "--check").returncode


def test_a_picture_that_its_figures_do_not_give_is_told(tmp_path: Path) -> None:
    """By its name, and with what to run."""
    results = figures(tmp_path)
    draw(results)
    (tmp_path / "members.svg").write_text("<svg/>")
    checked = draw(results, "--check")
    assert 1 == checked.returncode
    assert checked.stdout == "members.svg is not what its figures give; run python docs/plots.py\n"


def test_without_figures_nothing_is_drawn(tmp_path: Path) -> None:
    """No results, no pictures, no error."""
    assert (0, "") == (draw(tmp_path / "results").returncode, draw(tmp_path / "results").stdout)
    assert [] == list(tmp_path.iterdir())
