"""Usage: what is counted, how it is kept, and how it is merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.core.errors import IndexProblem
from octod.indexer.usage import (
    MOST_ARGUMENTS,
    MOST_OF_ONE,
    MOST_PAIRS,
    Paired,
    ReceiverUsage,
    decode,
    encode,
    merge,
    mine,
)
from resolving import SOURCE

FILE = """
import shop
from shop import connect

def test_it():
    client = shop.connect('x')
    reply = client.get('u', retries=1)
    client.get('u', retries=1)
    connect('y').close()
    shop.unknown(1).whatever()
"""


def mined(tmp_path: Path, text: str = FILE) -> dict[str, ReceiverUsage]:
    """What mining a file of that text finds."""
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8")
    return mine(SOURCE, [path])


def test_calls_are_counted_by_canonical_receiver(tmp_path: Path) -> None:
    """Modules, objects and unknown results of known functions have a key each."""
    found = mined(tmp_path)
    assert {key: usage.members for key, usage in found.items()} == {
        "shop": {"connect": 2, "unknown": 1},
        "shop.Client()": {"get": 2, "close": 1},
        "shop.unknown()": {"whatever": 1},
    }


def test_arguments_keywords_and_surroundings_are_counted(tmp_path: Path) -> None:
    """They are what ranking and ghost text start from."""
    client = mined(tmp_path)["shop.Client()"]
    assert client.arguments == {"get": {"'u', retries=1": 2}, "close": {"": 1}}
    assert client.keywords == {"get": {"retries": 2}}
    assert client.features["assign:reply"] == {"get": 1}
    assert client.features["previous:get"] == {"get": 1}


def test_files_without_a_library_or_with_faults_are_passed_over(tmp_path: Path) -> None:
    """Nothing is raised for what is installed."""
    assert mined(tmp_path, "import typing\ntyping.x()\n") == {}
    assert mined(tmp_path, "import shop\nshop.connect(\n") == {}
    assert mine(SOURCE, [tmp_path / "gone.py"]) == {}


def test_encoding_keeps_small_usage_whole(tmp_path: Path) -> None:
    """Of a rarely used receiver nothing is pruned."""
    for usage in mined(tmp_path).values():
        assert decode(encode(usage)) == usage


def test_merging_adds_up(tmp_path: Path) -> None:
    """Two sources count together; one that is damaged counts as nothing."""
    part = encode(mined(tmp_path)["shop.Client()"])
    total = decode(merge([part, b"damaged", part]))
    assert (total.calls, total.members, total.keywords) == (6, {"get": 4, "close": 2}, {"get": {"retries": 4}})


def test_damaged_usage_is_told() -> None:
    """The message says what to do."""
    with pytest.raises(IndexProblem, match="octod index"):
        decode(b"\x00")


def test_large_usage_is_bounded() -> None:
    """A receiver called everywhere stays small enough to load at a keystroke."""
    usage = ReceiverUsage(calls=10**6)
    for i in range(2_000):
        usage.members[f"m{i}"] = 2_000 - i
        usage.features[f"assign:w{i}"] = {f"m{j}": 3 for j in range(100)}
        usage.arguments[f"m{i}"] = {str(j): 2 for j in range(50)}
    kept = decode(encode(usage))
    assert (len(kept.members), max(len(a) for a in kept.arguments.values())) == (800, MOST_ARGUMENTS)
    assert sum(len(m) for m in kept.features.values()) <= MOST_PAIRS + MOST_OF_ONE
    assert list(kept.members)[:2] == ["m0", "m1"]


def test_features_are_read_one_by_one_and_damaged_ones_say_nothing() -> None:
    """A pair without a count, or of a member that is not there."""
    paired = Paired({"statement:if": [0, 3, 1, 2], "before:get": [7, 1], "before:add": [0]}, ["get", "close"])
    assert ({"get": 3, "close": 2}, {}, {}) == tuple(paired[f] for f in ("statement:if", "before:get", "before:add"))
    assert (3, None) == (len(paired), paired.get("before:pop"))
