"""Train the base model from an environment's installed files, with one command, on a CPU or a GPU alike.

    python -m octod.adapters.base.pretrain --site-packages PATH --work DIR --minutes 105 --out DIR [--size large]

The time is the budget: warm-up, a stable phase and a linear decay follow the share of `minutes` spent training,
or of the way to a deadline, whichever is further. A step counts at most three times the median step, so a
machine that was paused or busy costs little of the budget. A checkpoint is written every few minutes and on
SIGTERM; the same command resumes from it.

On a GPU: bf16, fused attention, a compiled model, windows cut while the step runs. The log's `matrix_share`
is the share of the machine's own bf16 matrix product that training reaches (`ModelConfig.flops` a token).
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import signal
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from octod.adapters.base.corpus import CorpusConfig, build_corpus
from octod.adapters.base.model import Llama, ModelConfig
from octod.adapters.base.optimiser import Optimisers
from octod.adapters.base.tokenizer import TOKENIZER_FILES
from octod.adapters.base.windows import Shard, WindowConfig, Windows
from octod.adapters.prompt import CONTEXT, FILE, SPECIAL_TOKENS, load_tokenizer

__all__ = ["SIZES", "PretrainConfig", "pretrain"]

# What fits a CPU's hours, and what half an hour of a data centre's GPU and 64 MB of bf16 hold.
SIZES = {"small": ModelConfig(), "large": ModelConfig(hidden=512, layers=9, heads=8, kv_heads=4, ffn=1408)}


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """Everything a run depends on.

    `deadline` is a POSIX time, 0 for none; `max_steps` 0 means no limit. With `steps` the schedule is so many steps
    long, whatever they take; `minutes` and `deadline` then mean nothing. `muon_lr` is the peak for the matrices,
    also where `optimiser` is "adamw"; `rate` is a factor on both peaks. `at_once` of the `batch` windows are on the device together, 0 for all;
    it changes nothing in what is trained. `start` is a base of the same shape and tokenizer to go on from, None for nothing.
    """

    work: Path
    minutes: float
    start: Path | None = None
    deadline: float = 0.0
    max_steps: int = 0
    steps: int = 0
    batch: int = 16
    at_once: int = 0
    optimiser: str = "muon"
    muon_lr: float = 0.02
    adam_lr: float = 0.004
    rate: float = 1.0
    decay: float = 0.01
    warm_up: float = 0.01
    cool_down: float = 0.45
    seed: int = 1
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    compile: bool = True
    bf16: bool = True
    checkpoint_seconds: float = 180.0
    evaluate_seconds: float = 600.0
    evaluate_windows: int = 48
    command: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    windows: WindowConfig = field(default_factory=WindowConfig)


@dataclass(slots=True)
class _Progress:
    step: int = 0
    tokens: int = 0  # tokens that carried a loss
    seconds: float = 0.0  # training time, long steps capped
    bits_per_byte: float | None = None
    call_loss: float | None = None


def pretrain(
    config: PretrainConfig,
    clock: Callable[[], float] = time.time,
    watch: Callable[[Llama, int], None] = lambda model, step: None,
) -> Path:
    """Train until the budget is spent and return the path of the last checkpoint.

    Needs the shards of `build_corpus` in `config.work`. Resumes from `work/checkpoint.pt` when it exists, and
    writes `work/log.jsonl`. On SIGTERM it saves and returns early. `watch` is called after every step.
    """
    checkpoint = config.work / "checkpoint.pt"
    # 1. Model, optimisers, data.
    torch.manual_seed(config.seed)
    torch.set_flush_denormal(True)  # trained attention makes many, which are slow on an Intel core
    model = Llama(config.model).to(config.device)
    optimisers = Optimisers(model, config.rate * config.muon_lr, config.rate * config.adam_lr, config.decay, config.optimiser, config.bf16)
    progress = _Progress()
    if checkpoint.exists():
        progress = _load(checkpoint, model, optimisers, config.device)
    elif config.start is not None:
        progress.tokens = _start(config.start, model)
    losses = torch.compile(model.losses) if config.compile else model.losses
    windows = Windows(Shard(config.work / "train"), config.windows, config.seed)
    following = windows.batch(progress.step, config.batch)
    peak = matrix_speed(config.device)
    began, start_progress = clock(), _share(config, progress)
    saved = evaluated = began
    recent: deque[float] = deque(maxlen=50)
    stop = _stop_flag()
    last_loss: float | None = None

    # 2. Steps.
    def save() -> None:
        _save(checkpoint, model, optimisers, progress, config)

    while not stop and not (config.max_steps and progress.step >= config.max_steps):
        share = _share(config, progress)
        if not config.steps:
            share = max(share, _toward(config.deadline, began, clock(), start_progress))
        if share >= 1.0:
            break
        started = clock()
        factor = _factor(share, config.warm_up, config.cool_down)
        ids, targets, weights = (torch.from_numpy(array).to(config.device) for array in following)
        total, trained = weights.sum(), torch.zeros((), device=config.device)
        for first in range(0, config.batch, config.at_once or config.batch):
            part = slice(first, first + (config.at_once or config.batch))
            with torch.autocast(config.device, dtype=torch.bfloat16, enabled=config.bf16):
                loss = (losses(ids[part], targets[part]) * weights[part].reshape(-1)).sum() / total
            loss.backward()  # type: ignore[no-untyped-call]
            trained += loss.detach()
        optimisers.step(factor)
        following = windows.batch(progress.step + 1, config.batch)  # cut while a GPU still works
        last_loss = float(trained)
        if not math.isfinite(last_loss):
            raise FloatingPointError(f"loss is {last_loss} at step {progress.step}; resume with a lower rate")
        watch(model, progress.step + 1)
        # 3. Book-keeping; the first steps compile and are counted like any other.
        now = clock()
        took = now - started
        counted = min(took, 3 * median(recent)) if len(recent) >= 5 else min(took, 60.0)
        recent.append(took)
        progress.step += 1
        progress.tokens += int((weights > 0).sum())
        progress.seconds += counted
        if progress.step % 20 == 0:
            rate = ids.numel() / median(recent)
            share_of_peak = rate * config.model.flops / peak
            _log(config, progress, loss=last_loss, factor=factor, share=share, tokens_per_second=rate, matrix_share=share_of_peak)
        if now - saved > config.checkpoint_seconds:
            save()
            saved = clock()
        if now - evaluated > config.evaluate_seconds:
            evaluate(config, model, progress)
            evaluated = clock()
    # 4. The end of the budget, or an interruption.
    if not stop:
        evaluate(config, model, progress)
    save()
    return checkpoint


def matrix_speed(device: str) -> float:
    """Operations a second of a large bf16 matrix product on this device, the best of five: what training is compared with."""
    size = 8192 if device == "cuda" else 1024
    one = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    times = []
    for _ in range(6):  # the first one warms up
        began = time.perf_counter()
        one @ one
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times[1:])


@torch.no_grad()
def evaluate(config: PretrainConfig, model: Llama, progress: _Progress) -> None:
    """Measure held-out bits per byte on plain text and the loss on call spans (nats per token), and log them."""
    shard = Shard(config.work / "heldout")
    if not len(shard.tokens):
        return
    model.eval()
    lengths = _byte_lengths(config.work / "tokenizer" / "tokenizer.json")
    context, file = config.model.context, SPECIAL_TOKENS.index(FILE)
    # Plain text: windows spread evenly over the held-out documents.
    starts = np.linspace(0, max(0, len(shard.tokens) - context), config.evaluate_windows).astype(int)
    nats = count = 0.0
    for begin in range(0, len(starts), config.batch):
        rows = [shard.tokens[s : s + context] for s in starts[begin : begin + config.batch]]
        target = torch.from_numpy(np.stack(rows).astype(np.int64))
        ids = torch.cat([torch.full((len(rows), 1), file), target[:, :-1]], dim=1)
        with torch.autocast(config.device, dtype=torch.bfloat16, enabled=config.bf16):
            nats += float(model.losses(ids.to(config.device), target.to(config.device)).sum())
        count += float(lengths[target.numpy()].sum())
    progress.bits_per_byte = nats / math.log(2) / count
    # Calls: the same windows every time, loss on the member and its arguments only.
    if len(shard.calls):
        form = replace(config.windows, call=1.0, call_weight=1000.0)
        calls = Windows(shard, form, seed=0)
        total = weight = 0.0
        for number in range(-(-config.evaluate_windows // config.batch)):
            ids_, targets, weights = (
                torch.from_numpy(a).to(config.device) for a in calls.batch(number, config.batch)
            )
            span = (weights.reshape(-1) > 1.0).float()
            with torch.autocast(config.device, dtype=torch.bfloat16, enabled=config.bf16):
                total += float((model.losses(ids_, targets) * span).sum())
            weight += float(span.sum())
        progress.call_loss = total / max(weight, 1.0)
    model.train()
    _log(config, progress, bits_per_byte=progress.bits_per_byte, call_loss=progress.call_loss)


def _share(config: PretrainConfig, progress: _Progress) -> float:
    """Return how much of the budget is spent: of its steps where it has any, else of its minutes."""
    return progress.step / config.steps if config.steps else progress.seconds / (60 * config.minutes)


def _toward(deadline: float, began: float, now: float, start: float) -> float:
    """Return the schedule's share when the rest of it is spread evenly from `began` to the deadline."""
    if not deadline:
        return 0.0
    return 1.0 if now >= deadline else start + (1 - start) * (now - began) / (deadline - began)


def _factor(share: float, warm_up: float, cool_down: float) -> float:
    """Warm-up, stable, linear decay to a hundredth: the learning-rate factor at a share of the budget."""
    if share < warm_up:
        return max(share / warm_up, 0.01)
    return 1.0 if share < 1 - cool_down else max((1 - share) / cool_down, 0.01)


def _byte_lengths(path: Path) -> np.ndarray:
    """Return how many bytes each token stands for (0 for special tokens); byte-level BPE maps a byte to a letter."""
    vocabulary = load_tokenizer(path).get_vocab()
    lengths = np.zeros(max(vocabulary.values()) + 1)
    for token, number in vocabulary.items():
        lengths[number] = 0 if token in SPECIAL_TOKENS else len(token)
    return lengths


def _save(
    path: Path, model: Llama, optimisers: Optimisers, progress: _Progress, config: PretrainConfig
) -> None:
    """Write the checkpoint beside its place and rename it."""
    temporary = path.with_suffix(".tmp")
    state = {
        "model": model.state_dict(),
        "optimisers": optimisers.state_dict(),
        "random": torch.get_rng_state(),
        "progress": {name: getattr(progress, name) for name in _Progress.__slots__},
        "shape": asdict(config.model),
        "command": config.command,
        "start": "" if config.start is None else (config.start / "card.json").read_text(encoding="utf-8"),
    }
    torch.save(state, temporary)
    temporary.replace(path)


def _load(path: Path, model: Llama, optimisers: Optimisers, device: str) -> _Progress:
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state["shape"] != asdict(model.config):
        raise ValueError(f"{path} is of another size of model; go on with that --size, or take another --work")
    model.load_state_dict(state["model"])
    optimisers.load_state_dict(state["optimisers"])
    torch.set_rng_state(state["random"].cpu())
    return _Progress(**state["progress"])


def _start(base: Path, model: Llama) -> int:
    """Fill the model with the weights of an exported base; returns how many tokens those have seen."""
    from safetensors.torch import load_file

    weights = {key: value.float() for file in sorted(base.glob("*.safetensors")) for key, value in load_file(file).items()}
    model.load_state_dict(weights)
    seen: int = json.loads((base / "card.json").read_text(encoding="utf-8"))["tokens_seen"]
    return seen


def _log(config: PretrainConfig, progress: _Progress, **figures: float | None) -> None:
    row: dict[str, float | None] = {
        "time": round(time.time()),
        "step": progress.step,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 1),
    }
    row |= {name: None if value is None else float(f"{value:.5g}") for name, value in figures.items()}
    line = json.dumps(row)
    with (config.work / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def _stop_flag() -> list[int]:
    """Return a list that becomes non-empty on SIGTERM or SIGINT."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        received.append(number)

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return received


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, build the corpus, train and export."""
    import argparse
    from datetime import UTC, datetime, timedelta

    from octod.adapters.base.export import export_base

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--site-packages", type=Path, required=True, action="append", help="installed distributions to learn from; may be repeated"
    )
    parser.add_argument("--standard-library", type=Path, default=sysconfig.get_paths()["stdlib"], help="Python's own lib folder (PSF-2.0)")
    parser.add_argument("--standard-library-version", default=platform.python_version())
    parser.add_argument("--work", type=Path, required=True, help="shards, checkpoint and log")
    parser.add_argument("--out", type=Path, help="where the model goes when the budget is spent")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--deadline", metavar="HH:MM", help="UTC; the run ends by then whatever was spent")
    parser.add_argument("--size", choices=SIZES, help="default: large on a GPU, else small")
    parser.add_argument("--start", type=Path, metavar="BASE", help="go on from a base that this command made, instead of from nothing")
    parser.add_argument("--calls", type=float, default=0.6, help="share of the windows that are centred on a call")
    parser.add_argument("--rate", type=float, default=1.0, help="a factor on the learning rates")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument("--batch", type=int, help=f"windows of {CONTEXT} tokens a step (default: 256 on a GPU, else 16)")
    parser.add_argument("--at-once", type=int, default=0, help="of those, how many are in memory together; fewer for a small GPU")
    options = parser.parse_args(arguments)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device == "cuda"
    shape = SIZES[options.size or ("large" if gpu else "small")]
    if options.start:
        shape = ModelConfig.from_transformers(json.loads((options.start / "config.json").read_text(encoding="utf-8")))
        for file in TOKENIZER_FILES:
            (options.work / "tokenizer").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(options.start / file, options.work / "tokenizer" / file)
    build_corpus(
        CorpusConfig(
            site_packages=tuple(options.site_packages),
            work=options.work,
            standard_library=options.standard_library,
            standard_library_version=options.standard_library_version,
        )
    )
    deadline = 0.0
    if options.deadline:
        hour, minute = map(int, options.deadline.split(":"))
        now = datetime.now(UTC)
        moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        deadline = (moment if moment > now else moment + timedelta(days=1)).timestamp()
    command = "python -m octod.adapters.base.pretrain " + " ".join(arguments or sys.argv[1:])
    pretrain(
        PretrainConfig(
            work=options.work,
            minutes=options.minutes,
            deadline=deadline,
            batch=options.batch or (256 if gpu else 16),
            at_once=options.at_once,
            device=device,
            start=options.start,
            rate=options.rate,
            model=shape,
            windows=WindowConfig(call=options.calls),
            command=command,
        )
    )
    if options.out:
        export_base(options.work, options.out)


if __name__ == "__main__":
    main()
