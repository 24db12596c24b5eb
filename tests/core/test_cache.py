"""A cache forgets by weight, what was used longest ago first."""

from __future__ import annotations

import pytest
from octod.core.cache import Cache


def test_what_was_used_longest_ago_goes_first() -> None:
    """Asking for a value makes it young again, whichever way it is asked for."""
    cache: Cache[str, int] = Cache(3)
    for number, key in enumerate("abc"):
        cache.put(key, number, 1)
    assert (0, 1) == (cache["a"], cache.get("b"))
    cache.put("d", 3, 1)
    assert [0, 1, 3] == cache.values()
    assert "c" not in cache and cache.get("c") is None
    with pytest.raises(KeyError):
        cache["c"]


def test_weights_count_not_numbers() -> None:
    """One heavy value pushes out several light ones, and stays even when it alone is over the limit."""
    dropped: list[str] = []
    cache: Cache[int, str] = Cache(10, dropped.append)
    for number in range(5):
        cache.put(number, f"light {number}", 2)
    cache.put(9, "heavy", 7)
    assert (["light 0", "light 1", "light 2", "light 3"], 9) == (dropped, cache.weight)
    cache.put(10, "too heavy", 50)
    assert (["too heavy"], 50) == (cache.values(), cache.weight)
    cache.put(11, "light", 1)
    assert (["light"], 1) == (cache.values(), cache.weight)


def test_putting_again_replaces_value_and_weight() -> None:
    """The weight of a key is that of its last value; nothing was dropped for it."""
    dropped: list[str] = []
    cache: Cache[str, str] = Cache(10, dropped.append)
    cache.put("a", "one", 4)
    assert "two" == cache.put("a", "two", 6)
    assert (1, 6, []) == (len(cache), cache.weight, dropped)
    cache.clear()
    assert (0, 0, []) == (len(cache), cache.weight, dropped)


def test_none_is_a_value() -> None:
    """That something does not exist can be remembered."""
    cache: Cache[str, None] = Cache(1)
    cache.put("nothing", None, 1)
    assert "nothing" in cache and cache["nothing"] is None
