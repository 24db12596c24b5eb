"""What is offered at a cursor, all but the model's opinion: which kind of menu it is, its entries or its candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from octod.adapters.ranker import Evidence, Matrix, Ranker, features
from octod.core.answers import Brackets, MenuItem, Route
from octod.core.symbols import LibraryId
from octod.daemon import imports, menu
from octod.daemon.bare import bare_items
from octod.daemon.brackets import brackets_at
from octod.daemon.context import Place, Usages, evidence_at, imports_of, place_at
from octod.daemon.keywords import keyword_items
from octod.daemon.protocol import Document
from octod.daemon.unimported import Unimported
from octod.indexer.ahead import read_ahead
from octod.indexer.offer import offered
from octod.indexer.store import Index

__all__ = ["Around", "Offer", "acquaint", "offer_at"]

_PATIENCE = 0.008  # seconds of work that a menu may put into what the file calls elsewhere, and a turn of reading ahead


@dataclass(frozen=True, slots=True)
class Around:
    """What adapters are chosen by: the file's imports, the receiver's distribution, and what is installed."""

    imports: tuple[str, ...]
    library: str | None
    installed: Mapping[str, tuple[LibraryId, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A place and what belongs there.

    ``route`` is None where nothing is offered at all.  Members are ``place.members`` with their feature matrix without the
    model, the rows worth its opinion, and the names ``used`` in the file; other menus are finished as ``items``.
    ``whole`` is False where a long file was not read to its end: asked again it gets farther.
    """

    place: Place
    route: Route | None
    around: Around
    table: Matrix
    rows: list[int]
    used: frozenset[str] = frozenset()
    items: tuple[MenuItem, ...] = ()
    incomplete: bool = False
    whole: bool = True
    brackets: Brackets = ""


def offer_at(
    index: Index, usages: Usages, unimported: Unimported, ranker: Ranker, document: Document, offset: int, *, members_only: bool = False
) -> Offer:
    """Read the document and look up what may stand at the offset; ``members_only`` spares the other menus' entries."""
    place = place_at(index, document, offset)
    cursor = place.cursor
    around = Around(imports_of(document.text), place.library, index.import_names())
    part = None if cursor.inside or cursor.receiver else imports.part_at(cursor)
    if cursor.inside:
        return _finished(place, None, around)
    if cursor.receiver or part == "member":
        evidence = evidence_at(index, usages, place, _PATIENCE)
        table = features(place.members, evidence)
        rows = menu.likeliest(place, table, ranker) if place.members else []
        used = frozenset((*evidence.here, *evidence.same_type))
        return Offer(place, "imports" if part and place.members else "index", around, table, rows, used, whole=evidence.whole, brackets=brackets_at(place))
    before = cursor.text[: cursor.offset - len(cursor.partial)].rstrip(" \t")
    if members_only or (part is None and before.endswith(".")):  # after a number's dot, or a dot after nothing
        return _finished(place, None, around)
    if part == "module":
        return _finished(place, "imports", around, imports.module_items(index, place, unimported.calls))
    if part is not None:
        return _finished(place, "imports", around, imports.word_items(part, cursor))
    usages.refresh()
    keywords = keyword_items(index, usages, place)
    names = bare_items(index, place, unimported, around.imports)
    if not keywords and not names:
        return _finished(place, None, around)
    # what goes on from the typed name comes first, then keywords, whose names the editor filters
    typed = cursor.partial.lower()
    begun = [k for k in keywords if k.name.lower().startswith(typed)]
    items = [*begun, *names, *(k for k in keywords if k not in begun)]
    return _finished(place, "keywords" if begun else "names", around, items, incomplete=True)


def acquaint(index: Index, usages: Usages, module: str) -> bool:
    """Read ahead what a menu of a module's members takes, in turns: whether there is nothing left to read."""
    if not read_ahead(index, module, _PATIENCE):
        return False
    if members := offered(index, module, False):
        features(members, Evidence(usage=usages.of(module)))
    return True


def _finished(
    place: Place, route: Route | None, around: Around, items: list[MenuItem] | tuple[()] = (), incomplete: bool = False
) -> Offer:
    return Offer(place, route, around, np.zeros((0, 0)), [], items=tuple(items), incomplete=incomplete, brackets=brackets_at(place) if items else "")
