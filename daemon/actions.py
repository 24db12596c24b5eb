"""Code actions: a name or keyword that the installed version of a library lacks gives way to its likely successor.

Only where the receiver is known and there is evidence that an older version had the name (history, or what the library
itself says), or where the name differs from an existing one in case and underscores alone.  Unknown gives nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from octod.core.answers import Edit, Fix, Fixes
from octod.core.paths import Paths
from octod.core.symbols import LibraryId
from octod.daemon.context import Place, place_at
from octod.daemon.protocol import Document
from octod.daemon.workspaces import Workspace
from octod.indexer.api import Api, Entry, IndexSurface
from octod.indexer.environment import Environment, distributions
from octod.indexer.extract import LARGEST_FILE
from octod.indexer.hints import removal_notes
from octod.indexer.history import History
from octod.indexer.lookup import mro, resolve
from octod.indexer.members import members
from octod.indexer.scope import callees_at
from octod.indexer.store import Index
from octod.indexer.successor import accepted, keyword_successor, successor
from octod.indexer.work import read_source

__all__ = ["Evidence", "Gone", "Past", "evidence_of", "fixes", "gone_in"]

_MOST_WORDS = 12  # names looked at in one range
_WORD = re.compile(r"[^\W\d]\w*")
_KEYWORD = re.compile(r"[ \t]*=(?!=)")
# Files in which libraries say what they removed: packages, and private or telling modules.
_TELLING = re.compile(r"(?:^|/)(?:__init__\.py|_[^/]*\.py|[^/]*(?:expired|migrat|deprecat|removed|legacy)[^/]*\.py)$")
_MOST_FILES = 2_000
_MOST_KNOWN = 20  # libraries whose past is kept in memory, at about 5 MB for the largest
_ALONE = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+\(?[ \t]*(\w+)([ \t]+as[ \t]+\w+)?[ \t]*,?[ \t]*\)?[ \t]*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Gone:
    """A name in a document that the installed ``library`` lacks.

    ``owners`` are the classes or the module that should have it, the nearest first (of a keyword: the function or class
    called); ``start``..``end`` is where it stands, in code points.  ``dynamic``: the owner may give it all the same, as
    a frame gives its columns, so that only an older version's having it says that it was another thing.
    """

    name: str
    owners: tuple[str, ...]
    library: LibraryId
    start: int
    end: int
    keyword: bool = False
    module: bool = False
    importing: bool = False
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of older versions of a library, the newest first, and what it says of names that are gone."""

    older: tuple[Api, ...] = ()
    notes: Mapping[str, str] | None = None


class Past:
    """Evidence by library, read once in a thread of its own and again when more is kept."""

    def __init__(self, paths: Paths) -> None:
        self._history = History(paths.history)
        self._known: dict[LibraryId, tuple[tuple[str, ...], asyncio.Task[Evidence]]] = {}

    async def of(self, workspace: Workspace, library: LibraryId) -> Evidence:
        """The evidence on an installed library; a question that gives up leaves it for the next one."""
        stamp = self._history.stamp(library.distribution)
        known = self._known.get(library)
        if known is None or known[0] != stamp or known[1].done() and (known[1].cancelled() or known[1].exception()):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            work = asyncio.to_thread(evidence_of, workspace.environment, self._history, library)
            known = self._known[library] = stamp, asyncio.create_task(work)
        return await asyncio.shield(known[1])


def gone_in(index: Index, document: Document, start: int, end: int) -> list[Gone]:
    """The names in a range of the document (or at a place) that their library does not have."""
    text = document.text
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    found: list[Gone] = []
    for word in list(_WORD.finditer(text, start, max(end, _word_end(text, start))))[:_MOST_WORDS]:
        at = _word_end(text, word.start())
        is_keyword = _KEYWORD.match(text, at) is not None
        if not is_keyword and not _may_be_member(text, word.start()):
            continue
        place = place_at(index, document, at)
        if place.cursor.inside or place.cursor.partial != text[word.start() : at]:
            continue
        one = _keyword(index, place, word.start()) if is_keyword else None
        one = one or _member(index, place, word.start())
        if one is not None:
            found.append(one)
    return found


def evidence_of(environment: Environment, history: History, library: LibraryId) -> Evidence:
    """What there is to know of a library's past; reads files, so not for the thread that answers."""
    older = tuple(api for api in history.versions(library.distribution) if api.library.version != library.version)
    notes: dict[str, str] = {}
    every, _ = distributions(environment)
    for distribution in (d for d in every if d.library == library):
        for path in [f for f in distribution.files if _TELLING.search(f.as_posix())][:_MOST_FILES]:
            text, _ = read_source(path, LARGEST_FILE)
            if text is not None and (module := distribution.module(path)) is not None:
                notes |= removal_notes(module, text)[0]
    return Evidence(older, notes)


def fixes(index: Index, document: Document, found: Iterable[tuple[Gone, Evidence]]) -> Fixes:
    """What may be done about each name; nothing where there is no likely successor."""
    made = [fix for gone, evidence in found if (fix := _fix(index, document, gone, evidence)) is not None]
    return Fixes(tuple(made))


def _member(index: Index, place: Place, start: int) -> Gone | None:
    """The name after a dot or in an import, when every type that its receiver may be lacks it."""
    cursor, types = place.cursor, place.receiver.types
    if not types or place.receiver.unknown or not (cursor.receiver or cursor.importing is not None):
        return None
    source = place.receiver.source
    for one in types:
        if any(m.symbol.name == cursor.partial for m in members(source, one.qualified, one.instance)):
            return None
    first = types[0]
    if place.receiver.module:
        owners: tuple[str, ...] = (first.qualified,)
    else:
        owners = tuple(o for o in mro(source, first.qualified) if index.scope(o) is not None)
    scope = index.scope(owners[0]) if owners else None
    if scope is None or scope.library.distribution in ("stdlib", "") or ":" in scope.library.distribution:
        return None
    return Gone(
        cursor.partial, owners, scope.library, start, cursor.offset,
        module=place.receiver.module, importing=cursor.importing is not None,
        dynamic=any(_serves_anything(index, o) for o in owners if o != "builtins.object"),
    )  # fmt: skip


def _serves_anything(index: Index, owner: str) -> bool:
    scope = index.scope(owner)
    return scope is not None and scope.dynamic


def _keyword(index: Index, place: Place, start: int) -> Gone | None:
    """The keyword of a call that nothing that is called there takes."""
    surface = IndexSurface(index)
    targets = callees_at(index, place.cursor, place.module, place.package)
    entries = [surface.entry(t.qualified) for t in targets]
    if not targets or any(e is None or accepted(e.parameters, place.cursor.partial) is not False for e in entries):
        return None
    called = targets[0].qualified
    scope = index.scope(called.rpartition(".")[0])
    if scope is None or scope.library.distribution == "stdlib":
        return None
    return Gone(place.cursor.partial, (called,), scope.library, start, place.cursor.offset, keyword=True)


def _fix(index: Index, document: Document, gone: Gone, evidence: Evidence) -> Fix | None:
    surface = IndexSurface(index)
    if gone.keyword:
        entry = surface.entry(gone.owners[0])
        before = _before(index, evidence, gone.owners[0])
        if entry is None or entry.parameters is None:
            return None
        was = before[1] if before is not None else None
        if was is not None and accepted(was.parameters, gone.name) is False and gone.name not in dict(was.renames):
            return None
        other = keyword_successor(gone.name, was, entry.parameters)
        return None if other is None else _replaced(gone, other)
    for owner in gone.owners:
        path = f"{owner}.{gone.name}"
        before = _before(index, evidence, path)
        notes = [said for said in ((evidence.notes or {}).get(path),) if said]
        if before is None and not notes and (owner != gone.owners[0] or gone.dynamic and not gone.module):
            continue
        found = successor(surface, path, notes, *((before[0], before[2]) if before is not None else ()))
        if found is None:
            continue
        above, _, name = found.path.rpartition(".")
        if above in gone.owners:
            return _replaced(gone, name)
        if gone.importing:
            return _imported(document, gone, above, name)
        if above.startswith(f"{owner}."):
            return _replaced(gone, found.path.removeprefix(f"{owner}."))
    return None


def _before(index: Index, evidence: Evidence, path: str) -> tuple[Api, Entry, str] | None:
    """(API, entry, canonical path) of a name in the newest older version that has it.

    ``path`` starts with where the owner is defined now; where that was elsewhere, the public paths of the old version
    are asked what they mean today.
    """
    owner, _, name = path.rpartition(".")
    for api in evidence.older:
        canonical = api.canonical(path)
        if canonical is None and api.canonical(owner) is None:
            last = owner.rpartition(".")[2]
            for candidate in (p for p in api.entries if p.rpartition(".")[2] == last):
                target = resolve(index, candidate)
                if target is not None and target.qualified == owner and (canonical := api.canonical(f"{candidate}.{name}")):
                    break
        if canonical is None:  # a function that is defined elsewhere now
            same = (p for p in api.entries if p.rpartition(".")[2] == name)
            canonical = next((p for p in same if (t := resolve(index, p)) is not None and t.qualified == path), None)
        if canonical is not None:
            return api, api.entries[canonical], canonical
    return None


def _replaced(gone: Gone, other: str) -> Fix:
    text = other
    if gone.importing:
        text = f"{other} as {gone.name}"  # the rest of the file goes on saying the old name
    return Fix(_title(gone, other), (Edit(gone.start, gone.end, text),))


def _imported(document: Document, gone: Gone, module: str, name: str) -> Fix | None:
    """The whole import statement in other words, when it is about this one name alone."""
    text = document.text
    start, end = text.rfind("\n", 0, gone.start) + 1, text.find("\n", gone.end)
    line = text[start : len(text) if end < 0 else end].rstrip("\r")
    match = _ALONE.match(line)
    if match is None or match[2] != gone.name:
        return None
    named = name if match[3] or name == gone.name else f"{name} as {gone.name}"
    return Fix(
        _title(gone, f"{module}.{name}"),
        (Edit(start + match.start(1), start + match.end(1), module), Edit(gone.start, gone.end, named)),
    )


def _title(gone: Gone, other: str) -> str:
    what = f"{gone.name}=" if gone.keyword else gone.name
    return f"Replace `{what}` by `{other}{'=' if gone.keyword else ''}` ({gone.library} has no `{gone.name}`)"


def _word_end(text: str, offset: int) -> int:
    found = _WORD.match(text, offset)
    return found.end() if found else offset


def _may_be_member(text: str, start: int) -> bool:
    """Whether a word follows a dot or stands in an import: the others cost no look at the file."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if line.rstrip().endswith(".") or re.search(r"\bimport\b", line):
        return True
    opened = text.rfind("(", 0, start)
    before = text[text.rfind("\n", 0, opened) + 1 : opened] if opened >= 0 else ""
    return ")" not in text[opened:start] and re.search(r"\bimport[ \t]*$", before) is not None
