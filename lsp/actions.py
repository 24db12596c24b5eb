"""Code actions as LSP objects: quick fixes that change the document, as plain JSON."""

from __future__ import annotations

from typing import Any

from octod.core.answers import Fixes
from octod.core.text import Encoding, Text

__all__ = ["KIND", "code_actions", "wants_quickfix"]

Json = dict[str, Any]

KIND = "quickfix"


def wants_quickfix(only: object) -> bool:
    """Whether the ``only`` of a request's context lets quick fixes through; a kind includes those below it."""
    return not only or isinstance(only, list | tuple) and any(KIND == getattr(kind, "value", kind) for kind in only)


def code_actions(answer: Fixes, uri: str, text: Text, encoding: Encoding) -> list[Json]:
    """The fixes as CodeActions; one alone is the preferred one."""
    found: list[Json] = []
    for fix in answer.items:
        edits: list[Json] = []
        for edit in fix.edits:
            start, end = (text.position(offset, encoding) for offset in (edit.start, edit.end))
            span = {
                "start": {"line": start.line, "character": start.character},
                "end": {"line": end.line, "character": end.character},
            }
            edits.append({"range": span, "newText": edit.text})
        found.append({"title": fix.title, "kind": KIND, "edit": {"changes": {uri: edits}}})
        if len(answer.items) == 1:
            found[-1]["isPreferred"] = True
    return found
