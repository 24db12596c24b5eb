"""Training resumes exactly, evaluates, and ends with its budget."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch", reason="needs the [train] extra")

from octod.adapters.base import pretrain as module  # after the skip, it imports torch
from octod.adapters.base.corpus import CorpusConfig, build_corpus
from octod.adapters.base.model import ModelConfig
from octod.adapters.base.pretrain import SIZES, PretrainConfig, pretrain
from octod.adapters.base.windows import WindowConfig


@pytest.fixture
def config(tmp_path: Path, site: Path) -> PretrainConfig:
    """A run of a very small model on the tiny environment."""
    work = tmp_path / "work"
    held_out = frozenset({"others"})
    tokenizer = build_corpus(CorpusConfig((site,), work, held_out=held_out, vocabulary=600, workers=1))
    shape = ModelConfig(tokenizer.get_vocab_size(), 256, 32, 2, 4, 2, 48)
    return PretrainConfig(
        work,
        minutes=60,
        max_steps=6,
        batch=2,
        device="cpu",
        compile=False,
        bf16=False,
        evaluate_windows=4,
        model=shape,
        windows=WindowConfig(context=256),
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)
    assert isinstance(state["model"], dict)
    return state["model"]


class Clock:
    """A clock that advances one second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_interrupted_run_equals_an_uninterrupted_one(config: PretrainConfig, tmp_path: Path) -> None:
    """Six steps give the same weights as three, a checkpoint, a new start and three more."""
    path = pretrain(config, Clock())
    expected = weights(path)
    path.unlink()
    pretrain(replace(config, max_steps=3), Clock())
    actual = weights(pretrain(config, Clock()))
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        assert torch.equal(value, actual[name]), name


def test_smaller_parts_train_the_same(config: PretrainConfig) -> None:
    """Fewer windows in memory at a time give the same weights."""
    path = pretrain(config, Clock())
    expected = weights(path)
    path.unlink()
    actual = weights(pretrain(replace(config, at_once=1), Clock()))
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-3, atol=1e-5)


def test_another_size_does_not_go_on_with_a_checkpoint(config: PretrainConfig) -> None:
    """The message says what to change."""
    pretrain(replace(config, max_steps=1), Clock())
    with pytest.raises(ValueError, match="take another --work"):
        pretrain(replace(config, model=replace(config.model, layers=3)), Clock())


def test_the_large_size_fits_into_the_repository() -> None:
    """In bf16 it has at most 64 MB."""
    assert SIZES["large"].parameters * 2 <= 64_000_000


def test_sigterm_saves_and_returns(config: PretrainConfig) -> None:
    """A terminated run leaves a checkpoint of the step it had reached."""
    ticks = 0

    def clock() -> float:
        nonlocal ticks
        ticks += 1
        if ticks == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return float(ticks)

    path = pretrain(replace(config, max_steps=1000), clock)
    steps = torch.load(path, weights_only=True)["progress"]["step"]
    assert 1 <= steps < 6


def test_a_spent_budget_ends_the_run_with_figures(config: PretrainConfig) -> None:
    """The run ends by itself; bits per byte and call loss are in the log and fall while training."""
    pretrain(replace(config, max_steps=1), Clock())
    pretrain(replace(config, max_steps=0, minutes=1, batch=4), Clock())
    rows = [json.loads(line) for line in (config.work / "log.jsonl").read_text().splitlines()]
    first, last = (row for row in rows if "bits_per_byte" in row)
    assert last["bits_per_byte"] < first["bits_per_byte"]
    assert last["call_loss"] < first["call_loss"]


def test_a_pause_costs_little_of_the_budget(config: PretrainConfig) -> None:
    """A step that lasted an hour counts three times the median step."""

    class Paused(Clock):
        def __call__(self) -> float:
            return super().__call__() + (3600 if self.now > 40 else 0)

    path = pretrain(replace(config, max_steps=30), Paused())
    assert torch.load(path, weights_only=True)["progress"]["seconds"] <= 30 * 3


def test_a_schedule_of_steps_needs_no_clock(config: PretrainConfig) -> None:
    """Ten steps with the rate of each step's share, every step watched, whatever time they take."""
    seen: list[int] = []
    path = pretrain(replace(config, max_steps=0, steps=10, minutes=1e-9), Clock(), lambda model, step: seen.append(step))
    assert list(range(1, 11)) == seen
    assert 10 == torch.load(path, weights_only=True)["progress"]["step"]


def test_the_schedule_warms_up_holds_and_decays() -> None:
    """The factor rises to one, stays, and falls to a hundredth."""
    factors = [module._factor(share, 0.1, 0.5) for share in (0.0, 0.05, 0.1, 0.4, 0.75, 1.0)]
    assert [0.01, 0.5, 1.0, 1.0, 0.5, 0.01] == factors


def test_a_deadline_moves_the_schedule() -> None:
    """The rest of the schedule is spread evenly up to the deadline, from where a resumed run stands."""
    assert 0.0 == module._toward(0, 0, 100, 0.2)
    assert pytest.approx(0.6) == module._toward(1100, 1000, 1050, 0.2)
    assert 1.0 == module._toward(1100, 1000, 1100, 0.2)
