"""The real service on a small real environment: the index, the ranking and a fake engine together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from octod.core.answers import Menu
from octod.core.paths import Paths
from octod.core.settings import Settings
from octod.daemon.engines.fake import FakeEngine
from octod.daemon.engines.protocol import Engine
from octod.daemon.protocol import Document
from octod.daemon.service import OctodService

from tests.daemon.installed import CLIENT, Installed

SHOP = {"shop/__init__.py": CLIENT, "shop/more.py": "def later(): ...\n"}


T = TypeVar("T")


class Session:
    """A service on an environment that is indexed, with its event loop."""

    def __init__(self, folder: Path, engine: Engine | None, settings: Settings | None = None) -> None:
        self.environment = Installed(folder / "env")
        self.environment.install("shop", "1.0", SHOP)
        self.runner = asyncio.Runner()
        paths = Paths.of({"OCTOD_HOME": str(folder / "o")})
        self.service: OctodService = self.run(self._make(paths, engine, settings or Settings()))

    async def _make(self, paths: Paths, engine: Engine | None, settings: Settings) -> OctodService:
        service = OctodService(paths, settings, engine, None)
        await service.index(self.environment.python, False)
        return service

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the service's loop."""
        return self.runner.run(work)

    def document(self, text: str) -> Document:
        """A buffer without a file that names the environment."""
        return Document("file:///a.py", 1, text, None, self.environment.python, None)

    def close(self) -> None:
        """Stop the service and its loop."""
        self.run(self.service.stop())
        self.runner.close()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One service without a model for all tests that only ask."""
    made = Session(tmp_path_factory.mktemp("service"), None)
    yield made
    made.close()


def names(menu: Menu | None) -> list[str]:
    """The menu's entries in order."""
    return [item.name for item in menu.items] if menu else []


def check_menu(session: Session, source: str) -> Menu | None:
    """The menu at ``$0``."""
    return session.run(session.service.menu(session.document(source.replace("$0", "")), source.index("$0")))


def test_module_receiver_lists_its_public_functions(session: Session) -> None:
    """After an imported module's dot its functions and classes are offered, from its own distribution."""
    menu = check_menu(session, "import shop\nshop.$0")
    assert menu is not None
    assert {"open_basket", "list_shops", "Basket"} <= set(names(menu))
    assert {"shop"} == {item.library for item in menu.items if item.name == "open_basket"}


def test_an_import_of_what_has_no_submodules_offers_nothing(session: Session) -> None:
    """The members of a plain module are no modules: the menu is empty, and not an error."""
    menu = check_menu(session, "import csv.$0")
    assert ([], "imports") == (names(menu), menu.route if menu else None)


def test_instance_receiver_is_found_through_the_return_type(session: Session) -> None:
    """A name bound to a call's result offers the methods of the annotated class, private ones last."""
    menu = check_menu(session, "from shop import open_basket\nb = open_basket('me')\nb.$0")
    assert menu is not None
    assert {"add", "checkout"} <= set(names(menu))
    assert names(menu).index("add") < names(menu).index("_secret")


def test_menu_item_replaces_the_typed_prefix(session: Session) -> None:
    """The start of the replaced range is the start of the half typed name."""
    source = "import shop\nshop.op$0"
    menu = check_menu(session, source)
    assert menu is not None
    assert source.index("op$0") == menu.start


def test_unknown_receiver_is_unknown_and_not_invalid(session: Session) -> None:
    """A parameter without an annotation gives an empty menu by the route that says so."""
    menu = check_menu(session, "def f(x):\n    x.$0")
    assert menu is not None
    assert [] == names(menu)
    assert "unknown" == menu.route


@pytest.mark.parametrize("milliseconds", [0, 10_000])
def test_a_menu_asks_the_model_only_where_the_settings_say_so(tmp_path: Path, milliseconds: int) -> None:
    """By default the menu waits for no model."""
    session = Session(tmp_path, FakeEngine(), Settings(menu_model_ms=milliseconds))
    try:
        deadline = time.monotonic() + 10
        while not session.run(session.service.status())["model"]["ready"]:
            assert time.monotonic() < deadline
        menu = check_menu(session, "import shop\nshop.$0")
        assert menu is not None and "open_basket" in names(menu)
        assert menu.model == bool(milliseconds)
    finally:
        session.close()


def test_ghost_text_copies_what_the_file_did_before(session: Session) -> None:
    """The arguments of an earlier call of the same function come first, and close the bracket."""
    source = "import shop\na = shop.open_basket('me', currency='USD')\nb = shop.open_basket($0"

    found = session.run(session.service.ghost(session.document(source.replace("$0", "")), source.index("$0"), None))
    assert found is not None
    assert "'me', currency='USD')" == found.text


def test_hover_tells_what_the_file_itself_defines(session: Session) -> None:
    """The signature and docstring of its functions and classes."""
    text = 'class Till:\n    """Takes money."""\n    def __init__(self, size=1): ...\n\ndef pay(till, much=0):\n    """Pay it."""\n\npay(Till())\n'
    for name, signature, doc in (("pay(Till", "pay(till, much=0)", "Pay it."), ("Till())", "class Till(size=1)", "Takes money.")):
        found = session.run(session.service.hover(session.document(text), text.index(name)))
        assert found is not None
        assert (signature, doc) == (found.signature, found.doc)


def test_hover_tells_signature_library_and_version(session: Session) -> None:
    """Hovering a function names what is installed."""

    text = "import shop\nshop.open_basket('x')\n"
    found = session.run(session.service.hover(session.document(text), text.index("basket")))
    assert found is not None
    assert ('open_basket(owner, *, currency="EUR") -> Basket', "shop", "1.0") == (
        found.signature,
        found.library,
        found.version,
    )


@pytest.mark.slow
def test_upgrade_and_removal_show_within_five_seconds(tmp_path: Path) -> None:
    """A changed package changes the menu without a command, while a model ranks."""
    session = Session(tmp_path, FakeEngine(), Settings(menu_model_ms=40))
    text = "import shop\nshop."

    async def wait_for(wanted: Callable[[list[str]], bool]) -> float:
        began = time.monotonic()
        while True:
            menu = await session.service.menu(session.document(text), len(text))
            if wanted(names(menu)):
                return time.monotonic() - began
            assert time.monotonic() - began < 15
            await asyncio.sleep(0.05)

    session.run(wait_for(lambda found: "list_shops" in found))
    session.environment.install("shop", "2.0", {"shop/__init__.py": CLIENT.replace("list_shops", "find_shops")})
    upgraded = session.run(wait_for(lambda found: "find_shops" in found and "list_shops" not in found))
    session.environment.remove("shop")
    removed = session.run(wait_for(lambda found: not found))
    session.close()
    assert upgraded < 5
    assert removed < 5
