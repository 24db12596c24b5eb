"""Docstrings read in the installed files."""

from __future__ import annotations

from pathlib import Path

from octod.core.symbols import LibraryId
from octod.indexer.distribution import Distribution
from octod.indexer.documentation import doc_of_member, doc_of_scope
from octod.indexer.extract import extract_module, merge_stub
from octod.indexer.store import Index

HAM = LibraryId("ham", "1", "abc")
TEXT = '''# A comment first.
"""About ham."""

def plain(a, b=":", *, c: dict[str, int] = {"x": 1}) -> "str":  # a colon: here
    # and a comment
    """Do it.

    With \\"care\\".
    """

def short(): "One line."

def none(): return "no docstring"

class C:
    r"""A \\class."""

    @property
    def p(self) -> int:
        """A property."""

    def m(
        self,
    ):
        ("Joined "
         "text.")

    async def n(self): ...

    class Inner:
        def m(self): """Deep."""

def m():
    """Not the method."""
'''


def indexed(tmp_path: Path, text: str = TEXT, stub: str = "") -> Index:
    """An index of one module, whose file lies there."""
    (tmp_path / "ham.py").write_text(text)
    made = extract_module(
        text, module="ham", file=str(tmp_path / "ham.py"), library=HAM, is_package=False, is_stub=False
    )[0]
    if stub:
        typed = extract_module(
            stub, module="ham", file=str(tmp_path / "ham.pyi"), library=HAM, is_package=False, is_stub=True
        )[0]
        made = merge_stub(typed, made)
    index = Index.open(tmp_path / "x.db")
    index.replace_library(Distribution(HAM, ("ham",), (), tmp_path), made)
    return index


def docs(index: Index) -> dict[str, str]:
    """Qualified name -> docstring of everything that has one."""
    found = {}
    for scope in filter(None, map(index.scope, ("ham", "ham.C", "ham.C.Inner"))):
        for name, symbol in scope.symbols.items():
            if doc := doc_of_member(index, f"{scope.qualified}.{name}", symbol):
                found[f"{scope.qualified}.{name}"] = doc
    return found


EXPECTED = {
    "ham.plain": 'Do it.\n\nWith "care".', "ham.short": "One line.", "ham.C": "A \\class.", "ham.C.p": "A property.",
    "ham.C.Inner.m": "Deep.", "ham.m": "Not the method.",
}  # fmt: skip


def test_docstrings_are_those_that_python_would_give(tmp_path: Path) -> None:
    """Of functions, classes, methods, properties, one-liners; comments and colons do not mislead."""
    with indexed(tmp_path) as index:
        assert docs(index) == EXPECTED
        scope = index.scope("ham")
        assert scope is not None and doc_of_scope(scope) == "About ham."


def test_a_stub_is_documented_by_its_source(tmp_path: Path) -> None:
    """The lines are those of the source."""
    stub = "def plain(a: int) -> str: ...\nclass C:\n  @property\n  def p(self) -> int: ...\n  class Inner:\n    def m(self): ...\n"
    with indexed(tmp_path, stub=stub) as index:
        assert docs(index) == EXPECTED


def test_lines_that_moved_are_found_by_name(tmp_path: Path) -> None:
    """A file that changed since it was indexed is searched; what it no longer defines has no docstring."""
    with indexed(tmp_path) as index:
        (tmp_path / "ham.py").write_text("x = 1\n" * 5 + TEXT.replace("def short", "def renamed"))
        assert docs(index) == {name: doc for name, doc in EXPECTED.items() if name != "ham.short"}


def test_a_file_that_is_gone_documents_nothing(tmp_path: Path) -> None:
    """No error."""
    with indexed(tmp_path) as index:
        (tmp_path / "ham.py").unlink()
        scope = index.scope("ham")
        assert (docs(index), doc_of_scope(scope) if scope else None) == ({}, "")
