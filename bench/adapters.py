"""An adapter beside its controls, on sources that are in no training set.

    python bench/adapters.py networkx --env ENV --measure SRC [--measure SRC] [--wrong flask]
        [--shared click --shared requests --minutes 4] [--limit 100] [--json out.json]

Conditions: the library's adapter, the base, both with and without the index's signatures in the prompt, the wrong library's adapter,
and one shared adapter that is trained here for ``--minutes`` on the library and the ones named with ``--shared`` together.
Figures: rank of the author's member among the receiver's real members (top-1, MRR), whether
the greedy argument list is the author's, and its bits per byte.  Adapters are taken from the registry (``octod train`` first).
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import asdict
from pathlib import Path

from octod.adapters import dataset, evaluate, lora, train
from octod.adapters.identity import bundled_base
from octod.adapters.registry import Registry
from octod.core.paths import Paths
from octod.indexer.environment import distributions, find_environment
from octod.indexer.store import Index


def main() -> int:
    """Build the samples, train the shared adapter, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package")
    parser.add_argument("--env", required=True)
    parser.add_argument("--measure", action="append", type=Path, required=True)
    parser.add_argument("--wrong")
    parser.add_argument("--shared", action="append", default=[])
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600.0, help="for the measuring, at the most")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    environment, paths, base = find_environment(options.env), Paths.of(), bundled_base()
    installed, _ = distributions(environment)

    def adapter_of(package: str) -> Path:
        with Registry.open(paths) as registry:
            return next(a.folder for a in registry.adapters() if a.library.distribution == package)

    def samples_of(package: str, measured: list[Path]) -> dataset.DataSet:
        found = train._find(package, installed, environment)
        own = dataset.Source(found.library.distribution, found.files, found.licence)
        return dataset.build(
            index, found.library, train._import_names(found), [own, *others], plan=dataset.Plan(seconds=60),
            measured=train._projects(measured), exclude=options.measure,
        )  # fmt: skip

    with Index.open(paths.indexes / f"{environment.key}.db") as index:
        others: list[dataset.Source] = []
        data = samples_of(options.package, options.measure)
        conditions = [
            evaluate.Condition("adapter + index", adapter_of(options.package)),
            evaluate.Condition("base + index"),
            evaluate.Condition("adapter", adapter_of(options.package), context=False),
            evaluate.Condition("base", context=False),
        ]
        if options.wrong:
            conditions.append(evaluate.Condition(f"wrong adapter ({options.wrong}) + index", adapter_of(options.wrong)))
        if options.shared:
            mixed = [*data.train, *(s for name in options.shared for s in samples_of(name, []).train)]
            random.Random(0).shuffle(mixed)
            work = Path(tempfile.mkdtemp(prefix="octod-shared-"))
            outcome = lora.train(base, mixed, work, parameters=lora.Hyperparameters(minutes=options.minutes))
            print(f"shared adapter: {len(mixed)} samples of {1 + len(options.shared)} libraries, {outcome.steps} steps")
            conditions.append(evaluate.Condition("shared adapter + index", outcome.folder))
    figures, notes = evaluate.measure(
        evaluate.judges(base.folder), conditions, {"": data.other_sources}, data.members,
        limit=options.limit, seconds=options.seconds,
    )  # fmt: skip
    print("\n".join(notes))
    for f in figures:
        print(f"{f.condition:34s} {f.kind:10s} {f.samples:4d}  top1={f.top1} mrr={f.mrr} exact={f.exact} bits={f.bits}")
    if options.json:
        options.json.write_text(json.dumps([asdict(f) for f in figures], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
