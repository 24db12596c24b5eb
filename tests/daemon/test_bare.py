"""Where names are made up, and what import statements want."""

from __future__ import annotations

import pytest
from octod.daemon.bare import names_something_new
from octod.daemon.imports import part_at
from octod.daemon.keywords import at_argument
from octod.indexer.parse import Cursor, parse_at


def cursor(source: str) -> Cursor:
    """The cursor at ``$0``."""
    return parse_at(source.replace("$0", ""), source.index("$0"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def na$0", True), ("class Na$0", True), ("with a as na$0", True), ("for na$0", True), ("for a, na$0", True),
        ("lambda na$0", True), ("def f(na$0", True), ("def f(a, na$0", True), ("async def f(a=1, na$0", True),
        ("def f(a: na$0", False), ("def f(a=na$0", False), ("def f(a: dict[str, na$0", False), ("def f(a) -> na$0", False),
        ("for a in na$0", False), ("na$0", False), ("x = na$0", False), ("f(na$0", False), ("lambda: na$0", False),
        ("class A(na$0", False), ("return na$0", False), ("@na$0", False), ("if x:\n    na$0", False),
    ],
)  # fmt: skip
def test_a_name_that_is_made_up_is_not_completed(source: str, expected: bool) -> None:
    """After ``def``, ``class``, ``as``, ``for``, ``lambda`` and as a parameter's name."""
    assert expected == names_something_new(cursor(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import $0", "module"), ("import nu$0", "module"), ("import a.b$0", "module"), ("import os, nu$0", "module"), ("import os $0", "as"),
        ("import os as o$0", "alias"), ("from $0", "module"), ("from nu$0", "module"), ("from a.$0", "module"), ("from .$0", "module"),
        ("from .a$0", "module"), ("from a $0", "import"), ("from a imp$0", "import"), ("from . $0", "import"), ("from a import $0", "member"),
        ("from a import b, c$0", "member"), ("from a import (\n    b,\n    c$0", "member"), ("from . import $0", "member"),
        ("x = $0", None), ("importlib$0", None), ("frame$0", None),
    ],
)  # fmt: skip
def test_each_word_of_an_import_statement_is_told_apart(source: str, expected: str | None) -> None:
    """Modules, members, and the statement's own words."""
    assert expected == part_at(cursor(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f($0", True), ("f(a, $0", True), ("f(a=1, $0", True), ("f(*a, $0", True), ("f(**a, $0", True), ("f(\n    a,\n    ke$0", True),
        ("f(a=$0", False), ("f([a, $0", False), ("f(a + $0", False), ("f({'a': $0", False), ("f(x for $0", False),
        ("f(g(1), $0", True), ("f(not $0", False),
    ],
)  # fmt: skip
def test_keywords_stand_where_an_argument_begins(source: str, expected: bool) -> None:
    """Not in a value, not inside another bracket."""
    found = cursor(source)
    assert found.call is not None
    assert expected == at_argument(found.text, found.call, found.offset - len(found.partial))
