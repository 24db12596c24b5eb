"""Does every offered member exist?  Compares menus with the real imported libraries, in the environment's interpreter.

    python bench/exists.py --sites sites.jsonl --index ENV_INDEX.db --python ENV/bin/python [--json out.json]

This imports the environment's packages, so run it on packages that you trust: octod itself never does.  A member counts as
existing when the module or class has it (or it is an importable submodule), when an annotation or a slot declares it, or when
a method of a class in the MRO assigns it to ``self``, or when the class answers for any name by ``__getattr__``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
from pathlib import Path

from fit_ranker import document_of
from octod.daemon.context import place_at
from octod.indexer.store import Index

REAL = Path(__file__).parent / "real.py"


async def offered(sites: list[dict[str, object]], index: Index) -> dict[str, list[str]]:
    """Receiver -> every name that its menu offers, over all sites."""
    found: dict[str, list[str]] = {}
    for site in sites:
        document, offset = document_of(site)
        place = place_at(index, document, offset)
        if len(place.receiver.types) == 1:
            found.setdefault(place.receiver.types[0].qualified, [m.symbol.name for m in place.members])
    return found


def main() -> int:
    """Print the share that exists and what does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sites = [json.loads(line) for line in options.sites.read_text().splitlines()]
    with Index.open(options.index) as index:
        menus = asyncio.run(offered(sites, index))
    asked = "".join(json.dumps({"receiver": r, "names": names}) + "\n" for r, names in sorted(menus.items()))
    run = subprocess.run([options.python, str(REAL)], input=asked, capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    total = sum(a["of"] for a in answers)
    missing = [(a["receiver"], name) for a in answers for name in a["missing"]]
    failed = [a for a in answers if "error" in a]
    print(f"{len(answers)} receivers, {total} offered members, {len(missing)} do not exist ({1 - len(missing) / max(total, 1):.4%} exist)")
    print(f"{len(failed)} receivers could not be imported: {[a['receiver'] for a in failed][:10]}")
    for receiver, name in missing[:60]:
        print("  missing", receiver, name)
    if options.json:
        options.json.write_text(json.dumps({"offered": total, "missing": missing, "failed": failed}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
