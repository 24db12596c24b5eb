"""Base models beside the shipped one: held-out bits per byte, time a token, and what menus gain. A row of a Markdown table each.

    python bench/base_report.py --work WORK [--members NAME=ROWS.jsonl ...] [--json FILE] BASE ...

``WORK`` is a work folder of ``octod base train``: ``unseen`` is text of its held-out distributions, ``seen`` of those that it trains on.
The text is the same for every base, whatever its tokenizer.  Each difference is to the first base, which is the shipped
one unless it is given too, with its 95 % interval over texts.  A base whose card says that it learnt a held-out distribution
is marked: its figure flatters.

``engine`` is what the embedded engine (int8 where it serves so) adds to the bits per byte of the same weights in fp32 on unseen text;
times are its medians on this machine.  ``--members`` names the rows that bench/compare.py wrote with a base (NAME is the base's folder,
``bundled`` the shipped one); both on the same sites.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

BUNDLED = Path(__file__).parents[1] / "adapters" / "base" / "bundled"
COLUMNS = ("M parameters", "M tokens seen", "unseen", "less than shipped", "seen", "less than shipped", "engine", "ms a token", "ms a menu",
           "ms a prompt", "members MRR", "more than shipped", "top-5", "more than shipped")  # fmt: skip
Row = dict[str, Any]


def measured(base: Path, texts: dict[str, list[str]], threads: int) -> Row:
    """Nats of a base on the texts, exactly and through the engine, and its times."""
    from octod.adapters.base.bits import nats
    from octod.adapters.identity import BaseModel
    from octod.adapters.prompt import FILE, load_tokenizer
    from octod.daemon.engines.cost import measure
    from octod.daemon.engines.decoder import Decoder
    from octod.daemon.engines.graph import cached_graph, served_bits
    from octod.daemon.engines.shape import read_shape

    shape, tokenizer = read_shape(base), load_tokenizer(base / "tokenizer.json")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    # Texts begin as a base's training did: behind octod's marker, else behind the family's first or last token.
    first = tokenizer.token_to_id(FILE)
    if first is None:
        first = next((t for t in (config.get("bos_token_id"), config.get("eos_token_id")) if isinstance(t, int)), 0)
    card = base / "card.json"
    told = json.loads(card.read_text(encoding="utf-8")) if card.exists() else {}
    found: Row = {"parameters": shape.parameters, "tokens_seen": told.get("tokens_seen"), "nats": {}}
    found["learnt"] = [d["distribution"] for d in told.get("data", []) if not d["held_out"]]
    ids = {kind: [tokenizer.encode(text, add_special_tokens=False).ids for text in some] for kind, some in texts.items()}
    with tempfile.TemporaryDirectory() as name:
        path, shape = cached_graph(BaseModel.of(base), Path(name), 32)
        exact = Decoder(path, shape, threads)
        for kind, some in ids.items():
            found["nats"][kind] = nats(some, losses_of(exact), first, shape.context).tolist()
        served = exact
        if served_bits(shape) != 32:
            path, shape = cached_graph(BaseModel.of(base), Path(name))
            served = Decoder(path, shape, threads)
        found["nats"]["engine"] = nats(ids["unseen"], losses_of(served), first, shape.context).tolist()
        found["speed"] = asdict(measure(served, path.parent, threads))
    return found


def losses_of(decoder: Any) -> Any:
    """The decoder as ``nats`` asks for it: cross-entropies of targets behind inputs."""
    import torch

    def losses(ids: Any, targets: Any) -> Any:
        rows = []
        for line, wanted in zip(ids.tolist(), targets.tolist(), strict=True):
            logits = torch.from_numpy(decoder.every(line).copy())
            rows.append(torch.nn.functional.cross_entropy(logits, torch.tensor(wanted), reduction="none"))
        return torch.cat(rows)

    return losses


def less(one: Sequence[float], other: Sequence[float], texts: Sequence[str]) -> tuple[float, float, float]:
    """How many bits per byte fewer one has than the other, with the 95 % interval over texts (1,000 resamples)."""
    gains, sizes = np.subtract(other, one) / math.log(2), np.array([len(t.encode()) for t in texts])
    draws = np.random.default_rng(0).integers(0, len(sizes), (1000, len(sizes)))
    means = np.sort(gains[draws].sum(1) / sizes[draws].sum(1))
    return float(gains.sum() / sizes.sum()), float(means[25]), float(means[974])


def members(one: Path, other: Path | None) -> Row:
    """MRR and top-5 of a run of compare.py, and what they gain over another's on the same sites."""
    from compare import interval
    from paired import MEASURES

    runs = [[json.loads(line) for line in p.read_text(encoding="utf-8").splitlines()] for p in (one, other or one)]
    places = [[(r["path"], r["line"], r["character"]) for r in run] for run in runs]
    if places[0] != places[1]:
        raise SystemExit(f"{one} and {other} are of other sites, or in another order")
    found: Row = {"sites": len(runs[0])}
    for name, value in MEASURES["members"].items():
        gains = [value(a) - value(b) for a, b in zip(*runs, strict=True)]
        found[name] = sum(map(value, runs[0])) / len(runs[0])
        found[f"{name} gain"] = (sum(gains) / len(gains), *interval(gains)) if other else None
    return found


def cell(value: float | None, gain: tuple[float, float, float] | None = None, digits: int = 3) -> str:
    """A figure, or a difference with its interval."""
    if gain is not None:
        return "{:+.{d}f} ({:+.{d}f} to {:+.{d}f})".format(*gain, d=digits)
    return "" if value is None else f"{value:.{digits}f}"


def line(name: str, row: Row, shipped: Row, texts: dict[str, list[str]], held_out: set[str]) -> str:
    """The row of one base."""
    cells = [cell(row["parameters"] / 1e6, digits=1), cell(row["tokens_seen"] and row["tokens_seen"] / 1e6, digits=0)]
    sizes = {kind: sum(len(t.encode()) for t in some) * math.log(2) for kind, some in texts.items()}
    for kind, some in texts.items():
        cells.append(cell(sum(row["nats"][kind]) / sizes[kind]))
        cells.append("" if row is shipped else cell(None, less(row["nats"][kind], shipped["nats"][kind], some)))
    cells.append(f"{(sum(row['nats']['engine']) - sum(row['nats']['unseen'])) / sizes['unseen']:+.4f}")
    cells += [cell(row["speed"][what], digits=1) for what in ("token", "menu", "prompt")]
    for what in ("mrr", "top5"):
        found = row.get("members")
        cells += ["", ""] if found is None else [cell(found[what]), cell(None, found[f"{what} gain"]) if found[f"{what} gain"] else ""]
    mark = " (learnt " + ", ".join(sorted(held_out & set(row["learnt"]))) + ")" if held_out & set(row["learnt"]) else ""
    return f"| {name}{mark} | " + " | ".join(cells) + " |"


def main() -> int:
    """Measure every base, print the table, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bases", type=Path, nargs="*", metavar="BASE")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--members", action="append", default=[], metavar="NAME=ROWS.jsonl")
    parser.add_argument("--pieces", type=int, default=64, help="texts of each kind")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from octod.adapters.base.bits import pieces
    from octod.adapters.prompt import load_tokenizer

    own = load_tokenizer(options.work / "tokenizer" / "tokenizer.json")
    texts = {kind: pieces(options.work / part, own, options.pieces) for kind, part in (("unseen", "heldout"), ("seen", "train"))}
    manifest = options.work / "manifest.json"
    used = json.loads(manifest.read_text(encoding="utf-8")).get("used", []) if manifest.exists() else []
    held_out = {d["distribution"] for d in used if d["held_out"]}
    rows_of = dict(given.split("=", 1) for given in options.members)
    bases = list(dict.fromkeys([*([] if BUNDLED in options.bases else [BUNDLED]), *options.bases]))
    results: dict[str, Row] = {}
    print("| base | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    for base in bases:
        row = results[base.name] = measured(base, texts, options.threads)
        first = next(iter(results))
        if base.name in rows_of:
            other = rows_of.get(first)
            row["members"] = members(Path(rows_of[base.name]), Path(other) if other and base.name != first else None)
        print(line(base.name, row, results[first], texts, held_out), flush=True)
    if options.json:
        sizes = {kind: [len(t.encode()) for t in some] for kind, some in texts.items()}
        options.json.write_text(json.dumps({"bytes": sizes, "bases": results}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
