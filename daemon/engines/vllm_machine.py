"""How vLLM is started on this machine: which build there is, and how much memory it may take."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from octod.adapters.prompt import CONTEXT
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.cost import Memory
from octod.daemon.engines.shape import FUSED, Shape

__all__ = ["BASE", "LARGEST_RANK", "MOST", "SLOTS", "TOP", "Build", "build_of", "environment", "installed_python", "options"]

BASE = "octod-base"  # what the base is called in requests
# One bound for all adapters, which vLLM wants to know when it starts: two of octod's usual rank in one mixture. Each
# adapter costs as much as one of this rank.
LARGEST_RANK = 32
SLOTS = 32  # adapters kept in the server's memory
MOST = 64  # of the likeliest tokens, behind a candidate: what they leave is shared among the others
TOP = 24  # alternatives asked for with each token: as many as the embedded engine looks at
_ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
_SEQUENCES = 64  # prompts in one step: a menu's names
# torch, vLLM's own modules, the interpreter, three times over (2.2 GB seen with a base of 6 M parameters).
_RUNTIME = 2_500_000_000
_LEAST_KEYS, _MOST_KEYS = 128 * 2**20, 4 * 2**30


@dataclass(frozen=True, slots=True)
class Build:
    """A vLLM that is installed: ``cuda`` or ``cpu``, its version, and the interpreter that has it."""

    kind: str
    version: str
    python: Path


def installed_python(paths: Paths) -> Path:
    """The interpreter of the environment that `octod engine install vllm` makes."""
    return paths.data / "engines" / "vllm" / "bin" / "python"


def build_of(python: Path) -> Build:
    """The vLLM that an interpreter's environment has, read from its files; EngineProblem when there is none."""
    root = python.parent.parent
    for metadata in sorted(root.glob("lib/python3*/site-packages/vllm*.dist-info")):
        found = re.fullmatch(r"vllm(_cpu)?-(.+)\.dist-info", metadata.name)
        if found is not None and python.is_file():
            return Build("cpu" if found[1] or "+cpu" in found[2] else "cuda", found[2], python)
    raise EngineProblem(
        f"there is no vLLM in {root}", "`octod engine install vllm` installs it, or name its python as engine_python"
    )


def options(base: Path, shape: Shape, build: Build, memory: Memory) -> list[str]:
    """vLLM's options; EngineProblem when the machine cannot hold the model.

    Keys and values for as many prompts as a step takes, within a fifth of what is free; places for adapters
    within a twentieth.
    """
    free = memory.total if memory.free is None else memory.free
    width = 4 if build.kind == "cpu" and shape.parameters < 1e9 else 2  # small ones in fp32: as exact as the embedded engine
    needed = shape.parameters * width + (_RUNTIME if build.kind == "cpu" else _RUNTIME // 2)
    if needed > memory.total:
        raise EngineProblem(
            f"{base.name} needs {needed / 1e9:.1f} GB of memory in vLLM, this machine has {memory.total / 1e9:.1f} GB",
            "choose a smaller base: `octod base list`, `octod base use NAME`",
        )
    context = min(CONTEXT, shape.context)
    token = 2 * shape.layers * shape.kv_heads * shape.head_size * width
    keys = int(min(max(_SEQUENCES * context * token, _LEAST_KEYS), _MOST_KEYS, max(free // 5, _LEAST_KEYS)))
    per_layer = sum(sum(shape.linear(part)) for group in FUSED.values() for part in group)
    adapter = width * LARGEST_RANK * shape.layers * per_layer
    places = int(min(max(free // 20 // adapter, 1), 8))
    return [
        *("--model", str(base), "--served-model-name", BASE, "--tokenizer", str(base)),
        *("--max-model-len", str(context), "--max-num-seqs", str(_SEQUENCES)),
        # blocks of 32 tokens are the smallest that the CPU build has; whole ones are kept between keystrokes
        *("--kv-cache-memory-bytes", str(keys), "--block-size", "32", "--enable-prefix-caching"),
        *("--enable-lora", "--max-lora-rank", str(LARGEST_RANK), "--max-loras", str(places)),
        *("--max-cpu-loras", str(max(SLOTS, places)), "--max-logprobs", str(MOST)),
        # some checkpoints do not say it, and vLLM does not conclude it from their type
        *("--hf-overrides", json.dumps({"architectures": [_ARCHITECTURES[shape.family]]})),
        *("--dtype", "float32" if width == 4 else "auto", "--generation-config", "vllm"),
        *("--enforce-eager", "--disable-uvicorn-access-log"),
    ]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of vLLM's process: no network, no reports, adapters while it runs; nothing of Python's own."""
    kept = {k: v for k, v in environ.items() if not k.startswith("PYTHON")}
    return kept | {
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
    }
