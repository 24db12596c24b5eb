"""A folder is looked at before anything is copied or loaded, and a refusal says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from octod.adapters.base.tokenizer import save_tokenizer, train_tokenizer
from octod.core.errors import EngineProblem
from octod.daemon.engines.checkpoint import examine
from octod.daemon.engines.weights import Weights
from safetensors.numpy import load_file, save_file

from .conftest import CONFIG, make_checkpoint


def test_a_checkpoint_is_described(checkpoint: Path) -> None:
    """Dimensions, number type, FIM family, size, and the files that belong to it."""
    found = examine(checkpoint)
    assert ("llama", "F32", "octod", "") == (found.shape.family, found.numbers, found.fim, found.licence)
    assert ("model.safetensors",) == found.weights
    assert {"config.json", "tokenizer.json"} <= set(found.beside)
    stored = Weights(checkpoint / "model.safetensors")
    assert found.shape.parameters == sum(array.size for array in stored.values())
    assert found.size == (checkpoint / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        ("---\nlicense: apache-2.0\nlanguage:\n- en\n---\n# Model\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("# Model\nlicense: mit\n", ""),
        ("", ""),
    ],
)
def test_the_licence_is_the_one_that_the_page_declares(page: str, licence: str, tmp_path: Path) -> None:
    """From the head of README.md; unknown stays unknown."""
    folder = make_checkpoint(tmp_path / "base")
    (folder / "README.md").write_text(page, encoding="utf-8")
    assert licence == examine(folder).licence


def change_config(folder: Path, **changes: object) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | changes), encoding="utf-8")


def change_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def only(folder: Path, name: str, data: bytes = b"x") -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(data)


def cut(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])


def lone_adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


def quantised_tensor(folder: Path) -> None:
    change_tensors(folder, lambda t: t.update({"model.norm.weight": np.ones(32, np.int8)}))


def lost_shard(folder: Path) -> None:
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def other_tokenizer(folder: Path) -> None:
    save_tokenizer(
        train_tokenizer(["".join(map(chr, range(33, 127))) * 2 + " words of many kinds" * 9], 650),
        folder,
        512,
    )
    change_config(folder, vocab_size=300)
    change_tensors(
        folder, lambda t: t.update({"model.embed_tokens.weight": t["model.embed_tokens.weight"][:300].copy()})
    )


def sentencepiece_only(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")


@pytest.mark.parametrize(
    ("damage", "message", "hint"),
    [
        (lambda f: only(f, "model-q4.gguf", b"GGUF"), "GGUF", "safetensors"),
        (lambda f: only(f, "pytorch_model.bin"), "pickled", "save_pretrained"),
        (lambda f: only(f, "weights.txt"), "no model.safetensors", "safetensors"),
        (lone_adapter, "is an adapter", "model it was made for"),
        (lambda f: (f / "config.json").unlink(), "no config.json", "complete"),
        (lambda f: (f / "config.json").write_text("{"), "config.json", "again"),
        (lambda f: change_config(f, model_type="gpt2"), "gpt2", "Llama, Qwen2 or Qwen3"),
        (lambda f: change_config(f, quantization_config={"quant_method": "gptq"}), "quantised (gptq)", "made from"),
        (quantised_tensor, "I8", "quantised"),
        (lambda f: cut(f, "model.safetensors"), "truncated", "again"),
        (lambda f: cut(f, "tokenizer.json"), "tokenizer.json cannot be read", "again"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json", "fetch it"),
        (sentencepiece_only, "no tokenizer.json", "tokenizer.model"),
        (other_tokenizer, "the weights know 300", "different models"),
        (lost_shard, "model-00001-of-00002.safetensors", "folder"),
        (lambda f: change_config(f, tie_word_embeddings=False), "lm_head.weight", "incomplete"),
        (lambda f: change_config(f, intermediate_size=64), "mlp.gate_proj", "again"),
        (lambda f: change_tensors(f, lambda t: t.pop("model.norm.weight")), "model.norm.weight", "incomplete"),
        (lambda f: change_tensors(f, lambda t: t.update({"visual.w": np.ones(3, np.float32)})), "visual.w", "plain"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_with_advice(
    damage: Callable[[Path], object], message: str, hint: str, tmp_path: Path
) -> None:
    """The message says what is wrong, the hint what to do."""
    folder = make_checkpoint(tmp_path / "base")
    damage(folder)
    with pytest.raises(EngineProblem) as refused:
        examine(folder)
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_file_or_nothing_is_no_checkpoint(tmp_path: Path) -> None:
    """A GGUF file, a safetensors file, a missing folder."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF\x03")
    (tmp_path / "model.safetensors").write_bytes(b"")
    for name, word in (("model.gguf", "GGUF"), ("model.safetensors", "is a file"), ("absent", "no folder")):
        with pytest.raises(EngineProblem) as refused:
            examine(tmp_path / name)
        assert word in refused.value.message


def test_what_is_not_read_by_the_graph_may_be_there(tmp_path: Path) -> None:
    """A tied checkpoint may carry its head, an old one the rotation's frequencies."""
    folder = make_checkpoint(tmp_path / "base")
    extra = {"lm_head.weight": np.ones((600, 32), np.float32)}
    extra["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(8, np.float32)
    change_tensors(folder, lambda t: t.update(extra))
    assert "llama" == examine(folder).shape.family
