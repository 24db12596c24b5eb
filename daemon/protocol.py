"""What the daemon's server asks of the service behind it, and the document that a question is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from octod.core.answers import Fixes, Ghost, Hover, Menu, SignatureHelp
from octod.core.errors import UsageError

__all__ = ["Document", "MakeService", "Notify", "Service"]

Notify = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Document:
    """An editor's buffer at one moment.

    ``version`` grows with every change of that ``uri``; ``path`` is None for a buffer without a file;
    ``environment`` is the interpreter or folder that the editor names, None lets the daemon look; ``root`` is
    the workspace folder.  ``typed`` says that a person writes it: what is accepted there orders later menus.  ``active`` is
    the environment that is activated where the editor runs, empty for none, None where nobody said.
    """

    uri: str
    version: int
    text: str
    path: str | None = None
    environment: str | None = None
    root: str | None = None
    typed: bool = False
    active: str | None = None

    def to_json(self, *, text: bool) -> dict[str, Any]:
        """As on the wire; without ``text`` where the other side has this version already."""
        data = asdict(self)
        if not text:
            data["text"] = None
        return data

    @classmethod
    def from_json(cls, data: object, known: Mapping[str, Document]) -> Document | None:
        """The document in a request, its text taken from ``known`` where it was left out.

        None when the text was left out and that version is not known; raises UsageError for anything malformed.
        """
        if not isinstance(data, dict):
            raise UsageError("a document is missing")
        uri, version, text = data.get("uri"), data.get("version"), data.get("text")
        if not isinstance(uri, str) or type(version) is not int or not isinstance(text, str | None):
            raise UsageError("a document needs a uri, a version and a text or null")
        path, environment, root, active = (data.get(key) for key in ("path", "environment", "root", "active"))
        if not all(isinstance(value, str | None) for value in (path, environment, root, active)):
            raise UsageError("path, environment, root and active of a document are strings or null")
        if text is None:
            before = known.get(uri)
            if before is None or before.version != version:
                return None
            text = before.text
        return cls(uri, version, text, path, environment, root, data.get("typed") is True, active)


class Service(Protocol):
    """The answers themselves.  A cancelled task must stop its work within 50 ms; None means nothing to say.

    ``notify`` is set by the server before the first question: method and params of a notification to all clients,
    callable from any thread.
    """

    notify: Notify

    async def menu(self, document: Document, offset: int) -> Menu | None:
        """Lane A at a code point offset."""

    async def ghost(self, document: Document, offset: int, selected: str | None) -> Ghost | None:
        """Lane B at an offset; ``selected`` is the menu's entry that the editor would insert."""

    async def hover(self, document: Document, offset: int) -> Hover | None:
        """What stands at an offset."""

    async def describe(
        self, environment: str | None, root: str | None, path: str | None, qualified: str, active: str | None = None
    ) -> Hover | None:
        """What a qualified name is (the menu's entry under the user's eyes); its start and end are 0."""

    async def signature(self, document: Document, offset: int) -> SignatureHelp | None:
        """The call around an offset."""

    async def fixes(self, document: Document, start: int, end: int) -> Fixes | None:
        """What may be done about names in a range that the installed version of their library lacks."""

    async def warm(self, document: Document, offset: int) -> None:
        """Prepare for a question at an offset; a newer warm cancels it."""

    async def close(self, uri: str) -> None:
        """The editor closed a document."""

    async def status(self) -> dict[str, Any]:
        """What there is to tell, as JSON values."""

    async def index(self, environment: str | None, force: bool) -> dict[str, Any]:
        """Index an environment now; progress goes through ``notify("progress", ...)``."""

    async def adapters_changed(self) -> None:
        """The registry has changed: look again."""

    async def base_changed(self) -> None:
        """The settings name another base model: serve with it."""

    async def stop(self) -> None:
        """Stop jobs and child processes; nothing is asked afterwards."""


MakeService = Callable[[], Awaitable[Service]]
