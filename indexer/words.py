"""The words that search knows: those of names, of the first lines of docstrings, and of questions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from octod.core.symbols import Scope, Symbol
from octod.indexer.docstrings import summary

__all__ = ["asked_words", "described", "name_words", "searchable", "stem"]

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


def searchable(symbols: Iterable[Symbol]) -> list[Symbol]:
    """The symbols of a scope that can be searched, in their order: public functions, classes, properties and re-exports."""
    return [symbol for symbol in symbols if symbol.public and symbol.kind != "attribute"]


def described(scope: Scope, found: Iterable[Symbol]) -> list[str]:
    """The words of docstrings: of a scope and of each of its searchable symbols, with spaces between them."""
    return [_described(scope.doc), *(_described(symbol.doc) if symbol.doc else "" for symbol in found)]


def _described(doc: str) -> str:
    words = {word.lower() for word in _TEXT.findall(summary(doc))}
    return " ".join(sorted({stem(word) for word in words if len(word) > 2 and word not in _SAYING_NOTHING}))


def stem(word: str) -> str:
    """A word of prose without the ending of its plural or third person."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
