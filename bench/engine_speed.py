"""The embedded engine beside llama.cpp: the same weights, adapter, tokens and threads, in turns in one process.

    python bench/engine_speed.py [--base FOLDER] [--threads 2] [--runs 9] [--rank 16] [--json FILE]

Needs ``pip install llama-cpp-python gguf`` (a compiler, about six minutes); without them it says so and ends.  The checkpoint
(Llama architecture) is written as GGUF without a tokenizer: both engines are given the same token ids.  The adapter is random,
on all seven linears, applied unmerged in both.

Before anything is timed the logits are compared: at every position of a text, llama.cpp in f32 with f32 keys and values against
octod.  Then, medians of ``--runs`` turns: a token behind a prompt, a prompt of 512 tokens, and 32 names scored behind a prompt in one
batch (octod: one tree; llama.cpp: 32 sequences that share the prompt).  ``floor`` is how long these threads take to read
the weights that a token needs once, from wherever they are then; ``of its floor`` is the token's time over it.  ``best`` is the fastest turn:
what the engine takes when nothing else is on the cores.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the floor's reading has threads of its own

import numpy as np
from octod.adapters.identity import BaseModel
from octod.adapters.mixture import load, write
from octod.core.errors import EngineProblem
from octod.daemon.engines.decoder import Decoder
from octod.daemon.engines.graph import cached_graph, served_bits
from octod.daemon.engines.shape import FUSED, Shape, read_shape
from octod.daemon.engines.weights import open_checkpoint

BUNDLED = Path(__file__).parents[1] / "adapters" / "base" / "bundled"
PROMPT, BEHIND, STEPS, NAMES = 512, 448, 24, 32  # tokens read, tokens before a step, steps a turn, names in one batch
PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
Array = Any
Figures = dict[str, Any]


def interleaved(matrix: Array, heads: int) -> Array:
    """Rows of q or k in the order that llama.cpp's "llama" rotates: pairs side by side, not half against half."""
    return matrix.reshape(heads, 2, -1, matrix.shape[-1]).swapaxes(1, 2).reshape(matrix.shape)


def named(module: str) -> str:
    """``model.layers.0.mlp.up_proj`` -> ``blk.0.ffn_up``."""
    layer, _, part = module.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{PARTS[part]}"


def write_gguf(folder: Path, shape: Shape, path: Path, kind: str) -> None:
    """The checkpoint as GGUF: matrices as ``kind`` (F32, F16 or Q8_0), norms as fp32, no tokenizer."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(path, "llama")
    writer.add_block_count(shape.layers)
    writer.add_context_length(2 * PROMPT)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("no_vocab")
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, values in open_checkpoint(folder).items():
        module = name.removesuffix(".weight")
        if module == "lm_head" and shape.tied:
            continue
        new = top.get(module) or named(module)
        if new.endswith(("attn_q", "attn_k")):
            values = interleaved(values, shape.heads if new.endswith("q") else shape.kv_heads)
        number = GGMLQuantizationType[kind if values.ndim == 2 else "F32"]
        writer.add_tensor(f"{new}.weight", quantize(np.ascontiguousarray(values), number), raw_dtype=number)
    close(writer)


def write_gguf_adapter(folder: Path, shape: Shape, path: Path) -> None:
    """An adapter of octod as a GGUF adapter in fp32; its scaling is in B already, so alpha is the rank."""
    from gguf import GGUFWriter

    factors = load(folder)
    writer = GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(next(iter(factors.values()))[0].shape[0]))
    for module, (a, b) in factors.items():
        new = named(module)
        if new.endswith(("attn_q", "attn_k")):
            b = interleaved(b, shape.heads if new.endswith("q") else shape.kv_heads)
        writer.add_tensor(f"{new}.weight.lora_a", np.ascontiguousarray(a, np.float32))
        writer.add_tensor(f"{new}.weight.lora_b", np.ascontiguousarray(b, np.float32))
    close(writer)


def close(writer: Any) -> None:
    """Write what was added."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_adapter(folder: Path, shape: Shape, rank: int) -> Path:
    """A random adapter on all seven linears that changes the logits visibly."""
    source = np.random.default_rng(5)
    factors = {}
    for layer in range(shape.layers):
        for part in (p for group in FUSED.values() for p in group):
            inner, outer = shape.linear(part)
            a, b = source.normal(0, 1 / inner**0.5, (rank, inner)), source.normal(0, 0.02, (outer, rank))
            factors[f"model.layers.{layer}.{part}"] = (a.astype(np.float32), b.astype(np.float32))
    write(factors, folder)
    return folder


class Embedded:
    """octod's decoder, in this process."""

    def __init__(self, base: Path, adapter: Path, cache: Path, threads: int, bits: int = 0) -> None:
        path, shape = cached_graph(BaseModel.of(base), cache, bits)
        self.decoder = Decoder(path, shape, threads)
        self.decoder.load("a", adapter)
        self.mixture = (("a", 1.0),)

    def read(self, tokens: list[int]) -> Array:
        """Logits after the last token; what was read before is not read again."""
        return self.decoder.read(tokens, self.mixture, go_on)

    def every(self, tokens: list[int]) -> Array:
        """Logits after each token."""
        return np.stack([self.read(tokens[: n + 1]).copy() for n in range(len(tokens))])

    def names(self, tokens: list[int], names: list[int]) -> Array:
        """Logits after each of the names behind the tokens."""
        return self.decoder.branch(tokens, self.mixture, names, [-1] * len(names), go_on)


class Llama:
    """llama.cpp by its C interface, which costs less Python than its ``Llama`` class."""

    def __init__(self, model: Path, adapter: Path, threads: int, wide: bool) -> None:
        import llama_cpp as c

        self.c, self.known = c, list[int]()
        c.llama_log_set(_quiet(), None)
        settings = c.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.model = c.llama_model_load_from_file(str(model).encode(), settings)
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {model}")
        wanted = c.llama_context_default_params()
        wanted.n_ctx, wanted.n_batch, wanted.n_ubatch, wanted.n_seq_max = 2 * PROMPT, PROMPT, PROMPT, NAMES + 1
        wanted.n_threads = wanted.n_threads_batch = threads
        wanted.kv_unified = True
        if wide:
            wanted.type_k = wanted.type_v = 0  # GGML_TYPE_F32
            wanted.flash_attn_type = 0  # which rounds queries and keys to fp16
        self.context = c.llama_init_from_model(self.model, wanted)
        self.adapter = c.llama_adapter_lora_init(self.model, str(adapter).encode())
        assert self.context and self.adapter
        adapters, scales = (c.llama_adapter_lora_p_ctypes * 1)(self.adapter), (c.ctypes.c_float * 1)(1.0)
        assert c.llama_set_adapters_lora(self.context, adapters, 1, scales) == 0
        self.memory = c.llama_get_memory(self.context)
        self.size = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        self.batch = c.llama_batch_init(PROMPT, 0, NAMES + 1)

    def run(self, tokens: list[int], start: int, sequences: list[int] | None = None, every: bool = False) -> Array:
        """Logits after the last token, or after each; all in sequence 0, or each in one of its own at one place."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for n, token in enumerate(tokens):
            batch.token[n] = token
            batch.pos[n] = start if sequences else start + n
            batch.n_seq_id[n] = 1
            batch.seq_id[n][0] = sequences[n] if sequences else 0
            batch.logits[n] = every or bool(sequences) or n == len(tokens) - 1
        assert self.c.llama_decode(self.context, batch) == 0
        rows = range(len(tokens)) if every or sequences else (len(tokens) - 1,)
        found = [np.ctypeslib.as_array(self.c.llama_get_logits_ith(self.context, n), (self.size,)) for n in rows]
        return np.stack(found) if len(found) > 1 else found[0]

    def read(self, tokens: list[int]) -> Array:
        """Logits after the last token; what was read before is not read again."""
        known = min(len(tokens) - 1, _common(self.known, tokens))
        self.c.llama_memory_seq_rm(self.memory, 0, known, -1)
        self.known = list(tokens)
        return self.run(tokens[known:], known)

    def every(self, tokens: list[int]) -> Array:
        """Logits after each token."""
        self.c.llama_memory_clear(self.memory, True)
        self.known = list(tokens)
        return self.run(tokens, 0, every=True).copy()

    def names(self, tokens: list[int], names: list[int]) -> Array:
        """Logits after each of the names behind the tokens."""
        if self.known != tokens:
            self.read(tokens)
        for n in range(len(names)):
            self.c.llama_memory_seq_cp(self.memory, 0, n + 1, -1, -1)
        rows = self.run(names, len(tokens), sequences=[n + 1 for n in range(len(names))])
        for n in range(len(names)):
            self.c.llama_memory_seq_rm(self.memory, n + 1, -1, -1)
        return rows


def _quiet() -> Any:
    import llama_cpp as c

    global _silence  # the callback must outlive its use
    _silence = c.llama_log_callback(lambda *_: None)
    return _silence


def _common(left: list[int], right: list[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def go_on() -> None:
    """Nobody interrupts a measurement."""


def floor(size: int, threads: int, runs: int) -> float:
    """Milliseconds in which ``threads`` threads read ``size`` bytes once, again and again: the median."""
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    times = []
    gate = threading.Barrier(threads)

    def reading(part: Array) -> None:
        for _ in range(4 * runs):
            gate.wait()
            started = time.perf_counter()
            np.dot(part, part)
            times.append(time.perf_counter() - started)

    workers = [threading.Thread(target=reading, args=(part,)) for part in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statistics.median(times) * 1e3


def agreement(left: Array, right: Array) -> Figures:
    """How far apart two sets of logits are, over rows."""
    return {
        "largest_difference": float(np.abs(left - right).max()),
        "largest_logit": float(np.abs(left).max()),
        "greedy_equal": float((left.argmax(-1) == right.argmax(-1)).mean()),
    }


def turn(engine: Any, number: int, tokens: list[int]) -> Figures:
    """One turn of an engine: milliseconds a token, for a prompt, for a batch of names."""
    prompt = [number % 97 + 300, *tokens[1:PROMPT]]  # another beginning each time: nothing is known
    engine.read(tokens[-8:])  # awake

    def timed(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) * 1e3

    found = {"prompt": timed(lambda: engine.read(prompt))}
    engine.read(prompt[:BEHIND])
    found["names"] = timed(lambda: engine.names(prompt[:BEHIND], tokens[-NAMES:]))
    engine.read(prompt[:BEHIND])
    steps = [timed(lambda n=n: engine.read(prompt[: BEHIND + n + 1])) for n in range(STEPS)]  # type: ignore[misc]
    found["token"] = statistics.median(steps)
    return found


def main() -> int:
    """Compare the logits, time both engines in turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=BUNDLED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    missing = [name for name in ("llama_cpp", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} not installed; pip install llama-cpp-python gguf")
        return 0
    shape = read_shape(options.base)
    if shape.family != "llama" or shape.rope:
        raise EngineProblem(f"{options.base} is not a plain Llama checkpoint", "compare with one that is")
    ends = min(shape.context, PROMPT + STEPS)
    tokens = np.random.default_rng(3).integers(300, shape.vocabulary, max(ends, PROMPT)).tolist()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapter = make_adapter(folder / "adapter", shape, options.rank)
        write_gguf_adapter(adapter, shape, folder / "adapter.gguf")
        for kind in ("F32", "F16", "Q8_0"):
            write_gguf(options.base, shape, folder / f"{kind}.gguf", kind)
        octod = Embedded(options.base, adapter, folder, options.threads, 32)
        exact = Llama(folder / "F32.gguf", folder / "adapter.gguf", options.threads, wide=True)
        served = {bits: f"octod {kind}{', as served' if served_bits(shape) == bits else ''}" for bits, kind in ((32, "fp32"), (8, "int8"))}
        engines = {served[32]: octod, served[8]: Embedded(options.base, adapter, folder, options.threads, 8)}
        engines["llama.cpp f32, f32 keys"] = exact
        for kind in ("F32", "F16", "Q8_0"):
            engines[f"llama.cpp {kind.lower()}"] = Llama(folder / f"{kind}.gguf", folder / "adapter.gguf", options.threads, wide=False)
        reference = exact.every(tokens[:192])
        same = {name: agreement(reference, e.every(tokens[:192])) for name, e in engines.items() if e is not exact}
        scored = agreement(exact.names(tokens[:64], tokens[-NAMES:]), octod.names(tokens[:64], tokens[-NAMES:]))
        times: dict[str, list[Figures]] = {name: [] for name in engines}
        for number in range(options.runs + 1):
            for place, (name, engine) in enumerate(engines.items()):
                time.sleep(0.02)  # another engine's threads go to sleep
                times[name].append(turn(engine, number * len(engines) + place, tokens))
        weights = 4 * (shape.parameters - (0 if shape.tied else shape.vocabulary * shape.hidden))
        bytes_of = {"f32": weights, "f16": weights // 2, "int8": weights * 9 // 32}  # int8: a scale in fp32 for 32 values
        bare = {kind: floor(size, options.threads, options.runs) for kind, size in bytes_of.items()}
    result: Figures = {"base": options.base.name, "parameters": shape.parameters, "threads": options.threads, "floor_ms": bare, "agreement": same | {"octod fp32, names": scored}}
    print(f"{shape.parameters / 1e6:.1f} M parameters, {options.threads} threads, rank {options.rank}; reading the weights once: "
          + ", ".join(f"{kind} {ms:.2f} ms" for kind, ms in bare.items()) + "\n")
    print("| against llama.cpp f32 with f32 keys | largest difference | largest logit | greedy token equal |\n|---|---|---|---|")
    for name, figures in result["agreement"].items():
        print(f"| {name} | {figures['largest_difference']:.2g} | {figures['largest_logit']:.3g} | {figures['greedy_equal']:.3f} |")
    print("\n| engine | ms a token | best | of its floor | ms for 512 tokens | best | ms for 32 names | best |\n|" + "---|" * 8)
    for name, turns in times.items():
        row = {what: [t[what] for t in turns[1:]] for what in ("token", "prompt", "names")}
        figures = {what: {"median": statistics.median(values), "best": min(values)} for what, values in row.items()}
        result.setdefault("engines", {})[name] = figures
        t, p, n = figures["token"], figures["prompt"], figures["names"]
        least = bare["int8" if "int8" in name or "q8" in name else "f16" if "f16" in name else "f32"]
        print(f"| {name} | {t['median']:.2f} | {t['best']:.2f} | {t['median'] / least:.1f} | {p['median']:.1f} | {p['best']:.1f} "
              f"| {n['median']:.1f} | {n['best']:.1f} |")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
