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
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from fit_ranker import (
    CONDITIONS,
    PATIENCE,
    PROCESSES,
    Habits,
    Repositories,
    Site,
    conditions,
    document_of,
    fitted,
    gathered,
    in_repositories,
    read_sites,
    receiver_of,
)
from octod.adapters.identity import BaseModel, bundled_base
from octod.adapters.ranker import FEATURES, INPUTS, Matrix, Ranker, features, inputs
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
SHIPPED, MODEL, ADAPTER = "all, shipped weights", "all + model", "all + model + adapter"

Scores = dict[str, list[float]]  # by a hash of the base model, the prompt, the names and the adapters


@dataclass(frozen=True, slots=True)
class Ranks:
    """The rank of the author's member by row of the table, none where the menu lacks it; whether an adapter took part."""

    path: str
    of: Mapping[str, int] = field(default_factory=dict)
    adapted: bool = False


def figures(title: str, sites: Sequence[Ranks]) -> dict[str, float]:
    """top-1, top-5, MRR of a row and the 95 % interval of the last, resampling whole files."""
    ranks = np.array([site.of.get(title, 0) for site in sites])
    gain = np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)
    names, home = np.unique([site.path for site in sites], return_inverse=True)
    sums, sizes = np.bincount(home, gain, len(names)), np.bincount(home, minlength=len(names))
    drawn = np.random.default_rng(0).integers(0, len(names), (RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    top1, top5 = float(np.mean(ranks == 1)), float(np.mean((ranks > 0) & (ranks <= 5)))
    return {"top1": top1, "top5": top5, "mrr": float(gain.mean()), "low": float(low), "high": float(high)}


def orders(fit_sites: Sequence[Site], index: Path) -> dict[str, Matrix]:
    """The weights of each step."""
    cases = gathered(fit_sites, index, Ranker.shipped(), False)
    columns: list[int] = []
    found = {"index order": np.zeros(len(INPUTS))}
    for title, added in STEPS.items():
        columns += [FEATURES.index(name) for name in added]
        found[title] = fitted(cases, columns, ["plain"])
    return found


def measured(
    sites: Sequence[Site], index: Path, weights: Mapping[str, Matrix], modelled: bool, known: Scores
) -> tuple[list[Ranks], Scores]:
    """(the ranks of the author's member at each site, every score of the model that was needed)."""
    common, groups = in_repositories(sites)
    ask = partial(measured_of, common=common, index=index, weights=weights, modelled=modelled, known=known)
    ranks: list[Ranks] = []
    scores: Scores = {}
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for some, needed in pool.imap(ask, groups):
            ranks += some
            scores |= needed
    return ranks, scores


def measured_of(
    sites: Sequence[Site], common: str, index: Path, weights: Mapping[str, Matrix], modelled: bool, known: Scores
) -> tuple[list[Ranks], Scores]:
    """The same for one repository."""

    async def run() -> tuple[list[Ranks], Scores]:
        with Index.open(index) as opened:
            judge = Judge(opened, common, weights, await awake() if modelled else None, known)
            try:
                return [await judge.ranks(site) for site in sites], judge.needed
            finally:
                if judge.model is not None:
                    await judge.model.stop()

    return asyncio.run(run())


class Judge:
    """One repository's sites in their order; ``needed`` are the model's scores so far, of which some were ``known``."""

    def __init__(self, index: Index, common: str, weights: Mapping[str, Matrix], model: Model | None, known: Scores) -> None:
        self.model, self.needed = model, Scores()
        self._index, self._weights, self._known = index, weights, known
        self._usages, self._habits, self._repositories = Usages(index), Habits(), Repositories(index, common)
        self._ranker, self._base = Ranker.shipped(), bundled_base()

    async def ranks(self, site: Site) -> Ranks:
        """The rank in each row of the table; none at all where the menu lacks the member."""
        document, offset = document_of(site)
        place = place_at(self._index, document, offset)
        names = [m.symbol.name for m in place.members]
        if site["member"] not in names:
            return Ranks(str(site["path"]))
        gold = names.index(str(site["member"]))
        evidence = evidence_at(self._index, self._usages, place)
        tables = {c: features(place.members, e) for c, e in conditions(evidence, place, site, self._repositories, self._habits)}
        plain = tables["plain"]
        scores = {title: inputs(plain) @ w for title, w in self._weights.items()}
        scores[SHIPPED] = self._ranker.scores(plain, False)
        for condition in CONDITIONS:
            if condition != "plain":
                scores[f"all, {condition}"] = self._ranker.scores(tables.get(condition, plain), False)
        adapted = False
        if self.model is not None:
            more, adapted = await self._modelled(self.model, place, plain, document, offset)
            scores |= more
        self._habits.note(self._repositories.name(site["path"]), receiver_of(place), str(site["member"]))
        return Ranks(str(site["path"]), {title: menu.order(matrix).index(gold) + 1 for title, matrix in scores.items()}, adapted)

    async def _modelled(self, model: Model, place: Place, table: Matrix, document: Document, offset: int) -> tuple[dict[str, Matrix], bool]:
        """(the scores with the model, and with the file's adapters too, whether it has any)."""
        rows = menu.likeliest(place, table, self._ranker)
        names = [place.members[i].symbol.name for i in rows]
        prompt = prompt_at(document, offset, menu.signatures(place, rows))
        choice = await model.choice(document.uri, imports_of(document.text), place.library, self._index.import_names())
        found = {}
        for title, mixture in {MODEL: (), ADAPTER: choice.mixture}.items():
            key = sha256(repr((self._base.weights_hash, prompt, names, mixture)).encode()).hexdigest()
            score = self.needed.get(key) or self._known.get(key) or await model.score(prompt, names, mixture, PATIENCE)
            found[title] = self._ranker.scores(table, False)
            if score is not None:
                self.needed[key] = score
                found[title] = self._ranker.scores(menu.with_model(table, rows, score), True)
        return found, bool(choice.mixture)


async def awake() -> Model:
    """The bundled base model with the registry's adapters, as the daemon has it."""
    paths = Paths.of()
    base: BaseModel = bundled_base()
    model = Model(EmbeddedEngine(base.folder, paths, threads=1), base, paths, print)
    await model.start()
    return model


def main() -> int:
    """Fit the steps, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True, help="the sites to judge on")
    parser.add_argument("--fit", type=Path, required=True, help="the sites to fit the steps on, of other sources")
    parser.add_argument("--index", type=Path, required=True, help="the index of their environment, only read")
    parser.add_argument("--limit", type=int, default=0, help="judge on so many sites, drawn by a fixed seed")
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures here, and the model's scores beside it for the next time")
    options = parser.parse_args()
    sites = read_sites(options.sites, options.limit)
    weights = orders(read_sites(options.fit, 3_000), options.index)
    kept = options.json.with_suffix(".scores.json") if options.json else None
    known = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    ranks, needed = measured(sites, options.index, weights, not options.no_model, known)
    if kept is not None and needed:
        kept.write_text(json.dumps(needed))
    titles = [*weights, SHIPPED, *(f"all, {c}" for c in CONDITIONS if c != "plain")]
    adapted = sum(site.adapted for site in ranks)
    titles += [] if options.no_model else [MODEL, ADAPTER] if adapted else [MODEL]
    found = {title: figures(title, ranks) for title in titles}
    print(f"{len(ranks)} sites of {len({site.path for site in ranks})} files, adapters in {adapted} menus\n")
    print("| order | top-1 | top-5 | MRR | 95 % |\n|---|---|---|---|---|")
    for title, f in found.items():
        print(f"| {title} | {f['top1']:.3f} | {f['top5']:.3f} | {f['mrr']:.3f} | {f['low']:.3f}–{f['high']:.3f} |")
    if options.json:
        options.json.write_text(json.dumps({"sites": len(ranks), "rows": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
