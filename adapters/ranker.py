"""The menu's order: a linear conditional-logit model over a few features of each candidate.

A menu of n candidates is a matrix X of shape (n, features); the score is ``X @ w`` and the probability of a candidate
its softmax (McFadden's conditional logit, 1974).  Two weight vectors exist, one for menus that the language model has
scored and one for those that it has not (yet).  ``bench/fit_ranker.py`` fits them on sources that are measured nowhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from octod.core.symbols import Member
from octod.indexer.usage import ReceiverUsage

__all__ = ["FEATURES", "Evidence", "Ranker", "features", "fit"]

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


def features(members: Sequence[Member], evidence: Evidence) -> Matrix:
    """The matrix (members, FEATURES), the model's column zero."""
    table = np.zeros((len(members), len(FEATURES)))
    counts = evidence.usage.members if evidence.usage else {}
    total = sum(counts.values())
    base_counts: dict[str, int] = {}
    for usage in evidence.bases:
        for name, n in usage.members.items():
            base_counts[name] = base_counts.get(name, 0) + n
    base_total = sum(base_counts.values())
    near = _near(evidence, counts)
    here = {name: n for name in set(evidence.here) if (n := evidence.here.count(name))}
    typed = {name: n for name in set(evidence.same_type) if (n := evidence.same_type.count(name))}
    last = evidence.here[-1] if evidence.here else ""
    spread = max(len(members), 1)
    deepest = max((m.depth for m in members), default=0) or 1
    for row, member in enumerate(members):
        symbol = member.symbol
        name = symbol.name
        seen = counts.get(name, 0)
        table[row] = [
            math.log((seen + 1.0 / spread) / (total + 1.0)),
            float(seen > 0),
            math.log((base_counts.get(name, 0) + 1.0 / spread) / (base_total + 1.0)),
            *(near[t].get(name, 0.0) for t in TEMPLATES),
            math.log1p(here.get(name, 0)),
            float(name == last),
            math.log1p(typed.get(name, 0)),
            float(not symbol.public),
            float(name.startswith("_")),
            float(name.startswith("__") and name.endswith("__")),
            float(symbol.kind in ("function", "class")),
            float(symbol.kind == "class"),
            float(symbol.kind == "module"),
            float(symbol.deprecated is not None),
            member.depth / deepest,
            0.0,
        ]
    return table


def _near(evidence: Evidence, counts: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Per template and member the sum of log P(feature | member) / P(feature), smoothed towards no evidence."""
    found: dict[str, dict[str, float]] = {t: {} for t in TEMPLATES}
    usage = evidence.usage
    if usage is None or not counts:
        return found
    total = sum(counts.values())
    for feature in evidence.near:
        by_member = usage.features.get(feature)
        if not by_member:
            continue
        template = feature.split(":", 1)[0]
        column = found.get(template)
        if column is None:
            continue
        background = (sum(by_member.values()) + 0.5) / (total + 1.0)
        # two pseudo-observations at the background's rate keep rare members near zero
        for name in counts:
            share = (by_member.get(name, 0) + 2.0 * background) / (counts[name] + 2.0)
            column[name] = column.get(name, 0.0) + math.log(share / background)
    return found


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
