"""pygls with our documents instead of its own, and with menus that go out as plain JSON."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from octod.daemon.wire import version
from pygls.lsp.server import LanguageServer
from pygls.protocol import JsonRPCResponseMessage, LanguageServerProtocol, default_converter, lsp_method

if TYPE_CHECKING:
    from octod.lsp.server import Server

__all__ = ["make_pygls"]

log = logging.getLogger("octod.lsp")


def make_pygls(session: Server) -> LanguageServer:
    """The language server that tells ``session`` of documents and notebooks."""
    made = _Pygls("octod", version(), protocol_cls=_Protocol, converter_factory=default_converter)
    assert isinstance(made.protocol, _Protocol)
    made.protocol.session = session
    return made


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

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        self.session.notebook_opened(params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(self, params: types.DidChangeNotebookDocumentParams) -> None:
        self.session.notebook_changed(params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self.session.notebook_closed(params)

    @lsp_method(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def lsp_workspace__did_change_workspace_folders(
        self, params: types.DidChangeWorkspaceFoldersParams
    ) -> None:
        self.session.folders_changed(params)

    def _serialize_message(self, data: Any) -> Any:
        """Plain JSON results go out as they are, without cattrs walking through every entry of a menu."""
        if isinstance(data, JsonRPCResponseMessage) and isinstance(data.result, dict | list | None):
            return {"jsonrpc": "2.0", "id": data.id, "result": data.result}
        return super()._serialize_message(data)


class _Pygls(LanguageServer):
    def report_server_error(self, error: Exception, source: object) -> None:
        """To the log, where pygls would put up a message box."""
        log.error("%s: %s", getattr(source, "__name__", source), error)
