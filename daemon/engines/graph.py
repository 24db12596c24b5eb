"""The ONNX form of a Llama, Qwen2 or Qwen3 checkpoint, made from its safetensors with numpy alone.

    inputs   ids (new) int64; positions (1, new) int64; bias (1, 1, new, total) fp32, added to the attention scores;
             rows (picked) int64: which new tokens' logits are wanted; last (1) int32 = total - 1; total (1) int32;
             past.N.key, past.N.value (1, kv heads, capacity, head size) fp32, also bound as the outputs' buffers;
             N.qkv.A, N.o.A, N.gate_up.A, N.down.A (in, rank) and the same .B (rank, out), scale already in B
    outputs  logits (picked, vocabulary) fp32; present.N.key, present.N.value

q, k and v are one linear, so are gate and up: their LoRA matrices are stacked, with block-diagonal B, which is
exact and leaves one low-rank path per linear, whose sum with the base is the C of a Gemm. GroupQueryAttention (onnxruntime's contrib operator) writes the new
keys and values into the shared buffer in place. Tree attention is a bias of -inf between branches; its CPU kernel
attends causally over buffer slots, so a parent must stand before its children.

With 8 bits the base's matrices are int8 in blocks of 32 inputs with an fp32 scale each, and products take inputs rounded
likewise (MatMulNBits): a quarter of the memory is read for a token. Embedding rows, norms, biases and adapters stay fp32.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from octod.adapters.identity import BaseModel
from octod.core.errors import EngineProblem
from octod.core.paths import private_folder
from octod.daemon.engines.shape import FUSED, Shape, read_shape
from octod.daemon.engines.weights import open_checkpoint

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx

    Array = npt.NDArray[np.float32]

__all__ = ["build_graph", "cached_graph", "graph_folder", "served_bits"]

# Part of the cache key: raise it whenever the graph below changes.
GRAPH_VERSION = 2

# Inputs that share a scale in int8.
_BLOCK = 32
# Above so many parameters a token waits for memory. int8 then halves its time (bench/engine_speed.py) and costs the bundled
# model 0.0001 bits per byte.
_LARGEST_EXACT = 2_000_000


def served_bits(shape: Shape, machine: str = "") -> int:
    """32 (fp32, exact) for small models, 8 for large ones where onnxruntime's int8 product was seen to be fast."""
    fits = all(shape.fused(name)[0] % _BLOCK == 0 for name in FUSED)
    known = (machine or platform.machine()) in ("x86_64", "AMD64")
    return 8 if known and fits and shape.parameters > _LARGEST_EXACT else 32


def cached_graph(base: BaseModel, cache: Path, bits: int = 0) -> tuple[Path, Shape]:
    """The ONNX file of a checkpoint (made now or found) and its dimensions; ``bits`` 0 is what served_bits says.

    ``cache/engines/<key>/`` holds model.onnx and weights.bin; the key covers weights, config, bits and graph version.
    A build goes to a folder beside it and is renamed, so a killed build leaves nothing half made.
    """
    shape = read_shape(base.folder)
    bits = bits or served_bits(shape)
    target = graph_folder(base.weights_hash, shape, cache, bits)
    private_folder(target.parent)
    if not (target / "model.onnx").is_file():
        made = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
        try:
            build_graph(open_checkpoint(base.folder), shape, made, bits)
            try:
                made.rename(target)
            except OSError:
                # Another process was first; its folder has the same content.
                if not (target / "model.onnx").is_file():
                    raise
        except OSError as error:
            raise EngineProblem(
                f"cannot write the engine's files to {target.parent}: {error.strerror}",
                "free some space, or set OCTOD_HOME to a folder with room",
            ) from error
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return target / "model.onnx", shape


def graph_folder(weights_hash: str, shape: Shape, cache: Path, bits: int = 0) -> Path:
    """Where the ONNX form of a checkpoint lies, or would lie."""
    bits = bits or served_bits(shape)
    key = hashlib.sha256(f"{GRAPH_VERSION} {bits} {weights_hash} {shape}".encode()).hexdigest()[:24]
    return cache / "engines" / key


def build_graph(tensors: Mapping[str, Array], shape: Shape, folder: Path, bits: int = 32) -> None:
    """Write model.onnx and weights.bin (both 0600, flushed to disk) into ``folder``; ``bits`` are 32 or 8.

    Raises EngineProblem when a tensor is missing or has another shape than config.json says.
    """
    weights = folder / "weights.bin"
    with _private(weights) as file:
        builder = _Builder(shape, tensors, file, bits)
        model = builder.model()
        file.flush()
        os.fsync(file.fileno())
    with _private(folder / "model.onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        os.fsync(file.fileno())


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def rope_tables(shape: Shape) -> tuple[Array, Array]:
    """cos and sin, (capacity, head size / 2) fp32, with llama3's scaling (transformers, modeling_rope_utils.py)."""
    import numpy as np

    half = np.arange(0, shape.head_size, 2, dtype=np.float64) / shape.head_size
    frequency = 1.0 / shape.theta**half
    figures = dict(shape.rope)
    if "low_freq_factor" in figures:
        factor, low, high = figures["factor"], figures["low_freq_factor"], figures["high_freq_factor"]
        original = figures["original_max_position_embeddings"]
        wavelength = 2 * math.pi / frequency
        smooth = np.clip((original / wavelength - low) / (high - low), 0.0, 1.0)
        frequency = (1 - smooth) * frequency / factor + smooth * frequency
    elif "factor" in figures:
        frequency = frequency / figures["factor"]
    angles = np.outer(np.arange(shape.capacity, dtype=np.float64), frequency)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class _Builder:
    """Adds nodes one after another; each method returns the name of its result."""

    def __init__(self, shape: Shape, tensors: Mapping[str, Array], file: BinaryIO, bits: int) -> None:
        self.shape = shape
        self.bits = bits
        self.tensors = tensors
        self.file = file
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.count = 0

    def model(self) -> onnx.ModelProto:
        from onnx import TensorProto, helper

        s, number = self.shape, TensorProto.FLOAT
        shapes: tuple[tuple[str, int, list[int | str | None]], ...] = (
            ("ids", TensorProto.INT64, ["new"]),
            ("positions", TensorProto.INT64, [1, "new"]),
            ("bias", number, [1, 1, "new", "total"]),
            ("rows", TensorProto.INT64, ["picked"]),
            ("last", TensorProto.INT32, [1]),
            ("total", TensorProto.INT32, [1]),
        )
        for name, kind, dims in shapes:
            self.inputs.append(helper.make_tensor_value_info(name, kind, dims))
        cos, sin = rope_tables(s)
        self.store("cos", cos)
        self.store("sin", sin)
        embedding = self.store(
            "embedding", self.tensor("model.embed_tokens.weight", (s.vocabulary, s.hidden))
        )
        hidden = self.node("Gather", [embedding, "ids"])  # (new, hidden)
        residual, skip = hidden, ""
        for layer in range(s.layers):
            prefix = f"model.layers.{layer}."
            normed, residual = self.norm(residual, skip, prefix + "input_layernorm.weight")
            attended = self.attention(layer, self.linear(layer, "qkv", normed))
            skip = self.linear(layer, "o", attended)
            normed, residual = self.norm(residual, skip, prefix + "post_attention_layernorm.weight")
            gate, up = self.split(self.linear(layer, "gate_up", normed), [s.inner, s.inner])
            # QuickGelu with alpha 1 is x * sigmoid(x), that is SiLU, in one node.
            act = self.node("QuickGelu", [gate], domain="com.microsoft", alpha=1.0)
            skip = self.linear(layer, "down", self.node("Mul", [act, up]))
        normed, _ = self.norm(residual, skip, "model.norm.weight")
        picked = self.node("Gather", [normed, "rows"])  # (picked, hidden)
        name = "model.embed_tokens.weight" if s.tied else "lm_head.weight"
        if self.bits == 8:
            self.int8("head", picked, self.tensor(name, (s.vocabulary, s.hidden)), "logits")
        else:
            head = embedding if s.tied else self.store("head", self.tensor(name, (s.vocabulary, s.hidden)))
            self.node("Gemm", [picked, head], out="logits", transB=1)
        self.outputs.insert(0, helper.make_tensor_value_info("logits", number, ["picked", s.vocabulary]))
        graph = helper.make_graph(self.nodes, "octod", self.inputs, self.outputs, self.stored)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=9, producer_name="octod")

    def attention(self, layer: int, packed: str) -> str:
        """Rotate, append to the buffer and attend: (new, heads * head size)."""
        from onnx import TensorProto, helper

        s = self.shape
        widths = [s.heads * s.head_size, s.kv_heads * s.head_size, s.kv_heads * s.head_size]
        packed = self.node("Reshape", [packed, self.integers("packed", [1, -1, sum(widths)])])
        query, key, value = packed, "", ""
        norms = [f"model.layers.{layer}.self_attn.{n}_norm.weight" for n in "qk"]
        if norms[0] in self.tensors:
            query, key, value = self.split(packed, widths)
            query, key = self.head_norm(query, norms[0], s.heads), self.head_norm(key, norms[1], s.kv_heads)
        buffer = [1, s.kv_heads, s.capacity, s.head_size]
        names = [f"{layer}.{n}" for n in ("key", "value")]
        for name in names:
            self.inputs.append(helper.make_tensor_value_info(f"past.{name}", TensorProto.FLOAT, buffer))
            self.outputs.append(helper.make_tensor_value_info(f"present.{name}", TensorProto.FLOAT, buffer))
        out = f"attended.{layer}"
        inputs = [
            query,
            key,
            value,
            *(f"past.{n}" for n in names),
            "last",
            "total",
            "cos",
            "sin",
            "positions",
            "bias",
        ]
        self.nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                inputs,
                [out, *(f"present.{n}" for n in names)],
                domain="com.microsoft",
                num_heads=s.heads,
                kv_num_heads=s.kv_heads,
                do_rotary=1,
                rotary_interleaved=0,
                scale=1.0 / math.sqrt(s.head_size),
            )
        )
        return self.node("Reshape", [out, self.integers("flat", [-1, widths[0]])])

    def head_norm(self, value: str, weight: str, heads: int) -> str:
        """Qwen3's RMSNorm over each head."""
        s = self.shape
        gamma = self.store(weight, self.tensor(weight, (s.head_size,)))
        apart = self.node("Reshape", [value, self.integers(f"apart.{heads}", [1, -1, heads, s.head_size])])
        normed = self.node("SimplifiedLayerNormalization", [apart, gamma], axis=-1, epsilon=s.epsilon)
        return self.node("Reshape", [normed, self.integers(f"joined.{heads}", [1, -1, heads * s.head_size])])

    def norm(self, residual: str, skip: str, weight: str) -> tuple[str, str]:
        """(RMSNorm of residual + skip, their sum); a model's first norm has no skip."""
        from onnx import helper

        gamma = self.store(weight, self.tensor(weight, (self.shape.hidden,)))
        if not skip:
            normed = self.node(
                "SimplifiedLayerNormalization", [residual, gamma], axis=-1, epsilon=self.shape.epsilon
            )
            return normed, residual
        normed, total = f"{weight}.normed", f"{weight}.sum"
        self.nodes.append(
            helper.make_node(
                "SkipSimplifiedLayerNormalization",
                [residual, skip, gamma],
                [normed, "", "", total],
                domain="com.microsoft",
                epsilon=self.shape.epsilon,
            )
        )
        return normed, total

    def linear(self, layer: int, name: str, value: str) -> str:
        """value @ W (+ bias) + (value @ A) @ B, for one fused linear."""
        import numpy as np
        from onnx import TensorProto, helper

        s, parts = self.shape, [f"model.layers.{layer}.{part}" for part in FUSED[name]]
        inner, outer = s.fused(name)
        matrix = np.concatenate(
            [self.tensor(f"{p}.weight", s.linear(k)[::-1]) for p, k in zip(parts, FUSED[name], strict=True)]
        )
        if self.bits == 8:
            result = self.int8(f"{layer}.{name}.W", value, matrix)
        else:
            result = self.node("MatMul", [value, self.store(f"{layer}.{name}.W", matrix.T)])
        biases = [f"{p}.bias" for p in parts]
        if any(b in self.tensors for b in biases):
            sizes = [s.linear(k)[1] for k in FUSED[name]]
            bias = [
                self.tensor(b, (n,)) if b in self.tensors else np.zeros(n, np.float32)
                for b, n in zip(biases, sizes, strict=True)
            ]
            result = self.node("Add", [result, self.store(f"{layer}.{name}.bias", np.concatenate(bias))])
        down, up, rank = f"{layer}.{name}.A", f"{layer}.{name}.B", f"rank.{layer}.{name}"
        self.inputs.append(helper.make_tensor_value_info(down, TensorProto.FLOAT, [inner, rank]))
        self.inputs.append(helper.make_tensor_value_info(up, TensorProto.FLOAT, [rank, outer]))
        return self.node("Gemm", [self.node("MatMul", [value, down]), up, result])

    def int8(self, name: str, value: str, matrix: Array, out: str = "") -> str:
        """value @ matrix.T, the matrix (outputs, inputs) in int8 blocks around 128."""
        import numpy as np

        outer, inner = matrix.shape
        blocks = matrix.reshape(outer, inner // _BLOCK, _BLOCK)
        scale = np.abs(blocks).max(axis=-1) / np.float32(127)
        scale[scale == 0] = 1.0
        whole = np.rint(blocks / scale[..., None]) + 128
        inputs = [value, self.store(name, whole.astype(np.uint8)), self.store(f"{name}.scale", scale)]
        settings = {"K": inner, "N": outer, "bits": 8, "block_size": _BLOCK, "accuracy_level": 4}
        return self.node("MatMulNBits", inputs, out, "com.microsoft", **settings)

    def split(self, value: str, sizes: list[int]) -> list[str]:
        from onnx import helper

        self.count += 1
        outs = [f"split.{self.count}.{n}" for n in range(len(sizes))]
        widths = self.integers("widths." + ".".join(map(str, sizes)), sizes)
        self.nodes.append(helper.make_node("Split", [value, widths], outs, axis=-1))
        return outs

    def node(self, kind: str, inputs: list[str], out: str = "", domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.count += 1
        out = out or f"{kind}.{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [out], domain=domain, **attributes))
        return out

    def tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        """A tensor of the checkpoint, its shape checked."""
        if name not in self.tensors:
            raise EngineProblem(f"the checkpoint has no {name}", "fetch or make the model again")
        found = self.tensors[name]
        if found.shape != shape:
            raise EngineProblem(f"{name} is {found.shape}, config.json says {shape}", "fetch the model again")
        return found

    def integers(self, name: str, values: list[int]) -> str:
        """A small constant, kept inside the ONNX file because shape inference needs it."""
        from onnx import TensorProto, helper

        if all(t.name != name for t in self.stored):
            self.stored.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name

    def store(self, name: str, values: Any) -> str:
        """Append a tensor (uint8, or anything as fp32) to weights.bin, 64-byte aligned, and declare it as external data."""
        import numpy as np
        from onnx import TensorProto

        start = -(-self.file.tell() // 64) * 64
        self.file.write(b"\0" * (start - self.file.tell()))
        whole = values.dtype == np.uint8
        data = np.ascontiguousarray(values, dtype=np.uint8 if whole else np.float32)
        self.file.write(data.tobytes())
        kind = TensorProto.UINT8 if whole else TensorProto.FLOAT
        proto = TensorProto(name=name, data_type=kind, dims=data.shape)
        proto.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", str(start)), ("length", str(data.nbytes))):
            proto.external_data.add(key=key, value=value)
        self.stored.append(proto)
        return name
