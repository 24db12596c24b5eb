"""What is read ahead of a module is remembered, turn by turn."""

from __future__ import annotations

from octod.indexer.ahead import read_ahead
from octod.indexer.lookup import memo_of
from resolving import Shelf


def test_each_turn_gets_farther_until_all_names_are_known() -> None:
    """Re-exports and stars; without patience one name a turn."""
    source = Shelf({
        "pack": "from pack.a import one, two\nfrom pack.b import *\n",
        "pack.a": "def one(): ...\ndef two(): ...\n",
        "pack.b": "from pack.c import three\n__all__ = ['three']\n",
        "pack.c": "def three(): ...\n",
    })  # fmt: skip
    turns = 1
    while not read_ahead(source, "pack", 0.0 if turns < 9 else 1.0):
        turns += 1
    assert 1 < turns < 20
    assert {"pack.one", "pack.two"} <= memo_of(source).targets.keys()
    assert read_ahead(source, "pack", 1.0) and read_ahead(source, "not.there", 0.0)
