"""What the daemon answers: values that cross the socket as JSON and reach the editor through the language server."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

__all__ = ["AdapterUse", "Answer", "Brackets", "Edit", "Fix", "Fixes", "Ghost", "Hover", "Menu", "MenuItem", "Route", "SignatureHelp", "from_json", "to_json"]

# How a menu was found: members by the index or by jedi (or not at all), names in scope, keywords of a call, imports.
Route = Literal["index", "jedi", "unknown", "names", "keywords", "imports"]

# Which entries of a menu get the brackets of a call where the client has snippets: none, functions, or classes too.
Brackets = Literal["", "functions", "all"]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change elsewhere in the document: ``text`` in place of ``start``..``end`` (code points)."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry of the menu, in the order to be shown; ``signature`` is ``(url, *, params=None)`` or empty.

    ``kind`` is that of the symbol, or ``parameter``, ``variable``, ``keyword``, ``keyword-argument`` (``name`` ends in ``=``).
    ``imports`` is the statement that makes the name known, ``edit`` puts it into the document; both are of names that
    are not imported yet.
    """

    name: str
    kind: str
    qualified: str
    signature: str = ""
    library: str = ""
    deprecated: bool = False
    score: float = 0.0
    imports: str = ""
    edit: Edit | None = None


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
    brackets: Brackets = ""


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


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that a user may want: its title, and what it does to the document."""

    title: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Fixes:
    """What may be done about names in a range that the installed version of a library lacks."""

    items: tuple[Fix, ...]


Answer = Menu | Ghost | Hover | SignatureHelp | Fixes

_KINDS: dict[str, type] = {c.__name__: c for c in (Menu, Ghost, Hover, SignatureHelp, Fixes)}
_NAMES = {c: tuple(f.name for f in fields(c)) for c in (*_KINDS.values(), AdapterUse)}


def to_json(answer: Answer) -> dict[str, Any]:
    """A JSON object that ``from_json`` turns back into the same value."""
    # dataclasses.asdict copies every value deeply: ten times the time on a menu of 500 entries
    data = {"answer": type(answer).__name__, **_plain(answer)}
    if isinstance(answer, Menu):
        data["items"] = [_item(i) for i in answer.items]
    if isinstance(answer, Menu | Ghost):
        data["adapters"] = [_plain(a) for a in answer.adapters]
    if isinstance(answer, SignatureHelp):
        data["parameters"] = list(answer.parameters)
    if isinstance(answer, Fixes):
        data["items"] = [[fix.title, [[e.start, e.end, e.text] for e in fix.edits]] for fix in answer.items]
    return data


def from_json(data: dict[str, Any]) -> Answer:
    """The answer that ``to_json`` wrote; raises ValueError when it is none."""
    try:
        fields = dict(data)
        made = _KINDS[fields.pop("answer")]
        if "adapters" in fields:
            fields["adapters"] = tuple(AdapterUse(**a) for a in fields["adapters"])
        if made is Menu:
            fields["items"] = tuple(_item_from(*row) for row in fields["items"])
        if made is Fixes:
            fields["items"] = tuple(Fix(title, tuple(Edit(*edit) for edit in edits)) for title, edits in fields["items"])
        if made is SignatureHelp:
            fields["parameters"] = tuple(fields["parameters"])
        return made(**fields)  # type: ignore[no-any-return]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an answer: {error}") from error


def _plain(value: object) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _NAMES[type(value)]}


def _item(item: MenuItem) -> list[Any]:
    """The fields in their order, without the defaults at the end: most of a menu's bytes would be the fields' names."""
    row = [item.name, item.kind, item.qualified, item.signature, item.library, int(item.deprecated), round(item.score, 3)]
    if item.edit is not None:
        row += [item.imports, [item.edit.start, item.edit.end, item.edit.text]]
    elif item.imports:
        row.append(item.imports)
    return row


def _item_from(
    name: str, kind: str, qualified: str, signature: str, library: str, deprecated: int, score: float,
    imports: str = "", edit: list[Any] | None = None, /,
) -> MenuItem:  # fmt: skip
    made = Edit(*edit) if edit is not None else None
    return MenuItem(name, kind, qualified, signature, library, bool(deprecated), score, imports, made)
