"""Names that could be imported: the table and what makes it."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
from octod.daemon.gather import stamps, write
from octod.daemon.unimported import Importable, Table, Unimported
from octod.indexer.build import build
from octod.indexer.environment import find_environment
from octod.indexer.store import Index

from tests.daemon.installed import Installed

FACADE = {
    "facade/__init__.py": "from facade.core.frame import Frame\n__all__ = ['Frame', 'load']\ndef load(path): ...\n",
    "facade/core/__init__.py": "",
    "facade/core/frame.py": "class Frame: ...\nclass Column: ...\n_private = 1\n",
    "facade/_hidden.py": "class Hidden: ...\n",
    "facade/tests/__init__.py": "class TestFrame: ...\n",
}


class Place:
    """An environment with one library, its index and its table."""

    def __init__(self, folder: Path) -> None:
        self.environment = Installed(folder / "env")
        self.environment.install("facade", "1.0", FACADE)
        self.index = folder / "index.db"
        self.table = folder / "names.txt"
        self.refresh()

    def refresh(self) -> None:
        """Bring index and table up to date."""
        build(find_environment(self.environment.python), self.index)
        write(self.index, self.table)

    def found(self, prefix: str) -> list[Importable]:
        """What begins so."""
        return Table(self.table.read_bytes()).beginning(prefix)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One for all tests of this module."""
    return Place(tmp_path_factory.mktemp("names"))


@pytest.mark.slow
def test_the_public_path_is_the_one_that_a_package_exports(place: Place) -> None:
    """Not the module where it is defined; private modules and tests are passed over."""
    assert [("facade", "class")] == [(f.module, f.kind) for f in place.found("fram") if f.name == "Frame" and "facade" in f.module]
    assert [("Column", "facade.core.frame")] == [(f.name, f.module) for f in place.found("Colum")]
    assert [] == [f for f in place.found("hidden") + place.found("TestFra") + place.found("_priv") if f.module.startswith("facade")]


@pytest.mark.slow
def test_modules_are_names_too(place: Place) -> None:
    """Top-level ones without a module to come from, inner ones from their package."""
    assert ("facade", "", "module") in [(f.name, f.module, f.kind) for f in place.found("facade")]
    assert ("core", "facade", "module") in [(f.name, f.module, f.kind) for f in place.found("core")]


@pytest.mark.slow
def test_an_upgrade_changes_what_changed(tmp_path: Path) -> None:
    """Names of another version come and go; the file is its owner's alone."""
    place = Place(tmp_path)
    place.environment.install("facade", "2.0", {**FACADE, "facade/__init__.py": "def read(path): ...\n"})
    place.refresh()
    assert not [f for f in place.found("load") if f.module == "facade"]
    assert [f for f in place.found("read") if f.module == "facade"]
    assert 0o600 == stat.S_IMODE(place.table.stat().st_mode)
    place.table.write_text("nonsense\n")
    place.refresh()
    assert place.found("Frame")


def test_a_table_is_searched_in_milliseconds() -> None:
    """A hundred thousand names; whatever the beginning."""
    lines = sorted(f"name{n:06d}\tName{n:06d}\tpkg{n % 200}.deep\tclass\t{n % 50}" for n in range(100_000))
    table = Table(("{}\n" + "\n".join(lines) + "\n").encode())
    assert 100_000 == len(table)
    fastest = 9.0
    for _ in range(3):
        for prefix in ("n", "na", "nam", "name0", "name09999", "zzz", "A"):
            began = time.process_time()
            found = table.beginning(prefix)
            fastest = min(fastest, time.process_time() - began) if prefix == "nam" else fastest
            assert all(f.name.lower().startswith(prefix.lower()) for f in found)
    assert fastest < 0.03
    assert ["Name099999"] == [f.name for f in table.beginning("NAME099999")]
    assert [] == table.beginning("zzz")


@pytest.mark.slow
def test_the_daemon_has_the_table_made_beside_it(place: Place, tmp_path: Path) -> None:
    """Until then modules alone are offered; afterwards their names; nothing is made twice."""

    async def run() -> None:
        with Index.open(place.index) as index:
            names = Unimported(index, tmp_path / "made.txt")
            assert ["facade"] == [f.name for f in names.beginning("facad")]
            assert [] == names.beginning("Frame")
            names.look()
            until = time.monotonic() + 60
            while not names.beginning("Frame"):
                assert time.monotonic() < until
                await asyncio.sleep(0.05)
            made = os.stat(tmp_path / "made.txt").st_mtime_ns
            again = Unimported(index, tmp_path / "made.txt")
            again.look()
            while not again.beginning("Frame"):
                assert time.monotonic() < until
                await asyncio.sleep(0.05)
            await again.stop()
            await names.stop()
            assert made == os.stat(tmp_path / "made.txt").st_mtime_ns
            assert "facade" in stamps(index.import_names())

    asyncio.run(run())
