"""Training one LoRA adapter: frozen base, loss on the completion only, a time budget, checkpoints without pickle.

torch, transformers and peft are imported inside; without them TrainingProblem says what to install.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.adapters.dataset import Sample
from octod.adapters.identity import BaseModel
from octod.adapters.prompt import encode_example, load_tokenizer
from octod.adapters.verify import CONFIG, MODULES, WEIGHTS, LoraConfig
from octod.core.errors import TrainingProblem

if TYPE_CHECKING:
    import torch

__all__ = ["Hyperparameters", "Outcome", "Step", "idle_cores", "load_base", "train"]

MISSING = "training needs torch, transformers and peft"
INSTALL = "pip install 'octod[train]'"


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a training is run with. The learning rate decays with the share of the budget that is spent.

    The budget is ``minutes`` of wall clock, ``epochs`` passes or ``steps``, whichever ends first.
    """

    rank: int = 16
    alpha: float = 32.0
    rate: float = 2e-3
    batch: int = 8
    minutes: float = 12.0
    epochs: float = 3.0
    steps: int | None = None
    tokens: int = 224  # per example; the file text gives way first, and what is near counts most
    warmup: int = 20  # steps
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """Progress: steps done, smoothed loss in nats per token, share of the budget spent, seconds."""

    number: int
    loss: float
    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished training: the folder with PEFT's two files, steps, seconds and the last smoothed loss."""

    folder: Path
    steps: int
    seconds: float
    loss: float
    examples: int


def train(
    base: BaseModel,
    samples: Sequence[Sample],
    work: Path,
    *,
    parameters: Hyperparameters | None = None,
    progress: Callable[[Step], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train an adapter and write it to ``work/adapter``; ``work/checkpoint`` is continued when one is there.

    TrainingProblem when an extra is missing, when there is no sample, or when the loss is no number.
    """
    parameters = parameters or Hyperparameters()
    if not samples:
        raise TrainingProblem("there is nothing to train on", "a library needs call sites or signatures")
    model = _adapted(base, parameters)
    import torch

    tokenizer = load_tokenizer(base.folder / "tokenizer.json")

    def encoded(sample: Sample) -> tuple[list[int], tuple[int, int]]:
        return encode_example(tokenizer, sample.prompt, sample.completion, parameters.tokens)

    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(
        trainable.values(), lr=parameters.rate, weight_decay=parameters.weight_decay, betas=(0.9, 0.98)
    )
    mark = _mark(samples, parameters)
    step, spent, loss = _resume(work / "checkpoint", trainable, optimiser, mark)
    total = math.ceil(parameters.epochs * len(samples) / parameters.batch)
    total = total if parameters.steps is None else min(total, parameters.steps)
    began, saved = clock() - spent, clock()
    threads = 1
    model.train()
    while step < total:
        elapsed = clock() - began
        share = max(step / total, elapsed / (60 * parameters.minutes))
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = parameters.rate * _schedule(step, share, parameters)
        if step % 25 == 0:
            threads = idle_cores(threads)
            torch.set_num_threads(threads)
        # Encoded when their turn comes: a short budget sees a few hundred of ten thousand samples.
        batch = [encoded(sample) for sample in _batch(samples, step, parameters)]
        value = _loss(model, batch)
        if not math.isfinite(value.item()):
            raise TrainingProblem(
                f"the loss is {value.item()} at step {step}", "train again with a lower learning rate"
            )
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trainable.values(), parameters.clip)
        optimiser.step()
        step += 1
        loss = value.item() if step == 1 else 0.95 * loss + 0.05 * value.item()
        if progress is not None:
            progress(Step(step, loss, min(share, 1.0), clock() - began))
        if clock() - saved > parameters.checkpoint_seconds:
            _checkpoint(work / "checkpoint", trainable, optimiser, step, clock() - began, loss, mark)
            saved = clock()
    folder = _save(model, base, parameters, work / "adapter")
    return Outcome(folder, step, clock() - began, loss, len(samples))


def idle_cores(own: int) -> int:
    """How many threads are worth having beside what else runs, at least 1; ``own`` are already ours.

    torch's threads wait for each other in a busy loop: on two cores that were taken, two of them needed 15 times
    as long for a step as one (23.6 s and 1.6 s, measured at a load of 9).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    others = max(0.0, os.getloadavg()[0] - own)
    return max(1, min(cores, round(cores - others)))


def load_base(folder: Path) -> Any:
    """The base as a frozen ``transformers`` causal model in float32; nothing but safetensors, no remote code."""
    try:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError as error:
        raise TrainingProblem(f"{MISSING}: {error}", INSTALL) from error
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the caller has its own bar
    model = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    model.requires_grad_(False)
    model.train(False)
    return model


def _adapted(base: BaseModel, parameters: Hyperparameters) -> Any:
    try:
        import torch
        from peft import LoraConfig as PeftConfig
        from peft import get_peft_model
    except ImportError as error:
        raise TrainingProblem(f"{MISSING}: {error}", INSTALL) from error
    torch.manual_seed(parameters.seed)
    torch.set_flush_denormal(True)  # as in octod.adapters.base.pretrain
    config = PeftConfig(
        r=parameters.rank,
        lora_alpha=int(parameters.alpha),
        lora_dropout=0.0,
        bias="none",
        target_modules=list(MODULES),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft asks transformers 5 for names that it is about to drop; nothing a user could mend.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(load_base(base.folder), config)


def _batch(samples: Sequence[Sample], step: int, parameters: Hyperparameters) -> list[Sample]:
    """The samples of one step: a shuffle per epoch, then batches of similar length in a shuffled order."""
    size = parameters.batch
    per_epoch = max(1, math.ceil(len(samples) / size))
    epoch, position = divmod(step, per_epoch)
    order = list(range(len(samples)))
    random.Random(f"{parameters.seed}/{epoch}").shuffle(order)
    # Buckets of 16 batches keep the padding small and the order random.
    bucket = size * 16
    start = position * size // bucket * bucket
    inside = sorted(order[start : start + bucket], key=lambda i: (_length(samples[i], parameters), i))
    batches = [inside[i : i + size] for i in range(0, len(inside), size)]
    random.Random(f"{parameters.seed}/{epoch}/{start}").shuffle(batches)
    return [samples[i] for i in batches[(position * size - start) // size]]


def _length(sample: Sample, parameters: Hyperparameters) -> int:
    """About how many characters a sample takes in the model's window (a token is about three)."""
    prompt = sample.prompt
    rest = (
        len(prompt.line)
        + len(sample.completion)
        + min(len(prompt.after), 100)
        + sum(map(len, prompt.signatures))
    )
    return min(rest + len(prompt.before), 3 * parameters.tokens)


def _loss(model: Any, batch: Sequence[tuple[list[int], tuple[int, int]]]) -> torch.Tensor:
    """Mean cross entropy over the completions' tokens.

    Padding stands on the right, so the causal mask hides it; the vocabulary's matrix is applied only where there
    is a loss, a third of the work of a small model.
    """
    import torch

    longest = max(len(ids) for ids, _ in batch)
    inputs = torch.zeros((len(batch), longest), dtype=torch.long)  # (batch, time)
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for row, (ids, (start, stop)) in enumerate(batch):
        inputs[row, : len(ids)] = torch.tensor(ids)
        rows += [row] * (stop - start)
        columns += range(start - 1, stop - 1)
        targets += ids[start:stop]
    inner = model.get_base_model()
    hidden = inner.model(input_ids=inputs, use_cache=False).last_hidden_state  # (batch, time, width)
    logits = inner.lm_head(hidden[rows, columns])  # (tokens with a loss, vocabulary)
    return torch.nn.functional.cross_entropy(logits.float(), torch.tensor(targets))


def _schedule(step: int, share: float, parameters: Hyperparameters) -> float:
    """Linear warm-up, then half a cosine down to a tenth over the budget."""
    if step < parameters.warmup:
        return (step + 1) / parameters.warmup
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _save(model: Any, base: BaseModel, parameters: Hyperparameters, folder: Path) -> Path:
    """PEFT's state in safetensors, beside a config with octod's few keys (peft's own has dozens)."""
    from peft import get_peft_model_state_dict

    config = LoraConfig(parameters.rank, parameters.alpha, MODULES, base.name)
    _write(folder, WEIGHTS, get_peft_model_state_dict(model), CONFIG, config.to_json())
    return folder


def _write(folder: Path, weights: str, state: dict[str, torch.Tensor], description: str, text: str) -> None:
    """A fresh private folder with one safetensors and one JSON file; TrainingProblem when it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        save_file(
            {k: v.detach().contiguous() for k, v in state.items()}, str(folder / weights), {"format": "pt"}
        )
        (folder / description).write_text(text, encoding="utf-8")
        for name in (weights, description):
            (folder / name).chmod(0o600)
    except (OSError, SafetensorError) as error:
        raise TrainingProblem(
            f"cannot write {folder}: {error}", "free some space there, or set OCTOD_HOME to another disk"
        ) from error


def _mark(samples: Sequence[Sample], parameters: Hyperparameters) -> str:
    """What must be equal for a checkpoint to be continued: the samples in their order, and what shapes the steps."""
    digest = hashlib.sha256(
        repr((parameters.rank, parameters.batch, parameters.seed, parameters.rate)).encode()
    )
    for sample in samples:
        text = f"{sample.file}\0{sample.kind}\0{sample.prompt.line}\0{sample.completion}\n"
        digest.update(text.encode(errors="surrogatepass"))
    return digest.hexdigest()


def _checkpoint(
    folder: Path,
    trainable: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    step: int,
    spent: float,
    loss: float,
    mark: str,
) -> None:
    """Write parameters and moments as safetensors into a fresh folder, then put it in place."""
    fresh = folder.with_name(folder.name + ".new")
    state: dict[str, torch.Tensor] = {}
    for name, parameter in trainable.items():
        state[f"value.{name}"] = parameter
        for key in ("exp_avg", "exp_avg_sq"):
            state[f"{key}.{name}"] = optimiser.state[parameter][key]
    data = {"step": step, "seconds": spent, "loss": loss, "mark": mark}
    _write(fresh, "state.safetensors", state, "state.json", json.dumps(data))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(fresh, folder)


def _resume(
    folder: Path,
    trainable: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    mark: str,
) -> tuple[int, float, float]:
    """(step, seconds spent, loss) of a checkpoint of the same training; a fresh start otherwise."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        data = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        state = load_file(str(folder / "state.safetensors"))
        same = data["mark"] == mark and all(
            state[f"value.{name}"].shape == parameter.shape for name, parameter in trainable.items()
        )
        step, spent, loss = int(data["step"]), float(data["seconds"]), float(data["loss"])
    except (OSError, KeyError, TypeError, ValueError, SafetensorError):
        return 0, 0.0, 0.0
    if not same:
        return 0, 0.0, 0.0
    with torch.no_grad():
        for name, parameter in trainable.items():
            parameter.copy_(state[f"value.{name}"])
            optimiser.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": state[f"exp_avg.{name}"],
                "exp_avg_sq": state[f"exp_avg_sq.{name}"],
            }
    return step, spent, loss
