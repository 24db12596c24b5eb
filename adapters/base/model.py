"""A compact Llama in torch, whose weights carry the names of Hugging Face's `LlamaForCausalLM`.

Llama 2/3 architecture: RMSNorm before each half, rotary positions (half-rotation as in `transformers`), grouped
query attention, SwiGLU, tied embeddings, no biases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Llama", "ModelConfig"]

BLOCKS = 4  # of the queries in `_in_blocks`; 2 and 8 were slower for 512 tokens


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of the model; the default is the first bundled base, about 5.5 million parameters."""

    vocabulary: int = 8192
    context: int = 512
    hidden: int = 256
    layers: int = 5
    heads: int = 8
    kv_heads: int = 4
    ffn: int = 640
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """How many weights there are; the embedding is also the head."""
        width = self.heads * self.head_dim + self.kv_heads * self.head_dim
        layer = 2 * self.hidden * width + 3 * self.hidden * self.ffn + 2 * self.hidden
        return self.vocabulary * self.hidden + self.layers * layer + self.hidden

    @property
    def flops(self) -> int:
        """Floating-point operations of training on one token of a full window.

        Two for each weight forwards, four backwards (Kaplan et al., 2020), and causal attention over half the window.
        """
        return 6 * self.parameters + 6 * self.layers * self.context * self.heads * self.head_dim

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> ModelConfig:
        """The shape that `to_transformers` wrote."""
        shape = cls(
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
            hidden=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            ffn=config["intermediate_size"],
            rope_theta=config["rope_theta"],
            norm_eps=config["rms_norm_eps"],
        )
        if any(config.get(key) != value for key, value in shape.to_transformers().items()):
            raise ValueError("this base is of another architecture; go on from one that `octod base train` made")
        return shape

    def to_transformers(self) -> dict[str, object]:
        """Return the content of Hugging Face's `config.json`."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "torch_dtype": "bfloat16",
        }


class Llama(nn.Module):
    """The causal language model; `forward` maps token ids to the hidden states after the last norm.

    `logits` and `loss` project them with the tied embedding, so a caller can choose the positions it pays for.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Body(config)
        angles = torch.outer(
            torch.arange(config.context).float(),
            config.rope_theta ** (-torch.arange(0, config.head_dim, 2).float() / config.head_dim),
        )
        angles = torch.cat([angles, angles], dim=-1)  # (context, head_dim)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.apply(_initialise)
        for layer in self.model.layers:  # residual outputs shrink with depth (GPT-2)
            assert isinstance(layer, _Layer)
            for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(linear.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, time) int64 → (batch, time, hidden)."""
        x = self.model.embed_tokens(ids)
        time = ids.shape[1]
        cos, sin = self.cos[:time].to(x.dtype), self.sin[:time].to(x.dtype)  # type: ignore[index]
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        out: Tensor = self.model.norm(x)
        return out

    def logits(self, ids: Tensor) -> Tensor:
        """(batch, time) int64 → (batch, time, vocabulary)."""
        return F.linear(self(ids), self.model.embed_tokens.weight)

    def losses(self, ids: Tensor, targets: Tensor) -> Tensor:
        """(batch, time) inputs and targets → (batch * time,) cross-entropy in nats, float32."""
        logits = F.linear(self(ids), self.model.embed_tokens.weight)
        return F.cross_entropy(
            logits.float().view(-1, logits.shape[-1]), targets.reshape(-1), reduction="none"
        )


class _Body(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary, config.hidden)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden, eps=config.norm_eps)


class _Layer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden, eps=config.norm_eps)
        self.mlp = _MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        x = x + self.mlp(self.post_attention_layernorm(x))
        return x


class _Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.q_proj = nn.Linear(config.hidden, config.heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden, config.kv_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden, config.kv_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.heads * config.head_dim, config.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, time, _ = x.shape
        q = self.q_proj(x).view(batch, time, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, time, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, time, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)  # (batch, heads, time, head_dim)
        repeat = self.heads // self.kv_heads
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
        fused = not torch.compiler.is_compiling() or x.is_cuda or time % BLOCKS
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True) if fused else _in_blocks(q, k, v)
        out: Tensor = self.o_proj(y.transpose(1, 2).reshape(batch, time, -1))
        return out


class _MLP(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


def _in_blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention a quarter of the queries at a time, (batch, heads, time, head_dim): no later key is looked at.

    Compiled for a CPU it takes half of the time of the fused one, whose way back is slow.
    """
    time, scale = q.shape[2], q.shape[3] ** -0.5
    out = []
    for begin in range(0, time, time // BLOCKS):
        end = begin + time // BLOCKS
        known = torch.arange(end, device=q.device) <= torch.arange(begin, end, device=q.device)[:, None]
        scores = torch.where(known, (q[:, :, begin:end] @ k[:, :, :end].mT).float() * scale, -math.inf)
        out.append(torch.softmax(scores, dim=-1).to(q.dtype) @ v[:, :, :end])
    return torch.cat(out, dim=2)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate (…, time, head_dim) by position, first half against second half."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
