"""Everything that is known at a cursor before anything is ranked: the receiver, its members, the prompt's text."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from octod.adapters.prompt import Prompt
from octod.adapters.ranker import Evidence
from octod.adapters.signatures import render_signature
from octod.core.symbols import Member
from octod.daemon.protocol import Document
from octod.indexer.lookup import TypeRef, members, mro
from octod.indexer.parse import Cursor, parse_at
from octod.indexer.scope import Receiver, features_at, history_at, module_of, receiver_at, usage_key
from octod.indexer.store import Index
from octod.indexer.usage import ReceiverUsage, decode

__all__ = ["Place", "Usages", "imports_of", "place_at", "prompt_at"]

_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([^\n#;]+))", re.MULTILINE)
_MOST_BASES = 6
_MOST_TYPES = 4
_AFTER = 400  # characters of following text; the prompt reads 32 tokens of it


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A cursor in a document against an index.  ``members`` are what may follow the dot, each name once."""

    document: Document
    cursor: Cursor
    module: str
    package: bool
    receiver: Receiver
    members: tuple[Member, ...]

    @property
    def first(self) -> TypeRef | None:
        """The receiver's likeliest type."""
        return self.receiver.types[0] if self.receiver.types else None

    @property
    def library(self) -> str | None:
        """The distribution that the receiver belongs to."""
        if self.first is None:
            return None
        scope = self.receiver.source.scope(self.first.qualified)
        return scope.library.distribution if scope is not None and scope.library.distribution else None


def place_at(index: Index, document: Document, offset: int) -> Place:
    """Read the document at a code point offset; never raises for what the text is."""
    cursor = parse_at(document.text, offset)
    module, package = module_of(document.path) if document.path else ("", False)
    receiver = receiver_at(index, cursor, module, package)
    found: dict[str, Member] = {}
    for one in receiver.types[:_MOST_TYPES]:
        for member in members(receiver.source, one.qualified, one.instance):
            found.setdefault(member.symbol.name, member)
    return Place(document, cursor, module, package, receiver, tuple(found.values()))


class Usages:
    """Usage counts of one index, decoded and remembered until the index changes."""

    def __init__(self, index: Index, most: int = 500) -> None:
        self._index, self._most = index, most
        self._known: OrderedDict[str, ReceiverUsage | None] = OrderedDict()
        self._generation = -1

    def of(self, key: str) -> ReceiverUsage | None:
        """The usage of a receiver key, None when no call of it was ever seen."""
        if self._generation != self._index.generation:
            self._known.clear()
            self._generation = self._index.generation
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        data = self._index.usage(key)
        usage = self._known[key] = decode(data) if data else None
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return usage


def evidence_at(index: Index, usages: Usages, place: Place) -> Evidence:
    """What speaks for one member or another at a place."""
    receiver = place.receiver
    keys = [usage_key(t) for t in receiver.types[:_MOST_TYPES]] + list(receiver.unknown[:_MOST_TYPES])
    found = [u for u in map(usages.of, keys) if u is not None]
    bases: list[ReceiverUsage] = found[1:]
    if place.first is not None:
        own = place.first
        above = mro(receiver.source, own.qualified)[1 : _MOST_BASES + 1]
        more = [TypeRef(b, own.instance) for b in above]
        if not own.instance and not receiver.module:
            more.insert(0, TypeRef(own.qualified, True))
        bases += [u for u in (usages.of(usage_key(t)) for t in more) if u is not None]
    history = history_at(index, place.cursor, receiver, place.module, place.package)
    near = features_at(place.cursor)
    return Evidence(found[0] if found else None, tuple(bases), near, history.here, history.same_type)


def imports_of(text: str) -> tuple[str, ...]:
    """The top-level names of the modules that a text imports, in order; relative imports are left out."""
    found: dict[str, None] = {}
    for match in _IMPORT.finditer(text):
        for part in (match[1] or match[2]).split(","):
            name = part.split(" as ")[0].strip().split(".")[0]
            if name.isidentifier():
                found[name] = None
    return tuple(found)


def prompt_at(document: Document, offset: int, signatures: tuple[str, ...] = (), *, until: int | None = None) -> Prompt:
    """What the model reads at an offset; ``until`` cuts the line earlier (a half typed name is left out)."""
    text = document.text
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    after = text[offset : offset + _AFTER]
    return Prompt(text[:start], signatures, text[start : offset if until is None else until], after if after.strip() else "")


def signature_line(member: Member, instance: bool) -> str:
    """A member's signature as the model was trained to read it."""
    return render_signature(member, instance=instance)
