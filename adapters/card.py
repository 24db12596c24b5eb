"""The card beside an adapter: what it is for, what it was made of, and how well it did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from octod.core.errors import AdapterRefused
from octod.core.symbols import LibraryId

__all__ = ["CARD", "Card", "Figure"]

CARD = "card.json"
FORMAT = 1
_LARGEST = 1_000_000  # bytes; a card is a few kilobytes


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the evaluation: a condition (``base``, ``adapter``, ...) on samples of one kind kept apart.

    ``kind`` is ``member`` or ``arguments``, in files that were not trained on; before it ``new-function`` for functions
    held out, ``other-source`` for source trees named as measured.
    ``top1`` and ``mrr`` are of the true member among the receiver's real ones, ``exact`` of the greedy argument
    list, ``bits`` the mean log-loss in bits per byte of the argument list; None where it does not apply.
    """

    condition: str
    kind: str
    samples: int
    top1: float | None = None
    mrr: float | None = None
    exact: float | None = None
    bits: float | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """Everything a person or a check wants to know of an adapter; ``created`` is UTC in ISO 8601."""

    library: LibraryId
    base_name: str
    base_weights: str
    base_tokenizer: str
    created: str = ""
    octod: str = ""
    command: str = ""
    seconds: float = 0.0
    steps: int = 0
    seed: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)  # kind of sample -> how many were trained on
    sources: Mapping[str, int] = field(default_factory=dict)  # distribution or project -> samples from it
    licences: Mapping[str, str] = field(default_factory=dict)  # distribution -> licence as declared
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text of ``card.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card that ``to_json`` wrote; AdapterRefused when it is none."""
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("format") != FORMAT:
                raise AdapterRefused("the card has another format", "train the adapter again with this octod")
            data["library"] = LibraryId(**data["library"])
            data["figures"] = tuple(Figure(**row) for row in data["figures"])
            data["notes"] = tuple(data["notes"])
            card = cls(**data)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise AdapterRefused(f"the card cannot be read: {error}", "train the adapter again") from error
        texts = (card.base_name, card.base_weights, card.base_tokenizer, *asdict(card.library).values())
        if not all(isinstance(value, str) for value in texts):
            raise AdapterRefused("the card cannot be read: names must be text", "train the adapter again")
        return card

    @classmethod
    def read(cls, folder: Path) -> Card:
        """The card in an adapter's folder; AdapterRefused when it is missing or damaged."""
        path = folder / CARD
        try:
            if path.stat().st_size > _LARGEST:
                raise AdapterRefused(f"{CARD} is too large", "train the adapter again")
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AdapterRefused(
                f"{CARD} cannot be read: {error.strerror}", "train the adapter again"
            ) from error
