"""The menu's order: a linear conditional-logit model over a few features of each candidate.

A menu of n candidates is a matrix X of shape (n, features); the score is ``X @ w`` and the probability of a candidate
its softmax (McFadden's conditional logit, 1974).  Two weight vectors exist, one for menus that the language model has
scored and one for those that it has not (yet).  ``bench/fit_ranker.py`` fits them on sources that are measured nowhere.
"""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from octod.core.symbols import Member
from octod.indexer.usage import ReceiverUsage

__all__ = ["FEATURES", "Evidence", "Ranker", "by_identity", "features", "fit"]

Matrix = npt.NDArray[np.float64]

# Templates of what surrounds a call, each with a weight of its own (octod.indexer.features).
TEMPLATES = ("assign", "enclosing", "keyword", "statement", "function", "previous", "before", "context")
FEATURES = (
    "count",  # log of the smoothed share of the receiver's calls
    "seen",  # ever called on this receiver anywhere
    "bases",  # the same for the classes it derives from
    *(f"near_{t}" for t in TEMPLATES),  # naive Bayes log-ratios of what surrounds the call
    "used_here",  # log(1 + times used earlier in the file on the same expression)
    "used_last",  # was the last one used on it
    "used_type",  # log(1 + times used earlier in the file on the same type)
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
    """

    usage: ReceiverUsage | None
    bases: tuple[ReceiverUsage, ...]
    near: tuple[str, ...]
    here: tuple[str, ...]
    same_type: tuple[str, ...]


T = TypeVar("T")


def by_identity(most: int) -> Callable[[Callable[[Sequence[Member]], T]], Callable[[Sequence[Member]], T]]:
    """Remember a function's results for the last ``most`` member lists, told apart by identity: hashing hundreds of
    members takes longer than what is remembered.  Only tuples are remembered, since nobody changes them."""

    def decorate(function: Callable[[Sequence[Member]], T]) -> Callable[[Sequence[Member]], T]:
        known: OrderedDict[int, tuple[Sequence[Member], T]] = OrderedDict()

        @wraps(function)
        def remembered(members: Sequence[Member]) -> T:
            found = known.get(id(members))
            if found is not None and found[0] is members:
                return found[1]
            made = function(members)
            if isinstance(members, tuple):
                known[id(members)] = members, made  # holding the tuple keeps its id its own
                if len(known) > most:
                    known.popitem(last=False)
            return made

        return remembered

    return decorate


def features(members: Sequence[Member], evidence: Evidence) -> Matrix:
    """The matrix (members, FEATURES), the model's column zero."""
    rows, fixed = _fixed(members)
    table = fixed.copy()
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
    table[:, _HERE + 2] = np.log1p(_column(rows, Counter(evidence.same_type), len(members)))
    return table


_COUNT, _NEAR, _HERE, _HIDDEN = (FEATURES.index(f) for f in ("count", f"near_{TEMPLATES[0]}", "used_here", "hidden"))
_COLUMNS = {template: _NEAR + number for number, template in enumerate(TEMPLATES)}


@by_identity(64)
def _fixed(members: Sequence[Member]) -> tuple[Mapping[str, int], Matrix]:
    """(row of each name, the matrix with what depends on the members alone)."""
    table = np.zeros((len(members), len(FEATURES)))
    deepest = max((m.depth for m in members), default=0) or 1
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
    return {member.symbol.name: row for row, member in enumerate(members)}, table


def _column(rows: Mapping[str, int], counts: Mapping[str, int], length: int) -> Matrix:
    """The counts as a column; names that are no members are left out."""
    column = np.zeros(length)
    for name, count in counts.items():
        if (row := rows.get(name)) is not None:
            column[row] = count
    return column


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


@dataclass(frozen=True, slots=True)
class Ranker:
    """The two weight vectors, each of shape (FEATURES,)."""

    without_model: Matrix
    with_model: Matrix

    @classmethod
    def shipped(cls) -> Ranker:
        """The weights in ``ranker.json`` beside this module."""
        return _shipped()

    def scores(self, table: Matrix, modelled: bool) -> Matrix:
        """The scores (members,) of a feature matrix (members, FEATURES)."""
        return np.asarray(table @ (self.with_model if modelled else self.without_model))


@cache
def _shipped() -> Ranker:
    data = json.loads(Path(__file__).with_name("ranker.json").read_text(encoding="utf-8"))

    def vector(name: str) -> Matrix:
        return np.array([float(data[name].get(f, 0.0)) for f in FEATURES])

    return Ranker(vector("without_model"), vector("with_model"))


def fit(menus: Sequence[tuple[Matrix, int]], columns: Sequence[int], *, steps: int = 600, decay: float = 1e-3) -> Matrix:
    """Weights (FEATURES,) that make the gold rows likely: full-batch Adam on the conditional logit's log-loss.

    ``menus`` are (matrix, index of the gold row); only ``columns`` get a weight, the others stay 0.
    """
    weights = np.zeros(len(FEATURES))
    chosen = np.array(list(columns))
    used = [(table[:, chosen], gold) for table, gold in menus]
    stacked = np.concatenate([table for table, _ in used])
    scale = stacked.std(axis=0) + 1e-6
    starts = np.cumsum([0] + [len(table) for table, _ in used])[:-1]
    golds = starts + np.array([gold for _, gold in used])
    lengths = np.array([len(table) for table, _ in used])
    x = stacked / scale
    w = np.zeros(len(chosen))
    first, second = np.zeros_like(w), np.zeros_like(w)
    for step in range(1, steps + 1):
        s = x @ w
        s -= np.repeat(np.maximum.reduceat(s, starts), lengths)
        e = np.exp(s)
        p = e / np.repeat(np.add.reduceat(e, starts), lengths)
        gradient = (x.T @ p - x[golds].sum(axis=0)) / len(used) + decay * w
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        w -= 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    weights[chosen] = w / scale
    return weights
