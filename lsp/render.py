"""Answers as LSP objects: plain JSON, since turning hundreds of entries into lsprotocol's classes and back is slow.

Text of libraries is shown as text, never as markup: a docstring could carry links and images that an editor loads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from octod.core.answers import Brackets, Ghost, Hover, Menu, MenuItem, SignatureHelp
from octod.core.text import Encoding, Position, Text
from octod.lsp.capabilities import dig

__all__ = ["EMPTY", "Client", "documentation", "ghost", "hover", "menu", "signature_help"]

Json = dict[str, Any]

# Nothing to show yet: ask again at the next key.
EMPTY: Json = {"isIncomplete": True, "items": []}

# CompletionItemKind of LSP 3.17.
_KINDS = {
    "module": 9,
    "class": 7,
    "function": 3,
    "method": 2,
    "property": 10,
    "attribute": 5,
    "alias": 6,
    "instance": 6,
    "statement": 6,
    "param": 6,
    "keyword": 14,
    "path": 17,
    "constant": 21,
}
_VARIABLE = 6  # variables, parameters and keyword arguments, too
_DEPRECATED = 1  # CompletionItemTag
_PLAIN, _SNIPPET = 1, 2  # InsertTextFormat


@dataclass(frozen=True, slots=True)
class Client:
    """What the client understands, as far as it changes what is sent."""

    encoding: Encoding = "utf-16"
    label_details: bool = False
    snippets: bool = False
    item_defaults: bool = False
    deprecated_tag: bool = False
    markdown: bool = True
    label_offsets: bool = False
    no_active_parameter: bool = False

    @classmethod
    def of(cls, capabilities: object, encoding: Encoding) -> Client:
        """From the ``capabilities`` of ``initialize``."""
        item = dig(capabilities, "textDocument", "completion", "completionItem")
        signature = dig(capabilities, "textDocument", "signatureHelp", "signatureInformation")
        tags = dig(item, "tagSupport", "valueSet")
        defaults = dig(capabilities, "textDocument", "completion", "completionList", "itemDefaults")
        formats = dig(capabilities, "textDocument", "hover", "contentFormat")
        return cls(
            encoding=encoding,
            label_details=bool(dig(item, "labelDetailsSupport")),
            snippets=bool(dig(item, "snippetSupport")),
            item_defaults=isinstance(defaults, list) and {"editRange", "insertTextFormat"} <= set(map(str, defaults)),
            deprecated_tag=isinstance(tags, list) and _DEPRECATED in tags,
            markdown=isinstance(formats, list) and "markdown" in formats,
            label_offsets=bool(dig(signature, "parameterInformation", "labelOffsetSupport")),
            no_active_parameter=bool(dig(signature, "noActiveParameterSupport")),
        )


def menu(answer: Menu, uri: str, text: Text, cursor: int, client: Client) -> Json:
    """A CompletionList in the answer's order, each entry replacing what was typed of it.

    A client that takes defaults for all entries gets the range once, which halves a long list.
    """
    span = _range(text, answer.start, cursor, client.encoding)
    width = max(4, len(str(len(answer.items))))
    items = []
    for rank, entry in enumerate(answer.items):
        item: Json = {
            "label": entry.name,
            "kind": _KINDS.get(entry.kind, _VARIABLE),
            "sortText": f"{rank:0{width}d}",
            "data": {"uri": uri, "qualified": entry.qualified},
        }
        if not client.item_defaults:
            item["filterText"] = entry.name
            item["textEdit"] = {"range": span, "newText": entry.name}
            item["insertTextFormat"] = _PLAIN
        if client.snippets and (call := _call(entry, answer.brackets)):
            item["insertTextFormat"] = _SNIPPET
            if client.item_defaults:
                item["textEditText"] = call
            else:
                item["textEdit"] = {"range": span, "newText": call}
        if client.label_details and (details := _details(entry)):
            item["labelDetails"] = details
        if detail := entry.imports or entry.signature or entry.library:
            item["detail"] = detail
        if entry.edit is not None:
            place = _range(text, entry.edit.start, entry.edit.end, client.encoding)
            item["additionalTextEdits"] = [{"range": place, "newText": entry.edit.text}]
        if entry.deprecated:
            item.update({"tags": [_DEPRECATED]} if client.deprecated_tag else {"deprecated": True})
        items.append(item)
    found: Json = {"isIncomplete": answer.incomplete, "items": items}
    if client.item_defaults:
        found["itemDefaults"] = {"editRange": span, "insertTextFormat": _PLAIN}
    return found


def _call(entry: MenuItem, brackets: Brackets) -> str:
    """The snippet of a call, the cursor between its brackets where something may be given; empty for what is not called here."""
    if not brackets or entry.name.startswith("__"):
        return ""
    if entry.kind in ("function", "method") or entry.kind == "class" and brackets == "all" and entry.signature:
        return f"{entry.name}()$0" if entry.signature == "()" else f"{entry.name}($0)"
    return ""


def _details(entry: MenuItem) -> Json:
    """What stands beside a label: its signature right after it, where it is from at the edge."""
    if entry.imports:
        return {"description": entry.qualified.rpartition(".")[0] or entry.qualified}
    details = {}
    if entry.signature:
        details["detail"] = f" {entry.signature}" if entry.kind == "keyword-argument" else entry.signature
    if entry.library:
        details["description"] = entry.library
    return details


def ghost(answer: Ghost, text: Text, cursor: int, client: Client) -> Json:
    """An InlineCompletionList of one."""
    span = _range(text, answer.start, cursor, client.encoding)
    return {"items": [{"insertText": answer.text, "range": span}]}


def hover(answer: Hover, text: Text, client: Client) -> Json:
    """A Hover over the symbol."""
    return {
        "contents": documentation(answer, client),
        "range": _range(text, answer.start, answer.end, client.encoding),
    }


def documentation(answer: Hover, client: Client) -> Json:
    """MarkupContent: signature, docstring, library and version."""
    notes = [f"Deprecated: {answer.deprecated}"] if answer.deprecated else []
    origin = " ".join(part for part in (answer.library, answer.version) if part)
    title = answer.signature or answer.qualified
    if not client.markdown:
        parts = [
            title,
            *notes,
            answer.doc.strip(),
            " ".join(part for part in (answer.qualified, origin) if part),
        ]
        return {"kind": "plaintext", "value": "\n\n".join(part for part in parts if part)}
    parts = [_fenced(title, "python"), *(_fenced(note, "text") for note in notes)]
    if answer.doc.strip():
        parts.append(_fenced(answer.doc.strip(), "text"))
    parts.append(f"`{answer.qualified.replace('`', '')}`" + (f" · {_plain(origin)}" if origin else ""))
    return {"kind": "markdown", "value": "\n\n".join(parts)}


def signature_help(answer: SignatureHelp, client: Client) -> Json:
    """A SignatureHelp of one signature."""
    parameters: list[Json] = []
    searched = answer.label.find("(") + 1
    for parameter in answer.parameters:
        label: str | list[int] = parameter
        found = answer.label.find(parameter, searched)
        if found >= 0:
            searched = found + len(parameter)
            if client.label_offsets:
                # UTF-16 offsets whatever the position encoding (LSP 3.17, ParameterInformation).
                label = [len(answer.label[:end].encode("utf-16-le")) // 2 for end in (found, searched)]
        parameters.append({"label": label})
    # No parameter: null where the client knows it (LSP 3.18), else one past the last.
    nothing = None if client.no_active_parameter else len(parameters)
    active = answer.active if 0 <= answer.active < len(parameters) else nothing
    signature: Json = {"label": answer.label, "parameters": parameters}
    if answer.doc:
        signature["documentation"] = {"kind": "plaintext", "value": answer.doc}
    return {"signatures": [signature], "activeSignature": 0, "activeParameter": active}


def _range(text: Text, start: int, end: int, encoding: Encoding) -> Json:
    """An LSP range, kept to the line of its end as completion wants it."""
    last = text.position(end, encoding)
    first = max(text.position(min(start, end), encoding), Position(last.line, 0))
    return {
        "start": {"line": first.line, "character": first.character},
        "end": {"line": last.line, "character": last.character},
    }


def _fenced(content: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content}\n{fence}"


def _plain(content: str) -> str:
    return re.sub(r"([\\`*_\[\]<>()#!|])", r"\\\1", content)
