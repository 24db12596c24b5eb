"""Code actions in LSP's words."""

from __future__ import annotations

import pytest
from octod.core.answers import Edit, Fix, Fixes, from_json, to_json
from octod.core.text import Text
from octod.lsp.actions import code_actions, wants_quickfix

ONE = Fixes((Fix("Replace `append` by `concat`", (Edit(5, 11, "concat"),)),))


def test_a_fix_is_a_preferred_quickfix_with_its_edit() -> None:
    """Positions in the client's encoding: the emoji counts twice in UTF-16."""
    (action,) = code_actions(ONE, "file:///a.py", Text("😀\ndf.append(1)"), "utf-16")
    span = {"start": {"line": 1, "character": 3}, "end": {"line": 1, "character": 9}}
    assert {
        "title": "Replace `append` by `concat`",
        "kind": "quickfix",
        "isPreferred": True,
        "edit": {"changes": {"file:///a.py": [{"range": span, "newText": "concat"}]}},
    } == action


def test_of_several_none_is_preferred() -> None:
    """The user chooses."""
    made = code_actions(Fixes(ONE.items * 2), "u", Text("df.append(1)"), "utf-8")
    assert [False, False] == ["isPreferred" in action for action in made]


@pytest.mark.parametrize(("only", "expected"), [(None, True), (["quickfix"], True), (["source"], False), ([], True)])
def test_only_quickfixes_are_answered(only: list[str] | None, expected: bool) -> None:
    """A client that asks for other kinds gets nothing."""
    assert expected == wants_quickfix(only)


def test_fixes_cross_the_socket() -> None:
    """As JSON and back."""
    assert ONE == from_json(to_json(ONE))
