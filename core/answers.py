"""What the daemon answers: values that cross the socket as JSON and reach the editor through the language server."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

__all__ = ["AdapterUse", "Ghost", "Hover", "Menu", "MenuItem", "SignatureHelp", "from_json", "to_json"]

Route = Literal["index", "jedi", "unknown"]


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry of the menu, in the order to be shown; ``signature`` is ``(url, *, params=None)`` or empty."""

    name: str
    kind: str
    qualified: str
    signature: str = ""
    library: str = ""
    deprecated: bool = False
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class AdapterUse:
    """An adapter that took part in an answer, with its weight in the mixture."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Menu:
    """Lane A's answer: items replace the text from ``start`` (code points) to the cursor."""

    items: tuple[MenuItem, ...]
    start: int
    receiver: str = ""
    route: Route = "index"
    adapters: tuple[AdapterUse, ...] = ()
    model: bool = False  # the model's score took part in the order
    incomplete: bool = False
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ghost:
    """Lane B's answer: ``text`` to insert in place of ``start``..cursor (code points); probability of each step's mean."""

    text: str
    start: int
    confidence: float
    adapters: tuple[AdapterUse, ...] = ()
    source: Literal["model", "copy", "empty"] = "model"
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Hover:
    """What a symbol is: its signature line, docstring, library and version; offsets are code points."""

    qualified: str
    kind: str
    signature: str
    doc: str
    library: str
    version: str
    start: int
    end: int
    deprecated: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureHelp:
    """The signature of the call around the cursor and which parameter the cursor is in (-1: none)."""

    label: str
    parameters: tuple[str, ...]
    active: int
    doc: str


_KINDS: dict[str, type] = {c.__name__: c for c in (Menu, Ghost, Hover, SignatureHelp)}
_NAMES = {c: tuple(f.name for f in fields(c)) for c in (*_KINDS.values(), AdapterUse)}


def to_json(answer: Menu | Ghost | Hover | SignatureHelp) -> dict[str, Any]:
    """A JSON object that ``from_json`` turns back into the same value."""
    # dataclasses.asdict copies every value deeply: ten times the time on a menu of 500 entries
    data = {"answer": type(answer).__name__, **_plain(answer)}
    if isinstance(answer, Menu):
        data["items"] = [_item(i) for i in answer.items]
    if isinstance(answer, Menu | Ghost):
        data["adapters"] = [_plain(a) for a in answer.adapters]
    if isinstance(answer, SignatureHelp):
        data["parameters"] = list(answer.parameters)
    return data


def from_json(data: dict[str, Any]) -> Menu | Ghost | Hover | SignatureHelp:
    """The answer that ``to_json`` wrote; raises ValueError when it is none."""
    try:
        fields = dict(data)
        made = _KINDS[fields.pop("answer")]
        if "adapters" in fields:
            fields["adapters"] = tuple(AdapterUse(**a) for a in fields["adapters"])
        if made is Menu:
            fields["items"] = tuple(MenuItem(**i) for i in fields["items"])
        if made is SignatureHelp:
            fields["parameters"] = tuple(fields["parameters"])
        return made(**fields)  # type: ignore[no-any-return]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an answer: {error}") from error


def _plain(value: object) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _NAMES[type(value)]}


def _item(item: MenuItem) -> dict[str, Any]:
    return {
        "name": item.name,
        "kind": item.kind,
        "qualified": item.qualified,
        "signature": item.signature,
        "library": item.library,
        "deprecated": item.deprecated,
        "score": item.score,
    }
