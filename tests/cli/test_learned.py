"""``octod learned``: shown and cleared."""

from __future__ import annotations

import json

from octod.adapters.accepted import Accepted
from octod.core.paths import Paths

from tests.cli.conftest import Call


def test_what_was_accepted_is_shown_and_cleared(call: Call) -> None:
    """A table for a person, JSON for a program, nothing afterwards."""
    store = Accepted.at(Paths.of())
    store.note("folds.Sheet()", "turn")
    assert "folds.Sheet()" in call("learned").output
    assert [{"receiver": "folds.Sheet()", "member": "turn", "count": 1.0}] == json.loads(call("learned", "--json").output)
    assert "forgot 1 count\n" == call("learned", "clear").output
    assert [] == json.loads(call("learned", "--json").output)
    assert "nothing has been accepted yet" in call("learned").output
    assert "forgot 0 counts\n" == call("learned", "clear").output
