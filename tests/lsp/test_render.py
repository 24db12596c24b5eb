"""Answers in LSP's words, for clients that understand much and clients that understand little."""

from __future__ import annotations

import json
import time

import pytest
from octod.core.answers import Ghost, Hover, Menu, MenuItem, SignatureHelp
from octod.core.text import Text
from octod.lsp import render
from octod.lsp.render import Client

FULL = Client(
    label_details=True, deprecated_tag=True, markdown=True, label_offsets=True, no_active_parameter=True
)
BARE = Client(markdown=False)
ITEM = MenuItem("get", "function", "httpx.get", "(url)", "httpx 0.28.1", deprecated=True)
HOVER = Hover(
    "httpx.get", "function", "get(url)", "doc ``` ![x](http://x)", "httpx", "0.28.1", 0, 3, "use post"
)


def test_an_entry_for_a_client_that_understands_much() -> None:
    """Label details, a tag for deprecated, a range over what was typed."""
    (item,) = render.menu(Menu((ITEM,), 7), "u", Text("😀\nhttpx.ge"), 10, FULL)["items"]
    assert {
        "label": "get",
        "kind": 3,
        "sortText": "0000",
        "filterText": "get",
        "textEdit": {
            "range": {"start": {"line": 1, "character": 5}, "end": {"line": 1, "character": 8}},
            "newText": "get",
        },
        "insertTextFormat": 1,
        "data": {"uri": "u", "qualified": "httpx.get"},
        "labelDetails": {"detail": "(url)", "description": "httpx 0.28.1"},
        "detail": "(url)",
        "tags": [1],
    } == item


def test_an_entry_for_a_client_that_understands_little() -> None:
    """The signature as detail, the old flag for deprecated."""
    (item,) = render.menu(Menu((ITEM,), 0), "u", Text(""), 0, BARE)["items"]
    assert ("(url)", True, False, False) == (
        item["detail"],
        item["deprecated"],
        "tags" in item,
        "labelDetails" in item,
    )


def test_the_order_is_the_rank() -> None:
    """Sorted as text, 10 comes after 9."""
    items = tuple(MenuItem(f"n{number}", "function", "q") for number in range(12_000))
    found = [item["sortText"] for item in render.menu(Menu(items, 0), "u", Text(""), 0, FULL)["items"]]
    assert sorted(found) == found


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", (4, 5)), ("utf-16", (2, 3)), ("utf-32", (1, 2))]
)
def test_ranges_are_in_the_client_s_units(encoding: str, expected: tuple[int, int]) -> None:
    """A range counts as the client does."""
    span = render.ghost(Ghost("x", 1, 1.0), Text("😀a"), 2, Client(encoding=encoding))["items"][0]["range"]  # type: ignore[arg-type]
    assert expected == (span["start"]["character"], span["end"]["character"])


def test_a_range_stays_on_the_cursor_s_line() -> None:
    """LSP wants a completion's range on one line."""
    span = render.menu(Menu((ITEM,), 0), "u", Text("a\nb"), 3, FULL)["items"][0]["textEdit"]["range"]
    assert (1, 0) == (span["start"]["line"], span["start"]["character"])


def test_a_docstring_is_text_and_never_markup() -> None:
    """A docstring cannot close its fence, so it brings no links or images into the editor."""
    value = render.documentation(HOVER, FULL)["value"]
    assert "````text\ndoc ``` ![x](http://x)\n````" in value
    assert value.endswith("`httpx.get` · httpx 0.28.1") and "use post" in value


def test_plain_text_for_a_client_without_markdown() -> None:
    """No fences where they would be shown."""
    found = render.hover(HOVER, Text("get"), BARE)["contents"]
    assert ("plaintext", False) == (found["kind"], "\n```" in found["value"])


@pytest.mark.parametrize(
    ("client", "active", "expected"),
    [(FULL, 1, ([[2, 3], [5, 8]], 1)), (FULL, -1, ([[2, 3], [5, 8]], None)), (BARE, -1, (["a", "a=1"], 2))],
)
def test_parameters_are_found_in_the_label(
    client: Client, active: int, expected: tuple[object, object]
) -> None:
    """Offsets where the client takes them; no parameter is null, or one past the last."""
    found = render.signature_help(SignatureHelp("a(a, a=1)", ("a", "a=1"), active, ""), client)
    assert expected == ([p["label"] for p in found["signatures"][0]["parameters"]], found["activeParameter"])


def test_a_long_menu_is_rendered_in_milliseconds() -> None:
    """A thousand entries become JSON text in well under the menu's 50 ms."""
    menu = Menu(tuple(MenuItem(f"n{n}", "function", f"m.n{n}", "(a, b=1)", "m 1") for n in range(1000)), 0)
    fastest = 9.0
    for _ in range(5):
        before = time.perf_counter()
        json.dumps(render.menu(menu, "u", Text("x"), 0, FULL))
        fastest = min(fastest, time.perf_counter() - before)
    assert fastest < 0.05
