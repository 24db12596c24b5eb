"""The ONNX form computes what transformers and peft compute."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octod.adapters.identity import BaseModel
from octod.adapters.mixture import Factors, load, stack, write
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.decoder import SLOTS, Decoder
from octod.daemon.engines.graph import build_graph, cached_graph, served_bits
from octod.daemon.engines.shape import Shape, read_shape
from octod.daemon.engines.weights import Weights

from .conftest import make_adapter, make_checkpoint, make_tokenizer

TOLERANCE = 1e-4  # fp32 sums in another order, over logits of about 1
TOKENS = np.random.default_rng(7).integers(0, 600, 210).tolist()


def go_on() -> None:
    """A check that never stops the work."""


def decoder(folder: Path, paths: Paths) -> Decoder:
    """The decoder of a checkpoint folder."""
    path, shape = cached_graph(BaseModel.of(folder), paths.cache)
    return Decoder(path, shape, threads=1)


def save_model(family: str, folder: Path, **changes: Any) -> Any:
    """A tiny random model, saved by transformers; biases and norms random too, so that they count."""
    import torch
    import transformers

    settings = {
        "vocab_size": 600, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512, "pad_token_id": None,
        "bos_token_id": None, "eos_token_id": None, **changes,
    }  # fmt: skip
    kinds = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    config = getattr(transformers, kinds[family] + "Config")(**settings)
    torch.manual_seed(1)
    model = getattr(transformers, kinds[family] + "ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.mul_(8.0)
    model.save_pretrained(folder)
    make_tokenizer(folder)
    return model


def logits_of(model: Any, tokens: list[int]) -> np.ndarray:
    """transformers' logits after the last token."""
    import torch

    with torch.no_grad():
        found: np.ndarray = model(torch.tensor([tokens])).logits[0, -1].numpy()
    return found


@pytest.mark.engine
@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"tie_word_embeddings": False, "attention_bias": True, "head_dim": 32}),
        (
            "llama",
            {
                "rope_scaling": {
                    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
                }
            },
        ),
        ("llama", {"rope_scaling": {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}, "mlp_bias": True}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen2", {"tie_word_embeddings": False, "num_attention_heads": 6, "num_key_value_heads": 2,
                   "hidden_size": 96}),
        ("qwen3", {"head_dim": 32, "tie_word_embeddings": False}),
        ("qwen3", {"head_dim": 48, "tie_word_embeddings": True, "attention_bias": True}),
    ],
    ids=["llama-tied", "llama-untied-bias", "llama3-rope", "linear-rope", "qwen2", "qwen2-grouped", "qwen3", "qwen3-bias"],
)  # fmt: skip
def test_logits_equal_those_of_transformers_and_peft(
    family: str, changes: dict[str, Any], tmp_path: Path, paths: Paths
) -> None:
    """Base, base with an adapter, and a mixture of two all agree within 1e-4; the base is itself again after a drop."""
    import peft
    import torch

    folder = tmp_path / "base"
    model = save_model(family, folder, **changes)
    engine = decoder(folder, paths)
    base = engine.read(TOKENS, (), go_on).copy()
    assert np.abs(logits_of(model, TOKENS)).max() > 0.5
    np.testing.assert_allclose(base, logits_of(model, TOKENS), atol=TOLERANCE, rtol=0)

    settings = peft.LoraConfig(
        r=4, lora_alpha=8, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )  # fmt: skip
    tuned = peft.get_peft_model(model, settings)
    parts: list[tuple[Factors, float]] = []
    for number, weight in ((1, 0.7), (2, 0.4)):
        torch.manual_seed(number)
        with torch.no_grad():
            for name, parameter in tuned.named_parameters():
                if "lora_" in name:
                    parameter.copy_(0.1 * torch.randn_like(parameter))
        saved = tmp_path / f"peft{number}"
        tuned.save_pretrained(saved)
        adapter = rewritten(saved, tmp_path / f"adapter{number}")
        engine.load(f"a{number}", adapter)
        parts.append((load(adapter), weight))
        expected = logits_of(tuned, TOKENS)
        assert np.abs(expected - base).max() > 0.01
        actual = engine.read(TOKENS, ((f"a{number}", 1.0),), go_on)
        np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=0)

    merged = tuned.unload()
    with torch.no_grad():
        for module, (a, b) in stack(parts).items():
            merged.get_submodule(module).weight.add_(torch.from_numpy(b @ a))
    mixed = engine.read(TOKENS, (("a1", 0.7), ("a2", 0.4)), go_on)
    np.testing.assert_allclose(mixed, logits_of(merged, TOKENS), atol=TOLERANCE, rtol=0)

    engine.drop("a1")
    engine.drop("a2")
    np.testing.assert_array_equal(base, decoder(folder, paths).read(TOKENS, (), go_on))
    np.testing.assert_array_equal(base, engine.read(TOKENS, (), go_on))


@pytest.mark.engine
@pytest.mark.train
@pytest.mark.parametrize(
    ("family", "kind", "shard"),
    [("llama", "bfloat16", "20KB"), ("qwen2", "float16", "5GB"), ("qwen3", "bfloat16", "20KB"), ("qwen3", "float32", "20KB")],
)
def test_number_types_and_shards_give_the_logits_of_transformers(
    family: str, kind: str, shard: str, tmp_path: Path, paths: Paths
) -> None:
    """bf16, fp16 and fp32, in one file or in several: the values are those that transformers reads."""
    import torch
    import transformers

    model = save_model(family, tmp_path / "fp32", tie_word_embeddings=False)
    folder = tmp_path / "base"
    model.to(getattr(torch, kind)).save_pretrained(folder, max_shard_size=shard)
    make_tokenizer(folder)
    assert (shard == "20KB") == (folder / "model.safetensors.index.json").is_file()
    read = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = decoder(folder, paths).read(TOKENS, (), go_on)
    np.testing.assert_allclose(found, logits_of(read, TOKENS), atol=TOLERANCE, rtol=0)


def test_what_a_config_leaves_out_is_what_transformers_takes_for_it(tmp_path: Path) -> None:
    """Qwen3's heads have 128 values, and nothing is tied unless it says so."""
    config = {
        "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
        "num_hidden_layers": 1, "vocab_size": 600,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shape = read_shape(tmp_path)
    assert (128, False, 4, 1e-6, 10_000.0) == (shape.head_size, shape.tied, shape.kv_heads, shape.epsilon, shape.theta)


def rewritten(saved: Path, folder: Path) -> Path:
    """peft's own output with adapter_config.json in octod's strict form."""
    from octod.adapters.verify import MODULES, LoraConfig

    folder.mkdir()
    shutil.copy(saved / "adapter_model.safetensors", folder)
    (folder / "adapter_config.json").write_text(LoraConfig(4, 8.0, MODULES).to_json(), encoding="utf-8")
    return folder


def random_model(shape: Shape) -> dict[str, np.ndarray]:
    """Weights as trained ones are spread, with a norm that differs from one."""
    source = np.random.default_rng(2)
    found = {"model.embed_tokens.weight": source.normal(0, 0.3, (shape.vocabulary, shape.hidden)), "model.norm.weight": np.ones(shape.hidden)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        for part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"):
            inner, outer = shape.linear(part)
            found[f"{prefix}{part}.weight"] = source.normal(0, inner**-0.5, (outer, inner))
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"{prefix}{norm}.weight"] = 1.0 + 0.1 * source.normal(size=shape.hidden)
    return {name: values.astype(np.float32) for name, values in found.items()}


@pytest.mark.engine
@pytest.mark.parametrize("tied", [True, False])
def test_int8_stays_close_to_the_exact_logits(tied: bool, tmp_path: Path) -> None:
    """Two hundredths of the logits' spread, the same likeliest token nearly always, and an adapter counts as much."""
    shape = Shape("llama", 2, 64, 4, 2, 16, 96, 600, 512, 1e-5, tied, 10_000.0)
    weights = random_model(shape)
    if not tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"][::-1].copy()
    engines = []
    for bits in (32, 8):
        (tmp_path / str(bits)).mkdir()
        build_graph(weights, shape, tmp_path / str(bits), bits)
        engines.append(Decoder(tmp_path / str(bits) / "model.onnx", shape, 1))
    source = np.random.default_rng(3)
    factors = {
        "model.layers.1.self_attn.v_proj": (source.normal(0, 0.3, (4, 64)).astype(np.float32), source.normal(0, 0.3, (32, 4)).astype(np.float32))
    }
    write(factors, tmp_path / "adapter")
    for engine in engines:
        engine.load("a", tmp_path / "adapter")
    for mixture in ((), (("a", 1.0),)):
        exact, rounded = (np.stack([e.read(TOKENS[: n + 1], mixture, go_on).copy() for n in range(100)]) for e in engines)
        assert np.abs(exact - rounded).std() < 0.02 * exact.std()
        assert (exact.argmax(-1) == rounded.argmax(-1)).mean() > 0.9
    assert (tmp_path / "8" / "weights.bin").stat().st_size < 0.75 * (tmp_path / "32" / "weights.bin").stat().st_size


def test_large_models_are_served_in_int8_where_that_was_measured() -> None:
    """Half a billion parameters on x86-64; not elsewhere, not small ones, and not widths that no block fits."""
    half = Shape("qwen2", 24, 896, 14, 2, 64, 4864, 151_936, 2048, 1e-6, tied=True, theta=1e6)
    assert (8, 8, 32) == tuple(served_bits(half, machine) for machine in ("x86_64", "AMD64", "riscv64"))
    assert 32 == served_bits(replace(half, inner=4880), "x86_64")
    assert 32 == served_bits(replace(half, layers=1, vocabulary=600, hidden=128, inner=320, heads=2), "x86_64")


@pytest.mark.engine
def test_pieces_and_cached_prefixes_change_nothing(checkpoint: Path, paths: Paths) -> None:
    """Reading in pieces, going on, going back and switching between prompts gives the logits of one fresh reading."""
    engine = decoder(checkpoint, paths)
    wanted = [TOKENS, TOKENS[:150], TOKENS[:150] + [3, 4], TOKENS[:60], [9, *TOKENS[:40]], TOKENS]
    for tokens in wanted * 2:
        fresh = decoder(checkpoint, paths).read(tokens, (), go_on)
        np.testing.assert_allclose(engine.read(tokens, (), go_on), fresh, atol=1e-5, rtol=0)
    assert len(engine._slots) <= SLOTS


@pytest.mark.engine
def test_a_tree_gives_each_branch_its_own_logits(checkpoint: Path, paths: Paths) -> None:
    """Branches in one forward do not see each other."""
    engine = decoder(checkpoint, paths)
    tokens = TOKENS[:100]
    #      -1 ── 0 ── 1
    #       └─── 2 ── 3 ── 5
    #            └─── 4
    rows = engine.branch(tokens, (), [5, 6, 7, 8, 9, 10], [-1, 0, -1, 2, 2, 3], go_on)
    for row, path in zip(rows, ([5], [5, 6], [7], [7, 8], [7, 9], [7, 8, 10]), strict=True):
        expected = decoder(checkpoint, paths).read(tokens + path, (), go_on)
        np.testing.assert_allclose(row, expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(
        engine.read([*tokens, 11], (), go_on),
        decoder(checkpoint, paths).read([*tokens, 11], (), go_on),
        atol=1e-5,
    )


@pytest.mark.engine
def test_every_position_is_what_reading_up_to_it_gives(checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """One forward for evaluations, under a mixture too, and what was read before stays as it was."""
    engine = decoder(checkpoint, paths)
    engine.load("a", make_adapter(tmp_path / "a", 1).folder)
    for mixture in ((), (("a", 1.0),)):
        before = engine.read(TOKENS[:30], mixture, go_on).copy()
        rows = engine.every(TOKENS[:40], mixture)
        for n in (0, 17, 39):
            np.testing.assert_allclose(rows[n], decoder_with(engine, paths, checkpoint).read(TOKENS[: n + 1], mixture, go_on), atol=1e-5, rtol=0)
        np.testing.assert_allclose(engine.read(TOKENS[:30], mixture, go_on), before, atol=1e-5, rtol=0)


def decoder_with(other: Decoder, paths: Paths, folder: Path) -> Decoder:
    """A fresh decoder with another one's adapters."""
    fresh = decoder(folder, paths)
    fresh.adapters.update(other.adapters)
    return fresh


@pytest.mark.engine
def test_a_tree_grows_from_the_beginning_of_a_longer_prompt(checkpoint: Path, paths: Paths) -> None:
    """A cursor near the top of a file whose end was read before: the prompt's own slot is used, not the longer one's."""
    engine = decoder(checkpoint, paths)
    engine.read(TOKENS, (), go_on)
    rows = engine.branch(TOKENS[:50], (), [5, 6], [-1, -1], go_on)
    for row, token in zip(rows, (5, 6), strict=True):
        expected = decoder(checkpoint, paths).read([*TOKENS[:50], token], (), go_on)
        np.testing.assert_allclose(row, expected, atol=1e-5, rtol=0)


@pytest.mark.engine
def test_an_adapter_never_shines_through_the_cache(checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """The same tokens under base, adapter and mixture keep apart, whatever was read before."""
    engine = decoder(checkpoint, paths)
    for seed, name in ((1, "a"), (2, "b")):
        engine.load(name, make_adapter(tmp_path / name, seed).folder)
    mixtures = [(), (("a", 1.0),), (("b", 1.0),), (("a", 0.5), ("b", 0.5)), (("a", 0.25),), (("b", 0.25),)]
    first = [engine.read(TOKENS, m, go_on).copy() for m in mixtures]
    assert all(np.abs(x - y).max() > 1e-3 for n, x in enumerate(first) for y in first[:n])
    for mixture, expected in zip(mixtures, first, strict=True):
        np.testing.assert_allclose(engine.read(TOKENS, mixture, go_on), expected, atol=1e-5, rtol=0)


def test_the_graph_is_private_complete_and_made_once(checkpoint: Path, paths: Paths) -> None:
    """Files are 0600 in a 0700 folder, no half-made folder is left, and a second call finds the first's."""
    path, shape = cached_graph(BaseModel.of(checkpoint), paths.cache)
    assert [0o600, 0o600] == [stat.S_IMODE(f.stat().st_mode) for f in sorted(path.parent.iterdir())]
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert [path.parent] == list((paths.cache / "engines").iterdir())
    before = path.stat().st_mtime_ns
    assert (path, shape) == cached_graph(BaseModel.of(checkpoint), paths.cache)
    assert before == path.stat().st_mtime_ns


def test_the_graph_is_made_without_torch(checkpoint: Path, paths: Paths) -> None:
    """Neither torch nor transformers is imported on the way to logits."""
    script = (
        "import sys; from pathlib import Path; from octod.adapters.identity import BaseModel;"
        "from octod.daemon.engines.graph import cached_graph; from octod.daemon.engines.decoder import Decoder;"
        f"p, s = cached_graph(BaseModel.of(Path({str(checkpoint)!r})), Path({str(paths.cache)!r}));"
        "Decoder(p, s, 1).read([1, 2, 3], (), lambda: None);"
        "print({'torch', 'transformers', 'peft'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "set()" == found.stdout.strip()


def unknown_family(folder: Path) -> None:
    change_config(folder, model_type="gpt2")


def yarn(folder: Path) -> None:
    change_config(folder, rope_scaling={"rope_type": "yarn", "factor": 2.0})


def partly_rotated(folder: Path) -> None:
    change_config(folder, partial_rotary_factor=0.5)


def sliding(folder: Path) -> None:
    change_config(folder, layer_types=["full_attention", "sliding_attention"])


def odd_heads(folder: Path) -> None:
    change_config(folder, head_dim=24)


def other_width(folder: Path) -> None:
    change_config(folder, intermediate_size=64)


def no_config(folder: Path) -> None:
    (folder / "config.json").write_text("{", encoding="utf-8")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def change_config(folder: Path, **changes: Any) -> None:
    """Rewrite config.json with some keys changed."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (unknown_family, "gpt2"),
        (yarn, "yarn"),
        (partly_rotated, "partly rotated"),
        (sliding, "attention"),
        (odd_heads, "24"),
        (other_width, "gate_proj"),
        (no_config, "config.json"),
        (truncated, "trunc"),
    ],
)
def test_a_checkpoint_that_cannot_serve_is_refused_with_the_reason(
    damage: Callable[[Path], None], word: str, tmp_path: Path
) -> None:
    """The message names what is wrong, and nothing is left in the cache."""
    folder = make_checkpoint(tmp_path / "base")
    damage(folder)
    base = BaseModel("base", folder, "0" * 64, "0" * 64)
    with pytest.raises(EngineProblem) as refused:
        cached_graph(base, tmp_path / "cache")
    assert word in str(refused.value)
    assert [] == list((tmp_path / "cache").rglob("*.onnx")) + list((tmp_path / "cache").rglob(".making*"))


def test_bf16_and_f16_are_read_as_their_values(tmp_path: Path) -> None:
    """bf16 is the upper half of an fp32; f16 is converted."""
    header = json.dumps(
        {
            "b": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
            "h": {"dtype": "F16", "shape": [1, 2], "data_offsets": [4, 8]},
        }
    ).encode()
    data = np.array([0x3FC0, 0xC000], "<u2").tobytes() + np.array([0.5, -4.0], "<f2").tobytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    weights = Weights(path)
    assert [1.5, -2.0] == weights["b"].tolist()
    assert [[0.5, -4.0]] == weights["h"].tolist()


def test_adapters_that_do_not_fit_are_refused(checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """Another shape, another layer or a NaN: refused with the module's name, and the name stays unknown."""
    from octod.core.errors import AdapterRefused

    engine = decoder(checkpoint, paths)
    a, b = np.ones((2, 32), np.float32), np.ones((32, 2), np.float32)
    for number, (module, factors) in enumerate(
        (
            ("model.layers.0.mlp.down_proj", (a, b)),
            ("model.layers.7.self_attn.q_proj", (a, b)),
            ("model.layers.0.self_attn.q_proj", (a, b * np.nan)),
        )
    ):
        folder = tmp_path / f"bad{number}"
        write({module: factors}, folder)
        with pytest.raises(AdapterRefused) as refused:
            engine.load("bad", folder)
        assert module in str(refused.value)
        with pytest.raises(AdapterRefused):
            engine.read([1, 2], (("bad", 1.0),), go_on)


def test_shapes_of_known_configs_are_read() -> None:
    """Qwen2.5-Coder 0.5B's config, as published, has the dimensions it is known for."""
    import tempfile

    published = {
        "model_type": "qwen2", "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864,
        "max_position_embeddings": 32768, "num_attention_heads": 14, "num_hidden_layers": 24,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "sliding_window": 32768,
        "tie_word_embeddings": True, "use_sliding_window": False, "vocab_size": 151936,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(published), encoding="utf-8")
        shape = read_shape(Path(folder))
    assert (64, (896, 1152), (896, 9728)) == (shape.head_size, shape.fused("qkv"), shape.fused("gate_up"))
    assert (2048, 1e6) == (shape.context, shape.theta)
