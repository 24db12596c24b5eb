"""What changed between two versions of a library, by public path: added, removed, renamed, changed, newly deprecated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from octod.core.symbols import LibraryId, Parameter
from octod.indexer.api import Api, Entry
from octod.indexer.successor import Successor, accepted, by_text, keyword_successor, successor

__all__ = ["ApiDiff", "Changed", "Removed", "compare"]

# Defaults that say nothing: what a stub leaves out, and marks for "not given".
_UNTOLD = re.compile(r"\.\.\.$|.*(?:no_?default|no_?value|not_?set|not_?given|unset|sentinel|missing|undefined|omit)", re.IGNORECASE)
_ORDINARY = ("standard", "positional")


@dataclass(frozen=True, slots=True)
class Removed:
    """A public path that is gone; ``note`` is what the library says of it, ``front`` whether a package exported it."""

    path: str
    kind: str
    front: bool
    successor: Successor | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """A callable that is called differently now: what changed, one sentence each."""

    path: str
    front: bool
    changes: tuple[str, ...]
    renames: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ApiDiff:
    """The difference of two versions; each list is sorted by path, what packages export first.

    ``renamed`` are removed names with a successor on the same module or class, ``removed`` all the others;
    ``deprecated`` those that are newly so, with the replacement in ``successor`` where the text names one.
    """

    old: LibraryId
    new: LibraryId
    added: tuple[tuple[str, bool], ...]
    removed: tuple[Removed, ...]
    renamed: tuple[Removed, ...]
    changed: tuple[Changed, ...]
    deprecated: tuple[Removed, ...]


def compare(old: Api, new: Api) -> ApiDiff:
    """What a user of ``old`` meets in ``new``."""
    lost = [path for path in old.entries if new.canonical(path) is None]
    gone = set(lost)
    # With a class or module its members go: the one line says it.
    tops = [path for path in lost if path.rpartition(".")[0] not in gone]
    removed: list[Removed] = []
    renamed: list[Removed] = []
    deprecated: list[Removed] = []
    changed: list[Changed] = []
    for path in tops:
        entry = old.entries[path]
        if not _certain(old, new, path):
            continue
        notes = [new.notes[path]] if path in new.notes else []
        found = successor(new, path, notes, old)
        text = notes[0] if notes else entry.deprecated or ""
        one = Removed(path, entry.kind, entry.front, found, text)
        near = found is not None and found.path.rpartition(".")[0] == path.rpartition(".")[0]
        (renamed if near else removed).append(one)
    for path, entry in old.entries.items():
        now = new.entry(path)
        if now is None:
            continue
        if now.deprecated is not None and entry.deprecated is None:
            replacement = by_text(new, path, now.deprecated)
            found = Successor(replacement, "note") if replacement is not None else None
            deprecated.append(Removed(path, entry.kind, entry.front, found, now.deprecated))
        if difference := _differences(path, entry, now):
            changed.append(difference)
    added = [(p, e.front) for p, e in new.entries.items() if old.canonical(p) is None]
    fresh = {p for p, _ in added}
    taken = {r.successor.path for r in renamed if r.successor is not None}  # told with the old name
    added = [(p, front) for p, front in added if p.rpartition(".")[0] not in fresh and p not in taken]
    return ApiDiff(
        old.library, new.library, tuple(sorted(added, key=lambda a: (not a[1], a[0]))), _sorted(removed), _sorted(renamed),
        tuple(sorted(changed, key=lambda c: (not c.front, c.path))), _sorted(deprecated),
    )  # fmt: skip


def _sorted(found: Iterable[Removed]) -> tuple[Removed, ...]:
    return tuple(sorted(found, key=lambda r: (not r.front, r.path)))


def _certain(old: Api, new: Api, path: str) -> bool:
    """Whether a name that is not found is not there: a class may have got a base that nobody looked into."""
    owner = path.rpartition(".")[0]
    before, now = old.entry(owner), new.entry(owner)
    if before is None or now is None or now.kind == "module":
        return True
    if before.kind == "class" and now.kind != "class":
        return False  # something that only a module's ``__getattr__`` knows
    return set(now.externals) <= set(before.externals) and not (now.dynamic and not before.dynamic)


def _differences(path: str, old: Entry, new: Entry) -> Changed | None:
    before, now = old.parameters, new.parameters
    if before is None or now is None or before == now:
        return None
    renames = dict(_renames(old, now))
    changes = [f"{a} renamed to {b}" for a, b in renames.items()]
    changes += _parameter_changes(before, now, renames)
    return Changed(path, old.front, tuple(changes), tuple(renames.items())) if changes else None


def _renames(old: Entry, new: tuple[Parameter, ...]) -> Iterator[tuple[str, str]]:
    """(old keyword, new one), also of those that the old version took under a name that was old already."""
    taken: set[str] = set()
    for name in [p.name for p in old.parameters or () if p.kind in ("standard", "keyword")]:
        if accepted(new, name) is False and (found := keyword_successor(name, old, new)) and found not in taken:
            taken.add(found)
            yield name, found
    for name, found in old.renames:
        if accepted(new, name) is False and accepted(new, found):
            yield name, found


def _parameter_changes(before: tuple[Parameter, ...], now: tuple[Parameter, ...], renames: dict[str, str]) -> Iterator[str]:
    known = {p.name: p for p in now}
    open_ended = any(p.kind == "kwarg" for p in now)
    for parameter in before:
        name, kind = parameter.name, parameter.kind
        if kind in ("vararg", "kwarg") or name in renames:
            if kind == "kwarg" and not open_ended:
                yield f"**{name} is gone: other keywords are refused"
            continue
        other = known.get(name)
        if other is None:
            if kind == "positional" or open_ended:
                continue  # no keyword, or one that ``**kwargs`` may take
            yield f"{name} removed"
        elif parameter.default is not None and other.default is None and other.kind not in ("vararg", "kwarg"):
            yield f"{name} is required"
        elif kind == "standard" and other.kind == "keyword":
            yield f"{name} is keyword-only"
        elif kind in ("standard", "keyword") and other.kind == "positional":
            yield f"{name} is positional-only"
        elif _told(parameter) and _told(other) and _written(parameter.default) != _written(other.default):
            yield f"{name}={parameter.default} is now {name}={other.default}"
    names = {p.name for p in before} | set(renames.values())
    for parameter in now:
        if parameter.name not in names and parameter.kind not in ("vararg", "kwarg"):
            positional = parameter.kind in _ORDINARY and not any(p.kind == "positional" for p in before)
            needed = parameter.default is None and positional or parameter.kind == "keyword" and parameter.default is None
            yield f"{parameter.name} added{', required' if needed else ''}"


def _told(parameter: Parameter) -> bool:
    return parameter.default is not None and not _UNTOLD.match(parameter.default)


def _written(default: str | None) -> str | None:
    """A default without what makes no difference: quotes."""
    return default.replace('"', "'") if default is not None else None
