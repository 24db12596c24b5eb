"""``octod train`` from the terminal; the training itself is tested in tests/adapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from octod.cli.train import project_around
from octod.core.paths import Paths

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
