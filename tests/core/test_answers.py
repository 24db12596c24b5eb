"""Answers cross the socket as JSON and come back as they were."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from octod.core.answers import (
    AdapterUse,
    Edit,
    Ghost,
    Hover,
    Menu,
    MenuItem,
    SignatureHelp,
    from_json,
    to_json,
)

ANSWERS = [
    Menu((MenuItem("get", "function", "m.get", "(url)", "m", True, 0.5),), 3, "m", adapters=(AdapterUse("a", 0.5),)),
    Menu((MenuItem("DataFrame", "class", "p.DataFrame", imports="from p import DataFrame", edit=Edit(0, 0, "x\n")),), 3),
    Ghost("url)", 4, 0.9, (AdapterUse("a"),), "copy", 1.5),
    Hover("m.get", "function", "get(url)", "Gets.", "m", "1.0", 0, 3, "use post"),
    SignatureHelp("get(url, *, n=1)", ("url", "n=1"), 1, "Gets."),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda a: type(a).__name__)
def test_an_answer_survives_the_way_through_json(answer: Menu | Ghost | Hover | SignatureHelp) -> None:
    """Every field arrives, with the types it had."""
    assert answer == from_json(json.loads(json.dumps(to_json(answer))))
    assert {"answer", *asdict(answer)} == set(to_json(answer))


def test_an_entry_without_extras_is_short() -> None:
    """A menu has hundreds of them: only what differs from the defaults at the end crosses the socket."""
    (row,) = to_json(Menu((MenuItem("get", "function", "m.get", "(url)", "m", True, 0.123456),), 0))["items"]
    assert ["get", "function", "m.get", "(url)", "m", 1, 0.123] == row


def test_what_is_no_answer_is_refused() -> None:
    """An unknown kind and a missing field raise ValueError."""
    for data in ({"answer": "Nothing"}, {"answer": "Ghost"}, {"answer": "Menu", "items": [["a"]], "start": 0}, {}):
        with pytest.raises(ValueError, match="not an answer"):
            from_json(data)
