"""Another base model is taken up by a running daemon, and given back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from octod.adapters.bases import BUNDLED, Bases
from octod.adapters.identity import bundled_base

from tests.end_to_end.house import House, until
from tests.foreign import make_foreign

pytestmark = [pytest.mark.slow, pytest.mark.engine]

BASKET = "from shop import open_basket\nb = open_basket('me')\nb.$0\nprint(b)\n"


def octod(house: House, *words: str) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "octod.cli", *words]
    environ = {**os.environ, **house.environ}
    ended = subprocess.run(command, env=environ, cwd=house.folder, capture_output=True, text=True, check=False)
    assert 0 == ended.returncode, ended.stderr
    return ended.stdout


def test_a_running_daemon_takes_up_another_base_and_goes_back(house: House, tmp_path: Path) -> None:
    """Menus go on with the new model's opinion, adapters of the other base are refused with the reason, no restart."""
    adapter = house.publish(bundled_base(), "shop")
    with house.editor() as editor:

        def modelled() -> bool:
            menu = house.menu(editor, BASKET)
            told = [n["params"] for n in editor.notifications if n["method"] == "octod/status" and "route" in n["params"]]
            return {"add", "checkout"} <= set(menu) and bool(told[-1]["model"])

        try:
            until(modelled, "answer of the bundled base")
            until(lambda: modelled() and house.model()["adapters"] == [adapter.name], "adapter")
            pid, worker = house.daemon(), house.model()["pid"]
            octod(house, "base", "add", str(make_foreign(tmp_path / "Foreign-Qwen")))
            told = octod(house, "base", "use", "foreign-qwen")
            assert "adapters of other bases: 1" in told
            assert "in time for menus" in told
            assert "foreign-qwen" == house.model()["base"]
            until(lambda: house.ready() and modelled(), "answer of the other base")
            assert (pid, True) == (house.daemon(), worker != house.model()["pid"])
            until(lambda: modelled() and adapter.name in house.model()["refused"], "refusal")
            assert "trained for another base model (octod-base)" in house.model()["refused"][adapter.name]
            mine = house.publish(Bases(house.paths).all()[0].model(), "shop")
            until(lambda: modelled() and house.model()["adapters"] == [mine.name], "adapter of the other base")
            octod(house, "base", "use", BUNDLED)
            until(lambda: house.ready() and modelled() and house.model()["adapters"] == [adapter.name], "the first adapter")
            assert (pid, BUNDLED) == (house.daemon(), house.model()["base"])
        finally:
            house.close()


def test_a_base_that_went_missing_leaves_menus_and_tells_it(house: House, tmp_path: Path) -> None:
    """A running daemon keeps the model that it has when the settings name one that is not there."""
    with house.editor() as editor:
        try:
            until(lambda: house.menu(editor, BASKET) and house.ready(), "engine")
            worker = house.model()["pid"]
            house.paths.config.mkdir(mode=0o700, exist_ok=True)
            (house.paths.config / "config.toml").write_text('base = "gone"\n')
            command = [sys.executable, "-m", "octod.cli", "base", "show"]
            environ = {**os.environ, **house.environ}
            ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            assert (1, True) == (ended.returncode, "no base is called 'gone'" in ended.stderr)
            from octod.core.errors import OctodError
            from octod.daemon.client import connect

            with connect(house.paths) as daemon, pytest.raises(OctodError, match="no base is called 'gone'"):
                daemon.request("base_changed", {})
            assert worker == house.model()["pid"]
            assert {"add", "checkout"} <= set(house.menu(editor, BASKET))
        finally:
            house.close()
