"""How long the index's part of a menu takes, by route, and what it finds: in process, without daemon, editor and model.

    python bench/latency.py INDEX --sites sites.jsonl [--limit N] [--way members] [--json out.json]

Sites are asked in four ways, each in a process of its own: behind the receiver's dot (``members``), behind the opening bracket
(``keywords``), in the receiver's first name (``names``), in an import of each file (``imports``).  A text ends at its cursor, and
is asked again when one more letter is typed.  ``new file``: nothing of the file was read before; ``elsewhere``: at another place
of one that was; ``a letter later``: the second question.  At last a member is typed in the middle of a file of 20,000 lines, made
of the sites' files.  Paths are relative to the working folder; times are by the clock and (``cpu``) of the processor.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from compare import by_library, members_figures, table
from lsp_eval import cut, percentile
from octod.adapters.ranker import Ranker
from octod.daemon import menu
from octod.daemon.context import Usages
from octod.daemon.gather import write
from octod.daemon.offers import Offer, offer_at
from octod.daemon.protocol import Document
from octod.daemon.unimported import Unimported
from octod.indexer.store import Index

WAYS = ("members", "keywords", "names", "imports", "long")
WHEN = ("new file", "elsewhere", "a letter later")
LONG = 20_000  # lines
_NAME = re.compile(r"([A-Za-z_]\w+)(?:\.\w+)*\.\Z")
_IMPORT = re.compile(r"^(?:from[ \t]+[\w.]+[ \t]+import[ \t]+|import[ \t]+|from[ \t]+)[A-Za-z_](?=\w)", re.MULTILINE)

Site = dict[str, Any]
Taken = tuple[str, int, float, float]  # route, which of WHEN, seconds by the clock and of the processor


class Asked:
    """An index with what a question needs beside it; the ``libraries`` were asked for before."""

    def __init__(self, path: Path, names: Path, libraries: Iterable[str]) -> None:
        self.index, self.ranker, self.taken = Index.open(path), Ranker.shipped(), list[Taken]()
        self._usages, self._names = Usages(self.index), Unimported(self.index, names)
        self._names.load()
        gc.collect()  # as the daemon does
        gc.freeze()
        gc.set_threshold(100_000, 20, 100)
        for library in sorted(set(libraries)):
            self.at(Path("/rehearsal.py"), f"import {library}\n{library}.", 0)
        self.taken.clear()

    def at(self, path: Path, text: str, when: int, after: str = "", route: str = "") -> Offer:
        """The answer between two texts, which is counted under its own route or another."""
        document = Document(path.as_uri(), 1, text + after, str(path))
        clock, processor = time.perf_counter(), time.process_time()
        found = offer_at(self.index, self._usages, self._names, self.ranker, document, len(text))
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        unknown = found.place.cursor.receiver and not found.place.members  # jedi would be asked
        self.taken.append((route or ("unknown" if unknown else found.route or "nothing"), when, clock, processor))
        return found

    def rank(self, offer: Offer, site: Site) -> Site:
        """Where the author's member stands, without the model, as a row of lsp_eval.py."""
        names = [m.symbol.name for m in offer.place.members]
        ranked = menu.order(self.ranker.scores(offer.table, False)) if site["member"] in names else []
        rank = ranked.index(names.index(site["member"])) + 1 if ranked else 0
        return {**site, "rank": rank, "offered": len(names), "ms": self.taken[-1][2] * 1e3}


def texts(way: str, site: Site) -> tuple[Path, str, str] | None:
    """(file, text up to a cursor of the way, what is typed there); None where the site has no such place."""
    behind = f"{site['member']}(" if way == "keywords" else ""
    given = cut(site, None, behind)
    if given is None or way in ("members", "keywords"):
        return given and (*given[:2], site["call"][len(behind) :])
    path, text, before = given
    match = _IMPORT.search(text) if way == "imports" else _NAME.search(before)
    if match is None:
        return None
    end = match.end() if way == "imports" else len(text) - len(before) + match.start() + min(3, len(match[1]) - 1)
    return path, text[:end], text[end:]


def measure(way: str, sites: list[Site], index: Path, names: Path) -> tuple[list[Taken], list[Site], list[Site], int]:
    """(the times of every question, sites with their ranks, the same a letter later, kilobytes resident at the end)."""
    asked = Asked(index, names, (s["library"] for s in sites))
    ranked, later, read = list[Site](), list[Site](), set[Path]()
    if way == "long":
        site = max(sites, key=lambda s: len(s["member"]))
        lines = [line for path in sorted({s["path"] for s in sites}) for line in Path(path).read_bytes().decode("utf-8-sig").splitlines()]
        lines = (lines * (LONG // len(lines) + 1))[:LONG]
        before, after = ("\n".join(half) + "\n" for half in (lines[: LONG // 2], lines[LONG // 2 :]))
        path, text, _ = cut(site, None) or (Path(), "", "")
        for typed in range(len(site["member"])):
            asked.at(path, f"{before}{text}{site['member'][:typed]}", 2 if typed else 0, f"\n{after}", f"{LONG:,} lines")
    for site in sites if way != "long" else ():
        given = texts(way, site)
        if given is None or (way == "imports" and given[0] in read):
            continue
        path, text, typed = given
        ranked.append(asked.rank(asked.at(path, text, int(path in read)), site))
        read.add(path)
        if typed[:1].isidentifier():
            later.append(asked.rank(asked.at(path, text + typed[0], 2), site))
    status = Path("/proc/self/status").read_text()
    return asked.taken, ranked, later, int(status.partition("VmRSS:")[2].split()[0])


def rows(taken: list[Taken]) -> dict[str, Site]:
    """Route and moment -> its percentiles in milliseconds."""
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, when, clock, processor in sorted(taken):
        groups[f"{name}, {WHEN[when]}"].append((clock, processor))
    return {
        name: {"asked": len(times)}
        | {f"{clock}p{n}": round(percentile([t[i] for t in times], n / 100) * 1e3, 1) for i, clock in enumerate(("", "cpu ")) for n in (50, 95)}
        for name, times in groups.items()
    }


def main() -> int:
    """Ask in each way, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", type=Path, help="the index of the sites' environment, only read")
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=500, help="so many sites, drawn by a fixed seed; 0 for all")
    parser.add_argument("--way", action="append", choices=WAYS, help="only this one; repeatable")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sites = [json.loads(line) for line in options.sites.read_text().splitlines()]
    random.Random(0).shuffle(sites)
    ways = options.way or WAYS
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "names.txt"
        write(options.index, names)
        ask = partial(measure, sites=sites[: options.limit or None], index=options.index, names=names)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:  # one after the other, nothing shared
            results = dict(zip(ways, pool.imap(ask, ways, 1), strict=True))
    times = rows([t for taken, *_ in results.values() for t in taken])
    resident = {way: kilobytes // 1000 for way, (*_, kilobytes) in results.items()}
    print(table(times, ["asked", "p50", "p95", "cpu p50", "cpu p95"], "route, ms"))
    print("\nresident at the end: " + ", ".join(f"{way} {size} MB" for way, size in resident.items()) + "\n")
    found = {}
    if "members" in results:
        _, first, later, _ = results["members"]
        found = {"all": members_figures(first), "all, a letter later": members_figures(later), **by_library(first, members_figures)}
        print(table(found, ["sites", "found", "found_module", "found_instance", "top1", "top5", "mrr", "mrr_95"], "members"))
    if options.json:
        options.json.write_text(json.dumps({"times": times, "resident_mb": resident, "found": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
