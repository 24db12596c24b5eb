"""What each part of the ranking is worth: the menu's figures from the index's order to the model and an adapter.

    python bench/ablation.py --sites dev.jsonl --fit fit.jsonl --index ENV_INDEX.db [--no-model] [--json out.json]

The rows up to "+ expected" are orders of their own, each fitted with its columns alone on ``--fit``, which is measured
nowhere, and judged on ``--sites`` as in an empty workspace.  The rows with the repository and with what is accepted use the
shipped weights: the other files of each site's repository, and the author's members at its earlier sites.  The rows with
the model use the shipped weights and the model's real scores, alone and with the adapters that the registry (OCTOD_HOME) has
for the environment.  A site whose member is not in the menu counts as 0 everywhere.  Intervals are 95 %, over files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fit_ranker import (
    CONDITIONS,
    PATIENCE,
    Habits,
    Repositories,
    Site,
    conditions,
    document_of,
    fitted,
    gather,
    read_sites,
    receiver_of,
)
from octod.adapters.identity import BaseModel, bundled_base
from octod.adapters.ranker import FEATURES, Matrix, Ranker, features
from octod.core.paths import Paths
from octod.daemon import menu
from octod.daemon.context import Place, Usages, evidence_at, imports_of, place_at, prompt_at
from octod.daemon.engines.embedded import EmbeddedEngine
from octod.daemon.model import Model
from octod.daemon.protocol import Document
from octod.indexer.store import Index

# Columns that each row adds to the one before.
STEPS: Mapping[str, tuple[str, ...]] = {
    "counts": ("count", "seen", "bases", "hidden", "private", "dunder", "callable", "class", "module", "deprecated", "depth"),
    "+ history": ("used_here", "used_last", "used_type", "used"),
    "+ surroundings": (*(f for f in FEATURES if f.startswith("near_")),),
    "+ names": ("names", *(f for f in FEATURES if f.startswith("word_"))),
    "+ expected types": ("wanted", "unwanted", "thrown_away", "typed", "mistyped"),
}
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the rank of the author's member at each site, 0 where the menu lacks it."""

    title: str
    ranks: list[int] = field(default_factory=list)

    def figures(self, files: Sequence[str]) -> dict[str, float]:
        """top-1, top-5, MRR and the 95 % interval of the last, resampling whole files."""
        ranks = np.array(self.ranks)
        gain = np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)
        names = sorted(set(files))
        number = {name: n for n, name in enumerate(names)}
        home = np.array([number[f] for f in files])
        sums, sizes = np.bincount(home, gain, len(names)), np.bincount(home, minlength=len(names))
        chance = np.random.default_rng(0)
        drawn = chance.integers(0, len(names), (RESAMPLES, len(names)))
        means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        top1, top5 = float(np.mean(ranks == 1)), float(np.mean((ranks > 0) & (ranks <= 5)))
        return {"top1": top1, "top5": top5, "mrr": float(gain.mean()), "low": float(low), "high": float(high)}


def orders(fit_sites: Sequence[Site], index: Index) -> dict[str, Matrix]:
    """The weights of each step."""
    cases = asyncio.run(gather(fit_sites, index, Ranker.shipped(), None))
    columns: list[int] = []
    found = {"index order": np.zeros(len(FEATURES))}
    for title, added in STEPS.items():
        columns += [FEATURES.index(name) for name in added]
        found[title] = fitted(cases, columns, ["plain"])
    return found


async def measure(sites: Sequence[Site], index: Index, weights: Mapping[str, Matrix], with_model: bool) -> list[Row]:
    """One pass over the sites."""
    ranker = Ranker.shipped()
    usages, habits, repositories = Usages(index), Habits(), Repositories(index, sites)
    model = await awake() if with_model else None
    rows = {title: Row(title) for title in (*weights, "all, shipped weights", *(f"all, {c}" for c in CONDITIONS if c != "plain"))}
    if model is not None:
        rows |= {title: Row(title) for title in ("all + model", "all + model + adapter")}
    adapted = 0
    for site in sites:
        document, offset = document_of(site)
        place = place_at(index, document, offset)
        names = [m.symbol.name for m in place.members]
        if site["member"] not in names:
            for row in rows.values():
                row.ranks.append(0)
            continue
        gold = names.index(str(site["member"]))
        tables = {
            c: features(place.members, e)
            for c, e in conditions(evidence_at(index, usages, place), place, site, repositories, habits)
        }
        plain = tables["plain"]
        scores = {title: plain @ w for title, w in weights.items()}
        scores["all, shipped weights"] = ranker.scores(plain, False)
        for condition in CONDITIONS:
            if condition != "plain":
                scores[f"all, {condition}"] = ranker.scores(tables.get(condition, plain), False)
        if model is not None:
            alone, mixed, some = await modelled(model, index, place, plain, ranker, document, offset)
            scores |= {"all + model": alone, "all + model + adapter": mixed}
            adapted += some
        for title, found in scores.items():
            rows[title].ranks.append(menu.order(found).index(gold) + 1)
        habits.note(repositories.name(site["path"]), receiver_of(place), str(site["member"]))
    if model is not None:
        await model.stop()
        if not adapted:
            del rows["all + model + adapter"]  # no adapter serves this environment
        else:
            print(f"adapters took part in {adapted} menus")
    return list(rows.values())


async def awake() -> Model:
    """The bundled base model with the registry's adapters, as the daemon has it."""
    paths = Paths.of()
    base: BaseModel = bundled_base()
    model = Model(EmbeddedEngine(base.folder, paths), base, paths, print)
    await model.start()
    return model


async def modelled(
    model: Model, index: Index, place: Place, table: Matrix, ranker: Ranker, document: Document, offset: int
) -> tuple[Matrix, Matrix, bool]:
    """(scores with the model, with its adapters too, whether there are any)."""
    rows = menu.likeliest(place, table, ranker)
    names = [place.members[i].symbol.name for i in rows]
    prompt = prompt_at(document, offset, menu.signatures(place, rows))
    choice = await model.choice(document.uri, imports_of(document.text), place.library, index.import_names())

    async def scored(mixture: tuple[tuple[str, float], ...]) -> Matrix:
        found = await model.score(prompt, names, mixture, PATIENCE)
        return ranker.scores(table, False) if found is None else ranker.scores(menu.with_model(table, rows, found), True)

    alone = await scored(())
    return alone, await scored(choice.mixture) if choice.mixture else alone, bool(choice.mixture)


def main() -> int:
    """Fit the steps, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True, help="the sites to judge on")
    parser.add_argument("--fit", type=Path, required=True, help="the sites to fit the steps on, of other sources")
    parser.add_argument("--index", type=Path, required=True, help="the index of their environment, only read")
    parser.add_argument("--limit", type=int, default=0, help="judge on so many sites, drawn by a fixed seed")
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sites = sorted(read_sites(options.sites, options.limit), key=lambda s: (str(s["path"]), int(str(s["line"])), int(str(s["character"]))))
    with Index.open(options.index) as index:
        weights = orders(read_sites(options.fit, 3_000), index)
        rows = asyncio.run(measure(sites, index, weights, not options.no_model))
    files = [str(s["path"]) for s in sites]
    found = {row.title: row.figures(files) for row in rows}
    print(f"\n{len(sites)} sites of {len(set(files))} files\n\n| order | top-1 | top-5 | MRR | 95 % |\n|---|---|---|---|---|")
    for title, f in found.items():
        print(f"| {title} | {f['top1']:.3f} | {f['top5']:.3f} | {f['mrr']:.3f} | {f['low']:.3f}–{f['high']:.3f} |")
    if options.json:
        options.json.write_text(json.dumps({"sites": len(sites), "rows": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
