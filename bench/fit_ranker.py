"""Fit the menu's weights on call sites of sources that are measured nowhere, and write adapters/ranker.json.

    python bench/fit_ranker.py --sites fit.jsonl --index ENV_INDEX.db [--out adapters/ranker.json]

Each site's file is cut at the dot, as in lsp_eval.py; the author's member is the gold row of that menu.  A fifth of the
files is kept apart and its MRR and top-5 printed: index order, counts alone, all features, all features and the model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from pathlib import Path

import lsp_eval  # noqa: F401  the same reading of sites as the measurement
import numpy as np
from octod.adapters.identity import bundled_base
from octod.adapters.ranker import FEATURES, Matrix, Ranker, features, fit
from octod.core.paths import Paths
from octod.daemon import menu
from octod.daemon.context import Usages, evidence_at, place_at, prompt_at
from octod.daemon.protocol import Document
from octod.indexer.store import Index

MODEL = FEATURES.index("model")


def document_of(site: dict[str, object]) -> tuple[Document, int]:
    """The site's file cut just after the dot, and the cursor there."""
    path = Path(str(site["path"])).resolve()
    text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    lines = text.split("\n")
    line = lines[int(str(site["line"]))]
    before = line.encode("utf-16-le")[: 2 * int(str(site["character"]))].decode("utf-16-le")
    cut = "\n".join([*lines[: int(str(site["line"]))], before])
    return Document(path.as_uri(), 1, cut, str(path.with_name(f"_octod_{path.name}"))), len(cut)


async def gather(sites: list[dict[str, object]], index: Index, with_engine: bool) -> list[tuple[str, Matrix, Matrix | None, int]]:
    """(path, features without the model, with it, gold row) of each site whose member the menu has."""
    usages = Usages(index)
    engine = None
    if with_engine:
        from octod.daemon.engines.embedded import EmbeddedEngine

        engine = EmbeddedEngine(bundled_base().folder, Paths.of())
        await engine.start()
    ranker = Ranker.shipped()
    found = []
    for site in sites:
        document, offset = document_of(site)
        place = place_at(index, document, offset)
        names = [m.symbol.name for m in place.members]
        if site["member"] not in names:
            continue
        table = features(place.members, evidence_at(index, usages, place))
        modelled = None
        if engine is not None:
            rows = menu.likeliest(place, table, ranker)
            prompt = prompt_at(document, offset, menu.signatures(place, rows))
            scores = await engine.score(prompt, [names[i] for i in rows], (), 20.0)
            modelled = menu.with_model(table, rows, scores)
        found.append((str(site["path"]), table, modelled, names.index(str(site["member"]))))
    if engine is not None:
        await engine.stop()
    return found


def figures(menus: list[tuple[Matrix, int]], weights: Matrix) -> str:
    """MRR and top-5 of an order."""
    ranks = [menu.order(table @ weights).index(gold) + 1 for table, gold in menus]
    return f"MRR {np.mean([1 / r for r in ranks]):.3f}  top-1 {np.mean([r == 1 for r in ranks]):.3f}  top-5 {np.mean([r <= 5 for r in ranks]):.3f}  ({len(ranks)} menus)"


def main() -> int:
    """Gather, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--no-model", action="store_true", help="fit the weights without the language model only")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "adapters" / "ranker.json")
    options = parser.parse_args()
    sites = [json.loads(line) for line in options.sites.read_text().splitlines()]
    with Index.open(options.index) as index:
        gathered = asyncio.run(gather(sites, index, not options.no_model))
    files = sorted({path for path, *_ in gathered})
    random.Random(0).shuffle(files)
    apart = set(files[: len(files) // 5])
    plain = [i for i in range(len(FEATURES)) if i != MODEL]
    result: dict[str, dict[str, float]] = json.loads(options.out.read_text())

    def named(weights: Matrix) -> dict[str, float]:
        return {name: round(float(w), 4) for name, w in zip(FEATURES, weights, strict=True) if w}

    train = [(table, gold) for path, table, _, gold in gathered if path not in apart]
    kept = [(table, gold) for path, table, _, gold in gathered if path in apart]
    counts = np.zeros(len(FEATURES))
    counts[FEATURES.index("count")] = 1.0
    print("index order     ", figures(kept, np.zeros(len(FEATURES))))
    print("counts          ", figures(kept, counts))
    print("shipped before  ", figures(kept, Ranker.shipped().without_model))
    weights = fit(train, plain)
    print("all features    ", figures(kept, weights))
    result["without_model"] = named(fit(train + kept, plain))
    if not options.no_model:
        train = [(table, gold) for path, _, table, gold in gathered if path not in apart and table is not None]
        kept = [(table, gold) for path, _, table, gold in gathered if path in apart and table is not None]
        weights = fit(train, range(len(FEATURES)))
        print("with the model  ", figures(kept, weights))
        result["with_model"] = named(fit(train + kept, range(len(FEATURES))))
    options.out.write_text("{\n" + ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in result.items()) + "\n}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
