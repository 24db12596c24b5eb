"""The words that search knows of a library: names and first lines of docstrings, as lists of numbers.

Of each word a library has one row: per pack of scopes the numbers of what the word speaks of, ascending, as differences
of seven bits a byte.  A number is ``slot * MARKS + marks``.  A scope takes one slot of its pack for itself and one for each
symbol that can be searched; the row of the empty word holds the slots of the scopes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from octod.core.symbols import Scope, Symbol
from octod.indexer.docstrings import summary

__all__ = [
    "DESCRIBED",
    "MARKS",
    "PARTS",
    "SLOTS",
    "TOP",
    "asked_words",
    "name_words",
    "numbers",
    "packed",
    "searchable",
    "segment",
    "stem",
    "words_of",
]

SLOTS = 1 << 20  # of one pack
MARKS = 16
DESCRIBED = 1  # the word is of the docstring, not of the name
TOP = 2  # in the first module of a library
PARTS = 4  # times the words of the name, less one, at most 3

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")
_TEXT = re.compile(r"[^\W_]+")
_SAYING_NOTHING = frozenset(
    ["the", "and", "for", "with", "from", "that", "this", "are", "was", "its", "not", "has", "have", "been", "will", "can", "may", "which", "when", "where", "whether", "into", "onto", "each", "any", "all", "some", "other", "than", "then", "also", "only", "used", "use", "using", "given", "see", "via", "per", "if", "in", "is", "it", "of", "on", "or", "to", "as", "at", "be", "by", "an", "returns", "return", "get", "gets", "set", "class", "method", "function", "object", "instance", "base", "value", "values"]
)


def name_words(name: str) -> list[str]:
    """The words of a name in lower case: ``DataFrame`` gives data and frame, ``read_csv`` read and csv."""
    return [part.lower() for part in _WORD.findall(name)] or [name.lower()]


def asked_words(text: str) -> list[str]:
    """The words of a question, at most eight, in lower case."""
    return [word.lower() for word in _TEXT.findall(text)][:8]


def searchable(scope: Scope, symbols: Iterable[Symbol]) -> list[Symbol]:
    """The symbols that can be searched, in their order: public functions, classes, properties and re-exports on a path
    without private parts."""
    if any(part.startswith("_") for part in scope.qualified.split(".")):
        return []
    return [symbol for symbol in symbols if symbol.public and symbol.kind != "attribute"]


def words_of(scope: Scope, found: Iterable[Symbol]) -> tuple[tuple[str, int], ...]:
    """(word, number from the scope's own slot on) of a scope and its searchable symbols."""
    # The first module of a library speaks for all of it; the standard library is many.
    top = TOP if "." not in scope.qualified else 0
    whole = 0 if scope.library.distribution == "stdlib" else top
    last = scope.qualified.rpartition(".")[2]
    words = {(word, whole) for word in (*name_words(last), last.lower()) if not last.startswith("_")}
    words |= {(word, whole + DESCRIBED) for word in _described(scope.doc)}
    for place, symbol in enumerate(found, 1):
        names = name_words(symbol.name)
        number = place * MARKS + top
        named = number + PARTS * min(3, len(set(names)) - 1)
        words.update((word, named) for word in names)
        if len(names) > 1 and "_" not in symbol.name:
            words.add(("".join(names), number))
        if symbol.doc:
            words.update((word, number + DESCRIBED) for word in _described(symbol.doc) if word not in names)
    return tuple(words)


def _described(doc: str) -> set[str]:
    words = {word.lower() for word in _TEXT.findall(summary(doc))}
    return {stem(word) for word in words if len(word) > 2 and word not in _SAYING_NOTHING}


def stem(word: str) -> str:
    """A word of prose without the ending of its plural or third person."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def packed(numbers: Iterable[int]) -> bytes:
    """Ascending numbers as bytes."""
    found = bytearray()
    last = 0
    for number in numbers:
        difference, last = number - last, number
        while difference > 127:
            found.append(difference & 127 | 128)
            difference >>= 7
        found.append(difference)
    return bytes(found)


def segment(pack: int, numbers: bytes) -> bytes:
    """What one pack contributes to the row of a word."""
    return packed([pack]) + packed([len(numbers)]) + numbers


def numbers(data: bytes) -> Iterator[tuple[int, list[int]]]:
    """(pack, numbers) of a word's row."""
    at = 0
    while at < len(data):
        pack, at = _one(data, at)
        size, at = _one(data, at)
        found: list[int] = []
        number = shift = difference = 0
        for byte in data[at : at + size]:
            if byte > 127:
                difference |= (byte & 127) << shift
                shift += 7
            else:
                number += difference | byte << shift
                found.append(number)
                shift = difference = 0
        yield pack, found
        at += size


def _one(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] > 127:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
    return number | data[at] << shift, at + 1
