"""Is this folder a checkpoint that the embedded engine serves?  Every refusal says what to do instead.

Only headers are read: a checkpoint of any size is looked at in a moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from octod.core.errors import EngineProblem
from octod.daemon.engines.shape import FUSED, Shape, read_shape
from octod.daemon.engines.weights import Weights, checkpoint_files

__all__ = ["Checkpoint", "examine"]

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_ORIGINAL = "take the original checkpoint in safetensors, such as Qwen/Qwen2.5-Coder-0.5B"
# What belongs to a base beside its weights: the first two must be there.
_BESIDE = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "card.json",
    "README.md",
    "LICENSE",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that can be served: its dimensions, number types (``BF16``), FIM family and bytes of weights.

    ``weights`` and ``beside`` are the names of the files that belong to it; ``licence`` as its page declares it.
    """

    folder: Path
    shape: Shape
    numbers: str
    fim: str
    size: int
    licence: str
    weights: tuple[str, ...]
    beside: tuple[str, ...]


def examine(folder: Path) -> Checkpoint:
    """Look at a checkpoint folder; EngineProblem when it cannot be served."""
    _refuse_other_formats(folder)
    _refuse_quantised(folder)
    shape = read_shape(folder)
    files = checkpoint_files(folder)
    opened = [Weights(file) for file in files]
    found = {name: entry for file in opened for name, entry in file.tensors().items()}
    _compare(folder, shape, {name: entry[1] for name, entry in found.items()})
    return Checkpoint(
        folder=folder,
        shape=shape,
        numbers=", ".join(sorted({kind for kind, _ in found.values()})),
        fim=_fim(folder, shape),
        size=sum(file.stat().st_size for file in files),
        licence=_licence(folder),
        weights=tuple(file.name for file in files),
        beside=tuple(name for name in _BESIDE if (folder / name).is_file()),
    )


def _refuse_other_formats(folder: Path) -> None:
    """What people have lying about that is no safetensors checkpoint, each with its own advice."""
    if folder.is_file():
        with folder.open("rb") as file:
            gguf = file.read(4) == b"GGUF" or folder.suffix == ".gguf"
        if gguf:
            raise EngineProblem(f"{folder} is a GGUF file, which octod does not read", _ORIGINAL)
        raise EngineProblem(f"{folder} is a file", f"name the folder that it lies in: {folder.parent}")
    if not folder.is_dir():
        raise EngineProblem(f"there is no folder {folder}", "name a checkpoint folder, or ORGANISATION/MODEL of the hub")
    names = sorted(entry.name for entry in folder.iterdir())
    if "config.json" not in names and "adapter_config.json" in names:
        raise EngineProblem(f"{folder} is an adapter, not a base", "name the folder of the model it was made for")
    if not any(name.endswith(".safetensors") for name in names):
        if gguf_files := [name for name in names if name.endswith(".gguf")]:
            raise EngineProblem(f"{folder} holds a GGUF file ({gguf_files[0]}), which octod does not read", _ORIGINAL)
        if pickles := [name for name in names if name.endswith(_PICKLES)]:
            raise EngineProblem(
                f"{folder} has pickled weights only ({pickles[0]}), and unpickling runs what is in them",
                "take its safetensors, or convert it where you trust it: AutoModelForCausalLM.from_pretrained(...)"
                ".save_pretrained(...)",
            )
    if "config.json" not in names:
        raise EngineProblem(f"{folder} has no config.json", "name a complete checkpoint folder")


def _refuse_quantised(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineProblem(f"{folder}/config.json cannot be read: {error}", "fetch the model again") from error
    told = config.get("quantization_config") if isinstance(config, dict) else None
    if told:
        method = told.get("quant_method", "unknown") if isinstance(told, dict) else told
        raise EngineProblem(
            f"{folder} is quantised ({method})", "take the checkpoint that it was made from, in bf16, fp16 or fp32"
        )


def _compare(folder: Path, shape: Shape, found: dict[str, tuple[int, ...]]) -> None:
    """Every tensor of the architecture is there in its shape, and none that would be passed over in silence."""
    wanted = dict(_tensors(shape))
    for name, (size, required) in wanted.items():
        if name not in found and required:
            raise EngineProblem(f"{folder} has no tensor {name}", "it is incomplete: fetch it again")
        if name in found and found[name] != size:
            raise EngineProblem(
                f"{folder}: {name} is {found[name]}, its config.json says {size}", "fetch the model again"
            )
    # Old Llama checkpoints carry the rotation's frequencies, which follow from the config.
    foreign = sorted(name for name in set(found) - set(wanted) if not name.endswith(".rotary_emb.inv_freq"))
    if foreign:
        raise EngineProblem(
            f"{folder} has {len(foreign)} tensors that a {shape.family} model lacks, such as {foreign[0]}",
            "use a plain Llama, Qwen2 or Qwen3 checkpoint",
        )


def _tensors(shape: Shape) -> Iterator[tuple[str, tuple[tuple[int, ...], bool]]]:
    """(name, (shape, whether it must be there)) of every tensor that the graph reads."""
    s = shape
    yield "model.embed_tokens.weight", ((s.vocabulary, s.hidden), True)
    yield "lm_head.weight", ((s.vocabulary, s.hidden), not s.tied)
    yield "model.norm.weight", ((s.hidden,), True)
    for layer in range(s.layers):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{norm}.weight", ((s.hidden,), True)
        if s.family == "qwen3":
            for norm in ("q_norm", "k_norm"):
                yield f"{prefix}self_attn.{norm}.weight", ((s.head_size,), True)
        for part in (part for group in FUSED.values() for part in group):
            inputs, outputs = s.linear(part)
            yield f"{prefix}{part}.weight", ((outputs, inputs), True)
            yield f"{prefix}{part}.bias", ((outputs,), False)


def _fim(folder: Path, shape: Shape) -> str:
    """The tokenizer's FIM family; EngineProblem when the tokenizer is missing or does not belong to the weights."""
    from octod.adapters.prompt import fim_family, load_tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        others = [name for name in ("tokenizer.model", "vocab.json") if (folder / name).is_file()]
        hint = "fetch it: every model of the hub has one beside its weights"
        if others:
            hint = "have it made from " + others[0] + ": AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        raise EngineProblem(f"{folder} has no tokenizer.json", hint)
    try:
        tokenizer = load_tokenizer(path)
    except Exception as error:  # tokenizers raises plain Exception
        raise EngineProblem(f"{path} cannot be read: {error}", "fetch it again") from error
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= shape.vocabulary:
        raise EngineProblem(
            f"{path} has the token {highest}, the weights know {shape.vocabulary} tokens",
            "tokenizer and weights belong to different models: fetch both again",
        )
    return fim_family(tokenizer)


def _licence(folder: Path) -> str:
    """The licence that the model's card declares (``license:`` in README.md's head), else "" ."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:20_000]
    except OSError:
        return ""
    head = text.split("\n---", 1)[0] if text.startswith("---") else ""
    declared = dict(line.split(":", 1) for line in head.splitlines() if line.startswith(("license:", "license_name:")))
    return (declared.get("license_name") or declared.get("license") or "").strip().strip("'\"")[:100]
