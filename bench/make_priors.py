"""Count how an environment's libraries are called, and write adapters/priors.bin: the counts that octod ships.

    python bench/make_priors.py --env VENV --index ENV_INDEX.db [--out adapters/priors.bin] [--processes 2]

Every installed file is read again (nothing of it runs), so what is written does not depend on how an index keeps its counts.
A receiver is kept when code of at least two distributions calls it; argument lists are left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from octod.adapters.priors import Priors, write
from octod.indexer.environment import distributions, find_environment
from octod.indexer.store import Index
from octod.indexer.usage import ReceiverUsage, mine

LARGEST = 3_000_000  # bytes that the wheel may grow by
CHUNK = 2_000_000  # bytes of source in one task

Usage = dict[str, ReceiverUsage]
Task = tuple[str, tuple[Path, ...]]  # distribution, files


def main() -> int:
    """Mine, add up, prune, write, read again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", type=Path, required=True, help="the environment whose libraries are counted")
    parser.add_argument("--index", type=Path, required=True, help="its index, only read")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "adapters" / "priors.bin")
    options = parser.parse_args()
    found, _ = distributions(find_environment(options.env))
    tasks = [t for d in found for t in chunks(d.library.distribution, d.files)]
    total: Usage = {}
    sources: dict[str, set[str]] = {}
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for name, mined in pool.imap_unordered(partial(count, index=options.index), tasks):
            for receiver, usage in mined.items():
                sources.setdefault(receiver, set()).add(name)
                add(total.setdefault(receiver, ReceiverUsage()), usage)
    names: Counter[str] = Counter()
    for usage in total.values():
        names.update(usage.members)
    kept = {r: u for r, u in total.items() if len(sources[r]) > 1 and u.calls > 3}
    size = 0
    for least in range(2, 12):
        size = write(options.out, {r: pruned(u, least) for r, u in kept.items()}, {n: c for n, c in names.items() if c > 4})
        if size <= LARGEST:
            break
    written = Priors(options.out)
    print(f"{options.out}: {size:,} bytes, {len(kept):,} receivers, {len(written.names):,} names, pairs seen {least} times")
    return 0


def chunks(name: str, files: Iterable[Path]) -> list[Task]:
    """The Python files of a distribution in tasks of about two megabytes."""
    groups: list[list[Path]] = []
    room = 0
    for file in files:
        if file.suffix != ".py" or not file.is_file():
            continue
        if room <= 0:
            groups.append([])
            room = CHUNK
        groups[-1].append(file)
        room -= file.stat().st_size
    return [(name, tuple(group)) for group in groups]


def count(task: Task, index: Path) -> tuple[str, Usage]:
    """(distribution, its usage without argument lists)."""
    name, files = task
    with Index.open_snapshot(index) as source:
        mined = mine(source, files)
    for usage in mined.values():
        usage.arguments.clear()
    return name, mined


def add(total: ReceiverUsage, more: ReceiverUsage) -> None:
    """Add counts up in place."""
    total.calls += more.calls
    _add(total.members, more.members)
    for into, counted in ((total.features, more.features), (total.keywords, more.keywords)):
        for key, counts in counted.items():
            _add(into.setdefault(key, {}), counts)


def _add(into: dict[str, int], more: Mapping[str, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count


def pruned(usage: ReceiverUsage, least: int) -> ReceiverUsage:
    """What was seen ``least`` times, or once where little was seen at all; pairs that say most first."""
    fewest = 1 if usage.calls <= 40 else least
    members = {m: n for m, n in sorted(usage.members.items(), key=_often)[:600] if n >= fewest - (fewest > 1)}
    features: dict[str, dict[str, int]] = {}
    for feature, by in sorted(usage.features.items(), key=lambda f: -sum(f[1].values()))[:800]:
        if kept := {m: n for m, n in sorted(by.items(), key=_often)[:25] if n >= max(least, 2) and m in members}:
            features[feature] = kept
    keywords = {}
    for member, counts in usage.keywords.items():
        if member in members and (kept := {k: n for k, n in sorted(counts.items(), key=_often)[:12] if n >= least}):
            keywords[member] = kept
    return ReceiverUsage(usage.calls, members, features, {}, keywords)


def _often(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


if __name__ == "__main__":
    raise SystemExit(main())
