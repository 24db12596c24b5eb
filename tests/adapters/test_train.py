"""`octod train` end to end on a small library: published with its card, or a clear message and nothing left behind."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import folds
import pytest
from octod.adapters import train as module
from octod.adapters.dataset import Plan
from octod.adapters.identity import BaseModel
from octod.adapters.lora import Hyperparameters
from octod.adapters.registry import Registry
from octod.adapters.train import Progress, Trained, train_package
from octod.core.errors import NotInstalled, TrainingProblem
from octod.core.paths import Paths
from octod.indexer.environment import Environment, find_environment

pytestmark = [pytest.mark.train, pytest.mark.slow]

QUICK = Hyperparameters(rank=2, alpha=4, batch=8, steps=3, minutes=1, tokens=128)
CANARY = "import pathlib; pathlib.Path(__file__).with_name('fired').write_text('')\n"


def distribution(site: Path, name: str, files: dict[str, str]) -> None:
    """Install files as a wheel would."""
    info = site / f"{name}-1.2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.0\nLicense-Expression: MIT\n"
    )
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    rows = [f"{path},," for path in files] + [f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]
    (info / "RECORD").write_text("\n".join(rows) + "\n")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment with folds, a dependent that calls it, one package without Python, and canaries (P1)."""
    root = tmp_path / "env"
    site = root / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
    distribution(site, "folds", {"folds/__init__.py": CANARY})
    users = {f"origami/use_{n}.py": CANARY.strip() + "\n" + folds.usage(n) for n in range(12)}
    distribution(site, "origami", {"origami/__init__.py": CANARY} | users)
    distribution(site, "fonts", {"fonts/a.ttf": ""})
    distribution(site, "lonely", {"lonely/__init__.py": "def f(): pass\n"})
    for name in ("sitecustomize.py", "evil.py"):
        (site / name).write_text(CANARY)
    (site / "evil.pth").write_text("import evil\n")
    return find_environment(root)


@pytest.fixture
def run(environment: Environment, real_base: BaseModel) -> Callable[..., Trained]:
    """`train_package` with the stand-in analysers and a few steps."""

    def call(package: str = "folds", **more: Any) -> Trained:
        settings: dict[str, Any] = {
            "minutes": 2.0,
            "base": real_base,
            "parameters": QUICK,
            "plan": Plan(evaluation=6),
            "tools": folds.TOOLS,
            "index": folds.Index(),
        }
        return train_package(package, environment, Paths.of(), **(settings | more))

    return call


def nothing_left() -> bool:
    """No adapter, no checkpoint, no temp folder."""
    paths = Paths.of()
    left = [
        p for folder in (paths.data, paths.state) if folder.exists() for p in folder.rglob("*") if p.is_file()
    ]
    return [] == [p for p in left if not p.name.startswith("registry.")]


def test_trained_adapter_is_published_with_its_card(
    run: Callable[..., Trained], environment: Environment, real_base: BaseModel
) -> None:
    """Library, base, counts, licences, figures with their controls, command; nothing of the environment has run (P1)."""
    stages: list[Progress] = []
    trained = run(progress=stages.append, command="octod train folds")
    card = trained.card
    assert ("folds", "1.2.0") == (card.library.distribution, card.library.version)
    assert 64 == len(card.library.record)
    assert (real_base.weights_hash, real_base.tokenizer_hash) == (card.base_weights, card.base_tokenizer)
    assert {"member", "arguments"} == set(card.kinds)
    assert {"origami", "synthesised"} == set(card.sources)
    assert {"origami": "MIT"} == card.licences
    assert ("octod train folds", 3) == (card.command, card.steps)
    assert {"adapter + index", "base + index", "adapter", "base"} == {f.condition for f in card.figures}
    assert {"member", "arguments"} <= {f.kind for f in card.figures}
    assert ["check", "mine", "train", "evaluate", "publish"] == list(dict.fromkeys(p.stage for p in stages))
    with Registry.open(Paths.of()) as registry:
        assert (trained.adapter,) == registry.adapters()
        assert 2 == registry.verify(trained.adapter.name, real_base).rank
        assert [] == registry.gc()
    assert [] == list((Paths.of().state / "training").iterdir())
    assert [] == list(environment.root.rglob("fired"))


def test_second_library_is_measured_against_the_first_as_the_wrong_one(run: Callable[..., Trained]) -> None:
    """The control that published adapters have failed."""
    first = run()
    with Registry.open(Paths.of()) as registry:
        other = replace(first.card, library=replace(first.card.library, distribution="other"))
        folder = Paths.of().state / "copy"
        shutil.copytree(first.adapter.folder, folder)
        (folder / "card.json").unlink()
        registry.publish(folder, other)
        registry.remove(first.adapter.name)
    names = {f.condition for f in run().card.figures}
    assert "wrong adapter (other) + index" in names


def test_measured_sources_have_rows_of_their_own_and_are_not_trained_on(
    run: Callable[..., Trained], tmp_path: Path
) -> None:
    """A source tree that is named as measured."""
    folds.write_usage(tmp_path / "tree", 20)
    trained = run(measured=[tmp_path / "tree"])
    assert {"other-source member", "other-source arguments"} <= {f.kind for f in trained.figures}
    assert {"origami", "synthesised"} == set(trained.card.sources)


@pytest.mark.parametrize(
    ("package", "error", "message"),
    [
        ("absent", NotInstalled, "absent is not installed in"),
        ("fonts", TrainingProblem, "fonts 1.2.0 has no Python files"),
        ("lonely", TrainingProblem, r"lonely 1.2.0 gives only 0 samples \(0 call sites\), 50 are needed"),
    ],
)
def test_package_that_cannot_be_trained_says_why_and_leaves_nothing(
    package: str, error: type[Exception], message: str, run: Callable[..., Trained]
) -> None:
    """Exit code 1 each."""
    with pytest.raises(error, match=message) as caught:
        run(package)
    assert 1 == caught.value.exit_code  # type: ignore[attr-defined]
    assert nothing_left()


def test_missing_extra_is_told_before_anything_is_read(
    run: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == "peft" else real(name, *a)
    )
    with pytest.raises(TrainingProblem, match=r"peft not found \(pip install 'octod\[train\]'\)"):
        run()
    assert nothing_left()


def test_full_disk_is_told_before_anything_is_read(
    run: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P14: how much is free, how much is needed, what to do."""
    usage = type("usage", (), {"free": 1 << 20})()
    monkeypatch.setattr("octod.adapters.train.shutil.disk_usage", lambda _: usage)
    with pytest.raises(
        TrainingProblem, match=r"no space left.*1 MB free, 32 MB are needed \(free some space"
    ):
        run()
    assert nothing_left()


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_failure_on_the_way_leaves_nothing(
    stage: str, run: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disk full in the middle, or anything else."""

    def fail(progress: Progress) -> None:
        if progress.stage == stage:
            raise OSError(28, "No space left on device")

    with pytest.raises(TrainingProblem, match=r"No space left on device \(free some space"):
        run(progress=fail)
    assert nothing_left()


def test_interruption_keeps_the_checkpoint_and_the_same_command_goes_on(run: Callable[..., Trained]) -> None:
    """Ctrl-C costs only the steps since the last checkpoint."""
    eager = replace(QUICK, steps=4, checkpoint_seconds=-1.0)

    def interrupt(progress: Progress) -> None:
        if progress.stage == "train" and progress.detail.startswith("step 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(parameters=eager, progress=interrupt)
    assert 1 == len(list((Paths.of().state / "training").glob("*/checkpoint")))
    steps: list[str] = []
    trained = run(
        parameters=eager, progress=lambda p: steps.append(p.detail[:6]) if p.stage == "train" else None
    )
    assert ["step 3", "step 4"] == steps
    assert 4 == trained.card.steps
    assert [] == list((Paths.of().state / "training").iterdir())


def test_two_trainings_of_one_library_do_not_mix(run: Callable[..., Trained]) -> None:
    """The second one is refused while the first goes on, and the first is not harmed."""
    refusals: list[str] = []

    def again(progress: Progress) -> None:
        if progress.stage == "train" and not refusals:
            with pytest.raises(TrainingProblem) as caught:
                run()
            refusals.append(str(caught.value))

    trained = run(progress=again)
    assert "is already being trained" in refusals[0]
    assert 3 == trained.card.steps


def test_a_base_that_memory_cannot_hold_is_refused_before_anything_is_read(real_base: BaseModel) -> None:
    """Both figures are told; one that fits passes."""
    module._require_memory(real_base, 1 << 30)
    with pytest.raises(TrainingProblem, match=r"needs more than 0\.0 GB of memory, this machine has 0\.0 GB"):
        module._require_memory(real_base, 1000)
