"""Cells as the end of a file, in plain Python of the same length."""

from __future__ import annotations

import ast

import pytest
from octod.core.answers import Edit, Ghost, Hover, Menu, MenuItem
from octod.core.text import Text
from octod.lsp.documents import Documents, path_of
from octod.lsp.notebooks import Notebooks, Whole, moved, plain_python
from octod.lsp.render import Client, menu


@pytest.mark.parametrize(
    "cell",
    [
        "%matplotlib inline\nx = 1",
        "!pip install x\nx = 1",
        "if x:\n    !ls\n    %cd ..",
        "files = !ls\nx = files",
        "df.head?\n?df\nprint??",
        "%%bash\necho 'hello\nfor x in",
        "%%time\nx = 1\ny = x % 2",
        "x = (1\n     % 2)\ny = x != 3",
        "!x\n%",
    ],
)
def test_magics_become_python_of_the_same_length(cell: str) -> None:
    """Every character keeps its place, and the cell parses."""
    plain = plain_python(cell)
    assert len(cell) == len(plain) and cell.count("\n") == plain.count("\n")
    ast.parse(plain.replace("%", "1") if cell.endswith("\n%") else plain)


def test_plain_code_stays_as_it_is() -> None:
    """Remainders and comparisons are no magics."""
    for cell in ("x = (1\n     % 2)\ny = x != 3", "print('what?')\nx %= 2", "f'{x!r}'"):
        assert cell == plain_python(cell)


def test_a_cell_has_the_cells_before_it_and_its_stamp_theirs() -> None:
    """A change above makes another text, a change below does not."""
    documents = Documents()
    notebooks = Notebooks(documents)
    cells = [documents.open(f"c:{n}", text) for n, text in enumerate(["a = 1", "%x\nb = 2", "c"])]
    notebooks.open("file:///n.ipynb", ["c:0", "c:md", "c:1", "c:2"])
    whole = notebooks.whole(cells[2])
    assert ("a = 1\n0#\nb = 2\nc", 15) == (whole.text, whole.shift)
    assert "file:///n.ipynb" == notebooks.home("c:1") and "c:9" == notebooks.home("c:9")
    below = notebooks.whole(cells[0]).stamp
    documents.open("c:1", "b = 3")
    assert notebooks.whole(cells[2]).stamp > whole.stamp
    assert below == notebooks.whole(cells[0]).stamp
    notebooks.splice("file:///n.ipynb", 0, 1, [])
    assert "b = 3\nc" == notebooks.whole(cells[2]).text
    notebooks.close("file:///n.ipynb")
    assert "c" == notebooks.whole(cells[2]).text


def test_answers_move_into_the_cell() -> None:
    """Places before it become its first line, below a cell magic."""
    item = MenuItem("D", "class", "p.D", imports="from p import D", edit=Edit(3, 3, ", D"))
    found = moved(Menu((item,), 25), Whole("", 20, 1), "%%time\nD")
    assert isinstance(found, Menu)
    assert (5, Edit(7, 7, "from p import D\n")) == (found.start, found.items[0].edit)
    inside = moved(Menu((MenuItem("D", "class", "p.D", edit=Edit(24, 25, "x")),), 25), Whole("", 20, 1), "abcdef")
    assert isinstance(inside, Menu) and Edit(4, 5, "x") == inside.items[0].edit
    assert Ghost("x", 1, 1.0) == moved(Ghost("x", 21, 1.0), Whole("", 20, 1), "a")
    assert Hover("q", "k", "s", "", "", "", 1, 2) == moved(Hover("q", "k", "s", "", "", "", 21, 22), Whole("", 20, 1), "a")


def test_the_path_of_a_cell_is_its_notebooks() -> None:
    """The environment is looked for from there."""
    assert "/work/a b.ipynb" == path_of("vscode-notebook-cell:/work/a%20b.ipynb#W1sZm")
    assert path_of("untitled:Untitled-1") is None


def test_a_client_with_defaults_gets_the_range_once() -> None:
    """A long list is half as long."""
    items = tuple(MenuItem(f"n{n}", "function", f"m.n{n}", "(a)") for n in range(50))
    full, short = (menu(Menu(items, 0), "u", Text("n"), 1, Client(item_defaults=d)) for d in (False, True))
    assert full["items"][0]["textEdit"]["range"] == short["itemDefaults"]["editRange"]
    assert not {"textEdit", "filterText", "insertTextFormat"} & set(short["items"][0])
