"""Successors: what takes the place of a name or a keyword that a newer version of a library lacks.

Evidence, the strongest first: what the library says (a note on the removed name, a deprecation text, a renamed
keyword), the function that the old one only passed its arguments on to, the same thing at another place, and a name and
signature that are alike among the members of the same receiver.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from octod.core.symbols import Parameter
from octod.indexer.api import Entry, Surface
from octod.indexer.hints import successors_in

__all__ = ["Successor", "accepted", "by_text", "keyword_successor", "successor"]

Why = Literal["note", "same", "moved", "alike"]

_ALIKE = 0.76  # likeness of name and signature together from which a new member counts as the old one's successor
_KEYWORD_ALIKE = 0.8  # likeness of a keyword's name alone: allow_redirects and follow_redirects have 0.83
_SPELLING = 0.999  # names that differ in case and underscores alone
_PREFIXES = ("np", "pd", "sa", "tf", "plt", "sns", "nx")  # what texts call libraries by


@dataclass(frozen=True, slots=True)
class Successor:
    """A public path of the newer version and why it is taken for the successor."""

    path: str
    why: Why


def successor(new: Surface, path: str, notes: Iterable[str], before: Surface | None = None, was: str = "") -> Successor | None:
    """The likely successor of ``path``, which ``new`` lacks; None where nothing speaks for any name.

    ``notes`` are what libraries say of it.  ``before`` is an older version that had it, under the path ``was``: what
    was beside it there all along is no new name for it.
    """
    was = was or path
    old = before.entry(was) if before is not None else None
    known = before.names(was.rpartition(".")[0]).keys() if before is not None else frozenset[str]()
    for text in (*notes, *([old.deprecated] if old is not None and old.deprecated else [])):
        if (found := by_text(new, path, text)) is not None:
            return Successor(found, "note")
    owner, _, name = path.rpartition(".")
    if old is not None and old.same and (found := _resolved(new, path, old.same)) is not None:
        return Successor(found, "same")
    if before is not None and (moved := _moved(new, path, old, before)) is not None:
        return Successor(moved, "moved")
    best, score = "", _ALIKE
    for other, entry in new.names(owner).items():
        if entry.deprecated is not None or other == name:
            continue
        spelled = _names_alike(name, other)
        # A name that was there all along is another thing, unless it is this one in another spelling.
        if spelled < _SPELLING and (other in known or old is None) or old is not None and not _same_kind(old, entry):
            continue
        here = spelled if old is None or spelled >= _SPELLING else _alike(spelled, old, entry)
        if here > score:
            best, score = other, here
    return Successor(f"{owner}.{best}", "alike") if best else None


def by_text(new: Surface, path: str, text: str) -> str | None:
    """The first name in a deprecation text that ``new`` has, as a public path."""
    found = [resolved for name in successors_in(text) if (resolved := _resolved(new, path, name)) is not None]
    name = path.rpartition(".")[2]
    # ``any`` and ``all`` are deprecated, use ``any_`` and ``all_``
    return next((f for f in found if _names_alike(name, f.rpartition(".")[2]) >= _SPELLING), found[0] if found else None)


def keyword_successor(name: str, old: Entry | None, new: Sequence[Parameter]) -> str | None:
    """The parameter of the newer version that takes what the keyword ``name`` took."""
    names = [p.name for p in new if p.kind in ("standard", "keyword")]
    if old is not None:
        renamed = dict(old.renames).get(name)
        if renamed in names:
            return renamed
    added = [n for n in names if old is None or all(p.name != n for p in old.parameters or ())]
    for other in names:
        if _names_alike(name, other) >= _SPELLING and (other in added or old is None):
            return other
    if old is None:
        return None
    lost = [p.name for p in old.parameters or () if all(p.name != n.name for n in new)]
    default = next((p.default for p in old.parameters or () if p.name == name), None)
    position = next((n for n, p in enumerate(old.parameters or ()) if p.name == name), -1)
    best, score = None, _ALIKE
    for other in added:
        number, parameter = next((n, p) for n, p in enumerate(new) if p.name == other)
        if lost == [name] and added == [other] and number == position and parameter.default is default is None:
            return other  # both required, the one that went and the one that came, at one place
        spelled = _names_alike(name, other)
        here = 0.7 * spelled + 0.15 * (number == position) + 0.15 * (parameter.default == default)
        here = max(here, spelled if spelled >= _KEYWORD_ALIKE else 0.0)
        if here > score:
            best, score = other, here
    return best


def accepted(parameters: Iterable[Parameter] | None, name: str) -> bool | None:
    """Whether a call takes the keyword; None when nobody can tell."""
    if parameters is None:
        return None
    every = list(parameters)
    if any(p.name == name and p.kind in ("standard", "keyword") for p in every):
        return True
    return None if any(p.kind == "kwarg" for p in every) else False


def _resolved(new: Surface, path: str, candidate: str) -> str | None:
    """A name in a text about ``path`` as a path of ``new``: of the same receiver first, then further out."""
    for full in _places(path, candidate):
        entry = new.entry(full) if full != path else None
        if entry is not None and entry.deprecated is None and entry.kind != "module":
            near = f"{path.rpartition('.')[0]}.{full.rpartition('.')[2]}"
            beside = new.entry(near) if near != path else None
            same = beside is not None and beside.definition == entry.definition
            return near if same else new.canonical(full) or full
    owner, first = path.rpartition(".")[0], candidate.partition(".")[0]
    if "." in candidate and (around := new.entry(owner)) is not None and around.kind == "class":
        inner = new.entry(f"{owner}.{first}")
        if inner is not None and inner.kind in ("attribute", "property"):
            return f"{owner}.{candidate}"  # ``session_interface.open_session`` of the same object
    return None


def _places(path: str, candidate: str) -> Iterator[str]:
    """Where a name in a text may be found."""
    top = path.partition(".")[0]
    first, _, rest = candidate.partition(".")
    if rest and (first in _PREFIXES or first == top):
        yield f"{top}.{rest}"
        return
    if rest and first.startswith("_"):  # sqlalchemy's documentation: _engine.Connection.execute
        candidate = rest
    owner = path.rpartition(".")[0]
    while owner:
        yield f"{owner}.{candidate}"
        if "." in candidate and owner.rpartition(".")[2] == candidate.partition(".")[0]:
            yield f"{owner}.{candidate.partition('.')[2]}"
        owner = owner.rpartition(".")[0]


def _moved(new: Surface, path: str, old: Entry | None, before: Surface) -> str | None:
    """The same name elsewhere in the library: where its definition leads now, or in a package above."""
    if old is None or old.kind not in ("class", "function") or "." not in path:
        return None
    owner, _, name = path.rpartition(".")
    if (around := new.entry(owner)) is not None and around.kind == "class":
        return None  # a method of the same name elsewhere is another method
    places = [owner.rpartition(".")[0]]
    while places[-1]:
        places.append(places[-1].rpartition(".")[0])
    # ``pkg.util.testing.x`` may be ``pkg.testing.x``
    last = owner.rpartition(".")[2]
    below = [f"{owner}.{m}.{name}" for m, e in new.names(owner).items() if e.kind == "module"]
    for full in below:
        if before.entry(full) is not None:
            continue  # it was there all along: another thing
        if (entry := new.entry(full)) is not None and entry.kind == old.kind and entry.deprecated is None:
            return full
    for place in (p for p in places if p):
        for full in (f"{place}.{name}", f"{place}.{last}.{name}"):
            entry = new.entry(full) if full != path else None
            if entry is not None and entry.kind == old.kind and entry.deprecated is None:
                return full
    return None


def _alike(spelled: float, old: Entry, new: Entry) -> float:
    """Likeness of two members: their kinds, their names, their parameters (the more there are, the more they say)."""
    if not _same_kind(old, new):
        return 0.0
    if old.parameters is None or new.parameters is None:
        return 0.85 * spelled
    first, second = ({p.name for p in e.parameters or ()} for e in (old, new))
    every = first | second
    weight = {0: 0.1, 1: 0.15, 2: 0.3}.get(len(every), 0.4)
    return (1 - weight) * spelled + weight * (len(first & second) / len(every) if every else 0.0)


def _same_kind(old: Entry, new: Entry) -> bool:
    """Whether one can stand where the other stood: a value is no callable, a module is nothing else."""
    if {old.kind, new.kind} == {"class", "function"}:
        return False
    return (old.parameters is None) == (new.parameters is None) and (old.kind == "module") == (new.kind == "module")


def _names_alike(first: str, second: str) -> float:
    """1 for names that differ in case and underscores alone; one inside the other counts for much."""
    if re.findall(r"\d+", first) != re.findall(r"\d+", second) and re.search(r"\d", second):
        return 0.0  # ``under_1`` and ``under_2`` are two things
    a, b = (n.replace("_", "").lower() for n in (first, second))
    if a == b:
        return 1.0
    ratio = SequenceMatcher(None, a, b, autojunk=False).ratio()
    shorter, longer = sorted((a, b), key=len)
    return max(ratio, 0.8) if len(shorter) >= 3 and (longer.endswith(shorter) or longer.startswith(shorter)) else ratio
