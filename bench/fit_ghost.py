"""Fit the weights of ghost text's options on call sites that are measured nowhere, and print daemon/ghost.py's WEIGHTS and WITHOUT_MODEL.

    python bench/fit_ghost.py --sites fit.jsonl --index ENV_INDEX.db [--limit 800]

The gold option is the one that parses to what the author wrote; sites where no option does teach nothing about the order.
A fifth of the files is kept apart: exact match of the copying control, of the model alone, and of both.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import random
from dataclasses import dataclass
from pathlib import Path

import lsp_eval
import numpy as np
from fit_ranker import document_of
from octod.adapters.identity import bundled_base
from octod.adapters.ranker import fit
from octod.core.paths import Paths
from octod.daemon import ghost
from octod.daemon.context import Usages, place_at, prompt_at
from octod.daemon.engines.embedded import EmbeddedEngine
from octod.daemon.protocol import Document
from octod.indexer.scope import callees_at
from octod.indexer.store import Index

WRITTEN, LENGTH = [1, 2, 3, 5], 6  # columns of ghost.features that are known without a model


@dataclass(frozen=True, slots=True, eq=False)
class Menu:
    """The options of a site, (options, 7) features of them, the author's arguments and which option they are, or -1."""

    path: str
    texts: list[str]
    table: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    gold: str
    row: int


def same(text: str, gold: str) -> bool:
    """Whether two argument lists are the same code."""
    try:
        return ast.dump(ast.parse(f"f({text})")) == ast.dump(ast.parse(f"f({gold})"))
    except (SyntaxError, ValueError):
        return False


async def gather(sites: list[dict[str, object]], index: Index, base: Path | None = None, context: bool = True) -> list[Menu]:
    """Each site's options in its order, none where nothing can be said; ``context``: the model sees the signature."""
    usages = Usages(index)
    engine = EmbeddedEngine(base or bundled_base().folder, Paths.of())
    await engine.start()
    found: list[Menu] = []
    for site in sites:
        call_text = str(site["call"])
        opened = f"{site['member']}("
        gold = lsp_eval.until_closed(call_text[len(opened) :])
        menu = Menu(str(site["path"]), [], np.zeros((0, len(ghost.WEIGHTS))), gold, -1)
        found.append(menu)
        if not call_text.startswith(opened):
            continue
        document, offset = document_of(site)
        document = Document(document.uri, 1, document.text + opened, document.path)
        offset += len(opened)
        place = place_at(index, document, offset)
        call = ghost.call_at(place, callees_at(index, place.cursor, place.module, place.package))
        if call is None:
            continue
        options = ghost.options(call, usages)
        prompt = prompt_at(document, offset, ghost.called_signature(call) if context else ())
        if call.parameters is not None:
            made = await engine.generate(prompt, call.constraint, (), 20.0)
            text = made.text.removesuffix(")")
            if made.finished and all(o.text != text for o in options):
                options = [*options, ghost.Option(text, made=True)]
        if not options:
            continue
        scores = await engine.score(prompt, [f"{o.text})" for o in options], (), 20.0, "none")
        texts = [o.text for o in options]
        row = next((i for i, text in enumerate(texts) if same(text, gold)), -1)
        found[-1] = Menu(menu.path, texts, ghost.features(options, scores), gold, row)
    await engine.stop()
    return found


def exact(menus: list[Menu], weights: list[float]) -> float:
    """Share of the sites whose best option is the author's."""
    return float(np.mean([bool(m.texts) and int((m.table @ np.array(weights)).argmax()) == m.row for m in menus]))


def fitted(menus: list[Menu]) -> list[float]:
    """The weights that make the gold rows likely; sites without a gold row are left out."""
    used = [(m.table, m.row) for m in menus if m.row >= 0]
    return [round(float(w), 3) for w in fit(used, range(used[0][0].shape[1]), steps=800, decay=1e-3)]


def written(menu: Menu) -> Menu:
    """What is left of a menu without a model: lists of this file, frequent ones and the empty one, and what is known of them."""
    rows = np.flatnonzero(menu.table[:, WRITTEN].any(axis=1)).tolist()
    table = np.zeros((len(rows), menu.table.shape[1]))
    table[:, [*WRITTEN, LENGTH]] = menu.table[rows][:, [*WRITTEN, LENGTH]]
    return Menu(menu.path, [menu.texts[i] for i in rows], table, menu.gold, rows.index(menu.row) if menu.row in rows else -1)


def main() -> int:
    """Gather, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=800)
    options = parser.parse_args()
    sites = [json.loads(line) for line in options.sites.read_text().splitlines()]
    random.Random(0).shuffle(sites)
    with Index.open(options.index) as index:
        menus = [m for m in asyncio.run(gather(sites[: options.limit], index)) if m.texts]
    files = sorted({m.path for m in menus})
    random.Random(1).shuffle(files)
    apart = set(files[: len(files) // 5])
    train = [m for m in menus if m.path not in apart]
    kept = [m for m in menus if m.path in apart]
    weights = fitted(train)
    print(f"{len(menus)} sites, the author's arguments among the options in {np.mean([m.row >= 0 for m in menus]):.3f}")
    print("kept apart: copy   ", round(exact([written(m) for m in kept], fitted([written(m) for m in train])), 3))
    print("kept apart: model  ", round(exact(kept, [1.0, *[0.0] * (len(weights) - 1)]), 3))
    print("kept apart: before ", round(exact(kept, list(ghost.WEIGHTS)), 3))
    print("kept apart: fitted ", round(exact(kept, weights), 3), weights)
    print("WEIGHTS =", tuple(fitted(menus)))
    print("WITHOUT_MODEL =", tuple(fitted([written(m) for m in menus])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
