"""Lane A: the members of the receiver, all of them, the likeliest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from octod.adapters.ranker import FEATURES, Matrix, Ranker, by_identity
from octod.adapters.signatures import render_parameters
from octod.core.answers import MenuItem
from octod.core.symbols import Member
from octod.daemon.context import Place, signature_line
from octod.daemon.jedi_worker import Completion

__all__ = ["MODELLED", "SHOWN", "items", "items_of_jedi", "likeliest", "order", "with_model"]

MODELLED = 32  # candidates that the language model scores at most; the author's member is among them in 19 of 20 menus
_APART = 40.0  # nats that it may put between two names
SHOWN = 5  # signatures in the prompt
_MODEL = FEATURES.index("model")
_IMPOSSIBLE = -100.0  # a log-probability below that of any real name


def order(scores: Matrix) -> list[int]:
    """Row numbers, the best score first; ties stay in the index's order."""
    return [int(i) for i in np.argsort(-scores, kind="stable")]


def likeliest(place: Place, table: Matrix, ranker: Ranker) -> list[int]:
    """Rows worth a model's opinion, the best first: those that go on from what is typed already and that it could bring to the top."""
    typed = place.cursor.partial.lower()
    scores = ranker.scores(table, modelled=False)
    ranked = [i for i in order(scores) if place.members[i].symbol.name.lower().startswith(typed)][:MODELLED]
    reach = ranker.nat * _APART
    return [row for place_in, row in enumerate(ranked) if place_in < SHOWN or scores[row] >= scores[ranked[0]] - reach]


def signatures(place: Place, rows: list[int]) -> tuple[str, ...]:
    """The prompt's index context: the likeliest members' signatures."""
    instance = not place.receiver.module
    return tuple(signature_line(place.members[i], instance) for i in rows[:SHOWN])


def with_model(table: Matrix, rows: list[int], scores: list[float]) -> Matrix:
    """The feature matrix with the model's column: rows it did not score stand with the worst of those it did."""
    filled = table.copy()
    # a name that the model calls impossible is the last one, not a number that nothing compares with
    known = np.nan_to_num(np.array(scores), nan=_IMPOSSIBLE, neginf=_IMPOSSIBLE, posinf=0.0)
    filled[:, _MODEL] = known.min() if len(known) else 0.0
    filled[rows, _MODEL] = known
    return filled


def items(place: Place, scores: Matrix, used: Collection[str] = (), without: Collection[str] = ()) -> tuple[MenuItem, ...]:
    """The menu's entries in the order of their scores, deprecated ones after the others, private ones last.

    A private name is no worse than others on ``self``, once it is begun, or where the file has ``used`` it.
    """
    shown = _shown(place.members)
    private, deprecated = _demoted(place.members)
    if place.cursor.partial.startswith("_") or place.cursor.receiver in ("self", "cls"):
        private = np.zeros(len(scores))
    elif private.any() and (kept := [i for i in np.flatnonzero(private) if shown[i][0] in used]):
        private = private.copy()
        private[kept] = 0.0
    ordered = order(scores - private - deprecated)
    return tuple(MenuItem(*shown[i], float(scores[i])) for i in ordered if shown[i][0] not in without)


def items_of_jedi(found: tuple[Completion, ...], counts: dict[str, int]) -> tuple[MenuItem, ...]:
    """What jedi knows of a receiver that the index does not, by how often each was called, private ones last."""
    ranked = sorted(found, key=lambda c: (c.name.startswith("_"), -counts.get(c.name, 0)))
    return tuple(
        MenuItem(c.name, c.kind, c.full_name or c.name, score=float(counts.get(c.name, 0))) for c in ranked
    )


@by_identity(4_000)
def _demoted(members: Sequence[Member]) -> tuple[Matrix, Matrix]:
    """What private members and deprecated ones lose; more than scores are apart."""
    names = [m.symbol.name.startswith("_") for m in members]
    return np.array(names) * 1e6, np.array([m.symbol.deprecated is not None for m in members]) * 1e3


@by_identity(4_000)
def _shown(members: Sequence[Member]) -> list[tuple[str, str, str, str, str, bool]]:
    """The fields of each member's menu entry up to the score."""
    return [
        (
            m.symbol.name,
            m.symbol.kind,
            m.qualified,
            "" if m.symbol.parameters is None else f"({render_parameters(m.symbol.parameters)})",
            m.library.distribution,
            m.symbol.deprecated is not None,
        )
        for m in members
    ]
