"""The times of menus, on a small environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.conftest import Shop


@pytest.mark.slow
def test_every_route_is_timed_and_what_it_finds_is_counted(shop: Shop, tmp_path: Path) -> None:
    """Members are found where the receiver is known; a file is new once; a long file is typed in."""
    printed = shop.run("latency.py", "index.db", "--sites", "one.jsonl", "--json", str(tmp_path / "out.json"))
    told = json.loads((tmp_path / "out.json").read_text())
    times, found = told["times"], told["found"]
    assert {"index", "unknown", "names", "keywords", "imports", "20,000 lines"} == {row.rpartition(",")[0] for row in times}
    assert 1 == sum(times.get(f"{route}, new file", {"asked": 0})["asked"] for route in ("index", "unknown"))
    assert all(0 < row["cpu p50"] <= row["cpu p95"] for row in times.values())
    assert {"all": 0.75, "all, a letter later": 0.75, "shop": 0.75} == {name: row["found"] for name, row in found.items()}
    assert (1.0, 0.6667) == (found["all"]["found_module"], found["all"]["found_instance"])
    assert set(told["resident_mb"]) == {"members", "keywords", "names", "imports", "long"}
    assert "| all | 4 | 0.75 |" in printed
