"""``octod adapters`` on an empty registry; what it does with adapters is tested in tests/adapters."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

Call = Callable[..., Result]


def test_no_adapters_is_said_with_what_makes_one(call: Call) -> None:
    """An empty list tells the next step."""
    result = call("adapters", "list")
    assert (0, "no adapters yet; make one with `octod train PACKAGE`\n") == (result.exit_code, result.stdout)
    assert [] == json.loads(call("adapters", "list", "--json").stdout)


@pytest.mark.parametrize("command", ["show", "rm", "verify"])
def test_an_unknown_adapter_is_a_failure_with_a_hint(call: Call, command: str) -> None:
    """Exit code 1 and the command that lists them."""
    result = call("adapters", command, "petstore-1.2")
    assert 1 == result.exit_code
    assert "hint: `octod adapters list` shows all of them" in result.stderr


def test_cleaning_up_nothing_says_so(call: Call) -> None:
    """``gc`` on a sound registry removes nothing."""
    assert "nothing to remove\n" == call("adapters", "gc").stdout
    assert {"removed": []} == json.loads(call("adapters", "gc", "--json").stdout)
