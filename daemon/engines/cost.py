"""What a base costs in the embedded engine: memory, told before it is loaded, and time, measured on this machine."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octod.core.errors import EngineProblem
from octod.daemon.engines.shape import Shape

if TYPE_CHECKING:
    from octod.daemon.engines.decoder import Decoder

__all__ = ["Memory", "Speed", "machine_memory", "measure", "memory_needed", "read_speed", "require_memory"]

# onnxruntime, tokenizers and numpy themselves, and what a forward of a whole piece holds (0.12 GB seen).
_RUNTIME = 150_000_000
_BRANCHES, _TOKENS = 32, 8  # a menu's names in one batch; tokens of a short argument list
_FILE = "speed.json"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of this machine: all of it, and what could be taken now (None where the system does not tell)."""

    total: int
    free: int | None


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds: one token, a menu's names in one batch, reading a whole prompt; and with how many threads."""

    token: float
    menu: float
    prompt: float
    threads: int


def memory_needed(shape: Shape) -> int:
    """Bytes that the engine's process takes: weights as they are served, keys and values of the prompts kept, the runtime.

    A tied embedding is there twice, as rows to look up and packed for the logits' product.
    """
    from octod.daemon.engines.decoder import SLOTS
    from octod.daemon.engines.graph import served_bits

    rows = shape.vocabulary * shape.hidden
    matrices = shape.parameters + (rows if shape.tied else 0) - rows  # all but the rows that are looked up
    # int8 has a scale in fp32 for every 32 inputs.
    weight = 4.0 if served_bits(shape) == 32 else 1 + 4 / 32
    kept = SLOTS * shape.layers * 2 * shape.kv_heads * shape.capacity * shape.head_size
    return int(weight * matrices) + 4 * (rows + kept) + _RUNTIME


def machine_memory() -> Memory:
    """How much memory there is, and how much of it is free or can be freed."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return Memory(total, None)
    return Memory(total, free)


def require_memory(name: str, shape: Shape, machine: Memory) -> None:
    """EngineProblem when the machine can never hold the model: better told than killed by the kernel."""
    needed = memory_needed(shape)
    if needed > machine.total:
        raise EngineProblem(
            f"{name} needs {needed / 1e9:.1f} GB of memory, this machine has {machine.total / 1e9:.1f} GB",
            "choose a smaller base: `octod base list`, `octod base use NAME`",
        )


def measure(decoder: Decoder, folder: Path, threads: int, tell: Callable[[str], None] = lambda _: None) -> Speed:
    """Time a decoder on random tokens and keep the figures in ``folder``, beside the graph that they belong to."""
    import numpy as np
    from octod.adapters.prompt import COMPLETION_TOKENS, CONTEXT

    shape = decoder.shape
    length = min(CONTEXT, shape.context) - COMPLETION_TOKENS
    tokens = np.random.default_rng(0).integers(0, shape.vocabulary, length).tolist()

    def timed(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) * 1e3

    tell("reading a prompt")
    prompt = timed(lambda: decoder.read(tokens, (), _go_on))
    tell("scoring a menu")
    parents, names = [-1] * _BRANCHES, tokens[:_BRANCHES]
    menu = statistics.median(timed(lambda: decoder.branch(tokens, (), names, parents, _go_on)) for _ in range(3))
    tell("writing tokens")
    times = []
    for n in range(_TOKENS):
        longer = tokens + names[: n + 1]
        times.append(timed(lambda text=longer: decoder.read(text, (), _go_on)))  # type: ignore[misc]
    found = Speed(round(statistics.median(times), 2), round(menu, 2), round(prompt, 1), threads)
    handle = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(found), file)
    return found


def read_speed(folder: Path, threads: int) -> Speed | None:
    """What ``measure`` found with as many threads, or None."""
    try:
        found = Speed(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.threads == threads else None


def _go_on() -> None:
    """Nobody interrupts a measurement."""
