"""Fit the menu's weights on call sites of sources that are measured nowhere, and write adapters/ranker.json.

    python bench/fit_ranker.py --sites fit.jsonl --index ENV_INDEX.db [--no-model] [--out adapters/ranker.json]

Each site's file is cut at the dot, as in lsp_eval.py; the author's member is the gold row of that menu.  A menu counts up to
three times: as it is in an empty workspace, with what the repository's other files call, and with what the author would have
accepted at the earlier sites of the repository.  Projects count by the square root of their sites.  A fifth of the files
is kept apart and its figures printed.  Then the network with the language model is fitted on its real scores of the rows
that the new one without it puts first.  Needs torch.  Run it from the folder that the sites' paths are relative to; two cores
need five minutes for 8,100 sites without the model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import lsp_eval  # noqa: F401  the same reading of sites as the measurement
import numpy as np
from octod.adapters.accepted import FADING
from octod.adapters.identity import bundled_base
from octod.adapters.ranker import INPUTS, Evidence, Matrix, Ranker, features, fit, inputs
from octod.adapters.scorer import Scorer
from octod.core.paths import Paths
from octod.daemon import menu
from octod.daemon.context import Place, Usages, evidence_at, place_at, prompt_at
from octod.daemon.engines.embedded import EmbeddedEngine
from octod.daemon.protocol import Document
from octod.indexer.scope import usage_key
from octod.indexer.store import Index
from octod.indexer.usage import mine

MODEL, COMPARED = INPUTS.index("model"), INPUTS.index("model less the best")
PLAIN = [i for i in range(len(INPUTS)) if i not in (MODEL, COMPARED)]
CONDITIONS = {"plain": 1.0, "project": 0.5, "accepted": 0.5}  # how much a menu counts in each
KEPT, ALSO = 100, 20  # the best rows of a menu and some of the others: the rest teaches nothing new
PATIENCE = 20.0  # seconds for the model's scores of one menu
NETWORKS, HIDDEN, DROPPED, DECAY, RATE, STEPS = 3, 48, 0.3, 0.1, 3e-3, 3_000  # of the scorer; tried on other sites than are measured
FAR = 6.0  # as Scorer cuts its inputs
PROCESSES = 2  # each with an engine of one thread where the model is asked

Site = dict[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One menu whose gold row is known: the inputs (rows, INPUTS) of the rows that are kept, in each condition."""

    path: str
    project: str
    gold: int
    tables: Mapping[str, Matrix]


def document_of(site: Site) -> tuple[Document, int]:
    """The site's file cut just after the dot, and the cursor there."""
    path = Path(str(site["path"])).resolve()
    text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    lines = text.split("\n")
    line = lines[int(str(site["line"]))]
    before = line.encode("utf-16-le")[: 2 * int(str(site["character"]))].decode("utf-16-le")
    cut = "\n".join([*lines[: int(str(site["line"]))], before])
    return Document(path.as_uri(), 1, cut, str(path.with_name(f"_octod_{path.name}"))), len(cut)


def in_repositories(sites: Sequence[Site]) -> tuple[str, list[list[Site]]]:
    """(the folder that all sites have in common, those of each repository as they are written, the most first).

    A repository is the first folder below the common one.
    """
    files = [os.path.abspath(str(s["path"])) for s in sites]
    common = os.path.commonpath(files) if len(set(files)) > 1 else os.path.dirname(files[0])
    found: dict[str, list[Site]] = {}
    for site in sorted(sites, key=lambda s: (str(s["path"]), int(str(s["line"])), int(str(s["character"])))):
        found.setdefault(repository_of(common, site["path"]), []).append(site)
    return common, sorted(found.values(), key=len, reverse=True)


def repository_of(common: str, path: object) -> str:
    """The first folder of a path below the common one."""
    return os.path.relpath(os.path.abspath(str(path)), common).split(os.sep)[0]


class Repositories:
    """What the other files of a site's repository call, mined once a repository."""

    def __init__(self, index: Index, common: str) -> None:
        self._index, self._common = index, common
        self._mined: dict[str, tuple[dict[str, Counter[str]], dict[tuple[str, str], Mapping[str, int]]]] = {}

    def name(self, path: object) -> str:
        """The repository of a path."""
        return repository_of(self._common, path)

    def others(self, path: object, receiver: str) -> Counter[str]:
        """How often the other files of the path's repository call each member of a receiver."""
        name = self.name(path)
        if name not in self._mined:
            totals: dict[str, Counter[str]] = {}
            by_file: dict[tuple[str, str], Mapping[str, int]] = {}
            for file in sorted(Path(self._common, name).rglob("*.py")):
                for key, usage in mine(self._index, [file]).items():
                    by_file[str(file), key] = usage.members
                    totals.setdefault(key, Counter()).update(usage.members)
            self._mined[name] = totals, by_file
        totals, by_file = self._mined[name]
        return totals.get(receiver, Counter()) - Counter(by_file.get((os.path.abspath(str(path)), receiver), {}))


class Habits:
    """What the author of a repository would have accepted so far, fading as in octod.adapters.accepted."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], dict[str, float]] = {}

    def of(self, project: str, receiver: str) -> dict[str, float]:
        """The counts of a receiver."""
        return self._counts.get((project, receiver), {})

    def note(self, project: str, receiver: str, member: str) -> None:
        """One more."""
        faded = {m: c * FADING for m, c in self.of(project, receiver).items()}
        faded[member] = faded.get(member, 0.0) + 1.0
        self._counts[project, receiver] = faded


def receiver_of(place: Place) -> str:
    """The key that a place's receiver is counted under; empty when it is not known."""
    return usage_key(place.first) if place.first is not None else ""


def conditions(evidence: Evidence, place: Place, site: Site, repositories: Repositories, habits: Habits) -> Iterator[tuple[str, Evidence]]:
    """The evidence as it is, with the repository's other files, and with what was accepted there before."""
    yield "plain", evidence
    receiver = receiver_of(place)
    if project := repositories.others(site["path"], receiver):
        # features() takes out what the file itself calls, which an index of the whole repository has counted
        yield "project", replace(evidence, project=project + Counter(evidence.same_type))
    if accepted := habits.of(repositories.name(site["path"]), receiver):
        yield "accepted", replace(evidence, accepted=accepted)


def gathered(sites: Sequence[Site], index: Path, ranker: Ranker, modelled: bool) -> list[Case]:
    """The case of each site whose member the menu has, with the model's scores where it is asked for them."""
    common, groups = in_repositories(sites)
    gather = partial(gathered_of, common=common, index=index, ranker=ranker, modelled=modelled)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return [case for cases in pool.imap(gather, groups) for case in cases]


def gathered_of(sites: Sequence[Site], common: str, index: Path, ranker: Ranker, modelled: bool) -> list[Case]:
    """The cases of one repository."""

    async def run() -> list[Case]:
        engine = EmbeddedEngine(bundled_base().folder, Paths.of(), threads=1) if modelled else None
        if engine is not None:
            await engine.start()
        try:
            with Index.open(index) as opened:
                return await gather(sites, opened, common, ranker, engine)
        finally:
            if engine is not None:
                await engine.stop()

    return asyncio.run(run())


async def gather(sites: Sequence[Site], index: Index, common: str, ranker: Ranker, engine: EmbeddedEngine | None) -> list[Case]:
    """The case of each site of one repository."""
    usages, habits, repositories = Usages(index), Habits(), Repositories(index, common)
    chance = random.Random(0)
    found = []
    for site in sites:
        document, offset = document_of(site)
        place = place_at(index, document, offset)
        names = [m.symbol.name for m in place.members]
        if site["member"] not in names:
            continue
        gold, project = names.index(str(site["member"])), repositories.name(site["path"])
        evidence = evidence_at(index, usages, place)
        tables = {c: features(place.members, e) for c, e in conditions(evidence, place, site, repositories, habits)}
        if engine is not None:
            rows = menu.likeliest(place, tables["plain"], ranker)
            prompt = prompt_at(document, offset, menu.signatures(place, rows))
            scores = await engine.score(prompt, [names[i] for i in rows], (), PATIENCE)
            tables = {c: menu.with_model(table, rows, scores) for c, table in tables.items()}
        ranked = menu.order(ranker.scores(tables["plain"], engine is not None))
        rest = ranked[KEPT:]
        kept = sorted({gold, *ranked[:KEPT], *chance.sample(rest, min(ALSO, len(rest)))})
        found.append(Case(str(site["path"]), project, kept.index(gold), {c: inputs(t)[kept] for c, t in tables.items()}))
        habits.note(project, receiver_of(place), str(site["member"]))
    return found


def fitted(cases: Sequence[Case], columns: Sequence[int], names: Sequence[str] = tuple(CONDITIONS)) -> Matrix:
    """Linear weights of some columns from all cases in the conditions of those names."""
    sizes = Counter(case.project for case in cases)
    menus = [(case.tables[c], case.gold, CONDITIONS[c] / sizes[case.project] ** 0.5) for case in cases for c in names if c in case.tables]
    return fit([(table, gold) for table, gold, _ in menus], columns, shares=[share for *_, share in menus])


def trained(cases: Sequence[Case], steps: int = STEPS) -> Scorer:
    """The network that makes the gold rows likely: three of them from other beginnings, as one."""
    import torch

    sizes = Counter(case.project for case in cases)
    menus = [(case.tables[c], case.gold, CONDITIONS[c] / sizes[case.project] ** 0.5) for case in cases for c in CONDITIONS if c in case.tables]
    every = np.concatenate([table for table, *_ in menus])
    mean, scale = every.mean(axis=0), every.std(axis=0) + 1e-3
    longest, width = max(len(table) for table, *_ in menus), every.shape[1]
    rows, absent = torch.zeros(len(menus), longest, width), torch.full((len(menus), longest), -1e9)
    for number, (table, *_) in enumerate(menus):
        rows[number, : len(table)] = torch.from_numpy(np.clip((table - mean) / scale, -FAR, FAR))
        absent[number, : len(table)] = 0.0
    gold = torch.tensor([g for _, g, _ in menus])
    share = torch.tensor([s for *_, s in menus], dtype=torch.float32)
    found = []
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        linear = torch.nn.Linear(width, 1, bias=False)
        torch.nn.init.zeros_(linear.weight)
        hidden, out, drop = torch.nn.Linear(width, HIDDEN), torch.nn.Linear(HIDDEN, 1, bias=False), torch.nn.Dropout(DROPPED)
        layers = torch.nn.ModuleList([linear, hidden, out])
        optimiser = torch.optim.AdamW(layers.parameters(), lr=RATE, weight_decay=DECAY)
        for step in range(steps):
            some = torch.randint(0, len(menus), (128,))
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, (steps - step) / (0.7 * steps))
            x = rows[some]
            scores = (linear(x) + out(drop(torch.relu(hidden(x))))).squeeze(-1) + absent[some]
            losses = torch.nn.functional.cross_entropy(scores, gold[some], reduction="none")
            optimiser.zero_grad()
            ((losses * share[some]).sum() / share[some].sum()).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            hidden.weight[:, torch.from_numpy(every.std(axis=0) == 0)] = 0.0  # what never varied has taught nothing
        found.append([p.detach().double().numpy() for p in (linear.weight[0], hidden.weight.T, hidden.bias, out.weight[0])])
    lines, hiddens, biases, outs = zip(*found, strict=True)
    return Scorer(mean, scale, sum(lines) / NETWORKS, np.concatenate(hiddens, 1), np.concatenate(biases), np.concatenate(outs) / NETWORKS)


def nat(cases: Sequence[Case], scorer: Scorer) -> float:
    """How far a nat of the model's score moves a row, in 95 of 100."""
    tables = [case.tables["plain"] for case in cases]
    moved = []
    for table in tables:
        more = table.copy()
        more[:, [MODEL, COMPARED]] += 1.0
        moved.append(np.abs(scorer(more) - scorer(table)))
    return float(np.quantile(np.concatenate(moved), 0.95))


def figures(cases: Sequence[Case], score: Callable[[Matrix], Matrix], condition: str = "plain") -> str:
    """MRR, top-1 and top-5 of an order on the cases of a condition."""
    ranks = [menu.order(score(c.tables[condition])).index(c.gold) + 1 for c in cases if condition in c.tables]
    if not ranks:
        return "no menus"
    return f"MRR {np.mean([1 / r for r in ranks]):.3f}  top-1 {np.mean([r == 1 for r in ranks]):.3f}  top-5 {np.mean([r <= 5 for r in ranks]):.3f}  ({len(ranks)} menus)"


def without(cases: Sequence[Case]) -> list[Case]:
    """The same menus with nothing said by the model."""
    found = []
    for case in cases:
        tables = {c: table.copy() for c, table in case.tables.items()}
        for table in tables.values():
            table[:, [MODEL, COMPARED]] = 0.0
        found.append(replace(case, tables=tables))
    return found


def apart(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """(four fifths to fit on, a fifth kept apart), whole files each."""
    files = sorted({case.path for case in cases})
    random.Random(0).shuffle(files)
    away = set(files[: len(files) // 5])
    return [c for c in cases if c.path not in away], [c for c in cases if c.path in away]


def show(title: str, kept: Sequence[Case], score: Callable[[Matrix], Matrix]) -> None:
    """The figures of one order in every condition; those of the menus that have the condition, without it too."""
    print(f"{title:24}", figures(kept, score))
    for condition in CONDITIONS:
        if condition != "plain" and (having := [c for c in kept if condition in c.tables]):
            print(f"  without {condition:14}", figures(having, score), f"\n  with    {condition:14}", figures(having, score, condition))


def read_sites(path: Path, limit: int = 0) -> list[Site]:
    """The sites of a file, or a sample of them that is always the same."""
    sites = [json.loads(line) for line in path.read_text().splitlines()]
    return random.Random(0).sample(sites, limit) if 0 < limit < len(sites) else sites


def main() -> int:
    """Gather, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="the index of the sites' environment, only read")
    parser.add_argument("--limit", type=int, default=10_000, help="most sites without the model")
    parser.add_argument("--model-limit", type=int, default=2_300, help="most sites with the model")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the training of a network")
    parser.add_argument("--no-model", action="store_true", help="fit the weights without the language model only")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "adapters" / "ranker.json")
    options = parser.parse_args()
    result = json.loads(options.out.read_text()) if options.out.exists() else {}
    cases = gathered(read_sites(options.sites, options.limit), options.index, Ranker.shipped(), False)
    train, kept = apart(cases)
    print("index order             ", figures(kept, lambda table: np.zeros(len(table))))
    show("shipped before", kept, Ranker.shipped().without_model)
    weights = fitted(train, PLAIN)
    show("linear", kept, lambda table: table @ weights)
    show("fitted", kept, trained(train, options.steps))
    plain = trained(cases, options.steps)
    result["without_model"] = plain.numbers()
    if not options.no_model:
        # the rows that are scored are chosen by the new network without it, and by how far the model could bring a row up
        start = replace(Ranker.shipped(), without_model=plain)
        cases = gathered(read_sites(options.sites, options.model_limit), options.index, start, True)
        train, kept = apart(cases)
        show("the same menus, no model", without(kept), trained(without(train), options.steps))
        show("with the model", kept, trained(train, options.steps))
        modelled = trained(cases, options.steps)
        result |= {"with_model": modelled.numbers(), "nat": float(f"{nat(cases, modelled):.4g}")}
    options.out.write_text("{\n" + ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in result.items()) + "\n}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
