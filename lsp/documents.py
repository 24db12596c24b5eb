"""The editor's open documents: their text at every version, and where the last change ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from octod.core.text import Edit, Encoding, Text

__all__ = ["Documents", "Snapshot", "path_of"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document at one moment; ``stamp`` grows with every change of any document and is never used twice.

    Editors start again at version 1 when a document is closed and opened: the stamp tells the two apart.
    """

    uri: str
    stamp: int
    text: Text
    cursor: int  # code points: the end of the last change


class Documents:
    """Open documents by URI."""

    def __init__(self, encoding: Encoding = "utf-16") -> None:
        self.encoding = encoding
        self._open: dict[str, Snapshot] = {}
        self._stamp = 0

    def open(self, uri: str, text: str) -> Snapshot:
        """A document was opened (or sent whole again)."""
        made = Text(text)
        return self._put(uri, made, len(made))

    def change(self, uri: str, edits: Sequence[Edit]) -> Snapshot | None:
        """Apply an editor's edits in their order; None for a document that is not open."""
        known = self._open.get(uri)
        if known is None:
            return None
        text, cursor = known.text.edited(edits, self.encoding)
        return self._put(uri, text, cursor)

    def close(self, uri: str) -> bool:
        """Forget a document; False when it was not open."""
        return self._open.pop(uri, None) is not None

    def get(self, uri: str) -> Snapshot | None:
        """The document now."""
        return self._open.get(uri)

    def is_current(self, snapshot: Snapshot) -> bool:
        """True while the document has not changed since."""
        return self._open.get(snapshot.uri) is snapshot

    def tick(self) -> int:
        """A stamp of its own, for what changes beside a document's text."""
        self._stamp += 1
        return self._stamp

    def _put(self, uri: str, text: Text, cursor: int) -> Snapshot:
        snapshot = self._open[uri] = Snapshot(uri, self.tick(), text, cursor)
        return snapshot


def path_of(uri: str) -> str | None:
    """The file path of a ``file:`` URI or of the notebook that a cell's URI names, None for any other."""
    try:
        parts = urlsplit(uri)
        path = unquote(parts.path, errors="surrogateescape")
    except ValueError:
        return None
    return path if parts.scheme in ("file", "vscode-notebook-cell") and path.startswith("/") and "\0" not in path else None
