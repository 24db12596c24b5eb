"""``octod train`` from the terminal; the training itself is tested in tests/adapters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from octod.adapters import mixture
from octod.adapters.card import Card
from octod.adapters.identity import bundled_base
from octod.adapters.registry import Registry
from octod.adapters.verify import MODULES, base_shapes
from octod.cli.train import project_around
from octod.core.paths import Paths
from octod.core.symbols import LibraryId

from tests.foreign import make_foreign

Call = Callable[..., Result]


@pytest.mark.train
def test_a_package_that_is_not_installed_is_a_failure_that_leaves_nothing(
    call: Call, environment: Path
) -> None:
    """Exit code 1, a message that names it, no adapter."""
    result = call("train", "nosuchpackage", "--env", str(environment))
    assert 1 == result.exit_code
    assert f"Error: nosuchpackage is not installed in {environment}" in result.stderr
    assert "no adapters yet" in call("adapters", "list").stdout
    assert [] == list(Paths.of().adapters.iterdir())


@pytest.mark.parametrize("marker", [".git", "pyproject.toml"])
def test_the_project_one_stands_in_is_learned_from(tmp_path: Path, marker: str) -> None:
    """The nearest folder with a repository or a project file; none elsewhere."""
    (tmp_path / "project" / "deep").mkdir(parents=True)
    marked = tmp_path / "project" / marker
    marked.write_text("", encoding="utf-8")
    assert (tmp_path / "project",) == project_around(tmp_path / "project" / "deep")


@pytest.mark.parametrize("minutes", ["0", "-1", "soon"])
def test_minutes_must_be_a_positive_number(call: Call, minutes: str) -> None:
    """A usage error, told before anything is read."""
    assert 2 == call("train", "petstore", "--minutes", minutes).exit_code


@pytest.mark.parametrize("words", [(), ("petstore", "--all")])
def test_one_package_or_all_of_them(call: Call, words: tuple[str, ...]) -> None:
    """Neither and both are usage errors."""
    assert 2 == call("train", *words).exit_code


def test_without_adapters_there_is_nothing_to_rebuild(call: Call, environment: Path) -> None:
    """`--all` is about what was trained before."""
    ended = call("train", "--all", "--env", str(environment))
    assert (0, True) == (ended.exit_code, "nothing to rebuild" in ended.stdout)


def publish(folder: Path, library: LibraryId, command: str) -> str:
    """An adapter of small numbers for a library and the bundled base."""
    base = bundled_base()
    shapes, factors = base_shapes(base.config()), {}
    for layer in range(shapes["layers"][0]):
        for module in MODULES:
            outputs, inputs = shapes[module]
            part = "self_attn" if module[0] in "qkvo" else "mlp"
            a, b = np.ones((1, inputs), np.float32), np.ones((outputs, 1), np.float32)
            factors[f"model.layers.{layer}.{part}.{module}"] = (a, b)
    mixture.write(factors, folder, base_name=base.name)
    card = Card(library, base.name, base.weights_hash, base.tokenizer_hash, command=command, created="2025-01-01")
    with Registry.open(Paths.of()) as registry:
        return registry.publish(folder, card).name


@pytest.mark.train
@pytest.mark.slow
def test_all_adapters_are_made_again_for_another_base(call: Call, environment: Path, tmp_path: Path) -> None:
    """Each as it was made, for the base in use, a Qwen2 of another tokenizer; then nothing is left to do."""
    from octod.indexer.environment import distributions, find_environment

    env = shutil.copytree(environment, tmp_path / "venv")
    calls = "".join(f"    pet.feed('fish', {n}, warm=True)\n    petstore.adopt('Tom', age={n})\n" for n in range(6))
    (tmp_path / "project").mkdir()
    for number in range(10):
        text = f"import petstore\n\n\ndef day_{number}():\n    pet = petstore.adopt('Kit{number}')\n{calls}"
        (tmp_path / "project" / f"day{number}.py").write_text(text)
    library = next(d.library for d in distributions(find_environment(env))[0] if d.library.distribution == "petstore")
    command = f"octod train petstore --minutes 0.2 --repository {tmp_path}/project --repository {tmp_path}/gone"
    old = publish(tmp_path / "old", library, command)
    gone = publish(tmp_path / "gone-adapter", LibraryId("lost", "1.0", "ab" * 32), "octod train lost")
    call("base", "add", str(make_foreign(tmp_path / "foreign")))
    call("base", "use", "foreign")
    ended = call("train", "--all", "--env", str(env), "--json")
    assert 0 == ended.exit_code, ended.stderr
    found = json.loads(ended.stdout)
    assert {"lost": f"it is not installed in {env}"} == found["passed_over"]
    (trained,) = found["trained"]
    shown = json.loads(call("base", "show", "--json").stdout)
    assert ([trained["adapter"]], shown["weights"]) == (shown["adapters"], trained["card"]["base_weights"])
    assert ("foreign", "petstore") == (trained["card"]["base_name"], trained["card"]["library"]["distribution"])
    again = f"octod train petstore --minutes 0.2 --env {env} --repository {tmp_path}/project"
    assert again == trained["card"]["command"]
    assert {"project:project"} <= set(trained["card"]["sources"])
    rows = json.loads(call("adapters", "list", "--json").stdout)
    assert {old, gone, trained["adapter"]} == {row["name"] for row in rows}
    nothing = call("train", "--all", "--env", str(env))
    assert (0, True) == (nothing.exit_code, "nothing to rebuild" in nothing.stdout)


@pytest.mark.train
@pytest.mark.slow
def test_one_library_that_cannot_be_trained_is_told_and_does_not_end_the_others(
    call: Call, environment: Path, tmp_path: Path, indexed: Path
) -> None:
    """Exit code 1, and the reason by library."""
    from octod.indexer.environment import distributions, find_environment

    library = next(d.library for d in distributions(find_environment(environment))[0] if d.library.distribution == "petstore")
    publish(tmp_path / "old", LibraryId(library.distribution, "1.1", library.record), "octod train petstore")
    ended = call("train", "--all", "--env", str(environment), "--minutes", "0.1", "--json")
    assert (1, ["petstore"]) == (ended.exit_code, list(json.loads(ended.stdout)["failed"]))
    assert "samples" in ended.stderr
