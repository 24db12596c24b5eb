"""Is this folder an adapter that may serve?  Every refusal names its reason (promise P8).

Only what octod itself writes is accepted: two files of PEFT's format with a handful of known keys, and the card.
Nothing is ever unpickled, and no path or class name is taken from a config.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octod.adapters.card import CARD, Card
from octod.adapters.identity import BaseModel, content_hash, valid_name
from octod.core.errors import AdapterRefused

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CONFIG",
    "MODULES",
    "WEIGHTS",
    "LoraConfig",
    "base_shapes",
    "check_folder",
    "read_config",
    "tensors",
]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LARGEST_RANK = 256
_AGAIN = "remove it with `octod adapters rm` and train it again"
_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"}
_DTYPES = {"F32": 4, "F16": 2, "BF16": 2}
_TENSOR = re.compile(
    r"base_model\.model\.model\.layers\.(0|[1-9][0-9]{0,3})\.(?:self_attn|mlp)\.([a-z]+_proj)\.lora_([AB])\.weight"
)
# Key -> the values it may have; a callable says yes or no.
_FIXED: Mapping[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM",),
    "bias": ("none",),
    "fan_in_fan_out": (False,),
    "inference_mode": (True,),
}
_KEYS = {*_FIXED, "base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "target_modules"}


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """What ``adapter_config.json`` may say: rank, alpha (scaling is alpha / rank) and the modules it changes."""

    rank: int
    alpha: float
    modules: tuple[str, ...]
    base_name: str = ""

    @property
    def scaling(self) -> float:
        """The factor of B @ A."""
        return self.alpha / self.rank

    def to_json(self) -> str:
        """The strict text of ``adapter_config.json``, read by peft and by vLLM."""
        data = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "base_model_name_or_path": self.base_name,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "target_modules": sorted(self.modules),
        }
        return json.dumps(data, indent=1, sort_keys=True) + "\n"


def check_folder(
    folder: Path, *, base: BaseModel | None = None, expected_hash: str | None = None, carded: bool = True
) -> LoraConfig:
    """Check an adapter's folder; AdapterRefused with the reason when it must not serve.

    With ``base`` the card's hashes and every tensor's shape must fit it. ``expected_hash`` is the content hash from
    the registry; without it the last part of the folder's name counts. ``carded=False`` is for a folder about to be
    published, which has neither a card nor its name yet.
    """
    files = _files(folder, {CONFIG, WEIGHTS, CARD} if carded else {CONFIG, WEIGHTS})
    if carded:
        name = valid_name(folder.name)
        found = content_hash(files)
        if expected_hash is not None and found != expected_hash:
            raise _refused(f"{name}: the content hash differs, a file was changed")
        if not name.endswith("-" + found[:12]):
            raise _refused(f"{name}: the content hash differs from the name, a file was changed")
    config = read_config(folder)
    if carded:
        card = Card.read(folder)
        if base is not None and card.base_weights != base.weights_hash:
            raise _refused(
                f"{folder.name} was trained for another base model ({card.base_name}, not {base.name})"
            )
        if base is not None and card.base_tokenizer != base.tokenizer_hash:
            raise _refused(f"{folder.name} was trained with another tokenizer")
    shapes = base_shapes(base.config()) if base is not None else None
    _check_tensors(folder / WEIGHTS, config, shapes)
    return config


def read_config(folder: Path) -> LoraConfig:
    """``adapter_config.json`` by octod's own schema: unknown keys and unusual values are refused."""
    path = folder / CONFIG
    try:
        if path.stat().st_size > 65_536:
            raise _refused(f"{CONFIG} is too large")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(f"{CONFIG} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise _refused(f"{CONFIG} is not an object")
    if extra := sorted(set(data) - _KEYS):
        raise _refused(f"{CONFIG} has keys that are not allowed: {', '.join(map(str, extra))[:200]}")
    if missing := sorted(_KEYS - set(data)):
        raise _refused(f"{CONFIG} lacks {', '.join(missing)}")
    for key, allowed in _FIXED.items():
        if data[key] not in allowed or type(data[key]) is not type(allowed[0]):
            raise _refused(f"{CONFIG}: {key} is {data[key]!r:.80}")
    rank, alpha, modules, name = (
        data[k] for k in ("r", "lora_alpha", "target_modules", "base_model_name_or_path")
    )
    if type(rank) is not int or not 1 <= rank <= LARGEST_RANK:
        raise _refused(f"{CONFIG}: rank is {rank!r:.80}")
    if type(alpha) not in (int, float) or not math.isfinite(alpha) or not 0 < alpha <= 4096:
        raise _refused(f"{CONFIG}: lora_alpha is {alpha!r:.80}")
    if data["lora_dropout"] != 0:
        raise _refused(f"{CONFIG}: lora_dropout is {data['lora_dropout']!r:.80}")
    if not isinstance(modules, list) or not modules or not all(m in MODULES for m in modules):
        raise _refused(f"{CONFIG}: target_modules is {modules!r:.120}")
    if (
        not isinstance(name, str)
        or ".." in name
        or name.startswith(("/", "~"))
        or "\\" in name
        or len(name) > 200
    ):
        raise _refused(f"{CONFIG}: base_model_name_or_path is {name!r:.80}, a path is not allowed")
    return LoraConfig(rank, float(alpha), tuple(sorted(set(modules))), name)


def base_shapes(config: Mapping[str, object]) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of each adaptable module of a Llama, Qwen2 or Qwen3 config, and ``layers``: (n, n)."""

    def number(key: str) -> int:
        value = config.get(key)
        if not isinstance(value, int):
            raise _refused(f"the base model's config has no {key}")
        return value

    hidden, heads, inner, layers = map(
        number, ("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers")
    )
    kv_heads = config.get("num_key_value_heads")
    head = config.get("head_dim")
    key_heads = kv_heads if isinstance(kv_heads, int) else heads
    own = 128 if config.get("model_type") == "qwen3" else hidden // heads  # as transformers has it
    width = head if isinstance(head, int) else own
    return {
        "layers": (layers, layers),
        "q_proj": (heads * width, hidden),
        "k_proj": (key_heads * width, hidden),
        "v_proj": (key_heads * width, hidden),
        "o_proj": (hidden, heads * width),
        "gate_proj": (inner, hidden),
        "up_proj": (inner, hidden),
        "down_proj": (hidden, inner),
    }


def tensors(path: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (name, dtype, bits) of a safetensors file, F32 as uint32 and the 16-bit types as uint16.

    An own reader: the header is checked against the file's length before anything is allocated, and bfloat16
    needs no torch. AdapterRefused when the file is truncated, or no safetensors of known types.
    """
    import numpy as np

    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, 16_000_000):
            raise _refused(f"{WEIGHTS} is truncated or no safetensors file")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            entries = sorted(
                ((n, e["dtype"], tuple(e["shape"]), *e["data_offsets"]) for n, e in header.items()),
                key=lambda entry: entry[3],
            )
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise _refused(f"{WEIGHTS} has a damaged header: {error}") from error
        position = 0
        for name, dtype, shape, start, stop in entries:
            if dtype not in _DTYPES:
                raise _refused(f"{WEIGHTS}: {name} has the type {dtype!r:.40}")
            if not all(type(n) is int and 0 < n <= 1_000_000 for n in shape) or not 1 <= len(shape) <= 2:
                raise _refused(f"{WEIGHTS}: {name} has the shape {shape!r:.80}")
            if start != position or stop != start + math.prod(shape) * _DTYPES[dtype]:
                raise _refused(f"{WEIGHTS}: {name} has damaged offsets")
            if 8 + length + stop > size:
                raise _refused(f"{WEIGHTS} is truncated")
            bits = np.frombuffer(file.read(stop - start), dtype="<u4" if dtype == "F32" else "<u2")
            yield name, dtype, bits.reshape(shape)
            position = stop
        if 8 + length + position != size:
            raise _refused(f"{WEIGHTS} has bytes that belong to no tensor")


def _check_tensors(path: Path, config: LoraConfig, shapes: Mapping[str, tuple[int, int]] | None) -> None:
    # All bits of the exponent set: infinity or not a number.
    exponent = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}
    seen: set[tuple[int, str, str]] = set()
    for name, dtype, bits in tensors(path):
        matched = _TENSOR.fullmatch(name)
        if matched is None or matched[2] not in config.modules:
            raise _refused(f"{WEIGHTS}: {name!r:.120} is not a tensor of this adapter")
        layer, module, half = int(matched[1]), matched[2], matched[3]
        rank = bits.shape[0] if half == "A" else bits.shape[-1]
        if bits.ndim != 2 or rank != config.rank:
            raise _refused(f"{WEIGHTS}: {name} has rank {rank}, the config says {config.rank}")
        if shapes is not None:
            outputs, inputs = shapes[module]
            expected = (config.rank, inputs) if half == "A" else (outputs, config.rank)
            if layer >= shapes["layers"][0] or bits.shape != expected:
                raise _refused(
                    f"{WEIGHTS}: {name} has the shape {bits.shape}, the base model needs {expected}"
                )
        mask = exponent[dtype]
        if bool(((bits & mask) == mask).any()):
            raise _refused(f"{WEIGHTS}: {name} has a value that is not a number or infinite")
        seen.add((layer, module, half))
    layers = (
        shapes["layers"][0] if shapes is not None else 1 + max((layer for layer, _, _ in seen), default=0)
    )
    wanted = {(n, module, half) for n in range(layers) for module in config.modules for half in "AB"}
    if missing := wanted - seen:
        layer, module, half = min(missing)
        raise _refused(f"{WEIGHTS} lacks lora_{half} of {module} in layer {layer}")


def _files(folder: Path, wanted: set[str]) -> list[Path]:
    """The folder's files, when they are exactly the wanted ones and all regular."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise _refused(f"{folder.name} is not a folder")
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _refused(f"{folder.name} cannot be read: {error.strerror}") from error
    for entry in entries:
        if Path(entry.name).suffix.lower() in _PICKLES:
            raise _refused(f"{folder.name} holds {entry.name}: only safetensors is accepted")
        if entry.name not in wanted:
            raise _refused(f"{folder.name} holds a file that does not belong there: {entry.name!r:.80}")
        if not entry.is_file(follow_symlinks=False):
            raise _refused(f"{folder.name}: {entry.name} is not a regular file")
    if missing := wanted - {entry.name for entry in entries}:
        raise _refused(f"{folder.name} lacks {', '.join(sorted(missing))}")
    return [Path(entry.path) for entry in entries]


def _refused(reason: str) -> AdapterRefused:
    return AdapterRefused(reason, _AGAIN)
