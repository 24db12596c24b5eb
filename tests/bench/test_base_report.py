"""Base models in one table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import base_report

from tests.bench.shards import make_corpus
from tests.daemon.engines.conftest import make_checkpoint


@pytest.mark.train
@pytest.mark.engine
@pytest.mark.slow
def test_a_random_base_is_far_behind_the_shipped_one(tmp_path: Path) -> None:
    """A row each; the interval of the difference excludes zero, and the gain in members is that of the rows."""
    pytest.importorskip("torch", reason="needs the [train] extra")
    other = make_checkpoint(tmp_path / "other")
    (other / "card.json").write_text(json.dumps({"tokens_seen": 5_000_000, "data": [{"distribution": "others", "held_out": False}]}))
    members = []
    for name, ranks in (("bundled", (1, 2, 0)), ("other", (1, 1, 1))):
        rows = [{"path": "a.py", "line": n, "character": 1, "rank": rank} for n, rank in enumerate(ranks)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        members += ["--members", f"{name}={tmp_path / name}.jsonl"]
    command = [sys.executable, str(BENCH / "base_report.py"), "--work", str(make_corpus(tmp_path)), "--pieces", "2", *members, "--json", str(tmp_path / "report.json"), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert 0 == done.returncode, done.stderr[-4000:]
    head, _, *rows = done.stdout.splitlines()
    assert ["bundled", "other (learnt others)"] == [row.split(" | ")[0].strip("| ") for row in rows]
    cells = dict(zip([c.strip() for c in head.split("|")], [c.strip() for c in rows[1].split("|")], strict=True))
    assert cells["members MRR"] == "1.000"
    assert "+0.333" in rows[1]
    found = json.loads((tmp_path / "report.json").read_text())["bases"]
    assert sum(found["other"]["nats"]["unseen"]) > 2 * sum(found["bundled"]["nats"]["unseen"])


def test_fewer_bits_are_a_gain() -> None:
    """One bit a byte fewer on every text: the interval is a point."""
    texts = ["abcd", "ab"]
    bit = 0.6931471805599453
    assert pytest.approx((1.0, 1.0, 1.0)) == base_report.less([4 * bit, 2 * bit], [8 * bit, 4 * bit], texts)
    assert "+1.00 (+0.90 to +1.10)" == base_report.cell(None, (1.0, 0.9, 1.1), 2)


def test_runs_of_other_sites_are_refused(tmp_path: Path) -> None:
    """A gain over other sites would say nothing."""
    for n in (1, 2):
        (tmp_path / f"{n}.jsonl").write_text(json.dumps({"path": "a.py", "line": n, "character": 1, "rank": 1}))
    with pytest.raises(SystemExit, match="other sites"):
        base_report.members(tmp_path / "1.jsonl", tmp_path / "2.jsonl")
