"""Mixtures: the stacked update equals the weighted sum exactly, and goes through PEFT's files unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from octod.adapters import mixture
from octod.adapters.verify import CONFIG, check_folder

Make = Callable[..., Path]


def test_stacked_update_equals_the_weighted_sum(adapter_folder: Make) -> None:
    """Two adapters of different rank with weights give the same matrix as adding them up."""
    first, second = mixture.load(adapter_folder(4, 1)), mixture.load(adapter_folder(2, 2))
    stacked = mixture.stack([(first, 1.0), (second, -0.5)])
    for module, (a, b) in stacked.items():
        expected = first[module][1] @ first[module][0] - 0.5 * second[module][1] @ second[module][0]
        assert a.shape[0] == 6
        np.testing.assert_allclose(expected, b @ a, rtol=0, atol=1e-5)


def test_an_adapter_of_weight_zero_takes_no_rank(adapter_folder: Make) -> None:
    """Weight 0 means absent, so the engine does not pay for it."""
    stacked = mixture.stack(
        [(mixture.load(adapter_folder(4, 1)), 0.0), (mixture.load(adapter_folder(2, 2)), 1.0)]
    )
    assert {a.shape[0] for a, _ in stacked.values()} == {2}


def test_empty_mixture_is_no_update() -> None:
    """The base alone."""
    assert mixture.stack([]) == {}


def test_written_mixture_is_a_checked_adapter_of_a_rank_that_vllm_takes(
    adapter_folder: Make, tmp_path: Path
) -> None:
    """Padding with zeros changes the rank, not the update."""
    factors = mixture.stack(
        [(mixture.load(adapter_folder(4, 1)), 1.0), (mixture.load(adapter_folder(2, 2)), 0.3)]
    )
    config = mixture.write(factors, tmp_path / "mixed", rank=8)
    assert (8, 1.0) == (config.rank, config.scaling)
    assert config == check_folder(tmp_path / "mixed", carded=False)
    for module, (a, b) in mixture.load(tmp_path / "mixed").items():
        np.testing.assert_allclose(factors[module][1] @ factors[module][0], b @ a, rtol=0, atol=1e-5)


def test_rank_too_small_is_refused(adapter_folder: Make, tmp_path: Path) -> None:
    """A mixture is never cut."""
    with pytest.raises(ValueError, match="rank 4 does not fit rank 2"):
        mixture.write(mixture.load(adapter_folder(4)), tmp_path / "mixed", rank=2)


def test_scaling_is_multiplied_into_b(adapter_folder: Make) -> None:
    """alpha / rank counts once."""
    folder = adapter_folder(4)
    before = mixture.load(folder)
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace('"lora_alpha": 4.0', '"lora_alpha": 8.0'))
    after = mixture.load(folder)
    for module, (_, b) in after.items():
        np.testing.assert_array_equal(before[module][1] * 2, b)
