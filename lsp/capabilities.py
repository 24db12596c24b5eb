"""What the language server says it can do, as plain JSON: the answer to ``initialize``.

octod runs beside pyright, ty or ruff and advertises only what it adds.
"""

from __future__ import annotations

from typing import Any, get_args

from octod.core.text import Encoding

__all__ = ["choose_encoding", "dig", "initialize_result"]


def dig(data: object, *keys: str) -> Any:
    """The value under ``keys`` in nested objects, None where something is missing or of another kind."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def choose_encoding(client: object) -> Encoding:
    """The first of the client's position encodings that we know; UTF-16 when it names none (LSP 3.17)."""
    offered = dig(client, "general", "positionEncodings")
    for name in offered if isinstance(offered, list) else []:
        for known in get_args(Encoding):
            if name == known:
                return known  # type: ignore[no-any-return]
    return "utf-16"


def initialize_result(client: object, version: str) -> dict[str, Any]:
    """The result of ``initialize`` for the client's capabilities."""
    return {
        "capabilities": {
            "positionEncoding": choose_encoding(client),
            "textDocumentSync": {"openClose": True, "change": 2},
            "notebookDocumentSync": {"notebookSelector": [{"cells": [{"language": "python"}]}]},
            "completionProvider": {
                "triggerCharacters": [".", " "],  # a space is answered in import statements alone
                "resolveProvider": True,
                "completionItem": {"labelDetailsSupport": True},
            },
            "inlineCompletionProvider": {},
            "hoverProvider": True,
            "codeActionProvider": {"codeActionKinds": ["quickfix"]},  # for names that the installed version lacks
            "signatureHelpProvider": {"triggerCharacters": ["(", ","], "retriggerCharacters": [","]},
            "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
        },
        "serverInfo": {"name": "octod", "version": version},
    }
