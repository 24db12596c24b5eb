"""What one run of compare.py has over another on the same sites: mean difference with a 95 % interval over sites.

    python bench/paired.py members with.json.octod.jsonl without.json.octod.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import lsp_eval
from compare import Row, interval

MEASURES = {
    "members": {
        "mrr": lambda r: 1 / r["rank"] if r["rank"] else 0.0,
        "top5": lambda r: float(0 < r["rank"] <= 5),
    },
    "calls": {"exact": lambda r: float(lsp_eval.summary("calls", [r])["exact"])},
}


def main() -> int:
    """Print a line a measure; the two files must hold the same sites in the same order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=list(MEASURES))
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    options = parser.parse_args()
    runs: list[list[Row]] = [[json.loads(line) for line in p.read_text().splitlines()] for p in (options.one, options.other)]
    places = [[(r["path"], r["line"], r["character"]) for r in run] for run in runs]
    if places[0] != places[1]:
        parser.error("the two files are of other sites, or in another order")
    for name, measure in MEASURES[options.task].items():
        gains = [measure(a) - measure(b) for a, b in zip(*runs, strict=True)]
        low, high = interval(gains)
        print(f"{name}: {sum(gains) / len(gains):+.4f} ({low:+.4f} to {high:+.4f}), {len(gains)} sites")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
