"""How fast an index answers."""

from __future__ import annotations

import re

import pytest

from tests.bench.conftest import Shop


@pytest.mark.slow
def test_an_index_that_is_there_is_asked(shop: Shop) -> None:
    """Scopes, usage and searches, each with its middle and late times."""
    printed = shop.run("index_speed.py", "--ask", "index.db", "--queries", "5")
    asked = {what.strip(): float(late) for what, late in re.findall(r"(?m)^([a-z, ]+) p50 .* p95 +([\d.]+) ms", printed)}
    assert {"scope, cold", "scope, warm", "usage", "search, opening", "search, first", "search, again"} == set(asked)
    assert all(late > 0 for late in asked.values())
