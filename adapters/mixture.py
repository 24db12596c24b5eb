"""Several adapters as one: the weighted sum of low-rank updates is one update of the summed rank.

sum_i w_i * s_i * B_i @ A_i  =  [w_1 s_1 B_1 | w_2 s_2 B_2 | ...] @ [A_1; A_2; ...]        exact, no training
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from octod.core.errors import AdapterRefused

if TYPE_CHECKING:
    import numpy as np
    from octod.adapters.verify import LoraConfig

__all__ = ["Factors", "Mixture", "load", "stack", "write"]

# (adapter name, weight), ...; empty is the base alone.
Mixture = tuple[tuple[str, float], ...]

# Module path in the base (``model.layers.0.mlp.up_proj``) -> A (rank, inputs) and B (outputs, rank), float32, with
# the scaling already in B.
Factors = Mapping[str, "tuple[np.ndarray, np.ndarray]"]

_PREFIX = "base_model.model."


def load(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read an adapter's matrices as float32, its scaling multiplied into B. The folder was checked before."""
    import numpy as np
    from octod.adapters.verify import WEIGHTS, read_config, tensors

    config = read_config(folder)
    halves: dict[str, dict[str, np.ndarray]] = {}
    for name, dtype, bits in tensors(folder / WEIGHTS):
        module, half = name.removeprefix(_PREFIX).removesuffix(".weight").rsplit(".lora_", 1)
        if dtype == "BF16":  # the upper half of a float32
            values = (bits.astype(np.uint32) << 16).view(np.float32)
        else:
            values = bits.view(np.float32 if dtype == "F32" else np.float16).astype(np.float32)
        halves.setdefault(module, {})[half] = values
    if any(set(pair) != {"A", "B"} for pair in halves.values()):
        raise AdapterRefused(f"{folder.name} lacks one half of a module", "train it again")
    return {
        module: (pair["A"], pair["B"] * np.float32(config.scaling)) for module, pair in sorted(halves.items())
    }


def stack(parts: Sequence[tuple[Factors, float]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The one update that equals the weighted sum; a module an adapter lacks takes no rank from it."""
    import numpy as np

    modules = sorted({module for factors, weight in parts for module in factors if weight})
    stacked = {}
    for module in modules:
        halves = [(*factors[module], weight) for factors, weight in parts if weight and module in factors]
        a = np.concatenate([a for a, _, _ in halves], axis=0)
        b = np.concatenate([b * np.float32(weight) for _, b, weight in halves], axis=1)
        stacked[module] = (a, b)
    return stacked


def write(factors: Factors, folder: Path, *, base_name: str = "", rank: int | None = None) -> LoraConfig:
    """Write matrices as a PEFT adapter folder (for vLLM, which takes one LoRA per request), fp32, scaling 1.

    Ranks are padded with zeros to ``rank``, or to the largest: PEFT has one rank per adapter, and vLLM wants it
    within ``--max-lora-rank``. ValueError when ``rank`` is too small.
    """
    import numpy as np
    from octod.adapters.verify import CONFIG, WEIGHTS, LoraConfig

    widest = max((a.shape[0] for a, _ in factors.values()), default=0)
    rank = widest if rank is None else rank
    if not factors or rank < widest:
        raise ValueError(f"a mixture of rank {widest} does not fit rank {rank}")
    arrays: dict[str, np.ndarray] = {}
    for module, (a, b) in factors.items():
        room = rank - a.shape[0]
        arrays[f"{_PREFIX}{module}.lora_A.weight"] = np.pad(a, ((0, room), (0, 0)))
        arrays[f"{_PREFIX}{module}.lora_B.weight"] = np.pad(b, ((0, 0), (0, room)))
    config = LoraConfig(rank, float(rank), tuple(sorted({m.rsplit(".", 1)[1] for m in factors})), base_name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _private(folder / WEIGHTS, _safetensors(arrays))
    _private(folder / CONFIG, config.to_json().encode())
    return config


def _safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position, data = 0, []
    for name in sorted(arrays):
        raw = arrays[name].astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(arrays[name].shape),
            "data_offsets": [position, position + len(raw)],
        }
        position += len(raw)
        data.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the data to 8 bytes
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def _private(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
