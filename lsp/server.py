"""The session behind the door: pygls for the protocol, our own documents, every answer from the daemon.

Handlers take their snapshot of the document before they first wait; an answer that comes back after the document
changed is dropped.  A daemon that is dead, slow or confused gives an empty answer in time, never an error: editors
show those as popups.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types
from octod.core.answers import Fixes, Ghost, Hover, Menu, SignatureHelp, from_json
from octod.core.errors import OctodError
from octod.core.paths import Paths
from octod.core.text import Edit, Position, Text
from octod.daemon.client import NoAnswer
from octod.daemon.protocol import Document
from octod.lsp import actions, render
from octod.lsp.capabilities import choose_encoding, dig
from octod.lsp.documents import Documents, Snapshot, path_of
from octod.lsp.link import Link
from octod.lsp.notebooks import Notebooks, Whole, moved
from octod.lsp.protocol import make_pygls
from octod.lsp.settings import active_of, python_of, roots_of
from octod.lsp.status import Status

__all__ = ["Server"]

log = logging.getLogger("octod.lsp")

Json = dict[str, Any]

# Seconds an editor waits: the first menu may find a daemon that starts, later ones must not make typing wait.
_FIRST, _MENU, _GHOST, _OTHER, _WARM = 1.0, 1.0, 0.5, 1.0, 10.0
# Seconds a question waits for the client's settings: asked without them, it may start the index of another environment.
_SETTLE = 1.0
_IMPORTING = re.compile(r"\s*(?:from\s+(?:\S+\s+import\s+(?:.*,\s*)?)?|import\s+(?:.*,\s*)?)$")
_DEBOUNCE = 0.03  # seconds without a change before the daemon prepares for the cursor


class _Unanswered(Exception):
    """No answer for this version of the document."""


class Server:
    """One editor's session; ``initialize`` are that request's params as plain JSON."""

    def __init__(self, initialize: object, *, paths: Paths, command: Sequence[str] | None) -> None:
        capabilities = dig(initialize, "capabilities")
        encoding = choose_encoding(capabilities)
        self.pygls = make_pygls(self)
        self._capabilities = capabilities
        self._client = render.Client.of(capabilities, encoding)
        self._documents = Documents(encoding)
        self._notebooks = Notebooks(self._documents)
        self._status = Status(self.pygls, progress=bool(dig(capabilities, "window", "workDoneProgress")))
        self._link = Link(paths, command=command, on_notification=self._told, on_state=self._link_changed)
        self._python = python_of(dig(initialize, "initializationOptions"))
        self._active = active_of(os.environ)
        self._roots = roots_of(initialize)
        self._quick = False  # a menu has been answered on this connection
        self._settled = asyncio.Event()  # the client's settings are known
        asyncio.get_running_loop().call_later(_SETTLE, self._settled.set)
        self._asking: Counter[str] = Counter()  # questions that wait for their answer, by document
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._warming: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._register()

    async def close(self) -> None:
        """The editor has left."""
        for timer in self._timers.values():
            timer.cancel()
        for task in [*self._tasks, *self._warming.values()]:
            task.cancel()
        self._status.stop()
        await self._link.close()

    # --- documents

    def opened(self, params: types.DidOpenTextDocumentParams) -> None:
        """didOpen: the end of the document counts as the cursor."""
        self._open(params.text_document)

    def changed(self, params: types.DidChangeTextDocumentParams) -> None:
        """didChange."""
        self._change(params.text_document.uri, params.content_changes)

    def closed(self, uri: str) -> None:
        """didClose."""
        if (timer := self._timers.pop(uri, None)) is not None:
            timer.cancel()
        if self._documents.close(uri):
            self._link.forget(uri)

    def notebook_opened(self, params: types.DidOpenNotebookDocumentParams) -> None:
        """notebookDocument/didOpen: its cells are documents of their own, in an order."""
        for cell in params.cell_text_documents:
            self._open(cell, warm=False)
        self._notebooks.open(params.notebook_document.uri, [c.document for c in params.notebook_document.cells])

    def notebook_changed(self, params: types.DidChangeNotebookDocumentParams) -> None:
        """notebookDocument/didChange: cells put in, taken out, moved, or their text."""
        cells = params.change.cells
        if cells is None:
            return
        if (structure := cells.structure) is not None:
            for cell in structure.did_open or ():
                self._open(cell, warm=False)
            uris = [c.document for c in structure.array.cells or ()]
            notebook = params.notebook_document.uri
            self._notebooks.splice(notebook, structure.array.start, structure.array.delete_count, uris)
            for closed in structure.did_close or ():
                self.closed(closed.uri)
        for text in cells.text_content or ():
            self._change(text.document.uri, text.changes)

    def notebook_closed(self, params: types.DidCloseNotebookDocumentParams) -> None:
        """notebookDocument/didClose."""
        self._notebooks.close(params.notebook_document.uri)
        for cell in params.cell_text_documents:
            self.closed(cell.uri)

    def folders_changed(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        """didChangeWorkspaceFolders."""
        gone = {path_of(folder.uri) for folder in params.event.removed}
        added = [path_of(folder.uri) for folder in params.event.added]
        self._roots = [root for root in self._roots if root not in gone] + [path for path in added if path]

    # --- questions

    async def completion(self, params: types.CompletionParams) -> Json | None:
        """Lane A."""
        snapshot, offset = self._place(params)
        context = params.context
        if context is not None and context.trigger_character == " " and not _after_import(snapshot.text, params.position.line, offset):
            return None
        try:
            menu = await self._ask(
                Menu, "menu", snapshot, {"offset": offset}, _MENU if self._quick else _FIRST
            )
        except _Unanswered:
            return render.EMPTY
        self._quick = True
        if menu is None:
            return None
        answer = render.menu(menu, snapshot.uri, snapshot.text, offset, self._client)
        self._status.answered("menu", menu)
        return answer

    async def inline_completion(self, params: types.InlineCompletionParams) -> Json | None:
        """Lane B; with the menu open it continues the entry that is selected there."""
        snapshot, offset = self._place(params)
        info = params.context.selected_completion_info
        question = {"offset": offset, "selected": info.text if info is not None else None}
        ghost = await self._ask(Ghost, "ghost", snapshot, question, _GHOST if self._quick else _FIRST)
        if ghost is None or not ghost.text:
            return None
        answer = render.ghost(ghost, snapshot.text, offset, self._client)
        self._status.answered("ghost", ghost)
        return answer

    async def hover(self, params: types.HoverParams) -> Json | None:
        """What stands under the pointer."""
        snapshot, offset = self._place(params)
        hover = await self._ask(Hover, "hover", snapshot, {"offset": offset}, _OTHER)
        return None if hover is None else render.hover(hover, snapshot.text, self._client)

    async def signature_help(self, params: types.SignatureHelpParams) -> Json | None:
        """The call around the cursor."""
        snapshot, offset = self._place(params)
        found = await self._ask(SignatureHelp, "signature", snapshot, {"offset": offset}, _OTHER)
        return None if found is None else render.signature_help(found, self._client)

    async def code_action(self, params: types.CodeActionParams) -> list[Json] | None:
        """What to do about names that the installed version of their library lacks."""
        snapshot = self._documents.get(params.text_document.uri)
        if snapshot is None or not actions.wants_quickfix(params.context.only):
            return None
        encoding = self._documents.encoding
        start, end = (snapshot.text.offset(_position(p), encoding) for p in (params.range.start, params.range.end))
        question = {"offset": start, "length": max(0, end - start)}
        found = await self._ask(Fixes, "fixes", snapshot, question, _OTHER)
        return None if found is None else actions.code_actions(found, snapshot.uri, snapshot.text, encoding)

    async def resolve(self, item: types.CompletionItem) -> types.CompletionItem:
        """The documentation of a menu entry; the entry as it was when there is none."""
        uri, qualified = dig(item.data, "uri"), dig(item.data, "qualified")
        if isinstance(uri, str) and isinstance(qualified, str) and qualified:
            path = path_of(self._notebooks.home(uri))
            params = {
                "qualified": qualified,
                "environment": self._python,
                "root": self._root(path),
                "path": path,
                "active": self._active,
            }
            try:
                data = await self._link.ask("describe", params, _OTHER)
                found = None if data is None else from_json(data)
            except (OctodError, ValueError) as error:
                log.info("no documentation of %s: %s", qualified, error)
                found = None
            if isinstance(found, Hover):
                content = render.documentation(found, self._client)
                item.documentation = types.MarkupContent(types.MarkupKind(content["kind"]), content["value"])
        return item

    async def initialized(self, params: types.InitializedParams) -> None:
        """The session begins: find or start the daemon, ask for settings and their changes."""
        self._link.wake()
        await self._ask_settings()
        self._settled.set()
        if dig(self._capabilities, "workspace", "didChangeConfiguration", "dynamicRegistration"):
            registration = types.Registration("octod-settings", types.WORKSPACE_DID_CHANGE_CONFIGURATION)
            await self._try(
                self.pygls.client_register_capability_async(types.RegistrationParams([registration]))
            )

    async def configuration_changed(self, params: types.DidChangeConfigurationParams) -> None:
        """didChangeConfiguration: the settings are in it, or they are asked for."""
        settings = self.pygls.protocol._converter.unstructure(params.settings)
        if dig(self._capabilities, "workspace", "configuration"):
            await self._ask_settings()
        elif isinstance(settings, dict):
            self._python = python_of(settings.get("octod", settings))

    # --- the daemon

    async def _ask(self, kind: type, method: str, snapshot: Snapshot, params: Json, deadline: float) -> Any:
        """The daemon's answer of that kind, None for nothing to say; raises _Unanswered."""
        self._asking[snapshot.uri] += 1
        try:
            await self._settled.wait()
            whole = self._notebooks.whole(snapshot)
            params = {**params, "offset": params["offset"] + whole.shift}
            data = await self._link.ask(method, params, deadline, self._document(snapshot, whole))
        except NoAnswer as error:
            raise _Unanswered from error
        except OctodError as error:
            if error.exit_code != 3:  # without a daemon the link has said so
                self._status.problem(str(error))
            raise _Unanswered from error
        finally:
            self._asking -= Counter((snapshot.uri,))
        if not self._documents.is_current(snapshot) or self._notebooks.stamp(snapshot) != whole.stamp:
            raise _Unanswered  # the document changed, or a cell before it
        if data is None:
            return None
        try:
            answer = from_json(data)
        except ValueError as error:
            raise _Unanswered from error
        if not isinstance(answer, kind):
            raise _Unanswered
        return moved(answer, whole, snapshot.text.content)

    def _place(self, params: Any) -> tuple[Snapshot, int]:
        snapshot = self._documents.get(params.text_document.uri)
        if snapshot is None:
            raise _Unanswered
        return snapshot, snapshot.text.offset(_position(params.position), self._documents.encoding)

    def _document(self, snapshot: Snapshot, whole: Whole) -> Document:
        path = path_of(self._notebooks.home(snapshot.uri))
        return Document(snapshot.uri, whole.stamp, whole.text, path, self._python, self._root(path), True, self._active)

    def _open(self, document: types.TextDocumentItem, *, warm: bool = True) -> None:
        if document.language_id in ("", "python"):
            snapshot = self._documents.open(document.uri, document.text)
            if warm:
                self._warm_soon(snapshot)

    def _change(self, uri: str, changes: Sequence[types.TextDocumentContentChangeEvent]) -> None:
        edits = []
        for change in changes:
            span = getattr(change, "range", None)
            if span is None:
                edits.append(Edit(change.text))
            else:
                edits.append(Edit(change.text, _position(span.start), _position(span.end)))
        snapshot = self._documents.change(uri, edits)
        if snapshot is not None:
            self._warm_soon(snapshot)
        for later in self._notebooks.after(uri):
            if self._asking[later] and (asked := self._documents.get(later)) is not None:
                self._warm_soon(asked)  # the daemon gives up what it works on for the text before

    def _root(self, path: str | None) -> str | None:
        within = [root for root in self._roots if path is not None and Path(path).is_relative_to(root)]
        return max(within, key=len, default=self._roots[0] if path is None and self._roots else None)

    def _warm_soon(self, snapshot: Snapshot) -> None:
        if (timer := self._timers.pop(snapshot.uri, None)) is not None:
            timer.cancel()
        self._timers[snapshot.uri] = asyncio.get_running_loop().call_later(_DEBOUNCE, self._warm, snapshot)

    def _warm(self, snapshot: Snapshot) -> None:
        self._timers.pop(snapshot.uri, None)
        if not self._documents.is_current(snapshot):
            return
        if (older := self._warming.pop(snapshot.uri, None)) is not None:
            older.cancel()
        task = self._warming[snapshot.uri] = asyncio.create_task(self._prepare(snapshot))

        def ended(done: asyncio.Task[None]) -> None:
            if self._warming.get(snapshot.uri) is done:
                del self._warming[snapshot.uri]

        task.add_done_callback(ended)

    async def _prepare(self, snapshot: Snapshot) -> None:
        await self._settled.wait()
        whole = self._notebooks.whole(snapshot)
        question = {"offset": snapshot.cursor + whole.shift}
        await self._try(self._link.ask("warm", question, _WARM, self._document(snapshot, whole)))

    def _told(self, method: str, params: Json) -> None:
        if method == "progress":
            self._status.job(params)
        elif method == "message" and isinstance(params.get("text"), str):
            self._status.problem(params["text"])

    def _link_changed(self, problem: str | None) -> None:
        self._quick = False
        self._status.link(problem)

    # --- the rest

    async def _ask_settings(self) -> None:
        if not dig(self._capabilities, "workspace", "configuration"):
            return
        wanted = types.ConfigurationParams([types.ConfigurationItem(section="octod")])
        try:
            found = await self.pygls.workspace_configuration_async(wanted)
        except Exception as error:  # noqa: BLE001 an editor that offers settings and then refuses them
            log.info("no settings: %s", error)
            return
        settings = self.pygls.protocol._converter.unstructure(found)
        first = settings[0] if isinstance(settings, list) and settings else None
        if (python := python_of(first)) is not None:
            self._python = python

    async def _try(self, work: Awaitable[object]) -> None:
        """Wait for what nobody waits for otherwise; its failure is for the log."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 nobody else would hear of it
            log.info("%s: %s", type(error).__name__, error)

    def _register(self) -> None:
        for method, handler in (
            (types.TEXT_DOCUMENT_COMPLETION, self.completion),
            (types.TEXT_DOCUMENT_INLINE_COMPLETION, self.inline_completion),
            (types.TEXT_DOCUMENT_HOVER, self.hover),
            (types.TEXT_DOCUMENT_SIGNATURE_HELP, self.signature_help),
            (types.COMPLETION_ITEM_RESOLVE, self.resolve),
            (types.TEXT_DOCUMENT_CODE_ACTION, self.code_action),
            (types.INITIALIZED, self.initialized),
            (types.WORKSPACE_DID_CHANGE_CONFIGURATION, self.configuration_changed),
        ):
            self.pygls.feature(method)(_guarded(handler))


def _guarded(handler: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """The handler, answering null where it has no answer or a defect: an editor shows errors as popups."""

    async def guarded(params: Any) -> Any:
        try:
            return await handler(params)
        except _Unanswered:
            return None
        except Exception:
            log.exception("a request failed")
            return None

    return guarded


def _after_import(text: Text, line: int, offset: int) -> bool:
    """Whether a space that was typed stands in an import statement, where a menu helps."""
    written = text.line(line)[: offset - text.offset(Position(line, 0), "utf-32")]
    return _IMPORTING.match(written) is not None


def _position(position: types.Position) -> Position:
    return Position(position.line, position.character)
