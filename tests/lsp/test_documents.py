"""Documents keep their text by version, and know whether a snapshot is still true."""

from __future__ import annotations

import pytest
from octod.core.text import Edit, Position
from octod.lsp.documents import Documents, path_of


def test_a_change_makes_the_snapshot_before_it_stale() -> None:
    """P7: an answer for what the document was is recognised."""
    documents = Documents("utf-16")
    before = documents.open("u", "a\f\nb")
    after = documents.change("u", [Edit("x.", Position(1, 0), Position(1, 1))])
    assert after is not None
    assert ("a\f\nx.", 5, True, False) == (
        after.text.content,
        after.cursor,
        documents.is_current(after),
        documents.is_current(before),
    )


def test_a_document_opened_again_is_another() -> None:
    """Version 1 of the second opening is not version 1 of the first."""
    documents = Documents()
    first = documents.open("u", "a")
    assert documents.close("u") and not documents.is_current(first)
    assert documents.open("u", "a").stamp > first.stamp


def test_what_is_not_open_is_passed_over() -> None:
    """Changes and closings without an opening are nothing."""
    documents = Documents()
    assert (None, False, None) == (documents.change("u", []), documents.close("u"), documents.get("u"))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///a/b%20c.py", "/a/b c.py"),
        ("file:///%C3%A9.py", "/é.py"),
        ("untitled:Untitled-1", None),
        ("file:", None),
        ("file:///a%00b", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_the_path_of_a_uri(uri: str, expected: str | None) -> None:
    """Only file URIs have a path."""
    assert expected == path_of(uri)
