"""What each part of ghost text is worth: bases beside each other, with and without the index's context, and no model at all.

    python bench/ghost_parts.py --sites dev.jsonl --index ENV_INDEX.db [--limit 1000] [--base NAME=FOLDER ...] [--json FILE]

In process, with the embedded engine and octod's shipped weights; silence is left out, so what octod would keep to itself counts
too.  ``copied`` takes lists of this file and frequent ones elsewhere, no model; ``alone`` is the model's own likeliest option.
The shipped base is always asked, and last; each base's difference to it is on the same sites, with its 95 % interval.  A site where
nothing can be said counts as wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import lsp_eval
import numpy as np
from compare import interval
from fit_ghost import Menu, gather, written
from octod.adapters.identity import bundled_base
from octod.daemon import ghost
from octod.indexer.store import Index

Choice = Callable[[Menu], int | None]


def by_weights(menu: Menu) -> int | None:
    """What octod takes."""
    return int((menu.table @ np.array(ghost.WEIGHTS)).argmax()) if menu.texts else None


def alone(menu: Menu) -> int | None:
    """What the model takes."""
    return int(menu.table[:, 0].argmax()) if menu.texts else None


def copied(menu: Menu) -> int | None:
    """What octod takes where there is no model."""
    left = written(menu)
    return menu.texts.index(left.texts[int((left.table @ np.array(ghost.WITHOUT_MODEL)).argmax())]) if left.texts else None


def row(menus: list[Menu], choice: Choice) -> tuple[dict[str, object], list[float]]:
    """(figures of a row of the table, whether each site was exact)."""
    taken = [choice(m) for m in menus]
    exact = [float(t is not None and t == m.row) for t, m in zip(taken, menus, strict=True)]
    said = [{"gold": m.gold, "said": None if t is None else m.texts[t], "ms": 0.0} for t, m in zip(taken, menus, strict=True)]
    figures = lsp_eval.summary("calls", said)
    return {
        "sites": len(menus), "exact": round(sum(exact) / len(exact), 4), "exact_95": interval(exact), "keyword_f1": figures["keyword_f1"],
        "among_options": round(sum(m.row >= 0 for m in menus) / len(menus), 4),
    }, exact  # fmt: skip


def main() -> int:
    """Ask every base with and without context, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--base", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sites = [json.loads(line) for line in options.sites.read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(sites)
    bases = {name: Path(folder) for name, folder in (given.split("=", 1) for given in options.base)}
    rows: dict[str, tuple[dict[str, object], list[float]]] = {}
    with Index.open(options.index) as index:
        for name, folder in {**bases, "shipped": bundled_base().folder}.items():
            for context in (True, False):
                menus = asyncio.run(gather(sites[: options.limit], index, folder, context))
                ending = "" if context else ", no context"
                rows[f"{name}{ending}"] = row(menus, by_weights)
                rows[f"{name} alone{ending}"] = row(menus, alone)
        rows["copied"] = row(menus, copied)
    print("| ghost text | sites | exact | 95 % | keyword F1 | among the options | shipped has more |\n" + "|---" * 7 + "|")
    for name, (figures, exact) in rows.items():
        gains = [a - b for a, b in zip(rows["shipped"][1], exact, strict=True)]
        low, high = interval(gains)
        figures["shipped_more"] = (sum(gains) / len(gains), low, high)
        cells = [str(figures["sites"]), f"{figures['exact']:.3f}", "–".join(f"{v:.3f}" for v in figures["exact_95"]),  # type: ignore[attr-defined]
                 f"{figures['keyword_f1']:.3f}", f"{figures['among_options']:.3f}"]  # fmt: skip
        more = "" if name == "shipped" else f"{sum(gains) / len(gains):+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"| {name} | " + " | ".join(cells) + f" | {more} |")
    if options.json:
        options.json.write_text(json.dumps({name: figures for name, (figures, _) in rows.items()}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
