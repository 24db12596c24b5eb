"""Small runs of the base model's recipe on equal compute, side by side, and the scaling law that they follow.

    python bench/recipe.py --corpus CORPUS --work FOLDER --compute 2e14 [--set hidden=512 ...] [--only NAME ...] [--json FILE]

``CORPUS`` is a work folder of ``octod base train`` (its shards are enough); other vocabularies are cut from it.  Each line of
``VARIANTS`` is a run: the standard recipe with something else.  ``--set`` changes the standard itself, so the same lines serve every size;
``x2`` is twice the standard's.  All spend the same floating-point operations of training (``ModelConfig.flops``), not the same
seconds, and are measured on the same held-out text (``octod.adapters.base.bits``).  A run that is in ``FOLDER/results.jsonl`` is not
run again; one that was interrupted goes on.  ``--only`` takes beginnings of names; ``--only none`` prints what is there.

The table gives each run's difference from ``standard`` with its 95 % interval over texts; how far runs differ by their seed alone
is below it.  The law is L = E + A / parameters^a + B / tokens^b over the runs named ``scale`` and ``standard``.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

VARIANTS = """
standard
seed-2            seed=2
seed-3            seed=3
vocabulary-4k     vocabulary=4096
vocabulary-16k    vocabulary=16384
deep              layers=x2 hidden=x0.75
wide              layers=x0.5 hidden=x1.4
own-keys          group=1
group-4           group=4
muon-low          muon_lr=x0.5
muon-high         muon_lr=x2
adamw-low         optimiser=adamw muon_lr=0.001
adamw-high        optimiser=adamw muon_lr=0.004
decay-20          cool_down=0.2
decay-80          cool_down=0.8
warm-up-5         warm_up=0.05
context-256       context=256
context-1024      context=1024
calls-30          calls=0.3
calls-90          calls=0.9
batch-half        batch=x0.5
batch-twice       batch=x2
scale-s-quarter   hidden=x0.5 compute=0.25
scale-s           hidden=x0.5
scale-m-quarter   compute=0.25
scale-m-sixteenth compute=0.0625
scale-s-sixteenth hidden=x0.5 compute=0.0625
scale-l-quarter   hidden=x1.5 compute=0.25
scale-l           hidden=x1.5
"""
POINTS = 8  # places on a run's curve
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. `head` is a head's width, `group` queries share keys, `batch` are tokens a step, `compute` a share."""

    vocabulary: int = 8192
    context: int = 512
    hidden: int = 256
    layers: int = 5
    head: int = 32
    group: int = 2
    calls: float = 0.6
    optimiser: str = "muon"
    muon_lr: float = 0.02
    adam_lr: float = 0.004
    decay: float = 0.01
    warm_up: float = 0.01
    cool_down: float = 0.45
    batch: int = 8192
    seed: int = 1
    compute: float = 1.0

    def changed(self, words: list[str]) -> Settings:
        """These settings with ``key=value`` words applied; ``x2`` is a factor."""
        changes: Row = {}
        kinds = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        for word in words:
            key, _, value = word.partition("=")
            if key not in kinds:
                raise SystemExit(f"no setting is called {key}; there are {', '.join(kinds)}")
            factor = value.startswith("x") and kinds[key] is not str
            number = getattr(self, key) * float(value[1:]) if factor else value
            changes[key] = round(number) if factor and kinds[key] is int else kinds[key](number)
        return replace(self, **changes)

    def shape(self) -> Any:
        """The model: width rounded to whole groups of heads, SwiGLU 2.5 times as wide."""
        from octod.adapters.base.model import ModelConfig

        unit = self.head * self.group
        hidden = max(1, round(self.hidden / unit)) * unit
        heads = hidden // self.head
        return ModelConfig(
            vocabulary=self.vocabulary, context=self.context, hidden=hidden, layers=max(1, self.layers), heads=heads,
            kv_heads=heads // self.group, ffn=round(hidden * 2.5 / 32) * 32,
        )  # fmt: skip


def variants(standard: Settings, only: list[str]) -> Iterator[tuple[str, Settings]]:
    """Name and settings of every line that is wanted."""
    for line in VARIANTS.split("\n"):
        if line and (not only or any(line.split()[0].startswith(name) for name in only)):
            name, *words = line.split()
            yield name, standard.changed(words)


def retokenised(corpus: Path, target: Path, vocabulary: int, most: float = math.inf, sample: int = 40_000_000) -> Path:
    """The shards of a corpus in another vocabulary; a tokenizer is trained on about ``sample`` bytes of its training text.

    Of more than ``most`` tokens of training every second document is taken, or every third, and so on.
    """
    from octod.adapters.base.tokenizer import save_tokenizer, train_tokenizer
    from octod.adapters.prompt import CONTEXT, SIGNATURE_TOKENS, load_tokenizer

    if (target / "heldout" / "tokens.npy").exists():  # written last
        return target
    old = load_tokenizer(corpus / "tokenizer" / "tokenizer.json")

    every = max(1, math.ceil(len(np.load(corpus / "train" / "tokens.npy", mmap_mode="r")) / most))

    def documents(part: str, every: int) -> Iterator[tuple[int, str]]:
        ids, bounds = np.load(corpus / part / "tokens.npy", mmap_mode="r"), np.load(corpus / part / "documents.npy")
        for number in range(0, len(bounds) - 1, every):
            yield number, old.decode(ids[bounds[number] : bounds[number + 1]].tolist(), skip_special_tokens=False)

    known, lengths = target / "tokenizer" / "tokenizer.json", _byte_lengths(old)
    if not known.exists():
        texts = [text for _, text in documents("train", every)]
        step = max(1, math.ceil(sum(map(len, texts)) / sample))
        save_tokenizer(train_tokenizer(texts[::step], vocabulary), known.parent, CONTEXT)
    new = load_tokenizer(known)
    for part in ("train", "heldout"):
        source, folder = corpus / part, target / part
        folder.mkdir(parents=True, exist_ok=True)
        ids, bounds, calls = (np.load(source / f"{n}.npy") for n in ("tokens", "documents", "calls"))
        new_lengths, tokens, ends, wanted = _byte_lengths(new), [], [0], every if part == "train" else 1
        for document, text in documents(part, wanted):
            found = np.array(new.encode(text, add_special_tokens=False).ids, dtype=np.uint16)
            was = np.concatenate([[0], np.cumsum(lengths[ids[bounds[document] : bounds[document + 1]]])])
            now = np.concatenate([[0], np.cumsum(new_lengths[found])])
            if was[-1] != now[-1]:
                raise ValueError(f"document {document} of {source} is not the same text in both vocabularies")
            mine = calls["document"] == document
            for name in ("line", "member", "stop"):
                calls[name][mine] = np.searchsorted(now, was[calls[name][mine]])
            tokens.append(found)
            ends.append(ends[-1] + len(found))
        spans, signatures = np.load(source / "spans.npy"), np.load(source / "signatures.npy")
        texts = [old.decode(signatures[a:b].tolist(), skip_special_tokens=False).rstrip("\n") for a, b in itertools.pairwise(spans)]
        end = new.encode("\n", add_special_tokens=False).ids
        lines = [[*e.ids[: SIGNATURE_TOKENS - 1], *end] for e in new.encode_batch(texts, add_special_tokens=False)]
        np.save(folder / "signatures.npy", np.array([t for line in lines for t in line], np.uint16))
        np.save(folder / "spans.npy", np.cumsum([0, *map(len, lines)]))
        calls = calls[calls["document"] % wanted == 0]
        calls["document"] //= wanted
        np.save(folder / "calls.npy", calls)
        np.save(folder / "groups.npy", np.load(source / "groups.npy"))
        np.save(folder / "weights.npy", np.load(source / "weights.npy")[::wanted])
        np.save(folder / "documents.npy", np.array(ends, np.int64))
        np.save(folder / "tokens.npy", np.concatenate(tokens) if tokens else np.zeros(0, np.uint16))
    return target


def _byte_lengths(tokenizer: Any) -> Any:
    """How many bytes each token stands for: a letter a byte in byte-level BPE."""
    lengths = np.zeros(tokenizer.get_vocab_size(), np.int64)
    for token, number in tokenizer.get_vocab().items():
        lengths[number] = len(token)
    return lengths


def run(name: str, settings: Settings, options: argparse.Namespace) -> Row | None:
    """Train one variant and measure it; None when it was interrupted."""
    import torch
    from octod.adapters.base.bits import bits_per_byte, nats, pieces
    from octod.adapters.base.pretrain import PretrainConfig, pretrain
    from octod.adapters.base.windows import WindowConfig
    from octod.adapters.prompt import FILE, SPECIAL_TOKENS, load_tokenizer

    corpus = options.corpus
    own = load_tokenizer(corpus / "tokenizer" / "tokenizer.json")
    texts = pieces(corpus / "heldout", own, options.pieces)
    # 1. The shards, linked into the run's folder beside its checkpoint.
    if settings.vocabulary != options.vocabulary:
        most = 10 * settings.compute * options.compute / settings.shape().flops
        corpus = retokenised(corpus, options.work / f"vocabulary-{settings.vocabulary}", settings.vocabulary, most)
    folder = options.work / f"{name}-{identity(settings, options)}"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "heldout", "tokenizer"):
        if not (folder / part).is_symlink():
            (folder / part).symlink_to((corpus / part).resolve())
    tokenizer = load_tokenizer(folder / "tokenizer" / "tokenizer.json")
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    # 2. The run.
    shape = replace(settings, vocabulary=tokenizer.get_vocab_size()).shape()
    rows = max(1, settings.batch // settings.context)
    steps = max(1, round(settings.compute * options.compute / (shape.flops * rows * settings.context)))
    wanted = {max(1, round(steps * n / POINTS)) for n in range(1, POINTS + 1)}
    curve, began = folder / "curve.jsonl", time.monotonic()
    file = SPECIAL_TOKENS.index(FILE)

    def watch(model: Any, step: int) -> None:
        if step in wanted:
            with torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.bf16):
                sums = nats(ids, model.losses, file, settings.context, options.device)
            point = {"step": step, "tokens": step * rows * settings.context, "bits_per_byte": bits_per_byte(sums, texts), "nats": sums.tolist()}
            with curve.open("a", encoding="utf-8") as out:
                out.write(json.dumps(point) + "\n")

    config = PretrainConfig(
        work=folder, minutes=1.0, steps=steps, max_steps=steps, batch=rows, optimiser=settings.optimiser, muon_lr=settings.muon_lr,
        adam_lr=settings.adam_lr, decay=settings.decay, warm_up=settings.warm_up, cool_down=settings.cool_down,
        seed=settings.seed, device=options.device, compile=options.compile, bf16=options.bf16, evaluate_seconds=math.inf,
        model=shape, windows=WindowConfig(context=settings.context, call=settings.calls),
    )  # fmt: skip
    checkpoint = pretrain(config, watch=watch)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the training's own handlers would swallow one between two runs
    signal.signal(signal.SIGINT, signal.default_int_handler)
    progress = torch.load(checkpoint, map_location="cpu", weights_only=True)["progress"]
    if progress["step"] < steps:
        return None
    # 3. What came of it; a point that was measured twice, before and after an interruption, counts once.
    points = {p["step"]: p for p in map(json.loads, curve.read_text(encoding="utf-8").splitlines())}
    last = points[steps]
    return {
        "name": name, "key": folder.name.rpartition("-")[2], "settings": asdict(settings), "parameters": shape.parameters,
        "flops": shape.flops * last["tokens"], "steps": steps, "tokens": last["tokens"], "seconds": round(time.monotonic() - began, 1),
        "bits_per_byte": last["bits_per_byte"], "call_loss": progress["call_loss"], "nats": last["nats"],
        "bytes": [len(text.encode()) for text in texts],
        "curve": [[p["tokens"], p["bits_per_byte"]] for _, p in sorted(points.items())],
    }  # fmt: skip


def identity(settings: Settings, options: argparse.Namespace) -> str:
    """What a run depends on, in eight letters."""
    manifest = options.corpus / "manifest.json"
    corpus = hashlib.sha256(manifest.read_bytes() if manifest.exists() else b"").hexdigest()
    return hashlib.sha256(f"{settings} {options.compute} {options.pieces} {corpus}".encode()).hexdigest()[:8]


def difference(one: Row, other: Row) -> tuple[float, float, float]:
    """Bits per byte of one run minus another's, with its 95 % interval over texts (1,000 resamples, fixed seed)."""
    gains, sizes = np.subtract(one["nats"], other["nats"]) / math.log(2), np.array(one["bytes"])
    draws = np.random.default_rng(0).integers(0, len(sizes), (1000, len(sizes)))
    means = np.sort(gains[draws].sum(1) / sizes[draws].sum(1))
    return float(gains.sum() / sizes.sum()), float(means[25]), float(means[974])


def fit(runs: list[Row]) -> Row:
    """The law's E, A, a, B, b and its root mean square error; no term is negative. Needs three runs of two sizes and lengths."""
    n, d, loss = (np.array([r[k] for r in runs], np.float64) for k in ("parameters", "tokens", "bits_per_byte"))
    best: Row = {"error": math.inf}
    near, wide = (0.5, 0.5), 0.45
    for _ in range(4):  # the exponents on a grid, finer around the best each time; the rest is linear
        for a, b in itertools.product(*(np.linspace(max(0.02, c - wide), c + wide, 15) for c in near)):
            columns = np.stack([np.ones_like(n), (n / n[0]) ** -a, (d / d[0]) ** -b], axis=1)
            for used in ([0, 1, 2], [1, 2], [0, 1], [0, 2]):
                found, *_ = np.linalg.lstsq(columns[:, used], loss, rcond=None)
                error = float(np.sqrt(np.mean((columns[:, used] @ found - loss) ** 2)))
                if (found >= 0).all() and error < best["error"] - 1e-12:
                    parts = dict(zip(used, found.tolist(), strict=True))
                    best = {"error": error, "E": parts.get(0, 0.0), "A": parts.get(1, 0.0) * n[0] ** a, "a": float(a),
                            "B": parts.get(2, 0.0) * d[0] ** b, "b": float(b)}  # fmt: skip
        near, wide = (best["a"], best["b"]), wide / 5
    return best


def law(found: Row, parameters: Any, tokens: Any) -> Any:
    """What the law gives for a size and a number of tokens."""
    return found["E"] + found["A"] / parameters ** found["a"] + found["B"] / tokens ** found["b"]


def prediction(found: Row, flops: float) -> Row:
    """The best split of some compute by the law, 6 operations a parameter and token; sizes within 1e5 to 1e10."""
    sizes = np.logspace(5, 10, 501)
    losses = law(found, sizes, flops / 6 / sizes)
    best = int(losses.argmin())
    return {"flops": flops, "parameters": round(float(sizes[best])), "tokens": round(flops / 6 / float(sizes[best])), "bits_per_byte": float(losses[best])}


def report(rows: list[Row], tell: Callable[[str], None] = print) -> Row:
    """Print the table, the noise and the law; return them for docs/plots.py."""
    by_name = {r["name"]: r for r in rows}
    standard = by_name.get("standard")
    kept = ("name", "parameters", "tokens", "flops", "seconds", "bits_per_byte", "call_loss", "curve")
    summary: Row = {"runs": [{k: r[k] for k in kept} for r in rows]}
    tell("| run | M parameters | M tokens | GFLOP | seconds | bits per byte | against standard | 95 % |\n|" + "---|" * 8)
    for row in rows:
        apart = difference(row, standard) if standard and row["bytes"] == standard["bytes"] else None
        cells = f"{apart[0]:+.4f} | {apart[1]:+.4f} to {apart[2]:+.4f}" if apart and row is not standard else " | "
        tell(f"| {row['name']} | {row['parameters'] / 1e6:.2f} | {row['tokens'] / 1e6:.2f} | {row['flops'] / 1e9:,.0f} | {row['seconds']:.0f} "
             f"| {row['bits_per_byte']:.4f} | {cells} |")
    seeds = [r["bits_per_byte"] for r in rows if r["name"].startswith(("standard", "seed"))]
    if len(seeds) > 1:
        summary["noise"] = float(np.std(seeds, ddof=1))
        tell(f"\n{len(seeds)} seeds of the standard: standard deviation {summary['noise']:.4f}; less than twice that is noise")
    scaled = [r for r in rows if r["name"].startswith(("standard", "scale"))]
    if len({r["parameters"] for r in scaled}) > 1 and len(scaled) > 4:
        found = fit(scaled)
        most = 10 * max(r["flops"] for r in scaled)
        ahead = prediction(found, most)
        without = [prediction(fit([s for s in scaled if s is not r]), most)["bits_per_byte"] for r in scaled]
        ahead |= {"lowest": min(without), "highest": max(without)}
        summary |= {"law": found, "prediction": ahead}
        tell(f"\nL = {found['E']:.3f} + {found['A']:.3g} / N^{found['a']:.3f} + {found['B']:.3g} / D^{found['b']:.3f} over {len(scaled)} runs, "
             f"error {found['error']:.4f}\nten times the compute ({most:.3g}): {ahead['bits_per_byte']:.3f} bits per byte "
             f"({ahead['lowest']:.3f} to {ahead['highest']:.3f} with one run left out) with {ahead['parameters'] / 1e6:.1f} M parameters "
             f"and {ahead['tokens'] / 1e6:.0f} M tokens")
    return summary


def main() -> int:
    """Run what is wanted and not there yet; print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="a work folder of `octod base train`")
    parser.add_argument("--work", type=Path, required=True, help="runs, results.jsonl, other vocabularies")
    parser.add_argument("--compute", type=float, required=True, help="floating-point operations of the standard run")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the standard recipe")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--pieces", type=int, default=64, help="held-out texts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile: for runs of more than a few minutes")
    parser.add_argument("--no-bf16", dest="bf16", action="store_false")
    parser.add_argument("--json", type=Path, help="write the report for docs/plots.py")
    options = parser.parse_args()
    options.vocabulary = Settings().vocabulary
    standard = Settings().changed(options.set)
    options.work.mkdir(parents=True, exist_ok=True)
    results = options.work / "results.jsonl"
    done: dict[str, Row] = {}
    if results.exists():
        done = {r["key"]: r for r in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    for name, settings in variants(standard, options.only):
        key = identity(settings, options)
        if key in done:
            continue
        print(f"--- {name}", flush=True)
        row = run(name, settings, options)
        if row is None:
            print("interrupted; the same command goes on")
            return 1
        done[key] = row
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    mine = {identity(settings, options): name for name, settings in variants(standard, [])}
    summary = report([row for key, row in done.items() if key in mine])
    if options.json:
        options.json.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
