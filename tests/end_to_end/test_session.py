"""A user's day with the real daemon, language server, engine and base model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from octod.adapters.identity import BaseModel

from tests.daemon.installed import CLIENT
from tests.end_to_end.house import SHOP, House, until
from tests.lsp.client import LspClient

pytestmark = [pytest.mark.slow, pytest.mark.engine]

INLINE = "textDocument/inlineCompletion"
BASKET = "from shop import open_basket\nb = open_basket('me')\nb."


class Day:
    """A house whose daemon runs, and an editor in it."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.house = House(folder, index)
        self.base: BaseModel = self.house.copy_base()
        self.editor: LspClient = self.house.editor()

    def menu(self, source: str) -> list[str]:
        """The menu's labels at ``$0``, without ``__name__`` and what else every module has."""
        return [label for label in self.house.menu(self.editor, source) if not label.startswith("__")]

    def messages(self) -> list[str]:
        """What the editor's log shows so far."""
        return [n["params"]["message"] for n in self.editor.notifications if n["method"] == "window/logMessage"]

    def told(self, text: str) -> bool:
        """Whether the editor's log has a message with that text; asks once more so that it can arrive."""
        self.menu("import shop\nshop.$0")
        return any(text in message for message in self.messages())

    def adapters(self) -> list[str]:
        """The adapters that the last answer named."""
        told = [n["params"] for n in self.editor.notifications if n["method"] == "octod/status"]
        return [use["name"] for use in told[-1].get("adapters", [])] if told else []


@pytest.fixture(scope="module")
def whole_day(tmp_path_factory: pytest.TempPathFactory, index: Path) -> Iterator[Day]:
    """One daemon for all tests of this module."""
    made = Day(tmp_path_factory.mktemp("day"), index)
    with made.editor:
        yield made
    made.house.close()


@pytest.fixture
def day(whole_day: Day) -> Day:
    """The day, everything up."""
    until(lambda: whole_day.menu("import shop\nshop.$0"), "menu")
    until(whole_day.house.ready, "daemon with its engine")
    return whole_day


def test_members_of_modules_classes_and_objects_are_offered_in_the_models_order(day: Day) -> None:
    """Each kind of receiver has its menu, and the answer says that the model took part."""
    assert {"open_basket", "list_shops", "Basket", "more"} == set(day.menu("import shop\nshop.$0"))
    assert {"add", "checkout"} == set(day.menu("import shop\nshop.Basket.$0")[:2])
    assert {"add", "checkout"} == set(day.menu(f"{BASKET}$0")[:2])
    assert {"later"} == set(day.menu("import shop.more as m\nm.la$0"))
    until(lambda: day.menu(f"{BASKET}$0") and _status(day)["model"], "answer with the model")
    assert "index" == _status(day)["route"]


def test_ghost_text_hover_and_signature_are_those_of_the_installed_library(day: Day) -> None:
    """Arguments written before are offered, a hover names the version, the signature its parameter."""
    source = "import shop\nshop.open_basket('me', currency='USD')\nb = shop.open_basket($0"
    context = {"triggerKind": 1}
    found = until(lambda: day.house.ask(day.editor, source, INLINE, context=context), "ghost text")
    assert found["items"][0]["insertText"] in ("'me', currency='USD')", "'me')")
    hovered = day.house.ask(day.editor, f"{BASKET}check$0out", "textDocument/hover")
    assert "checkout(address, express=False)" in hovered["contents"]["value"]
    assert "shop 1.0" in hovered["contents"]["value"]
    assert "Talk to shops." in day.house.ask(day.editor, "import sh$0op", "textDocument/hover")["contents"]["value"]
    shown = day.house.ask(day.editor, f"{BASKET}add('x', count=$0", "textDocument/signatureHelp")
    assert ("b.add(item, count=1)", 1) == (shown["signatures"][0]["label"], shown["activeParameter"])


def test_an_edited_project_file_and_a_new_package_show_within_five_seconds(day: Day) -> None:
    """Without a command and without a restart."""
    (day.house.project / "mine.py").write_text("def first(): ...\n")
    began = time.monotonic()
    until(lambda: day.menu("import mine\nmine.$0") == ["first"], "new file")
    (day.house.project / "mine.py").write_text("def first(): ...\ndef second(): ...\n")
    until(lambda: "second" in day.menu("import mine\nmine.$0"), "edited file")
    edited, began = time.monotonic() - began, time.monotonic()
    day.house.environment.install("depot", "1.0", {"depot/__init__.py": "def store(box): ...\n"})
    until(lambda: day.menu("import depot\ndepot.$0") == ["store"], "new package")
    installed, began = time.monotonic() - began, time.monotonic()
    day.house.environment.remove("depot")
    until(lambda: not day.menu("import depot\ndepot.$0"), "removal")
    assert max(edited, installed, time.monotonic() - began) < 5


def test_an_adapter_serves_at_once_and_is_refused_for_another_version(day: Day) -> None:
    """Published while the daemon runs it is used without a restart; after an upgrade the user is told why it is not."""
    pid, adapter = day.house.daemon(), day.house.publish(day.base, "shop")
    until(lambda: day.menu(f"{BASKET}$0") and day.adapters() == [adapter.name], "answer with the adapter")
    assert [adapter.name] == day.house.model()["adapters"]
    until(lambda: any(f"adapters in use: {adapter.name}" in m for m in day.messages()), "message with its name")
    day.house.environment.install("shop", "2.0", {**SHOP, "shop/__init__.py": f"{CLIENT}\ndef close(): ...\n"})
    until(lambda: "close" in day.menu("import shop\nshop.$0"), "upgrade")
    until(lambda: day.told(f"{adapter.name} is not used: trained for shop 1.0, installed is 2.0"), "refusal")
    day.menu(f"{BASKET}$0")
    assert [] == day.adapters()
    assert "octod train shop" in day.house.model()["refused"][adapter.name]
    newer = day.house.publish(day.base, "shop")
    until(lambda: day.menu(f"{BASKET}$0") and day.adapters() == [newer.name], "answer with the new adapter")
    (newer.folder / "adapter_model.safetensors").chmod(0o600)
    day.house.environment.install("shop", "1.0", SHOP)
    until(lambda: day.menu(f"{BASKET}$0") and day.adapters() == [adapter.name], "the old one for the old version")
    assert pid == day.house.daemon()


def test_a_killed_engine_leaves_the_menu_and_comes_back_with_its_adapter(day: Day) -> None:
    """P6: killed in use, the next menu comes from the index in time, later ones with the model again."""
    pid, adapters = day.house.model()["pid"], day.house.model()["adapters"]
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    assert {"add", "checkout"} == set(day.menu(f"{BASKET}$0")[:2])
    assert time.monotonic() - began < 1.0
    until(lambda: day.house.model().get("ready") and day.house.model()["pid"] != pid, "engine")
    until(lambda: day.menu(f"{BASKET}$0") and _status(day)["model"], "answer with the model")
    assert (adapters, "") == (day.house.model()["adapters"], day.house.model()["problem"])


def test_a_killed_daemon_comes_back_without_a_person(day: Day) -> None:
    """P6: the language server starts another one, and menu, engine and adapters are there again."""
    pid = day.house.daemon()
    os.kill(pid, signal.SIGKILL)
    until(lambda: {"add", "checkout"} <= set(day.menu(f"{BASKET}$0")), "menu")
    assert pid != day.house.daemon()
    until(lambda: day.menu(f"{BASKET}$0") and _status(day)["model"], "answer with the model")


def test_an_index_deleted_or_damaged_in_use_is_built_again_and_the_registry_stays(day: Day) -> None:
    """P12: it is noticed when it is read, told, mended, and the adapters' registry keeps every byte."""
    registry = day.house.paths.registry.read_bytes()
    day.house.index.unlink()
    until(lambda: day.told("was deleted: it is built again"), "message")
    until(lambda: {"add", "checkout"} <= set(day.menu(f"{BASKET}$0")), "menu")
    until(day.house.ready, "index")
    # both files: what was written last may still be in the log beside the database
    for path in (day.house.index, day.house.index.with_name(f"{day.house.index.name}-wal")):
        content = path.read_bytes() if path.exists() else b""
        with path.open("r+b" if content else "ab") as file:
            for place in range(len(content) // 10, len(content), 50):
                file.seek(place)
                file.write(bytes([content[place] ^ 0x55]))
    modules = ["csv", "email.message", "http.client", "logging", "pathlib", "shutil", "socket", "tarfile", "uuid"]
    for name in modules:
        day.menu(f"import {name}\n{name}.$0")
    until(lambda: day.told("is damaged: it is built again"), "message")
    until(lambda: {"add", "checkout"} <= set(day.menu(f"{BASKET}$0")), "menu")
    until(lambda: "reader" in day.menu("import csv\ncsv.$0"), "menu of a module that could not be read")
    assert registry == day.house.paths.registry.read_bytes()


def _status(day: Day) -> dict[str, object]:
    """The last octod/status about an answer."""
    found: list[dict[str, object]] = [
        n["params"] for n in day.editor.notifications if n["method"] == "octod/status" and "route" in n["params"]
    ]
    return found[-1]
