"""Fixes for names that the installed version of a library lacks, through the real service."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from octod.core.answers import Fixes
from octod.core.paths import Paths
from octod.core.settings import Settings
from octod.daemon.folders import activated
from octod.daemon.protocol import Document
from octod.daemon.service import OctodService
from octod.indexer.environment import Distribution, standard_library

from tests.daemon.installed import Installed

T = TypeVar("T")
DEADLINE = 5.0  # seconds: the promise for an upgrade to show

OLD = {
    "shop/__init__.py": '''
from shop.inner import Basket
from shop.util import weigh
Inf = 1.0
inf = 1.0

def open_shop(name, *, line_terminator=None): ...

class Checkout(Basket): ...

class Frame:
    def __getattr__(self, column): ...
    def applymap(self, func, na_action, limit): ...
''',
    "shop/inner.py": '''
class Basket:
    def iteritems(self):
        """Each item.

        .. deprecated:: 1.5
            Use .items instead.
        """
    def items(self): ...
    def append(self, other):
        """Put in.

        .. deprecated:: 1.5
            Use :func:`shop.concat` instead.
        """
    def secret(self): ...
''',
    "shop/util.py": "def weigh(item, unit): ...\n",
}
NEW = {
    "shop/__init__.py": '''
from shop.core import Basket
inf = 1.0

def open_shop(name, *, lineterminator=None): ...

def concat(items): ...

class Checkout(Basket): ...

class Frame:
    def __getattr__(self, column): ...
    def map(self, func, na_action, limit): ...

def __getattr__(name): ...
''',
    "shop/core.py": "class Basket:\n    def items(self): ...\n",
    "shop/scales.py": "def weigh(item, unit): ...\n",
    "shop/_expired.py": '__expired_attributes__ = {"float_": "Use `shop.inf` instead."}\n',
}


class Session:
    """A service on an environment whose library was upgraded while it ran."""

    def __init__(self, folder: Path) -> None:
        self.environment = Installed(folder / "env")
        self.environment.install("shop", "1.0", OLD)
        self.said: list[str] = []
        self.runner = asyncio.Runner()
        self.service = self.run(self._make(Paths.of({"OCTOD_HOME": str(folder / "o")})))

    async def _make(self, paths: Paths) -> OctodService:
        service = OctodService(paths, Settings(), None, None)
        service.notify = lambda method, params: self.said.append(str(params.get("text"))) if method == "message" else None
        await service.index(self.environment.python, False)
        self.environment.install("shop", "2.0", NEW)
        await service.index(self.environment.python, False)
        return service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the service's loop."""
        return self.runner.run(work)

    def fixes(self, source: str) -> Fixes | None:
        """The fixes at ``$0``."""
        text, offset = source.replace("$0", ""), source.index("$0")
        document = Document("file:///a.py", 1, text, None, self.environment.python, None)
        return self.run(self.service.fixes(document, offset, offset))

    def fixed(self, source: str) -> str | None:
        """The text after the first fix at ``$0``; None where there is none."""
        found, text = self.fixes(source), source.replace("$0", "")
        if found is None or not found.items:
            return None
        for edit in sorted(found.items[0].edits, key=lambda e: -e.start):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def close(self) -> None:
        """Stop the service and its loop."""
        self.run(self.service.stop())
        self.runner.close()


def few_standard_modules(python: str | None = None) -> Distribution:
    """Two modules stand for the standard library, so that a build takes a moment."""
    whole = standard_library(python)
    files = tuple(f for f in whole.files if whole.module(f) in ("builtins", "warnings"))
    return replace(whole, files=files, import_names=("builtins", "warnings"))


@pytest.fixture(scope="module", autouse=True)
def small_standard_library() -> Iterator[None]:
    """In every build of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("octod.indexer.build.standard_library", few_standard_modules)
        yield


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One service for all tests."""
    made = Session(tmp_path_factory.mktemp("actions"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # a method, on an object, on one of a derived class, through a variable; by the old version's own words
        ("import shop\nb = shop.Basket()\nb.iter$0items()\n", "import shop\nb = shop.Basket()\nb.items()\n"),
        ("import shop\nshop.Checkout().$0iteritems()\n", "import shop\nshop.Checkout().items()\n"),
        # one that a column might be, were it not a method before
        ("import shop\nshop.Frame().applymap$0(str)\n", "import shop\nshop.Frame().map(str)\n"),
        # a name of a module: spelled otherwise, in a table of the new version
        ("import shop as s\nx = s.Inf$0\n", "import shop as s\nx = s.inf\n"),
        ("import shop\nx = shop.float_$0\n", "import shop\nx = shop.inf\n"),
        # one that moved into a module below
        ("import shop\nshop.weigh$0(1, 2)\n", "import shop\nshop.scales.weigh(1, 2)\n"),
        # imports: the rest of the file goes on with the old name
        ("from shop import Inf$0\n", "from shop import inf as Inf\n"),
        ("from shop import $0weigh  # kg\n", "from shop.scales import weigh  # kg\n"),
        ("from shop import (\n    Inf$0,\n    Basket,\n)\n", "from shop import (\n    inf as Inf,\n    Basket,\n)\n"),
        # a keyword
        ("import shop\nshop.open_shop('a', line_terminator$0=None)\n", "import shop\nshop.open_shop('a', lineterminator=None)\n"),
    ],
)
def test_a_removed_name_gives_way_to_its_successor(session: Session, source: str, expected: str) -> None:
    """On the same receiver, or where an import can say it."""
    assert expected == session.fixed(source)


@pytest.mark.parametrize(
    "source",
    [
        "import shop\nshop.Basket().items$0()\n",  # it is there
        "import shop\nshop.Basket().append$0(1)\n",  # the successor is another thing's
        "import shop\nshop.Basket().secret$0()\n",  # nobody says what instead
        "import shop\nshop.Basket().unheard$0()\n",  # it never was
        "import shop\nshop.unheard$0\n",
        "import shop\nshop.Frame().Map$0\n",  # a column
        "unknown.iteritems$0()\n",  # who knows
        "def f(x):\n    x.iteritems$0()\n",
        "import shop\n# shop.Inf$0\n",
        "import shop\n'shop.Inf$0'\n",
        "Inf$0 = 1\n",
        "import shop\nshop.open_shop('a', lineterminator$0=None)\n",
        "import shop\nshop.open_shop('a', unheard$0=None)\n",
        "class Own:\n    def a(self): ...\nOwn().iteritems$0()\n",
        "$0",
    ],
)
def test_without_evidence_there_is_no_fix(session: Session, source: str) -> None:
    """Unknown stays unknown."""
    assert None is session.fixed(source)


def test_a_range_gives_the_fixes_of_all_its_names(session: Session) -> None:
    """An editor asks for what is selected."""
    text = "import shop\nx = shop.Inf\ny = shop.Basket().iteritems()\n"
    document = Document("file:///a.py", 1, text, None, session.environment.python, None)
    found = session.run(session.service.fixes(document, 0, len(text)))
    assert found is not None
    assert ["inf", "items"] == [fix.edits[0].text for fix in found.items]


def test_the_title_says_what_is_missing_where(session: Session) -> None:
    """Library and version, and both names."""
    found = session.fixes("import shop\nshop.Inf$0\n")
    assert found is not None
    assert "Replace `Inf` by `inf` (shop 2.0 has no `Inf`)" == found.items[0].title


def test_the_upgrade_is_announced(session: Session) -> None:
    """How many public names went, and what lists them."""
    expected = "shop 1.0 → 2.0: 5 names removed, 3 names renamed, run: octod diff shop 1.0 2.0"
    assert expected in session.said


def test_an_uninstall_before_the_install_is_still_an_upgrade(tmp_path: Path) -> None:
    """pip removes the old version first: a build may see nothing in between."""
    session = Session(tmp_path)
    try:
        session.environment.remove("shop")
        session.run(session.service.index(session.environment.python, False))
        session.environment.install("shop", "3.0", OLD)
        session.run(session.service.index(session.environment.python, False))
        assert any(text.startswith("shop 2.0 → 3.0: ") for text in session.said)
    finally:
        session.close()


def test_edits_of_an_editable_install_show_without_a_new_one(tmp_path: Path) -> None:
    """Its files are outside the environment and outside every open project, and are watched all the same."""
    environment = Installed(tmp_path / "env")
    source = tmp_path / "checkout" / "src" / "ham" / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text("def boil(): ...\n")
    direct = f'{{"url": "{(tmp_path / "checkout").as_uri()}", "dir_info": {{"editable": true}}}}'
    environment.install("ham", "1", {"_ham.pth": f"{source.parent.parent}\n"})
    (environment.packages / "ham-1.dist-info" / "direct_url.json").write_text(direct)
    document = Document("file:///a.py", 1, "import ham\nham.", None, environment.python, None)

    async def session() -> bool:
        service = OctodService(Paths.of({"OCTOD_HOME": str(tmp_path / "o")}), Settings(), None, None)
        try:
            assert await _offers(service, document, "boil", 30.0)
            await _until(lambda: tmp_path / "checkout" in service._workspaces.watched, 30.0)
            source.write_text("def boil(): ...\ndef fry(): ...\n")
            return await _offers(service, document, "fry", DEADLINE)
        finally:
            await service.stop()

    assert asyncio.run(session())


async def _offers(service: OctodService, document: Document, name: str, deadline: float) -> bool:
    """Whether the menu has the name before the deadline."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        menu = await service.menu(document, len(document.text))
        if menu is not None and any(item.name == name for item in menu.items):
            return True
        await asyncio.sleep(0.05)
    return False


async def _until(condition: Callable[[], bool], deadline: float) -> None:
    """Wait for a condition."""
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


def test_the_editor_s_activated_environment_counts_not_the_daemon_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two editors, one daemon: each is answered from what is activated where it was started, the daemon's own is for nobody."""
    made = {name: Installed(tmp_path / name) for name in ("a", "b", "c")}
    for name, one in made.items():
        one.install("ham", "1", {"ham.py": f"def in_{name}(): ...\n"})
    monkeypatch.setenv("VIRTUAL_ENV", str(made["c"].root))
    (tmp_path / "work").mkdir()
    path = str(tmp_path / "work" / "x.py")

    async def session() -> None:
        service = OctodService(Paths.of({"OCTOD_HOME": str(tmp_path / "o")}), Settings(), None, None)
        try:
            for name, active in (("a", str(made["a"].root)), ("b", str(made["b"].root)), ("c", None)):
                document = Document(f"file://{path}", 1, "import ham\nham.", path, None, None, active=active)
                assert await _offers(service, document, f"in_{name}", 30.0)
        finally:
            await service.stop()

    asyncio.run(session())
    assert activated("") == {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}


def test_each_project_of_a_workspace_has_its_own_environment(tmp_path: Path) -> None:
    """Two projects in one folder that an editor opened: each file is answered from the environment beside it."""
    first, second = Installed(tmp_path / "work" / "a" / ".venv"), Installed(tmp_path / "work" / "b" / ".venv")
    first.install("ham", "1", {"ham.py": "def old(): ...\n"})
    second.install("ham", "2", {"ham.py": "def new(): ...\n"})
    root = str(tmp_path / "work")

    async def session() -> list[list[str]]:
        service = OctodService(Paths.of({"OCTOD_HOME": str(tmp_path / "o")}), Settings(), None, None)
        try:
            found = []
            for name in ("a", "b"):
                path = str(tmp_path / "work" / name / "x.py")
                document = Document(f"file://{path}", 1, "import ham\nham.", path, None, root)
                assert await _offers(service, document, "old" if name == "a" else "new", 30.0)
                menu = await service.menu(document, len(document.text))
                assert menu is not None
                found.append([item.name for item in menu.items if item.name in ("old", "new")])
            status = await service.status()
            assert {str(tmp_path / "work" / n / ".venv") for n in "ab"} == {w["environment"] for w in status["workspaces"]}
            assert all(w["found"].startswith(".venv in ") for w in status["workspaces"])
            return found
        finally:
            await service.stop()

    assert asyncio.run(session()) == [["old"], ["new"]]
