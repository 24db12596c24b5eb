"""Tiny random checkpoints and adapters, made without transformers where they can be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from octod.adapters.base.tokenizer import save_tokenizer, train_tokenizer
from octod.adapters.mixture import write
from octod.core.paths import Paths
from octod.daemon.engines.protocol import AdapterFiles

CONFIG = {
    "model_type": "llama",
    "vocab_size": 600,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
}
LINEARS = {
    "self_attn.q_proj": (32, 32),
    "self_attn.k_proj": (16, 32),
    "self_attn.v_proj": (16, 32),
    "self_attn.o_proj": (32, 32),
    "mlp.gate_proj": (48, 32),
    "mlp.up_proj": (48, 32),
    "mlp.down_proj": (32, 48),
}


def make_tokenizer(folder: Path) -> None:
    """A tokenizer of 600 entries at most."""
    text = "import numpy as np\nframe.groupby(by=None)\nresult = np.zeros((2, 3), dtype=float)\nget, get_all, head\n"
    save_tokenizer(train_tokenizer([text], 600), folder, 512)


def make_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A random Llama checkpoint in fp32."""
    from safetensors.numpy import save_file

    source = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return source.normal(0.0, 0.2, shape).astype(np.float32)

    tensors = {"model.embed_tokens.weight": drawn(600, 32), "model.norm.weight": drawn(32)}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        for part, shape in LINEARS.items():
            tensors[f"{prefix}{part}.weight"] = drawn(*shape)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = 1.0 + drawn(32)
    make_tokenizer(folder)
    save_file(tensors, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder


def make_adapter(folder: Path, seed: int, rank: int = 4) -> AdapterFiles:
    """A random adapter on all seven linears, strong enough to change every score."""
    source = np.random.default_rng(seed)
    factors = {}
    for layer in range(2):
        for part, (outer, inner) in LINEARS.items():
            a = source.normal(0.0, 0.3, (rank, inner)).astype(np.float32)
            factors[f"model.layers.{layer}.{part}"] = (
                a,
                source.normal(0.0, 0.3, (outer, rank)).astype(np.float32),
            )
    config = write(factors, folder)
    return AdapterFiles(folder.name, folder, config.rank, config.scaling)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One random checkpoint for all tests."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """octod's folders in the test's own folder."""
    return Paths.of({"OCTOD_HOME": str(tmp_path / "home")})
