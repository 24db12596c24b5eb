"""What the members of a menu give when they are called, beside what the code around the cursor wants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from octod.core.symbols import Member
from octod.indexer.expected import Expected, type_names

__all__ = ["COLUMNS", "Returning", "words_of"]

COLUMNS = ("wanted", "unwanted", "thrown_away", "typed", "mistyped")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_BOOLEANS = frozenset({"bool", "bool_", "TypeGuard", "TypeIs"})
_ITERABLES = frozenset({
    "AsyncGenerator", "AsyncIterable", "AsyncIterator", "Collection", "Generator", "Iterable", "Iterator", "Mapping", "Sequence",
    "dict", "frozenset", "list", "range", "set", "tuple", "zip",
})  # fmt: skip
_MANAGER = re.compile(r"Context|Connection\Z|Session\Z|Transaction\Z|\AIterator\Z|\AAsyncIterator\Z|\AGenerator\Z")
_EXCEPTION = ("Error", "Exception", "Warning", "Exit")

Rows = npt.NDArray[np.intp]
Matrix = npt.NDArray[np.float64]


@lru_cache(maxsize=2048)
def words_of(name: str) -> tuple[str, ...]:
    """The words of an identifier, in lower case, each once."""
    return tuple(dict.fromkeys(word.lower() for word in _WORD.findall(name)))


class Returning:
    """The rows of a list of members by what calling them gives, as far as their annotations and names tell."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._length = len(members)
        kinds: dict[str, list[int]] = {}
        self._named: dict[str, list[int]] = {}
        self._known: list[int] = []
        for row, member in enumerate(members):
            symbol = member.symbol
            returns = symbol.returns or ""
            names = type_names(returns)
            if symbol.kind == "class":
                names |= {symbol.name}
            elif names:
                self._known.append(row)
            for name in names:
                self._named.setdefault(name, []).append(row)
            for kind, holds in (
                ("none", returns == "None"),
                ("boolean", bool(names & _BOOLEANS) or symbol.name.startswith(("is", "has_"))),
                ("iterable", bool(names & _ITERABLES)),
                ("manager", any(_MANAGER.search(n) for n in names)),
                ("coroutine", symbol.asynchronous),
                ("exception", symbol.name.endswith(_EXCEPTION)),
                ("class", symbol.kind == "class"),
            ):
                if holds:
                    kinds.setdefault(kind, []).append(row)
        self._rows = {kind: np.array(rows, dtype=np.intp) for kind, rows in kinds.items()}

    def columns(self, expected: Expected) -> Matrix:
        """The matrix (members, COLUMNS) of ones and zeros."""
        table = np.zeros((self._length, len(COLUMNS)))
        use = expected.use

        def mark(column: int, kind: str) -> None:
            if (rows := self._rows.get(kind)) is not None:
                table[rows, column] = 1.0

        fitting = {"condition": "boolean", "iterable": "iterable", "manager": "manager", "coroutine": "coroutine"}
        mark(0, fitting.get(use, use if use == "exception" else ""))
        if use == "nothing":
            mark(2, "none")
            mark(1, "class")
        else:
            mark(1, "none")
        if use not in ("coroutine", "argument"):
            mark(1, "coroutine")
        if use != "exception":
            mark(1, "exception")
        if expected.types:
            fits = [row for name in expected.types for row in self._named.get(name, ())]
            table[self._known, 4] = 1.0
            table[fits, 3] = 1.0
            table[fits, 4] = 0.0
        return table
