"""What is offered at a cursor before the model is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.adapters.ranker import Ranker
from octod.daemon.context import Usages, imports_of, modules_of
from octod.daemon.offers import acquaint, offer_at
from octod.daemon.protocol import Document
from octod.daemon.unimported import Unimported
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.store import Index

from tests.daemon.installed import CLIENT, Installed


def test_what_is_imported_is_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it was acquainted with a module, a menu of its members reads nothing more of the index."""
    installed = Installed(tmp_path / "env")
    installed.install("shop", "1.0", {"shop/__init__.py": CLIENT})
    build(find_environment(installed.python), tmp_path / "index.db", processes=0)
    text = "import shop\nshop."
    with Index.open(tmp_path / "index.db") as index:
        usages, names = Usages(index), Unimported(index, tmp_path / "names.txt")
        usages.refresh()
        for module in (*modules_of(text), "not.installed"):
            while not acquaint(index, usages, module):
                pass
        read: list[str] = []
        monkeypatch.setattr(index, "_read", lambda qualified: read.append(qualified))
        offer = offer_at(index, usages, names, Ranker.shipped(), Document("file:///a.py", 1, text), len(text))
    assert "open_basket" in [member.symbol.name for member in offer.place.members]
    assert [] == [name for name in read if name.partition(".")[0] == "shop"]


def test_modules_are_read_from_the_text_of_a_file() -> None:
    """Names after ``as``, relative imports and what an import takes out of a module are left out."""
    text = "import a.b as c, d\nfrom e.f import g\nfrom . import h\nfrom .i import j\nif x:\n    import k  # l\nimport d\n"
    assert (("a.b", "d", "e.f", "k"), ("a", "d", "e", "k")) == (modules_of(text), imports_of(text))
