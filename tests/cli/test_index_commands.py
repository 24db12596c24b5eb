"""``octod index``, ``search`` and ``show`` on a small environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from octod.cli.show import signature_text
from octod.core.symbols import Parameter

Call = Callable[..., Result]


def test_index_tells_what_it_read_and_the_second_time_reads_nothing(call: Call, environment: Path) -> None:
    """Only what changed is read again."""
    first = json.loads(call("index", str(environment), "--json").stdout)
    second = json.loads(call("index", str(environment), "--json").stdout)
    assert "petstore" in first["changed"]
    assert [] == second["changed"]
    assert first["libraries"] == second["libraries"]


@pytest.mark.usefixtures("indexed")
def test_index_by_force_reads_everything_again(call: Call, environment: Path) -> None:
    """What was fresh is forgotten first."""
    assert "petstore" in json.loads(call("index", str(environment), "--force", "--json").stdout)["changed"]


@pytest.mark.usefixtures("indexed")
def test_index_without_json_is_for_people(call: Call, environment: Path) -> None:
    """Two lines: where, and how much."""
    lines = call("index", str(environment)).stdout.splitlines()
    assert f"environment {environment}" == lines[0]
    assert "libraries" in lines[1]


def test_index_of_nothing_is_a_failure_with_a_hint(call: Call, tmp_path: Path) -> None:
    """A folder that is no environment: exit code 1 and what to name instead."""
    result = call("index", str(tmp_path / "nowhere"))
    assert 1 == result.exit_code
    assert "does not exist" in result.stderr
    assert "hint:" in result.stderr


@pytest.mark.usefixtures("indexed")
def test_search_finds_a_function_by_its_documentation(call: Call, environment: Path) -> None:
    """The words may stand in the docstring."""
    found = json.loads(call("search", "take", "pet", "--env", str(environment), "--json").stdout)
    assert ("petstore.adopt", "petstore 1.2") in [(hit["name"], hit["library"]) for hit in found]


@pytest.mark.usefixtures("indexed")
def test_search_without_a_hit_says_so(call: Call, environment: Path) -> None:
    """Nothing found is no failure."""
    result = call("search", "qwertyuiop", "--env", str(environment))
    assert (0, "nothing found for 'qwertyuiop'\n") == (result.exit_code, result.stdout)


@pytest.mark.usefixtures("indexed")
def test_show_gives_signature_documentation_and_version(call: Call, environment: Path) -> None:
    """Everything that is known of a function, as JSON."""
    facts = json.loads(call("show", "petstore.adopt", "--env", str(environment), "--json").stdout)
    assert "adopt(name: str, *, age: int = 1) -> Pet" == facts["signature"]
    assert ("petstore", "1.2", "function") == (facts["library"], facts["version"], facts["kind"])
    assert "Take a pet home." == facts["doc"]


@pytest.mark.usefixtures("indexed")
def test_show_lists_the_members_of_a_class(call: Call, environment: Path) -> None:
    """A class is shown with what its objects offer."""
    result = call("show", "petstore.Pet", "--env", str(environment))
    assert "feed" in result.stdout
    assert "(food, /, amount=2, *, warm=False)" in result.stdout


@pytest.mark.usefixtures("indexed")
def test_show_of_an_unknown_name_suggests_the_nearest(call: Call, environment: Path) -> None:
    """Exit code 1, and the name that was meant."""
    result = call("show", "petstore.adobt", "--env", str(environment))
    assert 1 == result.exit_code
    assert "did you mean petstore.adopt?" in result.stderr


def test_a_long_signature_has_a_line_for_each_parameter() -> None:
    """What does not fit 100 characters is laid out as code is."""
    parameters = [Parameter("source", "positional"), Parameter("*rest"[1:], "vararg", annotation="str")]
    parameters += [Parameter(f"option_{n}", "keyword", "None", "int | None") for n in range(5)]
    lines = signature_text("read", parameters, "bytes").splitlines()
    assert ["read(", "    source,", "    /,", "    *rest: str,"] == lines[:4]
    assert ["    option_4: int | None = None,", ") -> bytes"] == lines[-2:]


def test_a_result_that_is_only_known_by_a_call_is_not_shown() -> None:
    """``-> np.asarray(...)`` is a note of the index's, not a type."""
    assert "total(x) -> int" == signature_text("total", (Parameter("x", "standard"),), "int")
    assert "total(x)" == signature_text("total", (Parameter("x", "standard"),), "np.asarray(...)")
