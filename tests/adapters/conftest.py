"""A tiny base model and adapter folders of its shape, made with numpy alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import folds
import numpy as np
import pytest
from octod.adapters import mixture
from octod.adapters.card import Card
from octod.adapters.identity import BaseModel
from octod.adapters.verify import MODULES, base_shapes
from octod.core.symbols import LibraryId

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 600,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
FOLDS = LibraryId("folds", "1.2.0", "ab" * 32)


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    """A base model's folder whose weights are noise nobody reads."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return BaseModel.of(folder)


@pytest.fixture
def card(base: BaseModel) -> Card:
    """A card for folds 1.2.0 on the tiny base."""
    return Card(FOLDS, base.name, base.weights_hash, base.tokenizer_hash, created="2025-01-01T00:00:00+00:00")


def random_adapter(base: BaseModel, folder: Path, rank: int, seed: int) -> Path:
    """Write the two files of an adapter of noise that fits the base."""
    rng = np.random.default_rng(seed)
    shapes = base_shapes(base.config())
    factors = {}
    for layer in range(shapes["layers"][0]):
        for module in MODULES:
            outputs, inputs = shapes[module]
            part = "self_attn" if module in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            a = rng.normal(size=(rank, inputs)).astype(np.float32)
            b = rng.normal(size=(outputs, rank)).astype(np.float32)
            factors[f"model.layers.{layer}.{part}.{module}"] = (a, b)
    mixture.write(factors, folder, base_name=base.name)
    return folder


@pytest.fixture
def adapter_folder(tmp_path: Path, base: BaseModel) -> Callable[..., Path]:
    """A function (rank, seed) -> folder with the two files of a random adapter for the tiny base."""
    return lambda rank=4, seed=0: random_adapter(base, tmp_path / f"made-{rank}-{seed}", rank, seed)


@pytest.fixture
def adapter_like(tmp_path: Path) -> Callable[[BaseModel], Path]:
    """A function (base) -> folder with a random adapter of that base's shape."""
    return lambda base: random_adapter(base, tmp_path / "noise", 2, 0)


@pytest.fixture(scope="session")
def real_base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """A Llama of random weights that transformers loads, with a tokenizer trained on a few lines."""
    pytest.importorskip("torch", reason="needs the train extra")
    import torch
    from octod.adapters.base.tokenizer import save_tokenizer, train_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)  # the model is so small that threads only wait for each other
    folder = tmp_path_factory.mktemp("real") / "random-llama"
    texts = [folds.usage(number) for number in range(20)] + [
        "folds.fold(paper, times=1)\nfolds.Sheet(width)\n"
    ] * 9
    save_tokenizer(train_tokenizer(texts, 700), folder, 512)
    torch.manual_seed(0)
    wide = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "vocab_size": 700}
    model = LlamaForCausalLM(LlamaConfig.from_dict(CONFIG | wide))
    model.save_pretrained(folder)
    return BaseModel.of(folder)
