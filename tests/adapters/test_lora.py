"""Training: the loss falls, the base stays, the result is PEFT's format, interruptions are continued."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import folds
import numpy as np
import pytest
from octod.adapters import mixture
from octod.adapters.dataset import DataSet, Plan, Source, build
from octod.adapters.identity import BaseModel
from octod.adapters.lora import Hyperparameters, Step, _batch, idle_cores, load_base, train
from octod.adapters.prompt import encode_prompt, load_tokenizer
from octod.adapters.verify import check_folder
from octod.core.errors import TrainingProblem

pytestmark = pytest.mark.train

SHORT = Hyperparameters(rank=4, alpha=8, rate=5e-3, batch=8, minutes=60, epochs=100, warmup=2, tokens=200)


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    """Samples of folds."""
    source = Source("origami", tuple(folds.write_usage(tmp_path / "use", 8)))
    return build(folds.Index(), folds.LIBRARY, ["folds"], [source], plan=Plan(), tools=folds.TOOLS)


def test_loss_falls_and_the_adapter_is_sound(data: DataSet, real_base: BaseModel, tmp_path: Path) -> None:
    """Forty steps on a random base; the folder passes the registry's checks with that base's shapes."""
    steps: list[Step] = []
    outcome = train(
        real_base, data.train, tmp_path, parameters=replace(SHORT, steps=40, rate=2e-2), progress=steps.append
    )
    assert 40 == outcome.steps == len(steps)
    assert outcome.loss < steps[0].loss - 0.2
    assert [s.share for s in steps] == sorted(s.share for s in steps)
    config = check_folder(outcome.folder, base=real_base, carded=False)
    assert (4, 2.0, "random-llama") == (config.rank, config.scaling, config.base_name)


def test_peft_and_octod_apply_the_adapter_alike(data: DataSet, real_base: BaseModel, tmp_path: Path) -> None:
    """PeftModel.from_pretrained gives the logits of base + stacked matrices, within float32's rounding."""
    import torch
    from peft import PeftModel

    warnings.simplefilter(
        "ignore", FutureWarning
    )  # peft asks transformers 5 for names that it is about to drop
    outcome = train(real_base, data.train, tmp_path, parameters=replace(SHORT, steps=5))
    tokenizer = load_tokenizer(real_base.folder / "tokenizer.json")
    ids = torch.tensor([encode_prompt(tokenizer, data.train[0].prompt, 200)])
    own = load_base(real_base.folder)
    with torch.inference_mode():
        plain = own(input_ids=ids).logits
        parameters = dict(own.named_parameters())
        for module, (a, b) in mixture.stack([(mixture.load(outcome.folder), 1.0)]).items():
            parameters[f"{module}.weight"] += torch.from_numpy(b @ a)
        mixed = own(input_ids=ids).logits
        peft = PeftModel.from_pretrained(load_base(real_base.folder), str(outcome.folder))(
            input_ids=ids
        ).logits
    np.testing.assert_allclose(peft.numpy(), mixed.numpy(), atol=1e-4)
    assert 1e-3 < (mixed - plain).abs().max().item()


def test_interrupted_training_goes_on_from_its_checkpoint(
    data: DataSet, real_base: BaseModel, tmp_path: Path
) -> None:
    """Stopped after six steps and continued: the same matrices as without the interruption."""
    whole = train(real_base, data.train, tmp_path / "whole", parameters=replace(SHORT, steps=12))
    eager = replace(SHORT, steps=12, checkpoint_seconds=-1.0)

    def interrupt(step: Step) -> None:
        if step.number == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(real_base, data.train, tmp_path / "cut", parameters=eager, progress=interrupt)
    numbers: list[int] = []
    resumed = train(
        real_base,
        data.train,
        tmp_path / "cut",
        parameters=eager,
        progress=lambda step: numbers.append(step.number),
    )
    assert list(range(7, 13)) == numbers
    expected, actual = mixture.load(whole.folder), mixture.load(resumed.folder)
    for module, (a, b) in expected.items():
        np.testing.assert_allclose(a, actual[module][0], atol=1e-5)
        np.testing.assert_allclose(b, actual[module][1], atol=1e-5)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff"])
def test_damaged_checkpoint_means_a_fresh_start(
    text: bytes, data: DataSet, real_base: BaseModel, tmp_path: Path
) -> None:
    """Not an error."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.json").write_bytes(text)
    assert 2 == train(real_base, data.train, tmp_path, parameters=replace(SHORT, steps=2)).steps


def test_same_seed_gives_the_same_adapter(data: DataSet, real_base: BaseModel, tmp_path: Path) -> None:
    """Another seed gives another."""

    def trained(seed: int, where: str) -> np.ndarray:
        parameters = replace(SHORT, steps=3, seed=seed)
        folder = train(real_base, data.train, tmp_path / where, parameters=parameters).folder
        return mixture.load(folder)["model.layers.0.self_attn.q_proj"][0]

    first = trained(0, "a")
    np.testing.assert_array_equal(first, trained(0, "b"))
    assert not np.array_equal(first, trained(1, "c"))


def test_time_budget_ends_the_training(data: DataSet, real_base: BaseModel, tmp_path: Path) -> None:
    """By the clock that was given, ten seconds a look."""
    now = [0.0]

    def clock() -> float:
        now[0] += 10
        return now[0]

    parameters = replace(SHORT, minutes=2)
    assert 3 <= train(real_base, data.train, tmp_path, parameters=parameters, clock=clock).steps <= 8


def test_no_samples_and_no_extra_are_training_problems(
    data: DataSet, real_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one names the command to install it."""
    with pytest.raises(TrainingProblem, match="nothing to train on"):
        train(real_base, (), tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(TrainingProblem, match=r"pip install 'octod\[train\]'"):
        train(real_base, data.train, tmp_path)


def test_training_that_diverges_is_told(
    data: DataSet, real_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No adapter of NaN is written."""
    import torch

    monkeypatch.setattr("octod.adapters.lora._loss", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingProblem, match="the loss is nan at step 0"):
        train(real_base, data.train, tmp_path, parameters=SHORT)
    assert not (tmp_path / "adapter").exists()


def test_every_sample_is_seen_once_an_epoch(data: DataSet) -> None:
    """Buckets lose and repeat nothing, whatever the number of samples."""
    for count in (1, 8, 37, 300):
        samples = [replace(data.train[0], completion="x" * (n % 7), member=str(n)) for n in range(count)]
        parameters = replace(SHORT, batch=8)
        per_epoch = -(-count // 8)
        for epoch in range(2):
            steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
            seen = [int(sample.member) for step in steps for sample in _batch(samples, step, parameters)]
            assert list(range(count)) == sorted(seen)


def test_samples_without_text_after_the_cursor_train_too(
    real_base: BaseModel, tmp_path: Path, data: DataSet
) -> None:
    """An empty file, an empty signature list."""
    full = data.train[0]
    empty = replace(full, prompt=replace(full.prompt, before="", signatures=(), after=""))
    assert 1 == train(real_base, [empty], tmp_path, parameters=replace(SHORT, steps=1)).steps


@pytest.mark.parametrize(
    ("load", "own", "expected"),
    [(0.0, 1, 4), (1.0, 1, 4), (3.1, 1, 2), (4.0, 4, 4), (9.0, 1, 1), (40.0, 4, 1)],
)
def test_threads_leave_busy_cores_alone(
    load: float, own: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting threads cost more than they bring; what is our own load does not count."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert expected == idle_cores(own)
