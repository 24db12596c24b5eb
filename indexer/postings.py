"""Postings: which entries each word has, as columns of numbers that are read for many words at once."""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from octod.indexer.bundles import Damaged

__all__ = ["MARKS", "Words", "packed", "packed_words", "unpacked"]

MARKS = 7  # columns
_WIDTH = 3  # bytes of a number
_LITTLE = sys.byteorder == "little"


def packed(numbers: Sequence[int]) -> bytes:
    """Numbers below 2**24, compressed: all low bytes, then the middle ones, then the high ones."""
    return zlib.compress(_planes(numbers))


def unpacked(data: bytes) -> array[int]:
    """The numbers of ``packed``.  Raises Damaged on other bytes."""
    try:
        raw = zlib.decompress(data)
        return _joined(raw, 0, len(raw) // _WIDTH, 0, len(raw) // _WIDTH)
    except (zlib.error, ValueError) as error:
        raise Damaged(f"no numbers ({error})") from error


def packed_words(words: Sequence[tuple[str, Sequence[Sequence[int]]]]) -> bytes:
    """A row of words in ascending order, each with ``MARKS`` lists of ascending numbers below 2**24."""
    head = json.dumps([word for word, _ in words], separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    columns = [[lists[mark] for _, lists in words] for mark in range(MARKS)]
    counts = [len(numbers) for column in columns for numbers in column]
    values = [_planes([number for numbers in column for number in numbers]) for column in columns]
    return zlib.compress(b"".join([head, b"\n", _planes(counts), *values]))


class Words:
    """A row of ``packed_words``.  Raises Damaged on bytes that are none."""

    __slots__ = ("_columns", "_raw", "words")

    def __init__(self, data: bytes) -> None:
        try:
            self._raw = zlib.decompress(data)
            at = self._raw.index(b"\n") + 1
            self.words: list[str] = json.loads(self._raw[: at - 1])
            size = len(self.words)
            counts = _joined(self._raw, at, MARKS * size, 0, MARKS * size)
        except (zlib.error, ValueError, TypeError) as error:
            raise Damaged(f"no words ({error})") from error
        at += MARKS * size * _WIDTH
        self._columns: list[tuple[int, list[int]]] = []  # where each begins, and within it the numbers of each word
        for mark in range(MARKS):
            starts = list(accumulate(counts[mark * size : (mark + 1) * size], initial=0))
            self._columns.append((at, starts))
            at += starts[-1] * _WIDTH
        if at != len(self._raw):
            raise Damaged("no words (sizes)")

    def between(self, start: str, end: str) -> range:
        """The places of the words from ``start`` to before ``end``."""
        return range(bisect_left(self.words, start), bisect_left(self.words, end))

    def numbers(self, places: range, mark: int, most: int = 1 << 24) -> array[int]:
        """The numbers that words at neighbouring places have under a mark, the first ``most``."""
        at, starts = self._columns[mark]
        first, last = starts[places.start], starts[places.stop]
        return _joined(self._raw, at, starts[-1], first, min(last, first + most))


def _planes(numbers: Sequence[int]) -> bytes:
    return b"".join(bytes([number >> 8 * plane & 255 for number in numbers]) for plane in range(_WIDTH))


def _joined(raw: bytes, at: int, count: int, first: int, last: int) -> array[int]:
    """The numbers from ``first`` to before ``last`` of the ``count`` ones whose planes begin at ``at``."""
    joined = bytearray(4 * (last - first))
    if joined:
        for plane in range(_WIDTH):
            joined[plane if _LITTLE else 3 - plane :: 4] = raw[at + plane * count + first : at + plane * count + last]
    return array("I", bytes(joined))
