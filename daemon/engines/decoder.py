"""The model itself: an onnxruntime session, the keys and values of the last prompts, and mixtures as graph inputs."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.adapters.mixture import load, stack
from octod.core.errors import AdapterRefused
from octod.daemon.engines.shape import FUSED, Shape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from octod.adapters.mixture import Factors, Mixture

    Array = npt.NDArray[np.float32]

__all__ = ["Decoder"]

# Prompts whose keys and values are kept: a file with and without adapters, and one to switch to and fro.
SLOTS = 4
# Mixtures whose stacked matrices are kept.
MIXTURES = 8
# Tokens between two looks at the cancel flag, and the seconds one piece may take: half of P7's 50 ms, since another
# process may be on the cores. The piece shrinks on a larger model.
LARGEST_PIECE, SMALLEST_PIECE, PIECE_SECONDS = 128, 16, 0.025
SPIN_MICROSECONDS = 50


@dataclass(eq=False, slots=True)
class _Slot:
    """Buffers of one prompt: ``tokens`` are those whose keys and values are in them, from the start.

    A binding does not own the numpy arrays bound to it, so ``held`` keeps them: freed memory would be written to.
    """

    binding: Any
    mixture: Mixture | None = None
    tokens: list[int] = field(default_factory=list)
    logits: Array | None = None  # of the last token
    used: int = 0
    held: dict[str, Any] = field(default_factory=dict)


class Decoder:
    """Next-token logits for token sequences under a mixture; what a former call has read is not read again."""

    def __init__(self, path: Path, shape: Shape, threads: int = 2) -> None:
        import onnxruntime as ort  # type: ignore[import-untyped]

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # A thread that waits a moment for the next product saves a tenth to a third of a token; one that waits long
        # takes the core from others (bench/engine_speed.py). Before 1.27 onnxruntime knew no such bound.
        known = tuple(int(part) for part in ort.__version__.split(".")[:2]) >= (1, 27)
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if known else "0")
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_MICROSECONDS))
        # Attention's softmax makes many numbers too small for their exponent, which are slow on an Intel core.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.shape = shape
        self.adapters: dict[str, Factors] = {}
        self._slots: list[_Slot] = []
        self._stacked: OrderedDict[Mixture, dict[str, Any]] = OrderedDict()
        self._clock = count(1)
        self._piece = LARGEST_PIECE

    # -- adapters

    def load(self, name: str, folder: Path) -> None:
        """Read an adapter's matrices; AdapterRefused when a shape does not fit the base or a value is not finite."""
        import numpy as np

        factors = load(folder)
        parts = {part: self.shape.linear(part) for group in FUSED.values() for part in group}
        for module, (a, b) in factors.items():
            layer, _, part = module.removeprefix("model.layers.").partition(".")
            if part not in parts or not layer.isdecimal() or int(layer) >= self.shape.layers:
                raise AdapterRefused(
                    f"{name} changes {module}, which the base model lacks", "train it for this base"
                )
            inner, outer = parts[part]
            if a.shape != (a.shape[0], inner) or b.shape != (outer, a.shape[0]):
                raise AdapterRefused(
                    f"{name}: {module} is {b.shape} x {a.shape}, the base needs ({outer}, r) x (r, {inner})",
                    "train it for this base",
                )
            if not (np.isfinite(a).all() and np.isfinite(b).all()):
                raise AdapterRefused(f"{name}: {module} has a value that is not a number", "train it again")
        self.drop(name)
        self.adapters[name] = factors

    def drop(self, name: str) -> None:
        """Forget an adapter and what was computed with it."""
        self.adapters.pop(name, None)
        for mixture in [m for m in self._stacked if any(n == name for n, _ in m)]:
            del self._stacked[mixture]
        for slot in self._slots:
            if slot.mixture and any(n == name for n, _ in slot.mixture):
                slot.mixture, slot.tokens, slot.logits = None, [], None

    def _matrices(self, mixture: Mixture) -> dict[str, Any]:
        """Every A and B input of the graph for a mixture."""
        import onnxruntime as ort

        if mixture not in self._stacked:
            missing = [name for name, _ in mixture if name not in self.adapters]
            if missing:
                raise AdapterRefused(f"{missing[0]} is not loaded", "load it before it is used")
            parts = [(self.adapters[name], weight) for name, weight in mixture]
            arrays = _fused(self.shape, stack(parts) if parts else {})
            self._stacked[mixture] = {k: ort.OrtValue.ortvalue_from_numpy(v) for k, v in arrays.items()}
            if len(self._stacked) > MIXTURES:
                self._stacked.popitem(last=False)
        self._stacked.move_to_end(mixture)
        return self._stacked[mixture]

    # -- reading

    def read(self, tokens: Sequence[int], mixture: Mixture, check: Callable[[], None]) -> Array:
        """Logits after the last of ``tokens`` (vocabulary,); ``check`` runs between pieces and may raise."""
        logits = self._read(tokens, mixture, check).logits
        assert logits is not None
        return logits

    def _read(self, tokens: Sequence[int], mixture: Mixture, check: Callable[[], None]) -> _Slot:
        """The slot that holds ``tokens`` and nothing else, with the logits after the last one."""
        slot, known = self._slot_for(tokens, mixture)
        if known == len(tokens) and (slot.logits is None or len(slot.tokens) > known):
            known -= 1  # the last token's logits were not kept
        if known < len(slot.tokens):
            del slot.tokens[known:]
        while known < len(tokens):
            check()
            piece = tokens[known : known + self._piece]
            started = time.perf_counter()
            slot.logits = None
            slot.logits = self._run(slot, piece, None, [len(piece) - 1])[0]
            slot.tokens.extend(piece)
            known += len(piece)
            self._pace(len(piece), time.perf_counter() - started)
        return slot

    def every(self, tokens: Sequence[int], mixture: Mixture = ()) -> Array:
        """Logits after each of the tokens (tokens, vocabulary), in one forward that nothing interrupts: for evaluations."""
        slot = self._slot_for([-1], mixture)[0]
        rows = self._run(slot, tokens, None, range(len(tokens)))
        slot.mixture = None
        return rows

    def branch(
        self,
        tokens: Sequence[int],
        mixture: Mixture,
        nodes: Sequence[int],
        parents: Sequence[int],
        check: Callable[[], None],
    ) -> Array:
        """Logits after every node of a tree that grows from ``tokens``: (nodes, vocabulary), one forward.

        ``parents[n]`` is the index of node n's parent, smaller than n, or -1 for the end of ``tokens``. At most
        shape.TREE_SLOTS nodes. The tree is not kept.
        """
        import numpy as np

        slot, start = self._read(tokens, mixture, check), len(tokens)
        check()
        depths = np.zeros(len(nodes), np.int64)
        sees = np.full((len(nodes), start + len(nodes)), -np.inf, np.float32)
        sees[:, :start] = 0.0
        for n, parent in enumerate(parents):
            if parent >= 0:
                depths[n] = depths[parent] + 1
                sees[n] = sees[parent]
            sees[n, start + n] = 0.0
        return self._run(slot, nodes, sees, range(len(nodes)), start + depths)

    def _slot_for(self, tokens: Sequence[int], mixture: Mixture) -> tuple[_Slot, int]:
        """The slot to use and how many of its leading tokens are the wanted ones."""
        mixture = tuple(mixture)
        shared = {n: _common(s.tokens, tokens) for n, s in enumerate(self._slots) if s.mixture == mixture}
        place = max(shared, key=lambda n: shared[n], default=-1)
        # A slot that would lose most of what it holds belongs to another file.
        if place >= 0 and 2 * shared[place] >= len(self._slots[place].tokens):
            best, known = self._slots[place], shared[place]
        else:
            best, known = self._free_slot(), 0
            best.tokens, best.logits = [], None
        if best.mixture != mixture:
            for name, value in self._matrices(mixture).items():
                best.binding.bind_ortvalue_input(name, value)
                best.held[name] = value
            best.mixture = mixture
        best.used = next(self._clock)
        return best, known

    def _free_slot(self) -> _Slot:
        import numpy as np
        import onnxruntime as ort

        if len(self._slots) >= SLOTS:
            slot = min(self._slots, key=lambda s: s.used)
            slot.mixture = None
            return slot
        slot = _Slot(self._session.io_binding())
        s = self.shape
        for layer in range(s.layers):
            for half in ("key", "value"):
                empty = np.zeros((1, s.kv_heads, s.capacity, s.head_size), np.float32)
                buffer = ort.OrtValue.ortvalue_from_numpy(empty)
                slot.binding.bind_ortvalue_input(f"past.{layer}.{half}", buffer)
                slot.binding.bind_ortvalue_output(f"present.{layer}.{half}", buffer)
                slot.held[f"past.{layer}.{half}"] = buffer
        self._slots.append(slot)
        return slot

    def _run(
        self,
        slot: _Slot,
        tokens: Sequence[int],
        sees: Array | None,
        rows: Sequence[int],
        positions: Any = None,
    ) -> Array:
        import numpy as np

        start, new = len(slot.tokens), len(tokens)
        total = start + new
        binding = slot.binding
        if positions is None:
            positions = np.arange(start, total, dtype=np.int64)
        feeds: Mapping[str, Any] = {
            "ids": np.asarray(tokens, np.int64),
            "positions": positions.reshape(1, new),
            "bias": np.zeros((1, 1, new, total), np.float32)
            if sees is None
            else sees.reshape(1, 1, new, total),
            "rows": np.asarray(rows, np.int64),
            "last": np.array([total - 1], np.int32),
            "total": np.array([total], np.int32),
        }
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        binding.bind_output("logits", "cpu")
        self._session.run_with_iobinding(binding)
        logits: Array = next(o.numpy() for o in binding.get_outputs() if len(o.shape()) == 2)
        return logits

    def _pace(self, tokens: int, seconds: float) -> None:
        if tokens >= SMALLEST_PIECE:
            wanted = int(tokens / seconds * PIECE_SECONDS)
            self._piece = max(SMALLEST_PIECE, min(LARGEST_PIECE, (self._piece + wanted) // 2))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common prefix."""
    shorter = min(len(left), len(right))
    if list(left[:shorter]) == list(right[:shorter]):
        return shorter
    return next(n for n in range(shorter) if left[n] != right[n])


def _fused(shape: Shape, factors: Factors) -> dict[str, Array]:
    """The graph's A and B inputs: parts of a fused linear side by side in A, on the diagonal in B; rank 1 of zeros
    where there is nothing to add."""
    import numpy as np

    inputs: dict[str, Array] = {}
    for layer in range(shape.layers):
        for name, parts in FUSED.items():
            inner, outer = shape.fused(name)
            present = [(p, *factors[k]) for p in parts if (k := f"model.layers.{layer}.{p}") in factors]
            rank = sum(a.shape[0] for _, a, _ in present)
            down, up = (
                np.zeros((inner, max(rank, 1)), np.float32),
                np.zeros((max(rank, 1), outer), np.float32),
            )
            row = 0
            for part, a, b in present:
                column = sum(shape.linear(p)[1] for p in parts[: parts.index(part)])
                down[:, row : row + a.shape[0]] = a.T
                up[row : row + a.shape[0], column : column + b.shape[0]] = b.T
                row += a.shape[0]
            inputs[f"{layer}.{name}.A"], inputs[f"{layer}.{name}.B"] = down, up
    return inputs
