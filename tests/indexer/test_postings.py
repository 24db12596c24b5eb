"""Columns of numbers by word."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from octod.indexer.bundles import Damaged
from octod.indexer.postings import MARKS, Words, packed, packed_words, unpacked

numbers = st.lists(st.integers(0, 2**24 - 1), max_size=5, unique=True).map(sorted)


@given(st.dictionaries(st.text("abé", min_size=1, max_size=3), st.lists(numbers, min_size=MARKS, max_size=MARKS), max_size=6))
def test_what_was_packed_is_read_for_each_word_and_for_neighbours(found: dict[str, list[list[int]]]) -> None:
    """Property: each list comes back, those of neighbours one behind the other, and beginnings of them."""
    row = Words(packed_words(sorted(found.items())))
    assert row.words == sorted(found)
    for mark in range(MARKS):
        lists = [found[word][mark] for word in row.words]
        assert [list(row.numbers(range(n, n + 1), mark)) for n in range(len(lists))] == lists
        assert list(row.numbers(range(len(lists)), mark)) == [number for one in lists for number in one]
        assert list(row.numbers(range(len(lists)), mark, 3)) == [number for one in lists for number in one][:3]


def test_words_are_found_by_their_beginning() -> None:
    """Those from one to before another."""
    row = Words(packed_words([(word, [()] * MARKS) for word in ("data", "database", "date")]))
    assert (row.between("data", "date"), row.between("x", "y")) == (range(2), range(3, 3))


@given(st.lists(st.integers(0, 2**24 - 1)))
def test_numbers_in_any_order_come_back(found: list[int]) -> None:
    """Property: unpacked(packed(numbers)) == numbers."""
    assert list(unpacked(packed(found))) == found


@pytest.mark.parametrize("data", [b"", b"abc", zlib.compress(b"[]"), zlib.compress(b'["a"]\n' + b"\1" * 21), zlib.compress(b"1\n")])
def test_other_bytes_are_damage(data: bytes) -> None:
    """Nothing else is raised."""
    with pytest.raises(Damaged):
        Words(data)
