"""The menu's order: a conditional-logit model over a few features of each candidate.

A menu of n candidates is a matrix of shape (n, features); a small network scores each row (scorer.py), and the probability of a
candidate is the scores' softmax (McFadden's conditional logit, 1974).  Two networks exist, one for menus that the language model
has scored and one for those that it has not (yet).  ``bench/fit_ranker.py`` fits them on sources that are measured nowhere.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from octod.adapters.returning import Returning, words_of
from octod.adapters.scorer import Scorer
from octod.core.cache import Cache
from octod.core.symbols import Member
from octod.indexer.expected import Expected
from octod.indexer.usage import ReceiverUsage

__all__ = ["FEATURES", "INPUTS", "Evidence", "Ranker", "by_identity", "features", "fit", "inputs"]

Matrix = npt.NDArray[np.float64]
_ANYTHING = Expected()
_OFTEN = 3  # times that a word stands around from which on it counts fully

# Templates of what surrounds a call, each with a weight of its own (octod.indexer.features).
TEMPLATES = ("assign", "enclosing", "keyword", "statement", "function", "previous", "before", "context")
FEATURES = (
    "count",  # log of the smoothed share of the receiver's calls
    "seen",  # ever called on this receiver anywhere
    "bases",  # the same for the classes it derives from
    "names",  # log(1 + calls of the member's name on any receiver)
    *(f"near_{t}" for t in TEMPLATES),  # naive Bayes log-ratios of what surrounds the call
    "used_here",  # log(1 + times used earlier in the file on the same expression)
    "used_last",  # was the last one used on it
    "used_type",  # log(1 + times used earlier in the file on the same type)
    "used",  # ever used in the file on the same type
    "project",  # log(1 + times used in the repository's other files)
    "accepted",  # log(1 + what the user accepted on this receiver, fading)
    "word_assigned",  # share of the member's words that are in the name that the statement assigns
    "word_function",  # ... in the enclosing function's name
    "word_keyword",  # ... in the keyword that it is the value of
    "word_around",  # ... among the names just before
    "wanted",  # fits what is done with it: a bool for a condition, something to iterate over, an exception to raise
    "unwanted",  # does not: None as a value, an exception that is not raised, a coroutine that is not awaited
    "thrown_away",  # returns None, in a statement of its own
    "typed",  # returns a type that the annotation around asks for
    "mistyped",  # returns another one
    "hidden",  # no part of the public API: private, or merely imported
    "private",
    "dunder",
    "callable",
    "class",
    "module",
    "deprecated",
    "depth",  # place in the resolution order, 0 to 1
    "model",  # log-probability of the name, from the language model
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one menu besides its candidates.

    ``usage`` of the receiver and of its bases (nearest first); ``near`` the features around the cursor; ``here`` and
    ``same_type`` the members used earlier in the file on the same expression and on the same type, oldest first.
    ``names`` counts the calls of a name on any receiver, ``project`` those on this receiver in the user's repository
    (the file itself included), ``accepted`` what the user took from menus, ``around`` the words just before the cursor.
    ``whole`` is False where there was no time for all of the file's calls.
    """

    usage: ReceiverUsage | None = None
    bases: tuple[ReceiverUsage, ...] = ()
    near: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    same_type: tuple[str, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)
    project: Mapping[str, int] = field(default_factory=dict)
    accepted: Mapping[str, float] = field(default_factory=dict)
    around: Mapping[str, int] = field(default_factory=dict)
    expected: Expected = _ANYTHING
    whole: bool = True


T = TypeVar("T")


def by_identity(most: int) -> Callable[[Callable[[Sequence[Member]], T]], Callable[[Sequence[Member]], T]]:
    """Remember a function's results for the lists used last, ``most`` members in all, told apart by identity: hashing hundreds
    of members takes longer than what is remembered.  Only tuples are remembered, since nobody changes them."""

    def decorate(function: Callable[[Sequence[Member]], T]) -> Callable[[Sequence[Member]], T]:
        known: Cache[int, tuple[Sequence[Member], T]] = Cache(most)

        @wraps(function)
        def remembered(members: Sequence[Member]) -> T:
            found = known.get(id(members))
            if found is not None and found[0] is members:
                return found[1]
            made = function(members)
            if isinstance(members, tuple):
                known.put(id(members), (members, made), len(members))  # holding the tuple keeps its id its own
            return made

        return remembered

    return decorate


def features(members: Sequence[Member], evidence: Evidence) -> Matrix:
    """The matrix (members, FEATURES), the model's column zero."""
    known = _fixed(members)
    rows, table = known.rows, known.table.copy()
    counts = evidence.usage.members if evidence.usage else {}
    base_counts: Counter[str] = Counter()
    for usage in evidence.bases:
        base_counts.update(usage.members)
    spread = 1.0 / max(len(members), 1)
    seen = _column(rows, counts, len(members))
    table[:, _COUNT] = np.log((seen + spread) / (sum(counts.values()) + 1.0))
    table[:, _COUNT + 1] = seen > 0
    above = _column(rows, base_counts, len(members))
    table[:, _COUNT + 2] = np.log((above + spread) / (base_counts.total() + 1.0))
    _near(evidence, counts, rows, table)
    table[:, _HERE] = np.log1p(_column(rows, Counter(evidence.here), len(members)))
    if evidence.here and (last := rows.get(evidence.here[-1])) is not None:
        table[last, _HERE + 1] = 1.0
    used = _column(rows, Counter(evidence.same_type), len(members))
    table[:, _HERE + 2] = np.log1p(used)
    table[:, _HERE + 3] = used > 0
    # the file itself is one of the repository's: what it says counts once
    table[:, _PROJECT] = np.log1p(np.maximum(_column(rows, evidence.project, len(members)) - used, 0.0))
    table[:, _PROJECT + 1] = np.log1p(_column(rows, evidence.accepted, len(members)))
    if evidence.names:
        names = evidence.names
        table[:, _COUNT + 3] = np.log1p(np.array([names.get(name, 0) for name in rows], dtype=np.float64))
    _words(evidence, known.words, table)
    returning = known.returning
    table[:, _WANTED : _WANTED + 5] = returning.columns(evidence.expected)
    return table


_COUNT, _NEAR, _HERE, _HIDDEN = (FEATURES.index(f) for f in ("count", f"near_{TEMPLATES[0]}", "used_here", "hidden"))
_PROJECT, _WORD, _WANTED = (FEATURES.index(f) for f in ("project", "word_assigned", "wanted"))
_WORDS = {"assign": _WORD, "function": _WORD + 1, "keyword": _WORD + 2}
_COMPARED = [FEATURES.index(f) for f in ("count", "names", *(f"near_{t}" for t in TEMPLATES), "model")]
INPUTS = (*FEATURES, "near", *(f"{FEATURES[i]} less the best" for i in _COMPARED), "near less the best")
_COLUMNS = {template: _NEAR + number for number, template in enumerate(TEMPLATES)}


@dataclass(frozen=True, slots=True, eq=False)
class _Fixed:
    """What depends on the members alone: the row of each name, the matrix, rows by word with the word's share of the
    name, and what the members return."""

    rows: Mapping[str, int]
    table: Matrix
    words: Mapping[str, tuple[npt.NDArray[np.intp], Matrix]]
    returning: Returning


@by_identity(6_000)  # of 1 kB each, symbols included
def _fixed(members: Sequence[Member]) -> _Fixed:
    table = np.zeros((len(members), len(FEATURES)))
    deepest = max((m.depth for m in members), default=0) or 1
    shares: dict[str, list[tuple[int, float]]] = {}
    for row, member in enumerate(members):
        symbol = member.symbol
        name = symbol.name
        table[row, _HIDDEN : _HIDDEN + 8] = (
            not symbol.public,
            name.startswith("_"),
            name.startswith("__") and name.endswith("__"),
            symbol.kind in ("function", "class"),
            symbol.kind == "class",
            symbol.kind == "module",
            symbol.deprecated is not None,
            member.depth / deepest,
        )
        words = words_of(name)
        for word in words:
            shares.setdefault(word, []).append((row, 1.0 / len(words)))
    by_word = {w: (np.array([r for r, _ in p], dtype=np.intp), np.array([s for _, s in p])) for w, p in shares.items()}
    return _Fixed({m.symbol.name: row for row, m in enumerate(members)}, table, by_word, Returning(members))


def _column(rows: Mapping[str, int], counts: Mapping[str, float], length: int) -> Matrix:
    """The counts as a column; names that are no members are left out."""
    column = np.zeros(length)
    for name, count in counts.items():
        if (row := rows.get(name)) is not None:
            column[row] = count
    return column


def _words(evidence: Evidence, words: Mapping[str, tuple[npt.NDArray[np.intp], Matrix]], table: Matrix) -> None:
    """Fill in which members' names speak of what is assigned, of the function around, of the keyword, of the names before."""
    told: set[tuple[int, str]] = set()
    for feature in evidence.near:
        template, _, value = feature.partition(":")
        if (column := _WORDS.get(template)) is not None:
            told |= {(column, word) for word in words_of(value)}
    for column, word in told:
        if (found := words.get(word)) is not None:
            table[found[0], column] += found[1]
    for word, count in evidence.around.items():
        if (found := words.get(word)) is not None:
            table[found[0], _WORD + 3] += found[1] * min(count, _OFTEN) / _OFTEN


def _near(evidence: Evidence, counts: Mapping[str, int], rows: Mapping[str, int], table: Matrix) -> None:
    """Fill in, per template and member, the sum of log P(feature | member) / P(feature), smoothed towards no evidence.

    Two pseudo-observations at the background's rate keep rare members near zero:
    share = (n + 2 background) / (count + 2), and the column adds log(share / background).
    """
    if evidence.usage is None or not counts:
        return
    called = [(row, count) for name, count in counts.items() if (row := rows.get(name)) is not None]
    places = np.array([row for row, _ in called], dtype=np.intp)
    nothing = math.log(2.0) - np.log(np.array([count for _, count in called], dtype=np.float64) + 2.0)
    total = sum(counts.values())
    for feature in evidence.near:
        by_member = evidence.usage.features.get(feature)
        column = _COLUMNS.get(feature.split(":", 1)[0])
        if not by_member or column is None:
            continue
        background = (sum(by_member.values()) + 0.5) / (total + 1.0)
        table[places, column] += nothing
        for name, n in by_member.items():
            if name in counts and (row := rows.get(name)) is not None:
                table[row, column] += math.log1p(n / (2.0 * background))


def inputs(table: Matrix) -> Matrix:
    """(members, FEATURES) → (members, INPUTS): the features, and some of them less the menu's best."""
    near = table[:, _NEAR : _NEAR + len(TEMPLATES)].sum(axis=1, keepdims=True)
    compared = np.concatenate([table[:, _COMPARED], near], axis=1)
    best = compared.max(axis=0, keepdims=True) if len(compared) else 0.0
    return np.concatenate([table, near, compared - best], axis=1)


@dataclass(frozen=True, slots=True)
class Ranker:
    """The two networks; ``nat`` is how far a nat of the language model moves a row at most."""

    without_model: Scorer
    with_model: Scorer
    nat: float

    @classmethod
    def shipped(cls) -> Ranker:
        """What is in ``ranker.json`` beside this module."""
        return _shipped()

    def scores(self, table: Matrix, modelled: bool) -> Matrix:
        """The scores (members,) of a feature matrix (members, FEATURES)."""
        return (self.with_model if modelled else self.without_model)(inputs(table))


@cache
def _shipped() -> Ranker:
    data = json.loads(Path(__file__).with_name("ranker.json").read_text(encoding="utf-8"))
    return Ranker(Scorer.of(data["without_model"]), Scorer.of(data["with_model"]), data["nat"])


def fit(
    menus: Sequence[tuple[Matrix, int]],
    columns: Sequence[int],
    *,
    shares: Sequence[float] | None = None,
    steps: int = 400,
    decay: float = 3e-3,
) -> Matrix:
    """Weights (width,) that make the gold rows likely: full-batch Adam on the conditional logit's log-loss.

    ``menus`` are (matrix (members, width), index of the gold row), ``shares`` how much each of them counts; only
    ``columns`` get a weight, the others stay 0.
    """
    weights = np.zeros(menus[0][0].shape[1])
    chosen = np.array(list(columns))
    used = [(table[:, chosen], gold) for table, gold in menus]
    share = np.ones(len(used)) if shares is None else np.array(shares, dtype=np.float64)
    share /= share.sum()
    stacked = np.concatenate([table for table, _ in used])
    scale = stacked.std(axis=0) + 1e-6
    starts = np.cumsum([0] + [len(table) for table, _ in used])[:-1]
    golds = starts + np.array([gold for _, gold in used])
    lengths = np.array([len(table) for table, _ in used])
    x = stacked / scale
    by_row = np.repeat(share, lengths)
    aim = share @ x[golds]
    w = np.zeros(len(chosen))
    first, second = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, steps + 1):
        s = x @ w
        s -= np.repeat(np.maximum.reduceat(s, starts), lengths)
        e = np.exp(s)
        p = e / np.repeat(np.add.reduceat(e, starts), lengths) * by_row
        gradient = x.T @ p - aim + decay * w
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w -= 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    weights[chosen] = w / scale
    return weights
