"""The session behind the door: pygls for the protocol, our own documents, every answer from the daemon.

Handlers take their snapshot of the document before they first wait; an answer that comes back after the document
changed is dropped.  A daemon that is dead, slow or confused gives an empty answer in time, never an error: editors
show those as popups.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types
from octod.core.answers import Ghost, Hover, Menu, SignatureHelp, from_json
from octod.core.errors import OctodError
from octod.core.paths import Paths
from octod.core.text import Edit, Position
from octod.daemon.client import NoAnswer
from octod.daemon.protocol import Document
from octod.daemon.wire import version
from octod.lsp import render
from octod.lsp.capabilities import choose_encoding, dig
from octod.lsp.documents import Documents, Snapshot, path_of
from octod.lsp.link import Link
from octod.lsp.status import Status
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCResponseMessage, LanguageServerProtocol, default_converter, lsp_method

__all__ = ["Server"]

log = logging.getLogger("octod.lsp")

Json = dict[str, Any]

# Seconds an editor waits: the first menu may find a daemon that starts, later ones must not make typing wait.
_FIRST, _MENU, _GHOST, _OTHER, _WARM = 1.0, 1.0, 0.5, 1.0, 10.0
# Seconds a question waits for the client's settings: asked without them, it may start the index of another environment.
_SETTLE = 1.0
_DEBOUNCE = 0.03  # seconds without a change before the daemon prepares for the cursor


class _Unanswered(Exception):
    """No answer for this version of the document."""


class _Protocol(LanguageServerProtocol):
    """pygls' protocol with our documents: pygls' own split lines at form feeds, which shifts edits."""

    session: Server

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        self.session.opened(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        self.session.changed(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self.session.closed(params.text_document.uri)

    @lsp_method(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def lsp_workspace__did_change_workspace_folders(
        self, params: types.DidChangeWorkspaceFoldersParams
    ) -> None:
        self.session.folders_changed(params)

    def _serialize_message(self, data: Any) -> Any:
        """Plain JSON results go out as they are, without cattrs walking through every entry of a menu."""
        if isinstance(data, JsonRPCResponseMessage) and isinstance(data.result, dict | None):
            return {"jsonrpc": "2.0", "id": data.id, "result": data.result}
        return super()._serialize_message(data)


class _Pygls(LanguageServer):
    def report_server_error(self, error: Exception, source: object) -> None:
        """To the log, where pygls would put up a message box."""
        log.error("%s: %s", getattr(source, "__name__", source), error)


class Server:
    """One editor's session; ``initialize`` are that request's params as plain JSON."""

    def __init__(self, initialize: object, *, paths: Paths, command: Sequence[str] | None) -> None:
        capabilities = dig(initialize, "capabilities")
        encoding = choose_encoding(capabilities)
        self.pygls = _Pygls("octod", version(), protocol_cls=_Protocol, converter_factory=default_converter)
        assert isinstance(self.pygls.protocol, _Protocol)
        self.pygls.protocol.session = self
        self._capabilities = capabilities
        self._client = render.Client.of(capabilities, encoding)
        self._documents = Documents(encoding)
        self._status = Status(self.pygls, progress=bool(dig(capabilities, "window", "workDoneProgress")))
        self._link = Link(paths, command=command, on_notification=self._told, on_state=self._link_changed)
        self._python = _python_of(dig(initialize, "initializationOptions"))
        self._roots = _roots_of(initialize)
        self._quick = False  # a menu has been answered on this connection
        self._settled = asyncio.Event()  # the client's settings are known
        asyncio.get_running_loop().call_later(_SETTLE, self._settled.set)
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
        if params.text_document.language_id in ("", "python"):
            self._warm_soon(self._documents.open(params.text_document.uri, params.text_document.text))

    def changed(self, params: types.DidChangeTextDocumentParams) -> None:
        """didChange."""
        edits = []
        for change in params.content_changes:
            span = getattr(change, "range", None)
            if span is None:
                edits.append(Edit(change.text))
            else:
                edits.append(Edit(change.text, _position(span.start), _position(span.end)))
        snapshot = self._documents.change(params.text_document.uri, edits)
        if snapshot is not None:
            self._warm_soon(snapshot)

    def closed(self, uri: str) -> None:
        """didClose."""
        if (timer := self._timers.pop(uri, None)) is not None:
            timer.cancel()
        if self._documents.close(uri):
            self._link.forget(uri)

    def folders_changed(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        """didChangeWorkspaceFolders."""
        gone = {path_of(folder.uri) for folder in params.event.removed}
        added = [path_of(folder.uri) for folder in params.event.added]
        self._roots = [root for root in self._roots if root not in gone] + [path for path in added if path]

    # --- questions

    async def completion(self, params: types.CompletionParams) -> Json | None:
        """Lane A."""
        snapshot, offset = self._place(params)
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

    async def resolve(self, item: types.CompletionItem) -> types.CompletionItem:
        """The documentation of a menu entry; the entry as it was when there is none."""
        uri, qualified = dig(item.data, "uri"), dig(item.data, "qualified")
        if isinstance(uri, str) and isinstance(qualified, str) and qualified:
            path = path_of(uri)
            params = {
                "qualified": qualified,
                "environment": self._python,
                "root": self._root(path),
                "path": path,
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
            self._python = _python_of(settings.get("octod", settings))

    # --- the daemon

    async def _ask(self, kind: type, method: str, snapshot: Snapshot, params: Json, deadline: float) -> Any:
        """The daemon's answer of that kind, None for nothing to say; raises _Unanswered."""
        try:
            await self._settled.wait()
            data = await self._link.ask(method, params, deadline, self._document(snapshot))
        except NoAnswer as error:
            raise _Unanswered from error
        except OctodError as error:
            if error.exit_code != 3:  # without a daemon the link has said so
                self._status.problem(str(error))
            raise _Unanswered from error
        if not self._documents.is_current(snapshot):
            raise _Unanswered
        if data is None:
            return None
        try:
            answer = from_json(data)
        except ValueError as error:
            raise _Unanswered from error
        if not isinstance(answer, kind):
            raise _Unanswered
        return answer

    def _place(self, params: Any) -> tuple[Snapshot, int]:
        snapshot = self._documents.get(params.text_document.uri)
        if snapshot is None:
            raise _Unanswered
        return snapshot, snapshot.text.offset(_position(params.position), self._documents.encoding)

    def _document(self, snapshot: Snapshot) -> Document:
        path = path_of(snapshot.uri)
        return Document(
            snapshot.uri, snapshot.stamp, snapshot.text.content, path, self._python, self._root(path)
        )

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
        task = self._warming[snapshot.uri] = asyncio.create_task(self._try(self._prepare(snapshot)))

        def ended(done: asyncio.Task[None]) -> None:
            if self._warming.get(snapshot.uri) is done:
                del self._warming[snapshot.uri]

        task.add_done_callback(ended)

    async def _prepare(self, snapshot: Snapshot) -> None:
        await self._settled.wait()
        await self._link.ask("warm", {"offset": snapshot.cursor}, _WARM, self._document(snapshot))

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
        if (python := _python_of(first)) is not None:
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


def _position(position: types.Position) -> Position:
    return Position(position.line, position.character)


def _python_of(settings: object) -> str | None:
    """``python`` of our settings: an interpreter or a folder, named and never started."""
    python = dig(settings, "python")
    return str(Path(python).expanduser()) if isinstance(python, str) and python.strip() else None


def _roots_of(initialize: object) -> list[str]:
    folders = dig(initialize, "workspaceFolders")
    uris = [dig(folder, "uri") for folder in folders] if isinstance(folders, list) else []
    paths = [path_of(uri) for uri in uris or [dig(initialize, "rootUri")] if isinstance(uri, str)]
    plain = dig(initialize, "rootPath")
    return [path for path in paths if path] or ([plain] if isinstance(plain, str) and plain else [])
