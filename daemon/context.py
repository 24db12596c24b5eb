"""Everything that is known at a cursor before anything is ranked: the receiver, its members, the prompt's text."""

from __future__ import annotations

import math
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path

from octod.adapters.accepted import Accepted
from octod.adapters.priors import Priors, with_prior
from octod.adapters.prompt import Prompt
from octod.adapters.ranker import Evidence
from octod.adapters.returning import words_of
from octod.adapters.signatures import render_signature
from octod.core.cache import Cache
from octod.core.symbols import Member
from octod.daemon.protocol import Document
from octod.indexer.expected import expected_at
from octod.indexer.lookup import TypeRef, mro
from octod.indexer.offer import offered
from octod.indexer.parse import Cursor, parse_at
from octod.indexer.scope import Receiver, features_at, history_at, module_of, receiver_at, usage_key
from octod.indexer.store import Index
from octod.indexer.usage import ReceiverUsage, project_key, project_name, usage_of

__all__ = ["Place", "Usages", "counts_at", "evidence_at", "imports_of", "modules_of", "place_at", "prompt_at", "signature_line", "words_around"]

_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([^\n#;]+))", re.MULTILINE)
_MOST_BASES = 6
_MOST_TYPES = 4
_MOST_MERGED = 32
_MOST_USAGE = 9_000_000  # bytes of counts kept decoded; a well-known receiver takes 0.3 MB
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_AROUND, _MOST_AROUND = 2_000, 60  # characters and names before the cursor whose words count as being around
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
    def keys(self) -> list[str]:
        """The keys that calls on the receiver are counted under, the likeliest first."""
        types = [usage_key(t) for t in self.receiver.types[:_MOST_TYPES]]
        return types + list(self.receiver.unknown[:_MOST_TYPES])

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
    lists = tuple(offered(receiver.source, t.qualified, t.instance) for t in receiver.types[:_MOST_TYPES])
    return Place(document, cursor, module, package, receiver, _together(lists))


_merged: OrderedDict[tuple[int, ...], tuple[tuple[tuple[Member, ...], ...], tuple[Member, ...]]] = OrderedDict()


def _together(lists: tuple[tuple[Member, ...], ...]) -> tuple[Member, ...]:
    """The members of several types, each name once: the same tuple for the same lists, since what is computed of a
    tuple of members is remembered by its identity."""
    if len(lists) == 1:
        return lists[0]
    key = tuple(map(id, lists))
    known = _merged.get(key)
    if known is None:
        found: dict[str, Member] = {}
        for one in lists:
            for member in one:
                found.setdefault(member.symbol.name, member)
        known = _merged[key] = lists, tuple(found.values())  # holding the lists keeps their ids theirs
        if len(_merged) > _MOST_MERGED:
            _merged.popitem(last=False)
    return known[1]


class Usages:
    """Usage counts of one index and those that come with octod, decoded and remembered until the index changes.

    ``accepted`` is what the user took from menus; None where octod does not learn.
    """

    def __init__(
        self, index: Index, priors: Priors | None = None, accepted: Accepted | None = None, most: int = _MOST_USAGE
    ) -> None:
        self.index, self.accepted = index, accepted
        self.priors = priors or Priors.shipped()
        self._known: Cache[str, ReceiverUsage | None] = Cache(most)
        self._generation = -1

    def refresh(self) -> None:
        """Forget what is remembered when the index has changed since; call it once per request."""
        generation = self.index.generation
        if self._generation != generation:
            self._known.clear()
            self._generation = generation

    def of(self, key: str) -> ReceiverUsage | None:
        """The usage of a receiver key, None when no call of it was ever seen, or what was seen cannot be read."""
        if key in self._known:
            return self._known[key]
        usage = with_prior(usage_of(self.index, key), self.priors.of(key))
        # the weights are measured
        return self._known.put(key, usage, 300 + (600 * len(usage.members) + 160 * len(usage.features) if usage else 0))


def evidence_at(index: Index, usages: Usages, place: Place, patience: float = math.inf) -> Evidence:
    """What speaks for one member or another at a place; of the file's history what ``patience`` seconds of work suffice for."""
    usages.refresh()
    usage, bases = counts_at(usages, place)
    cursor, document, keys = place.cursor, place.document, place.keys
    history = history_at(index, cursor, place.receiver, place.module, place.package, patience)
    project = project_name(Path(document.root)) if document.root else ""
    repository = usages.of(project_key(project, keys[0])) if project and keys else None
    return Evidence(
        usage,
        bases,
        features_at(cursor),
        history.here,
        history.same_type,
        names=usages.priors.names,
        project=repository.members if repository is not None else {},
        accepted=usages.accepted.of(keys[0]) if usages.accepted is not None and keys else {},
        around=words_around(cursor.text[max(0, cursor.receiver_start - _AROUND) : cursor.receiver_start]),
        expected=expected_at(index, cursor, place.module, place.package),
        whole=history.whole,
    )


def counts_at(usages: Usages, place: Place) -> tuple[ReceiverUsage | None, tuple[ReceiverUsage, ...]]:
    """(usage of the receiver, usage of its other types and of their bases)."""
    found = [u for u in map(usages.of, place.keys) if u is not None]
    more: list[TypeRef] = []
    if (own := place.first) is not None:
        above = mro(place.receiver.source, own.qualified)[1 : _MOST_BASES + 1]
        more = [TypeRef(base, own.instance) for base in above]
        if not own.instance and not place.receiver.module:
            more.insert(0, TypeRef(own.qualified, True))
    bases = [u for u in (usages.of(usage_key(t)) for t in more) if u is not None]
    return (found[0] if found else None), (*found[1:], *bases)


def words_around(text: str) -> Counter[str]:
    """The words of the last names of a text, counted."""
    return Counter(word for name in _IDENTIFIER.findall(text)[-_MOST_AROUND:] for word in words_of(name))


def imports_of(text: str) -> tuple[str, ...]:
    """The top-level names of the modules that a text imports, in order; relative imports are left out."""
    return tuple(dict.fromkeys(module.partition(".")[0] for module in modules_of(text)))


def modules_of(text: str) -> tuple[str, ...]:
    """The modules that a text imports, or imports from, in order; relative imports are left out."""
    found: dict[str, None] = {}
    for match in _IMPORT.finditer(text):
        for part in (match[1] or match[2]).split(","):
            name = part.split(" as ")[0].strip()
            if name.replace(".", "_").isidentifier() and not name.startswith("."):
                found[name] = None
    return tuple(found)


def prompt_at(document: Document, offset: int, signatures: tuple[str, ...] = (), *, until: int | None = None) -> Prompt:
    """What the model reads at an offset; ``until`` cuts the line earlier (a half typed name is left out)."""
    text = document.text
    end = offset if until is None else min(until, offset)
    start = max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1
    after = text[offset : offset + _AFTER]
    return Prompt(text[:start], signatures, text[start:end], after if after.strip() else "")


def signature_line(member: Member, instance: bool) -> str:
    """A member's signature as the model was trained to read it."""
    return render_signature(member, instance=instance)
