"""Count how libraries are called by others, and write adapters/priors.bin: the counts that octod ships.

    python bench/make_priors.py --index ENV_INDEX.db --env VENV --sources FOLDER [--without MEASURED] [--out adapters/priors.bin]

``--env`` is an environment (bench/environment.txt) and ``--sources`` a folder of unpacked source archives (bench/usage.txt), each in
a folder of its own; both may be given more than once.  The index knows the libraries whose calls are counted; octod index makes it
of an environment.  Every file is read (nothing of it runs), each text once, and of the archives only those whose licence is permissive.
Files that share half of their lines with what lies under a ``--without`` folder are left out: what is measured must not be counted.
A test's call counts a fifth.  A receiver is kept when code of at least two distributions calls it; argument lists are left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

from octod.adapters.base.sources import normalise, permissive_licence
from octod.adapters.priors import Priors, write
from octod.indexer.environment import distributions, find_environment
from octod.indexer.store import Index
from octod.indexer.usage import LARGEST_FILE, ReceiverUsage, mine

LARGEST = 3_000_000  # bytes that the wheel may grow by
CHUNK = 2_000_000  # bytes of source in one task
SCALE = 5  # a call counts so often, one in a test once: tests assert more than they use, and nobody else writes so many of them
TELLING = 25  # characters from which on a line tells one file from another
_TEST = re.compile(r"(^|/)_?(tests?|testing)(/|$)|(^|/)(test_[^/]*|[^/]*_test|conftest)\.py$")
_VENDORED = re.compile(r"(^|/)(_?vendor(ed)?|_?vendored_packages|_?extern(al|s)?|third_?party|site-packages)(/|$)")

Usage = dict[str, ReceiverUsage]
Task = tuple[str, bool, tuple[Path, ...]]  # distribution, whether they are tests, files


def main() -> int:
    """Mine, add up, prune, write, read again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True, help="the index of the libraries that are called, only read")
    parser.add_argument("--env", type=Path, action="append", default=[], help="an environment whose libraries' code is counted")
    parser.add_argument("--sources", type=Path, action="append", default=[], help="a folder with a folder for each source archive")
    parser.add_argument("--without", type=Path, action="append", default=[], help="a folder of what is measured")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "adapters" / "priors.bin")
    options = parser.parse_args()
    fresh = Fresh(options.without)
    tasks = [t for name, root, files in sources(options.env, options.sources) for t in chunks(name, root, files, fresh)]
    counts = Counts()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for name, test, mined in pool.imap_unordered(partial(count, index=options.index), tasks):
            counts.add(name, test, mined)
    size, kept, least = counts.write(options.out)
    print(f"{options.out}: {size:,} bytes, {kept:,} receivers, {len(Priors(options.out).names):,} names, pairs seen {least} times")
    return 0


def sources(environments: Iterable[Path], folders: Iterable[Path]) -> Iterator[tuple[str, Path, list[Path]]]:
    """(distribution, the folder that its paths count from, its files) of what is installed and of what is unpacked."""
    for environment in environments:
        for found in distributions(find_environment(environment))[0]:
            yield normalise(found.library.distribution), found.root, sorted(found.files)
    for folder in folders:
        for root in sorted(f for f in folder.iterdir() if f.is_dir()):
            metadata = [*root.glob("PKG-INFO"), *root.glob("*/PKG-INFO")]
            if metadata and permissive_licence(metadata[0].read_text("utf-8", "replace")) is not None:
                yield normalise(re.sub(r"-[0-9][^-]*$", "", root.name)), root, sorted(root.rglob("*.py"))
            else:
                print(f"{root}: left out, no permissive licence is declared")


class Fresh:
    """Which files to count: each text once, nothing vendored, nothing near to a file under the ``without`` folders."""

    def __init__(self, without: Iterable[Path]) -> None:
        self._seen: set[bytes] = set()
        measured = [line for folder in without for file in folder.rglob("*.py") if file.is_file() for line in telling(file.read_bytes())]
        self._measured = frozenset(measured)

    def __call__(self, file: Path, root: Path) -> bool:
        """Whether to count a file of a distribution; asked once of each."""
        if file.suffix != ".py" or not file.is_file() or file.stat().st_size > LARGEST_FILE:
            return False
        if _VENDORED.search(file.relative_to(root).parent.as_posix()):
            return False
        data = file.read_bytes()
        key = sha256(b"\n".join(line.rstrip() for line in data.split(b"\n"))).digest()
        lines = telling(data)
        if key in self._seen or (len(lines) >= 8 and 2 * len(lines & self._measured) > len(lines)):
            return False
        self._seen.add(key)
        return True


def telling(data: bytes) -> set[int]:
    """Hashes of the lines that are long enough to tell one file from another."""
    return {hash(line) for raw in data.split(b"\n") if len(line := raw.strip()) >= TELLING}


def chunks(name: str, root: Path, files: Iterable[Path], fresh: Fresh) -> list[Task]:
    """The files of a distribution that are to be counted, tests apart, in tasks of about two megabytes."""
    groups: list[tuple[bool, list[Path]]] = []
    room = {False: 0, True: 0}
    latest: dict[bool, list[Path]] = {}
    for file in files:
        if not fresh(file, root):
            continue
        test = _TEST.search(file.relative_to(root).as_posix()) is not None
        if room[test] <= 0:
            latest[test] = []
            groups.append((test, latest[test]))
            room[test] = CHUNK
        latest[test].append(file)
        room[test] -= file.stat().st_size
    return [(name, test, tuple(group)) for test, group in groups]


def count(task: Task, index: Path) -> tuple[str, bool, Usage]:
    """(distribution, whether these were tests, its usage without argument lists)."""
    name, test, files = task
    with Index.open_snapshot(index) as source:
        mined = mine(source, files)
    for usage in mined.values():
        usage.arguments.clear()
    return name, test, mined


@dataclass(slots=True)
class Counts:
    """What was mined so far, ``SCALE`` times what it counts: the sum by receiver, and the distributions that call each."""

    total: Usage = field(default_factory=dict)
    sources: dict[str, set[str]] = field(default_factory=dict)

    def add(self, name: str, test: bool, mined: Mapping[str, ReceiverUsage]) -> None:
        """Add what was mined from files of a distribution."""
        for receiver, usage in mined.items():
            self.sources.setdefault(receiver, set()).add(name)
            add(self.total.setdefault(receiver, ReceiverUsage()), usage, 1 if test else SCALE)

    def write(self, path: Path) -> tuple[int, int, int]:
        """Write what fits; returns (bytes, receivers, how often a pair must have been seen to be kept)."""
        names: dict[str, int] = {}
        for usage in self.total.values():
            _add(names, usage.members, 1)
        names = {name: round(count / SCALE) for name, count in names.items() if count > 4 * SCALE}
        shared = {r: scaled(u) for r, u in self.total.items() if len(self.sources[r]) > 1}
        kept = {r: u for r, u in shared.items() if u.calls > 3}
        size = least = 0
        for least in range(2, 12):
            size = write(path, {r: pruned(u, least) for r, u in kept.items()}, names)
            if size <= LARGEST:
                break
        return size, len(kept), least


def add(total: ReceiverUsage, more: ReceiverUsage, times: int) -> None:
    """Add counts up in place."""
    total.calls += more.calls * times
    _add(total.members, more.members, times)
    for into, counted in ((total.features, more.features), (total.keywords, more.keywords)):
        for key, counts in counted.items():
            _add(into.setdefault(key, {}), counts, times)  # type: ignore[attr-defined]  # what is counted here is a dict


def _add(into: dict[str, int], more: Mapping[str, int], times: int) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count * times


def scaled(usage: ReceiverUsage) -> ReceiverUsage:
    """The counts divided by ``SCALE``; a member that tests alone call stays."""
    members = {m: max(1, round(n / SCALE)) for m, n in usage.members.items()}
    features = {f: {m: round(n / SCALE) for m, n in by.items()} for f, by in usage.features.items()}
    keywords = {m: {k: round(n / SCALE) for k, n in counts.items()} for m, counts in usage.keywords.items()}
    return ReceiverUsage(sum(members.values()), members, features, {}, keywords)


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
