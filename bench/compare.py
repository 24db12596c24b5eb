"""Run several language servers on the same call sites in the same run and print one table.

    python bench/compare.py members --sites sites.jsonl --root EMPTY --python ENV/bin/python \\
        --server "octod=octod lsp" --peers PEERS/bin --json out.json

Each server has the machine for itself: one starts when the one before has left.  All get the same texts, cut at the cursor, the
same time to settle, and their authors' settings (peers.py); the first sites are asked once before anything is counted.

``ms_found`` are the times of the answers with the author's member, ``resident_mb`` is what the server's processes hold after the
last one, ``empty`` the share of calls without arguments: what ``()`` everywhere would get exactly right.

Rates come with a 95 % interval (percentile bootstrap over sites, 1,000 resamples, fixed seed).
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
from pathlib import Path
from typing import Any

import lsp_eval
import peers

Row = dict[str, Any]


def interval(values: list[float], resamples: int = 1000) -> tuple[float, float]:
    """The 95 % percentile-bootstrap interval of the mean of ``values``."""
    if not values:
        return (float("nan"), float("nan"))
    draw = random.Random(0)
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(resamples))
    return means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]


def members_figures(rows: list[Row]) -> Row:
    """Figures of the menu over rows of lsp_eval, with the interval of MRR and top-5."""
    figures = lsp_eval.summary("members", rows)
    figures["mrr_95"] = interval([1 / r["rank"] if r["rank"] else 0.0 for r in rows])
    figures["top5_95"] = interval([float(0 < r["rank"] <= 5) for r in rows])
    for kind in ("module", "instance"):
        some = [r for r in rows if r["kind"] == kind]
        if some:
            figures[f"found_{kind}"] = round(sum(r["rank"] > 0 for r in some) / len(some), 4)
    return figures


def calls_figures(rows: list[Row]) -> Row:
    """Figures of the ghost text over rows of lsp_eval, with the interval of exact match."""
    figures = lsp_eval.summary("calls", rows)
    figures["exact_95"] = interval([_exact(r) for r in rows])
    return figures


def _exact(row: Row) -> float:
    return lsp_eval.summary("calls", [row])["exact"]


def by_library(rows: list[Row], figures: Any) -> dict[str, Row]:
    """The same figures a library."""
    return {name: figures([r for r in rows if r["library"] == name]) for name in sorted({r["library"] for r in rows})}


def table(results: dict[str, Row], columns: list[str], head: str = "server") -> str:
    """A Markdown table, a server or whatever ``head`` says a row."""
    lines = [f"| {head} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in results.items():
        cells = []
        for column in columns:
            value = figures.get(column, "")
            cells.append("–".join(f"{v:.3f}" for v in value) if isinstance(value, tuple) else str(value))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


COLUMNS = {
    "members": ["sites", "found", "found_module", "found_instance", "top1", "top5", "top5_95", "mrr", "mrr_95",
                "ms_p50", "ms_p95", "ms_found_p50", "ms_found_p95", "resident_mb"],
    "calls": ["sites", "answered", "exact", "exact_95", "edit_similarity", "keyword_f1", "empty", "ms_p50", "ms_p95", "resident_mb"],
}


def main() -> int:
    """Measure each server in turn, print the table, write everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["members", "calls"])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path("."))
    parser.add_argument("--base", type=Path, help="folder that the sites' relative paths start from")
    parser.add_argument("--python", required=True)
    parser.add_argument("--server", action="append", default=[], help="NAME=COMMAND; repeatable")
    parser.add_argument("--peers", type=Path, help="a bin folder: also every server of peers.py that is in it")
    parser.add_argument("--rehearse", type=int, default=20, help="ask the first so many sites once before counting")
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--settle", type=float, default=300)
    parser.add_argument("--warm", type=float, default=5)
    parser.add_argument("--json", type=Path, help="write figures and rows here")
    options = parser.parse_args()
    figures = members_figures if options.task == "members" else calls_figures
    results: dict[str, Row] = {}
    everything: dict[str, Row] = {}
    found = [(name, f"{options.peers / command}") for name, command in peers.COMMANDS.items()] if options.peers else []
    for name, command in [*(given.split("=", 1) for given in options.server), *found]:
        rows_file = Path(f"{options.json or 'compare.json'}.{name}.jsonl")
        run = argparse.Namespace(
            task=options.task, sites=options.sites, base=options.base, root=options.root, python=options.python,
            library=None, limit=options.limit, seed=0, settle=options.settle, warm=options.warm, timeout=30.0,
            rehearse=options.rehearse,
            out=rows_file, log=None, command=shlex.split(command),
        )
        asked = lsp_eval.evaluate(run)
        rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
        results[name] = {**figures(rows), "resident_mb": asked["resident_mb"], "processes": asked["processes"]}
        everything[name] = {"all": results[name], "by_library": by_library(rows, figures)}
        print(table({name: results[name]}, COLUMNS[options.task]))
        print("resident MB: " + ", ".join(f"{size} {process}" for process, size in asked["processes"].items()), flush=True)
    print()
    print(table(results, COLUMNS[options.task]))
    for name, parts in everything.items():
        print(f"\n{name}, by library")
        print(table(parts["by_library"], COLUMNS[options.task]))
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
