"""A tiny random Qwen2 checkpoint with a tokenizer of its family, made without torch: a base that is not octod's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

__all__ = ["make_foreign"]

_CONFIG = {
    "model_type": "qwen2",
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
_LINEARS = {
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (96, 64),
    "mlp.up_proj": (96, 64),
    "mlp.down_proj": (64, 96),
}


def make_foreign(folder: Path, seed: int = 0) -> Path:
    """Single bytes and Qwen's FIM tokens, biases on q, k and v, an untied head; weights in fp16."""
    from safetensors.numpy import save_file
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    source = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return source.normal(0.0, 0.1, shape).astype(np.float16)

    tensors = {name: drawn(320, 64) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    tensors["model.norm.weight"] = 1 + drawn(64)
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        for part, shape in _LINEARS.items():
            tensors[f"{prefix}{part}.weight"] = drawn(*shape)
            if part[-6] in "qkv":
                tensors[f"{prefix}{part}.bias"] = drawn(shape[0])
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = 1 + drawn(64)
    folder.mkdir(parents=True)
    save_file(tensors, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(_CONFIG), encoding="utf-8")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>")
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in names])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
