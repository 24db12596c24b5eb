"""P2: everything that a user does every day works where there is no network at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.house import House, until

pytestmark = [pytest.mark.slow, pytest.mark.engine]

_SOURCE = "import shop\nshop.open_basket('me')\nshop.$0"


def test_a_session_needs_no_network(house: House) -> None:
    """In a network namespace without interfaces: start, menu with the model, hover, status and stop."""
    alone = ("unshare", "--map-root-user", "--net")
    try:
        permitted = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        permitted = False
    if not permitted:
        pytest.skip("this system does not let a user make a network namespace (unshare -rn)")
    command = [*alone, sys.executable, "-m", "tests.end_to_end.test_network", str(house.folder)]
    root = Path(__file__).parents[2]
    environ = {**os.environ, **house.environ}
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert ["lo"] == found["interfaces"]
    assert {"open_basket", "list_shops", "Basket", "more"} == {name for name in found["menu"] if not name.startswith("__")}
    assert "shop 1.0" in found["hover"]


def _session(folder: Path) -> dict[str, object]:
    """The whole way, in this process's network."""
    house = House(folder)
    try:
        with house.editor() as editor:
            until(lambda: house.menu(editor, _SOURCE), "menu")
            until(lambda: house.model().get("ready"), "engine")

            def modelled() -> list[str]:
                """The menu once the model had a say in it, which a busy machine may not let it have in time."""
                menu = house.menu(editor, _SOURCE)
                told = [n["params"] for n in editor.notifications if n["method"] == "octod/status" and "route" in n["params"]]
                return menu if told[-1]["model"] else []

            menu = until(modelled, "menu with the model")
            hover = house.ask(editor, "import shop\nshop.open_basket$0", "textDocument/hover")
            return {
                "interfaces": [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]],
                "menu": menu,
                "hover": hover["contents"]["value"],
            }
    finally:
        house.close()


if __name__ == "__main__":
    print(json.dumps(_session(Path(sys.argv[1]))))
