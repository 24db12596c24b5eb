"""Names that could be imported: the table and what makes it."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest
from octod.daemon.bare import worth
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
    lines = sorted(f"name{n:06d}\tName{n:06d}\tpkg{n % 200}.deep\tclass\t0\t{n % 50}" for n in range(100_000))
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


# what is typed, the first entry that would be imported, and for what: (calls, imports elsewhere) of each path that has the name
EVERYDAY = {
    "typing.Optional": (0, 90), "typing.Any": (0, 99), "typing.List": (0, 80), "typing.Callable": (0, 20), "collections.abc.Callable": (0, 60),
    "typing.Iterable": (0, 20), "collections.abc.Iterable": (0, 50), "collections.abc.Sequence": (0, 50), "typing.Sequence": (0, 20),
    "grammar.core.Optional": (0, 0), "pages.options.Optional": (13, 0), "shapes.core.Any": (9, 0), "shapes.List": (12, 1), "graphics.path.Path": (29, 2),
    "models.BaseModel": (0, 0), "client.BaseModel": (5, 0), "pydantic.BaseModel": (0, 21), "models.BaseModelOutput": (40, 0),
    "pathlib.Path": (290, 40), "pandas.DataFrame": (1600, 5), "frames.v1.DataFrame": (2, 0), "dataclasses.dataclass": (150, 90),
    "pydantic.dataclasses.dataclass": (5, 1), "dataclasses.field": (210, 30), "fields.core.field": (70, 0), "enum.Enum": (0, 60),
    "columns.sql.Enum": (9, 1), "collections.defaultdict": (110, 70), "collections.Counter": (28, 9), "language.util.Counter": (7, 0),
    "datetime.datetime": (300, 40), "datetime.timedelta": (90, 30), "contextlib.contextmanager": (10, 30), "functools.partial": (90, 40),
    "flask.Flask": (90, 9), "numeric.flatnonzero": (30, 0), "abc.ABC": (0, 40), "typing.TypeVar": (30, 60), "deep.core.util.TypeVarType": (30, 0),
    "uuid.uuid4": (90, 20), "deep.core.util.uuid4": (9, 0),
}  # fmt: skip
WANTED = {
    "Opt": "typing.Optional", "Any": "typing.Any", "Lis": "typing.List", "Calla": "collections.abc.Callable", "Iter": "collections.abc.Iterable",
    "Seq": "collections.abc.Sequence", "BaseM": "pydantic.BaseModel", "Path": "pathlib.Path", "Pat": "pathlib.Path", "DataF": "pandas.DataFrame",
    "dataf": "pandas.DataFrame", "datac": "dataclasses.dataclass", "fie": "dataclasses.field", "Enum": "enum.Enum", "defa": "collections.defaultdict",
    "Coun": "collections.Counter", "timed": "datetime.timedelta", "contextm": "contextlib.contextmanager", "parti": "functools.partial",
    "Fla": "flask.Flask", "ABC": "abc.ABC", "TypeV": "typing.TypeVar", "uui": "uuid.uuid4",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "wanted"), list(WANTED.items()), ids=list(WANTED))
def test_everyday_names_come_from_where_others_import_them(typed: str, wanted: str) -> None:
    """Calls say nothing of what stands in annotations and class heads: imports do."""
    lines = []
    for path, (calls, imports) in EVERYDAY.items():
        module, _, name = path.rpartition(".")
        lines.append(f"{name.lower()}\t{name}\t{module}\tclass\t{calls}\t{calls + 4 * imports}")
    table = Table(("{}\n" + "\ttyping.Any\tpandas\timport\t9\t0\n" + "\n".join(sorted(lines)) + "\n").encode())
    found = sorted(table.beginning(typed), key=lambda one: -worth(one, typed, ()))
    assert wanted == f"{found[0].module}.{found[0].name}"


@pytest.mark.slow
def test_what_others_import_is_counted(place: Place, tmp_path: Path) -> None:
    """By the path that they write, a star on the way or not; after an upgrade of one the others' imports still count."""
    own = Place(tmp_path)
    own.environment.install("model", "1.0", {"model/__init__.py": "from model.main import *\n", "model/main.py": "class Modelled: ...\n"})
    users = {f"user/m{n}.py": "from model import Modelled\nfrom facade import Frame\n" for n in range(4)}
    own.environment.install("user", "1.0", {"user/__init__.py": "", **users})
    own.refresh()
    assert 16 == next(f.uses for f in own.found("Frame") if f.module == "facade")
    assert 16 == next(f.uses for f in own.found("Modelled") if f.module == "model")
    own.environment.install("facade", "2.0", FACADE)
    own.refresh()
    assert 16 == next(f.uses for f in own.found("Frame") if f.module == "facade")
    assert 0 == next(f.uses for f in place.found("Frame") if f.module == "facade")


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
