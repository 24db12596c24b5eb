"""The dimensions of a Llama, Qwen2 or Qwen3 checkpoint, and how its linears are fused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from octod.core.errors import EngineProblem

__all__ = ["FUSED", "LONGEST_CONTEXT", "TREE_SLOTS", "Shape", "read_shape"]

# Buffer slots beyond the context, for the branches of a candidate tree; positions stay below the context.
TREE_SLOTS = 128

# A context longer than this only costs memory here: prompts are a few hundred tokens.
LONGEST_CONTEXT = 2048

# The fused linears, and the checkpoint's linears they are made of, in the order of their outputs.
FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "o": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a model, from its config.json."""

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    vocabulary: int
    context: int
    epsilon: float
    tied: bool
    theta: float
    rope: tuple[tuple[str, float], ...] = ()  # llama3's or linear's scaling figures

    @property
    def capacity(self) -> int:
        """Slots of the key/value buffers."""
        return self.context + TREE_SLOTS

    @property
    def parameters(self) -> int:
        """How many weights there are: embedding (and head), norms, the seven linears; biases are next to nothing."""
        linears = sum(math.prod(self.linear(part)) for group in FUSED.values() for part in group)
        embeddings = (1 if self.tied else 2) * self.vocabulary * self.hidden
        return embeddings + self.layers * (linears + 2 * self.hidden) + self.hidden

    def linear(self, part: str) -> tuple[int, int]:
        """(inputs, outputs) of one of the seven linears, such as ``mlp.down_proj``."""
        query, key = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "self_attn.q_proj": (self.hidden, query),
            "self_attn.k_proj": (self.hidden, key),
            "self_attn.v_proj": (self.hidden, key),
            "self_attn.o_proj": (query, self.hidden),
            "mlp.gate_proj": (self.hidden, self.inner),
            "mlp.up_proj": (self.hidden, self.inner),
            "mlp.down_proj": (self.inner, self.hidden),
        }[part]

    def fused(self, name: str) -> tuple[int, int]:
        """(inputs, outputs) of a fused linear."""
        sizes = [self.linear(part) for part in FUSED[name]]
        return sizes[0][0], sum(out for _, out in sizes)


def read_shape(folder: Path) -> Shape:
    """The dimensions in ``folder/config.json``; EngineProblem says what is not supported."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineProblem(f"cannot read {path}", "point to a complete checkpoint folder") from error
    try:
        family = config["model_type"]
        if family not in ("llama", "qwen2", "qwen3"):
            raise EngineProblem(f"{folder} is a {family} model", "use a Llama, Qwen2 or Qwen3 checkpoint")
        kinds = set(config.get("layer_types") or ()) - {"full_attention"}
        if config.get("hidden_act", "silu") != "silu" or config.get("use_sliding_window") or kinds:
            raise EngineProblem(
                f"{folder} has an activation or attention that is not built", "use another checkpoint"
            )
        heads = config["num_attention_heads"]
        # Qwen3's heads have a width of their own (transformers, configuration_qwen3.py).
        usual = 128 if family == "qwen3" else config["hidden_size"] // heads
        head_size = config.get("head_dim") or usual
        if head_size % 16:
            # What GroupQueryAttention's rotation is written for; published models have 64, 80, 96 or 128.
            raise EngineProblem(
                f"{folder} has heads of {head_size}, not a multiple of 16", "use another checkpoint"
            )
        rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
        kind = rope.get("rope_type", rope.get("type", "default"))
        partial = rope.get("partial_rotary_factor", config.get("partial_rotary_factor")) or 1.0
        if kind not in ("default", "linear", "llama3") or partial != 1.0:
            raise EngineProblem(
                f"{folder} has {kind if partial == 1.0 else 'partly rotated'} positions, which are not built",
                "use another checkpoint",
            )
        figures = (
            ()
            if kind == "default"
            else tuple(
                sorted(
                    (k, float(v)) for k, v in rope.items() if isinstance(v, int | float) and k != "rope_theta"
                )
            )
        )
        return Shape(
            family=family,
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_size=head_size,
            inner=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            context=min(config.get("max_position_embeddings", 2048), LONGEST_CONTEXT),
            epsilon=config.get("rms_norm_eps", 1e-6),
            tied=config.get("tie_word_embeddings", False),
            theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            rope=figures,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise EngineProblem(
            f"{path} lacks or misuses {error}", "point to a complete checkpoint folder"
        ) from error
