"""Draw a stratified sample of call sites: at most so many a (library, kind), spread over sources by a fixed seed.

    python bench/callsites.py --lib numpy --lib pandas SRC > all.jsonl      # once a source, or once for all
    python bench/sample.py --cap 150 all.jsonl [more.jsonl ...] > sites.jsonl
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import sys
from pathlib import Path


def main() -> int:
    """Print the sample as JSON lines, the counts a (library, kind) on standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cap", type=int, default=150, help="sites a (library, kind) at the most")
    parser.add_argument("--per-file", type=int, default=6, help="sites a (file, library, kind) at the most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    sites = [json.loads(line) for path in options.files for line in path.read_text().splitlines()]
    random.Random(options.seed).shuffle(sites)
    taken: collections.Counter[tuple[str, ...]] = collections.Counter()
    for site in sites:
        stratum, file = (site["library"], site["kind"]), (site["path"], site["library"], site["kind"])
        if taken[stratum] < options.cap and taken[file] < options.per_file:
            taken[stratum] += 1
            taken[file] += 1
            print(json.dumps(site))
    print({" ".join(k): n for k, n in sorted(taken.items()) if len(k) == 2}, file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
