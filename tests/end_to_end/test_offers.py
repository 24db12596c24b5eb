"""What the menu offers besides members, with the real daemon and language server, as an editor sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from octod.core.paths import private_folder
from octod.daemon.lifecycle import COMMAND

from tests.end_to_end.house import House, labels, until
from tests.lsp.client import CAPABILITIES, LspClient

pytestmark = pytest.mark.slow

OLD = '''
from warnings import deprecated

def fresh(): ...

def _inner(): ...

@deprecated("use fresh")
def stale(): ...
'''
LAKE = """
from typing import TypedDict, Unpack

class How(TypedDict, total=False):
    cold: bool
    depth: int

def swim(where: str, **how: Unpack[How]): ...
"""
COMPLETION = "textDocument/completion"


class Desk:
    """An editor in a house without a model."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.house = House(folder, index)
        self.house.environment.install("depot", "2.0", {"depot/__init__.py": OLD, "depot/deep/__init__.py": "class Crate: ...\n"})
        private_folder(self.house.paths.config)
        (self.house.paths.config / "config.toml").write_text('engine = "none"\n')
        self.editor: LspClient = self.house.editor()

    def ask(self, source: str, **params: Any) -> Any:
        """The completion list at ``$0``."""
        return self.house.ask(self.editor, source, **params)

    def menu(self, source: str, **params: Any) -> list[str]:
        """Its labels."""
        return labels(self.ask(source, **params))

    def item(self, source: str, label: str, detail: str = "") -> Any:
        """The entry of that label, and of that detail where several have it."""
        found = [i for i in self.ask(source)["items"] if i["label"] == label and i.get("detail", "").startswith(detail)]
        assert found, f"no {label} at {source!r}"
        return found[0]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, index: Path) -> Iterator[Desk]:
    """One daemon for all tests of this module; the table of names is there."""
    made = Desk(tmp_path_factory.mktemp("desk"), index)
    with made.editor:
        until(lambda: made.menu("import depot\ndepot.fr$0"), "menu")
        until(lambda: "Crate" in made.menu("Crat$0"), "table of names")
        yield made
    made.house.close()


def test_keywords_of_a_call_in_signature_order_required_first(desk: Desk) -> None:
    """Those given already are left out, the names in scope follow, and documentation comes when it is asked for."""
    assert ["owner=", "currency="] == desk.menu("import shop\nshop.open_basket($0")[:2]
    assert ["currency="] == [m for m in desk.menu("import shop\nshop.open_basket('me', $0)") if m.endswith("=")]
    assert "express=" == desk.menu("import shop\nb = shop.open_basket('x')\nb.checkout('a', ex$0")[0]
    assert [] == [m for m in desk.menu("import shop\nshop.open_basket('me', currency=$0)") if m.endswith("=")]
    assert {"shop", "owner="} <= set(desk.menu("import shop\nshop.open_basket($0"))
    item = desk.item("import shop\nshop.open_basket('me', cur$0", "currency=")
    assert ("currency=", 'str = "EUR"') == (item["textEdit"]["newText"], item["detail"])
    shown = desk.editor.request("completionItem/resolve", item)["documentation"]["value"]
    assert 'currency: str = "EUR"' in shown and "shop 1.0" in shown


def test_keywords_of_the_files_own_functions_and_classes(desk: Desk) -> None:
    """What the file itself defines has keywords, too."""
    assert ["a=", "c=", "b="] == desk.menu("def work(a, b=1, *, c): ...\nwork($0")[:3]
    source = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    y: int = 0\nPoint($0"
    assert ["x=", "y="] == desk.menu(source)[:2]
    assert ["count="] == [m for m in desk.menu("from shop import Basket\nclass Mine(Basket): ...\nMine().add('x', $0") if m.endswith("=")]


def test_import_statements_are_completed_word_by_word(desk: Desk) -> None:
    """Installed modules, modules below a package, members; the words between; private ones last."""
    assert {"shop", "depot", "json", "email"} <= set(desk.menu("import $0"))
    assert "shop" in desk.menu("import os, sh$0")
    assert ["more"] == desk.menu("import shop.$0")
    assert ["more"] == desk.menu("from shop.mo$0")
    assert ["import"] == desk.menu("from shop $0")
    assert ["as"] == desk.menu("import shop a$0")
    assert {"fresh", "stale", "deep", "_inner"} == set(desk.menu("from depot import $0"))
    assert "_inner" == desk.menu("from depot import $0")[-1]
    assert {"stale", "deep", "_inner"} == set(desk.menu("from depot import (\n    fresh as new,\n    $0\n)"))
    assert "__name__" in desk.menu("from depot import __$0")
    assert "Talk to shops." in desk.editor.request("completionItem/resolve", desk.item("import sh$0", "shop"))["documentation"]["value"]


def test_own_modules_are_imported_like_others(desk: Desk) -> None:
    """The project's top-level modules, and relative imports inside its packages."""
    package = desk.house.project / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tools.py").write_text("def mend(): ...\n")
    until(lambda: "mine" in desk.menu("import mi$0"), "own package")
    assert ["tools"] == desk.menu("import mine.$0")
    uri = (package / "open.py").as_uri()
    desk.editor.open("from . import ", uri)
    assert "tools" in labels(desk.editor.ask(COMPLETION, 0, 14, uri))
    desk.editor.change([{"text": "from .tools import "}], uri)
    assert ["mend"] == labels(desk.editor.ask(COMPLETION, 0, 19, uri))


def test_a_library_symbol_is_imported_when_it_is_taken(desk: Desk) -> None:
    """The public path, the statement as detail, and an edit beside the other imports."""
    found = desk.item('"""Mine."""\nimport os\n\nx = Crat$0', "Crate")
    assert "from depot.deep import Crate" == found["detail"]
    (edit,) = found["additionalTextEdits"]
    assert ("\nfrom depot.deep import Crate\n", {"line": 2, "character": 0}) == (edit["newText"], edit["range"]["start"])
    merged = desk.item("from shop import Basket\nopen_b$0", "open_basket", "from shop")
    assert ", open_basket" == merged["additionalTextEdits"][0]["newText"]
    assert desk.ask("Crat$0")["isIncomplete"]
    assert "class Crate" in desk.editor.request("completionItem/resolve", found)["documentation"]["value"]
    assert "additionalTextEdits" not in desk.item("from depot.deep import Crate\nCrat$0", "Crate")
    assert "import xml.etree.ElementTree as ET" == desk.item("ET$0", "ET")["detail"]
    assert "np" not in desk.menu("np$0")  # numpy is not installed here


def test_names_in_scope_come_first_and_nothing_where_a_name_is_made_up(desk: Desk) -> None:
    """Nearest first, then Python's words and builtins; silence after ``def``, ``as``, ``for`` and in strings."""
    source = "import shop\ndef work(first, second):\n    prices = 1\n    return pr$0"
    assert "prices" == desk.menu(source)[0] and "print" in desk.menu(source)
    assert {"first", "second", "prices", "shop"} <= set(desk.menu(source.replace("pr$0", "$0")))
    assert "return" in desk.menu("def f():\n    ret$0")
    for silent in ("def pr$0", "for pr$0", "import os as o$0", "with open(1) as pr$0", "'pr$0'", "# pr$0", "def f(pr$0", "1.$0"):
        assert [] == desk.menu(silent), silent


def test_deprecated_ones_are_struck_through_and_before_the_private_ones(desk: Desk) -> None:
    """A tag for a client that knows tags, the older flag for one that does not."""
    menu = desk.ask("import depot\ndepot.$0")["items"]
    order = [i["label"] for i in menu if not i["label"].startswith("__")]
    assert ["stale", "_inner"] == order[-2:] and not [i for i in menu[:3] if i["label"].startswith("_")]
    assert {"stale": [1]} == {i["label"]: i["tags"] for i in menu if "tags" in i}
    with LspClient(COMMAND, settings={"python": desk.house.environment.python}, environ=desk.house.environ) as other:
        other.initialize({**CAPABILITIES, "textDocument": {}})
        other.open("import depot\ndepot.", desk.house.uri)
        found = until(lambda: (other.ask(COMPLETION, 1, 6, desk.house.uri) or {}).get("items"), "menu")
        assert {"stale": True} == {i["label"]: i["deprecated"] for i in found if "deprecated" in i}
        assert {1} == {i["insertTextFormat"] for i in found}


def test_a_space_opens_a_menu_in_import_statements_alone(desk: Desk) -> None:
    """Everywhere else a typed space is answered with nothing, at once."""
    space = {"context": {"triggerKind": 2, "triggerCharacter": " "}}
    assert "shop" in desk.menu("import $0", **space)
    assert "Basket" in desk.menu("from shop import $0", **space)
    assert desk.ask("x = $0", **space) is None
    assert desk.ask("def f(a, $0", **space) is None


def test_broken_and_long_files_have_menus(desk: Desk) -> None:
    """Faults above and below the cursor hide nothing, thousands of lines neither."""
    broken = "import shop\nx = (\ndef f(:\n  class\nb = shop.open_basket('x')\n"
    assert {"add", "checkout"} == set(desk.menu(f"{broken}b.ad$0\n)]}}\nwhile")[:2])
    assert "express=" == desk.menu(f"{broken}b.checkout('a', ex$0\n]")[0]
    long = "import shop\n" + "".join(f"def f{n}(a, b):\n    return a + b * {n}\n\n" for n in range(5_000))
    assert "add" in desk.menu(f"{long}b = shop.open_basket('x')\nb.$0")
    assert "f4999" in desk.menu(f"{long}f499$0")


def test_status_tells_the_share_of_each_route(desk: Desk) -> None:
    """In all, and of each environment."""
    desk.menu("import shop\nshop.$0")
    found = desk.house.status()
    assert {"index", "names", "keywords", "imports"} <= set(found["routes"])
    assert abs(sum(found["routes"].values()) - 1) < 0.01
    (place,) = found["workspaces"]
    assert (found["menus"], found["routes"]) == (place["menus"], place["routes"])


def test_ghost_text_is_silent_for_entries_that_are_no_calls(desk: Desk) -> None:
    """With the menu open on a keyword, a name or an import there is nothing to continue."""
    for source, text in (("import shop\nshop.open_basket(ow$0", "owner="), ("Crat$0", "Crate"), ("from shop import op$0", "open_basket")):
        selected = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}, "text": text}
        context = {"triggerKind": 1, "selectedCompletionInfo": selected}
        assert desk.house.ask(desk.editor, source, "textDocument/inlineCompletion", context=context) is None


def test_brackets_of_a_call_come_where_they_belong(desk: Desk) -> None:
    """For a client with snippets: behind functions that are called, classes that are made; nowhere else."""
    item = {"snippetSupport": True}
    with LspClient(COMMAND, settings={"python": desk.house.environment.python}, environ=desk.house.environ) as editor:
        editor.initialize({**CAPABILITIES, "textDocument": {"completion": {"completionItem": item}}})
        editor.open("", desk.house.uri)

        def taken(source: str, label: str) -> str:
            entry = next(i for i in desk.house.ask(editor, source)["items"] if i["label"] == label)
            assert (2 if "$" in entry["textEdit"]["newText"] else 1) == entry["insertTextFormat"]
            return str(entry["textEdit"]["newText"])

        until(lambda: (desk.house.ask(editor, "import shop\nshop.$0") or {}).get("items"), "menu")
        wanted = {
            "shop.op$0": "open_basket($0)", "x = shop.op$0": "open_basket($0)", "print(shop.op$0)": "open_basket($0)",
            "shop.op$0('me')": "open_basket", "from shop import op$0": "open_basket", "@shop.op$0\ndef f(): ...": "open_basket",
            "def f(x: shop.op$0): ...": "open_basket", "shop.op$0 = 1": "open_basket", "map(shop.op$0": "open_basket",
        }  # fmt: skip
        assert wanted == {source: taken(f"import shop\n{source}", "open_basket") for source in wanted}
        assert "fresh()$0" == taken("import depot\ndepot.fr$0", "fresh")
        own = "class Box:\n    def __init__(self, size): ...\n    def shut(self): ...\n    @property\n    def lid(self): ...\nb = Box(1)\n"
        assert ("shut()$0", "lid") == (taken(f"{own}b.$0", "shut"), taken(f"{own}b.$0", "lid"))
        assert "Basket" == taken("import shop\nisinstance(b, shop.Ba$0)", "Basket")
        assert "owner=" == taken("import shop\nshop.open_basket(ow$0)", "owner=")
    assert {1} == {i["insertTextFormat"] for i in desk.ask("import shop\nshop.$0")["items"]}


def test_after_as_stands_the_usual_name_or_none(desk: Desk) -> None:
    """``import x as`` makes a name up, which some modules have by common agreement; what is imported is not offered twice."""
    assert ["ET"] == desk.menu("import xml.etree.ElementTree as $0")
    assert ["ET"] == desk.menu("from xml.etree import ElementTree as E$0")
    assert [] == desk.menu("import shop as $0") and [] == desk.menu("from shop import Basket as B$0")
    assert "Basket" in desk.menu("from shop import (\n    $0\n    open_basket,\n)")
    for source in ("from shop import $0, Basket", "from shop import (\n    $0\n    Basket,\n)", "from shop import (\n    lis$0,\n    Basket\n)"):
        assert "Basket" not in desk.menu(source), source


def test_keywords_that_are_given_elsewhere_or_said_to_be_taken(desk: Desk) -> None:
    """``Unpack`` of a typed dictionary (PEP 692), and a stub's overloads: what one of them requires, others do not."""
    desk.house.environment.install("lake", "1", {"lake/__init__.py": "from lake.deep import swim\n", "lake/deep.py": LAKE})
    until(lambda: "swim" in desk.menu("import lake\nlake.$0"), "lake")
    assert ["cold=", "depth="] == [m for m in desk.menu("import lake\nlake.swim('a', $0)") if m.endswith("=")]
    assert ["cold="] == [m for m in desk.menu("import lake\nlake.swim('a', $0\n  depth=1)") if m.endswith("=")]
    assert ["sep=", "end=", "file=", "flush="] == [m for m in desk.menu("print(1, $0)") if m.endswith("=")]


NOTEBOOK = "file:///work/book.ipynb"
CELLS = [f"vscode-notebook-cell:/work/book.ipynb#W{n}" for n in range(3)]


def _cell(uri: str, text: str) -> dict[str, Any]:
    return {"uri": uri, "languageId": "python", "version": 1, "text": text}


def test_a_cell_reads_on_from_the_cells_before_it(desk: Desk) -> None:
    """Bindings of earlier cells count, magics do not hurt, positions are the cell's own; moved cells count where they are."""
    texts = ["%matplotlib inline\n!pip install x\nimport shop", "😀 = 1\nb = shop.open_basket('me')", "%%time\nb.\nCrat"]
    kinds = [{"kind": 2, "document": uri} for uri in CELLS]
    book = {"uri": NOTEBOOK, "notebookType": "jupyter-notebook", "version": 1, "cells": kinds}
    cells = [_cell(u, t) for u, t in zip(CELLS, texts, strict=True)]
    desk.editor.notify("notebookDocument/didOpen", {"notebookDocument": book, "cellTextDocuments": cells})
    menu = desk.editor.ask(COMPLETION, 1, 2, CELLS[2])
    assert {"add", "checkout"} == set(labels(menu)[:2])
    assert {"line": 1, "character": 2} == menu["items"][0]["textEdit"]["range"]["start"]
    crate = next(i for i in desk.editor.ask(COMPLETION, 2, 4, CELLS[2])["items"] if i["label"] == "Crate")
    assert {"line": 1, "character": 0} == crate["additionalTextEdits"][0]["range"]["start"]
    hover = desk.editor.ask("textDocument/hover", 1, 10, CELLS[1])
    assert "open_basket" in hover["contents"]["value"] and 1 == hover["range"]["start"]["line"]
    version = {"uri": NOTEBOOK, "version": 2}
    edit = {"range": {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 28}}, "text": "3"}
    change = {"cells": {"textContent": [{"document": {"uri": CELLS[1], "version": 2}, "changes": [edit]}]}}
    desk.editor.notify("notebookDocument/didChange", {"notebookDocument": version, "change": change})
    assert "bit_length" in labels(desk.editor.ask(COMPLETION, 1, 2, CELLS[2]))
    gone = {"cells": {"structure": {"array": {"start": 1, "deleteCount": 1}, "didClose": [{"uri": CELLS[1]}]}}}
    desk.editor.notify("notebookDocument/didChange", {"notebookDocument": version, "change": gone})
    assert [] == labels(desk.editor.ask(COMPLETION, 1, 2, CELLS[2]))
    left = [{"uri": CELLS[0]}, {"uri": CELLS[2]}]
    desk.editor.notify("notebookDocument/didClose", {"notebookDocument": {"uri": NOTEBOOK}, "cellTextDocuments": left})
    assert desk.editor.ask(COMPLETION, 1, 2, CELLS[2]) is None


def test_a_cell_without_its_notebook_is_a_document(desk: Desk) -> None:
    """Editors that send cells as plain documents are served, magics included."""
    uri = "vscode-notebook-cell:/work/alone.ipynb#X1"
    desk.editor.open("%load_ext x\nimport shop\nshop.", uri)
    assert "open_basket" in labels(desk.editor.ask(COMPLETION, 2, 5, uri))
