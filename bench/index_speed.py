"""How fast an environment is indexed, how large the index is, and how fast it answers.

    python bench/index_speed.py ENVIRONMENT [--library NAME ...] [--queries N] [--processes N] [--keep FILE]
    python bench/index_speed.py --ask INDEX [--queries N]

Builds into a temporary folder (or FILE): first the API, then how it is used.  Seconds are printed by the clock and of the
processors, questions by that of the processor, sizes by table.  ``--library`` indexes these distributions alone, without the standard library, and mines
nothing.  ``--ask`` builds nothing and asks an index that is there.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from octod.indexer import build as building
from octod.indexer.environment import (
    Distribution,
    Environment,
    distributions,
    find_environment,
    standard_library,
)
from octod.indexer.mining import MINING
from octod.indexer.search import search
from octod.indexer.store import Index
from octod.indexer.work import modules

WORDS = [  # common words, rare ones, beginnings of words, two and more
    "plot", "read", "data", "get", "set", "open", "load", "write", "save", "run", "create", "parse", "find", "array",
    "table", "file", "list", "model", "test", "connect", "session", "uuid", "dataframe", "dumps", "groupby",
    "softmax", "quantile", "tokenizer", "zipfile", "levenshtein", "websocket", "retry", "blake2b", "isclose",
    "argsort", "df", "dat", "tok", "read csv", "http get", "group by", "open file", "parse date", "random forest",
    "create engine", "json dumps", "send email", "run subprocess", "linear regression", "plot histogram",
    "fit transform", "matrix inverse", "data loader", "temp file", "thread pool", "event loop", "url join",
    "html parser", "date range", "find all links", "numpy mean", "pandas merge", "requests post", "path exists",
    "log level", "train test split", "sort values by column", "read excel file", "cross validation score",
    "set random seed", "download file from url",
]  # fmt: skip
RESIDENT = """
import sys
from octod.indexer.store import Index
index = Index.open(sys.argv[1])
for name in sys.stdin.read().split("\\n"):
    index.scope(name)
    index.usage(name + "()")
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmRSS")))
"""


def main() -> None:
    """Build, then ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, nargs="?")
    parser.add_argument("--ask", type=Path, default=None, metavar="INDEX", help="build nothing: ask this index")
    parser.add_argument("--library", action="append", default=[], help="only this distribution; several times for several")
    parser.add_argument("--queries", type=int, default=2_000, help="names asked for")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="build here, bringing up to date what is there")
    options = parser.parse_args()
    if options.ask is not None:
        ask(options.ask, options.queries)
        return
    if options.environment is None:
        parser.error("an environment to index, or --ask INDEX")
    environment = find_environment(options.environment)
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "index.db"
        sources = build(environment, path, set(options.library), options.processes)
        tables(path, sources)
        ask(path, options.queries)


def build(environment: Environment, path: Path, only: set[str], processes: int | None) -> int:
    """Index the environment, and print what it took; returns the bytes of all sources that were read."""
    found, _ = distributions(environment)
    if only:
        found = [d for d in found if d.library.distribution in only]
        empty = Distribution(standard_library(environment.python).library, (), (), Path("/"))
        building.distributions = lambda _: (found, [])  # type: ignore[assignment]  # a part of the environment
        building.standard_library = lambda _: empty  # type: ignore[assignment]
    every = found if only else [standard_library(environment.python), *found]
    api = {file for d in every for module in modules(d) for file in module.files}
    files = api if only else api | {file for d in every for file in d.files}
    size, whole = _bytes(api), _bytes(files)
    print(f"{len(found)} libraries, {len(api):,} files of API ({size / 1e6:.1f} MB), {whole / 1e6:.1f} MB with what is mined alone")
    for stage, mining in (("api", None), ("usage", MINING))[: 1 if only else 2]:
        wall, own, workers = time.perf_counter(), time.process_time(), _children()
        report = building.build(environment, path, processes=processes, mining=mining)
        wall, own, workers = time.perf_counter() - wall, time.process_time() - own, _children() - workers
        read = size if stage == "api" else whole
        print(
            f"{stage:<6} {wall:7.1f} s, processors {own + workers:7.1f} s ({own:.1f} s of them the writer's),"
            f" {(own + workers) / max(read, 1) * 1e6:.2f} s per MB, {report.symbols:,} symbols, {len(report.problems)} problems"
        )
    return whole


def tables(path: Path, sources: int) -> None:
    """Print the size of the file by table, and its share of the sources."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute(
            "SELECT name, sum(pgsize), sum(unused) FROM dbstat GROUP BY name HAVING sum(pgsize) > 100000 ORDER BY 2 DESC"
        ).fetchall()
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        page = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    size = path.stat().st_size
    print(f"file   {size / 1e6:.1f} MB, {100 * size / max(sources, 1):.1f} % of the sources, {free * page / 1e6:.1f} MB of it free")
    for name, used, unused in rows:
        print(f"       {name:<24} {used / 1e6:6.2f} MB, {unused / 1e6:.2f} MB of it unused")


def ask(path: Path, count: int) -> None:
    """Print how long questions take, and the memory of a process that asked them."""
    with Index.open(path) as index:
        names = _names(index, count)
        for cached in ("cold", "warm"):
            _timed(f"scope, {cached}", index.scope, names)
    with Index.open(path) as index:
        receivers = [f"{name}()" for name in names]
        _timed("usage", index.usage, receivers + names)
        _timed("search, opening", partial(search, index), ["first of all"])
        for words in ("first", "again"):
            _timed(f"search, {words}", partial(search, index), WORDS)
    command = [sys.executable, "-c", RESIDENT, str(path)]
    done = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, check=True)
    print(f"memory {int(done.stdout) / 1e3:.0f} MB of a process that asked for {len(names):,} scopes")


def _names(index: Index, count: int) -> list[str]:
    """Names of scopes, drawn evenly."""
    found: list[str] = []
    left = [name for name in index.import_names() if index.scope(name) is not None]
    seen = set(left)
    while left:
        name = left.pop()
        scope = index.scope(name)
        found.append(name)
        inner = [f"{name}.{s.name}" for s in scope.symbols.values() if s.kind == "class"] if scope else []
        fresh = [n for n in (*index.submodules(name), *inner) if n not in seen]
        seen.update(fresh)
        left += fresh
    random.Random(1).shuffle(found)
    return found[:count]


def _timed(what: str, ask: Callable[[str], Any], names: Iterable[str]) -> None:
    taken = []
    for name in names:
        started = time.process_time()  # whatever else the machine does
        ask(name)
        taken.append(time.process_time() - started)
    taken.sort()
    if taken:
        middle, late = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 95 // 100)]
        print(f"{what:<15} p50 {middle * 1e3:7.3f} ms, p95 {late * 1e3:7.3f} ms, longest {taken[-1] * 1e3:7.1f} ms ({len(taken):,})")


def _bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.exists())


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
