"""Learning from what a person accepts: the next text of a document tells which entry of its last menu was taken.

That works in every editor and needs nothing of the protocol.  An entry counts as taken when its whole name stands where the
menu was asked for, and something was written behind it.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from octod.adapters.accepted import Accepted
from octod.core.errors import OctodError
from octod.core.symbols import Member
from octod.daemon.context import Place
from octod.daemon.protocol import Document

__all__ = ["Learning"]

log = logging.getLogger("octod.daemon")

_MOST_DOCUMENTS = 16
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True, eq=False)
class _Offered:
    """A menu as it was shown: ``start`` is where its entries go, ``end`` where the cursor was."""

    text: str
    start: int
    end: int
    receiver: str
    members: Sequence[Member]


class Learning:
    """The last menu of each document that a person writes, and what was taken from them, noted in ``accepted`` by a thread of
    ``reader``; None where octod does not learn."""

    def __init__(self, accepted: Accepted | None, reader: Executor) -> None:
        self.accepted, self._reader = accepted, reader
        self._last: OrderedDict[str, _Offered] = OrderedDict()

    def offered(self, document: Document, place: Place) -> None:
        """The menu of a place was answered."""
        if self.accepted is not None and document.typed and place.keys:
            cursor = place.cursor
            start = cursor.offset - len(cursor.partial)
            self._last[document.uri] = _Offered(document.text, start, cursor.offset, place.keys[0], place.members)
            self._last.move_to_end(document.uri)
            if len(self._last) > _MOST_DOCUMENTS:
                self._last.popitem(last=False)

    def seen(self, document: Document) -> None:
        """Note what a document's text says was taken since its last menu."""
        if (taken := self.taken(document)) is not None:
            self._reader.submit(self._note, *taken)

    def taken(self, document: Document) -> tuple[str, str] | None:
        """(receiver, member) that was taken since the document's last menu; told once."""
        last = self._last.get(document.uri)
        if last is None or not document.typed or document.text is last.text:
            return None
        text, start = document.text, last.start
        if text[:start] != last.text[:start]:
            del self._last[document.uri]  # the person went on elsewhere
            return None
        found = _NAME.match(text, start)
        if found is None or text[found.end() :] == last.text[last.end :]:
            return None  # nothing yet, or a name that may become another one
        del self._last[document.uri]
        name = found[0]
        return (last.receiver, name) if any(m.symbol.name == name for m in last.members) else None

    def closed(self, uri: str) -> None:
        """Nobody writes that document any more."""
        self._last.pop(uri, None)

    def _note(self, receiver: str, member: str) -> None:
        assert self.accepted is not None
        try:
            self.accepted.note(receiver, member)
        except OctodError as error:
            log.warning("what was accepted is not kept: %s", error)
