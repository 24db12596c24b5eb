"""Do the embedded engine and vLLM say the same? Members and arguments at real call sites, on the same weights.

    python bench/engine_parity.py --sites dev.jsonl --index ENV_INDEX.db --python VLLM_ENV/bin/python [--limit 500]

Each site is asked as the daemon asks: the likeliest rows of the menu are scored, and the arguments of the author's member
are generated under its signature's constraint, each by both engines, without a hurry. With adapters in the registry
(OCTOD_HOME) the sites of their libraries are asked with them. Where the engines differ, the difference between the two
best members' scores, or the least probability on the way, says whether numerics are why; ``--bits 32`` has the embedded engine
compute as exactly as vLLM does, where it otherwise rounds a large base's matrices to int8.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fit_ranker import Site, document_of, read_sites
from octod.adapters.identity import BaseModel, bundled_base
from octod.adapters.mixture import Mixture
from octod.adapters.ranker import Ranker, features
from octod.adapters.registry import Registry
from octod.core.paths import Paths
from octod.daemon import ghost, menu
from octod.daemon.context import Usages, evidence_at, place_at, prompt_at
from octod.daemon.engines.decoder import Decoder
from octod.daemon.engines.graph import cached_graph
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Ending, Generated, Prompt
from octod.daemon.engines.vllm import VllmEngine
from octod.daemon.engines.vllm_child import Child
from octod.daemon.engines.worker import _Job, _Worker
from octod.daemon.protocol import Document
from octod.indexer.scope import callees_at
from octod.indexer.store import Index

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked at a site: names behind a dot, and arguments behind the author's opening bracket."""

    mixture: Mixture
    menu: Prompt
    names: tuple[str, ...]
    call: Prompt | None
    constraint: CallConstraint | None


class Here:
    """The embedded engine's own code in this process, with the base's matrices in so many bits (0: as it is served)."""

    def __init__(self, base: Path, paths: Paths, bits: int) -> None:
        self._worker = _Worker()
        self._worker.open(base, paths.cache, 1)
        if bits:
            path, shape = cached_graph(BaseModel.of(base), paths.cache, bits)
            self._worker.decoder = Decoder(path, shape, 1)

    async def load(self, adapter: AdapterFiles) -> None:
        """Make an adapter usable."""
        assert self._worker.decoder is not None
        self._worker.decoder.load(adapter.name, adapter.folder)

    async def score(
        self, prompt: Prompt, candidates: Sequence[str], mixture: Mixture, deadline: float, end: Ending = "boundary"
    ) -> list[float]:
        """As the worker does."""
        return self._worker.score(_Job({}, time.monotonic() + deadline), prompt, list(candidates), mixture, end)

    async def generate(self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, deadline: float) -> Generated:
        """As the worker does."""
        return self._worker.generate(_Job({}, time.monotonic() + deadline), prompt, constraint, mixture)


def questions(sites: list[Site], index: Index, adapters: dict[str, str]) -> list[Question]:
    """The questions of the sites where there are names to choose from; ``adapters``: library -> adapter."""
    usages, ranker, found = Usages(index), Ranker.shipped(), []
    for site in sites:
        document, offset = document_of(site)
        place = place_at(index, document, offset)
        if len(place.members) < 2:
            continue
        rows = menu.likeliest(place, features(place.members, evidence_at(index, usages, place)), ranker)
        names = tuple(place.members[i].symbol.name for i in rows)
        asked = prompt_at(document, offset, menu.signatures(place, rows))
        opened = f"{site['member']}("
        document = Document(document.uri, 1, document.text + opened, document.path)
        offset += len(opened)
        place = place_at(index, document, offset)
        call = ghost.call_at(place, callees_at(index, place.cursor, place.module, place.package))
        known = call is not None and call.parameters is not None
        adapter = adapters.get(str(site["library"]))
        found.append(
            Question(
                ((adapter, 1.0),) if adapter else (),
                asked,
                names,
                prompt_at(document, offset, ghost.called_signature(call)) if call is not None and known else None,
                call.constraint if call is not None and known else None,
            )
        )
    return found


async def compare(asked: list[Question], engines: tuple[Here, VllmEngine]) -> dict[str, object]:
    """The shares of the sites where both say the same, and what the others look like."""
    members = calls = same_members = same_calls = 0
    apart: list[float] = []
    margins: list[float] = []
    doubts: list[dict[str, object]] = []
    seconds: list[list[float]] = [[], [], [], []]
    for question in asked:
        scores = []
        for n, engine in enumerate(engines):
            began = time.perf_counter()
            scores.append(await engine.score(question.menu, question.names, question.mixture, PATIENCE))
            seconds[n].append(time.perf_counter() - began)
        best = [max(range(len(one)), key=one.__getitem__) for one in scores]
        members += 1
        same_members += best[0] == best[1]
        apart.append(max(abs(a - b) for a, b in zip(*scores, strict=True)))
        if best[0] != best[1]:
            margins.append(scores[0][best[0]] - scores[0][best[1]])
        if question.call is None or question.constraint is None:
            continue
        made = []
        for n, engine in enumerate(engines):
            began = time.perf_counter()
            made.append(await engine.generate(question.call, question.constraint, question.mixture, PATIENCE))
            seconds[2 + n].append(time.perf_counter() - began)
        calls += 1
        same = (made[0].text, made[0].finished) == (made[1].text, made[1].finished)
        same_calls += same
        if not same:
            doubts.append({"embedded": made[0].text, "vllm": made[1].text, "least": [m.logprob_min for m in made]})
    names = ("scores_embedded", "scores_vllm", "arguments_embedded", "arguments_vllm")
    return {
        "members": members,
        "same_member": same_members / max(members, 1),
        "score_difference": {"median": statistics.median(apart), "largest": max(apart)},
        "margins_where_members_differ": [round(margin, 4) for margin in margins],
        "argument_lists": calls,
        "same_arguments": same_calls / max(calls, 1),
        "where_arguments_differ": doubts,
        "milliseconds": {name: round(1e3 * statistics.median(some), 1) for name, some in zip(names, seconds, strict=True) if some},
    }


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Start both engines, load the registry's adapters, ask."""
    paths, base = Paths.of(), bundled_base().folder
    adapters: dict[str, str] = {}
    files: list[AdapterFiles] = []
    if paths.registry.exists():
        with Registry.open(paths) as registry:
            for adapter in registry.adapters():
                adapters.setdefault(adapter.library.distribution, adapter.name)
                files.append(AdapterFiles(adapter.name, adapter.folder, adapter.rank, adapter.scaling))
    with Index.open(options.index) as index:
        asked = questions(read_sites(options.sites, options.limit), index, adapters)
    here = Here(base, paths, options.bits)
    there = VllmEngine(Child(options.python, base, paths), base, paths, own=not options.shared, shared=options.shared)
    began = time.perf_counter()
    await there.start()
    started = time.perf_counter() - began
    try:
        for one in files:
            await here.load(one)
            await there.load(one)
        found = await compare(asked, (here, there))
    finally:
        await there.stop()
    return {"seconds_to_ready": round(started, 1), "with_adapter": sum(bool(q.mixture) for q in asked), **found}


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="the index of their environment, only read")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter of an environment that has vLLM")
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--shared", type=Path, help="ask vLLM as a server that others share, adapters in this empty folder")
    parser.add_argument("--bits", type=int, default=0, choices=(0, 8, 32), help="of the embedded engine's matrices")
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
