"""The model is Hugging Face's Llama, and an export loads there with its tokenizer."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch", reason="needs the [train] extra")
transformers = pytest.importorskip("transformers", reason="needs the [train] extra")

from octod.adapters.base import export, model  # after the skips
from octod.adapters.base.corpus import CorpusConfig, build_corpus
from octod.adapters.base.export import export_base
from octod.adapters.base.model import Llama, ModelConfig
from octod.adapters.base.optimiser import orthogonalise
from octod.adapters.base.pretrain import PretrainConfig, pretrain
from octod.daemon.engines.checkpoint import examine

SMALL = ModelConfig(vocabulary=500, context=64, hidden=64, layers=2, heads=4, kv_heads=2, ffn=96)


def reference(config: ModelConfig) -> torch.nn.Module:
    model: torch.nn.Module = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**config.to_transformers())
    )
    return model.float().eval()


@pytest.mark.parametrize("config", [SMALL, ModelConfig()], ids=["small", "bundled"])
def test_logits_equal_those_of_transformers(config: ModelConfig) -> None:
    """Same names, same weights, same logits."""
    torch.manual_seed(0)
    own = Llama(config).eval()
    # Fresh norms are all ones and fresh logits tiny; a comparison wants neither.
    for parameter in own.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    other = reference(config)
    missing, unexpected = other.load_state_dict(own.state_dict(), strict=False)
    assert ["lm_head.weight"] == list(missing)
    assert [] == list(unexpected)
    other.tie_weights()
    ids = torch.randint(0, config.vocabulary, (2, config.context))
    with torch.no_grad():
        assert (own.logits(ids) - other(ids).logits).abs().max() <= 1e-4


def test_losses_are_the_cross_entropy_of_the_logits() -> None:
    """One loss per position, in nats."""
    torch.manual_seed(0)
    model = Llama(SMALL)
    ids = torch.randint(0, 500, (2, 9))
    expected = torch.nn.functional.cross_entropy(
        model.logits(ids).view(-1, 500), ids.view(-1), reduction="none"
    )
    assert torch.allclose(expected, model.losses(ids, ids))


@pytest.mark.parametrize("shape", [(3, 16, 40), (2, 40, 16), (1, 24, 24)])
def test_orthogonalised_updates_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    """The quintic iteration brings them between about 0.5 and 1.3 for any shape."""
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert 0.4 < values.min() and values.max() < 1.4


def test_an_export_loads_in_transformers(tmp_path: Path, site: Path) -> None:
    """Model, tokenizer and card of a checkpoint, while the run could go on."""
    work, out = tmp_path / "work", tmp_path / "out"
    config = CorpusConfig((site,), work, held_out=frozenset({"others"}), vocabulary=600, workers=1)
    tokenizer = build_corpus(config)
    shape = ModelConfig(tokenizer.get_vocab_size(), 512, 64, 2, 4, 2, 96)
    command = "python -m octod.adapters.base.pretrain --site-packages=/somebody/s/site-packages --work /somebody/s/work"
    run = PretrainConfig(
        work,
        60,
        max_steps=2,
        batch=2,
        device="cpu",
        compile=False,
        evaluate_windows=4,
        model=shape,
        command=command,
    )
    pretrain(run)
    export_base(work, out, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    # The same logits, within what bf16 loses.
    own = Llama(shape)
    own.load_state_dict(torch.load(work / "checkpoint.pt", weights_only=True)["model"])
    own = own.to(torch.bfloat16).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
        fast = transformers.AutoTokenizer.from_pretrained(out)
    ids = fast("import wires\n", return_tensors="pt")["input_ids"]
    assert tokenizer.encode("import wires\n").ids == ids[0].tolist()
    assert ("<|end|>", "<|pad|>") == (fast.eos_token, fast.pad_token)
    with torch.no_grad():
        assert (own.logits(ids) - other(ids).logits).abs().max() <= 1e-4

    # The card.
    card = json.loads((out / "card.json").read_text())
    assert "2026-01-01T00:00:00+00:00" == card["created"]
    assert sum(p.numel() for p in own.parameters()) == card["parameters"]
    assert 2 == card["steps"] and card["tokens_seen"] > 0
    assert card["held_out_bits_per_byte"] > 0 and card["held_out_call_loss"] > 0
    assert ["MIT"] == card["licences"]
    assert "/somebody" not in card["command"]
    readme = (out / "README.md").read_text()
    assert "| wires | 1.0 | MIT | 1 |" in readme and "held out" in readme
    assert 0o644 == (out / "model.safetensors").stat().st_mode & 0o777


def test_large_weights_are_several_files(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at most a shard's size, and what an earlier export left is gone."""
    work, out = tmp_path / "work", tmp_path / "out"
    tokenizer = build_corpus(CorpusConfig((site,), work, held_out=frozenset({"others"}), vocabulary=600, workers=1))
    shape = ModelConfig(tokenizer.get_vocab_size(), 512, 64, 2, 4, 2, 96)
    pretrain(PretrainConfig(work, 60, max_steps=1, batch=2, device="cpu", compile=False, evaluate_windows=4, model=shape))
    export_base(work, out)
    monkeypatch.setattr(export, "SHARD", 90_000)
    export_base(work, out)
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 1 and max(file.stat().st_size for file in files) <= 95_000
    assert not (out / "model.safetensors").exists()
    assert shape.parameters == transformers.AutoModelForCausalLM.from_pretrained(out).num_parameters()
    assert shape.parameters == examine(out).shape.parameters


def test_exporting_before_the_first_checkpoint_says_so(tmp_path: Path) -> None:
    """There is nothing to export yet."""
    with pytest.raises(FileNotFoundError):
        export_base(tmp_path, tmp_path / "out")


def test_training_goes_on_from_an_export_and_the_card_says_so(tmp_path: Path, site: Path) -> None:
    """The weights are those of the base, up to bf16; tokens, steps, time, data and commands add up; another shape is refused."""
    work, first, second = tmp_path / "work", tmp_path / "first", tmp_path / "second"
    tokenizer = build_corpus(CorpusConfig((site,), work, held_out=frozenset({"others"}), vocabulary=600, workers=1))
    shape = ModelConfig(tokenizer.get_vocab_size(), 512, 64, 2, 4, 2, 96)
    run = PretrainConfig(work, 60, max_steps=2, batch=2, device="cpu", compile=False, evaluate_windows=4, model=shape, command="one")
    trained = torch.load(pretrain(run), weights_only=True)["model"]
    export_base(work, first)
    (work / "checkpoint.pt").unlink()
    assert shape == ModelConfig.from_transformers(json.loads((first / "config.json").read_text()))
    seen: list[dict[str, torch.Tensor]] = []

    def watch(model: Llama, step: int) -> None:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})

    # a rate of nothing leaves the weights as they came
    pretrain(replace(run, max_steps=1, start=first, rate=0.0, decay=0.0, command="two"), watch=watch)
    assert all(torch.equal(trained[name].bfloat16().float(), value) for name, value in seen[0].items())
    export_base(work, second)
    before, after = (json.loads((folder / "card.json").read_text()) for folder in (first, second))
    assert (3, "one && two") == (after["steps"], after["command"])
    assert after["tokens_seen"] > before["tokens_seen"]
    assert before["data"] == after["data"]
    with pytest.raises(ValueError, match="another architecture"):
        ModelConfig.from_transformers({**json.loads((first / "config.json").read_text()), "attention_bias": True})


def test_attention_in_blocks_is_attention() -> None:
    """What a compiled run on a CPU computes is what the fused one gives."""
    q, k, v = torch.randn(3, 2, 4, 64, 16).unbind()
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(model._in_blocks(q, k, v), expected)
