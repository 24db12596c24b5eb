"""What a base costs is told before it is loaded, and measured on the machine that it runs on."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from octod.adapters.identity import BaseModel
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.cost import (
    Memory,
    machine_memory,
    measure,
    memory_needed,
    read_speed,
    require_memory,
)
from octod.daemon.engines.decoder import Decoder
from octod.daemon.engines.graph import cached_graph
from octod.daemon.engines.shape import Shape, read_shape

# Qwen2.5-Coder 0.5B as published.
HALF = Shape("qwen2", 24, 896, 14, 2, 64, 4864, 151_936, 2048, 1e-6, tied=True, theta=1e6)


def test_the_memory_of_a_half_billion_parameters_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """494 million parameters; 1.30 GB in int8 and 2.75 GB in fp32 were seen (Linux, onnxruntime 1.32)."""
    assert 493_950_000 < HALF.parameters < 494_100_000
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert 1.3e9 < memory_needed(HALF) < 1.5e9
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert 2.75e9 < memory_needed(HALF) < 3.0e9


def test_a_model_that_the_machine_cannot_hold_is_refused() -> None:
    """Told by name, with both figures, and what to do."""
    require_memory("half", HALF, Memory(4_000_000_000, None))
    with pytest.raises(EngineProblem) as refused:
        require_memory("big", replace(HALF, layers=800), Memory(4_000_000_000, 1))
    assert "big needs" in refused.value.message
    assert "4.0 GB" in refused.value.message
    assert "octod base use" in refused.value.hint


def test_the_machine_tells_its_memory() -> None:
    """Something is free, and it is a part of all."""
    found = machine_memory()
    assert found.free is None or 0 < found.free <= found.total


@pytest.mark.engine
def test_figures_of_a_measurement_are_kept_with_the_graph(checkpoint: Path, paths: Paths) -> None:
    """Private, and only for as many threads as they were taken with."""
    path, shape = cached_graph(BaseModel.of(checkpoint), paths.cache)
    assert shape == read_shape(checkpoint)
    assert read_speed(path.parent, 1) is None
    found = measure(Decoder(path, shape, 1), path.parent, 1)
    assert min(found.token, found.menu, found.prompt) > 0
    assert (found, None) == (read_speed(path.parent, 1), read_speed(path.parent, 2))
    assert 0o600 == stat.S_IMODE((path.parent / "speed.json").stat().st_mode)
    (path.parent / "speed.json").write_text("{", encoding="utf-8")
    assert read_speed(path.parent, 1) is None
