"""What a daemon's first menu waits for: the modules that are loaded until it is answered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from octod.adapters.registry import Registry
from octod.core.paths import Paths
from octod.indexer.build import build
from octod.indexer.environment import find_environment

from tests.daemon.installed import CLIENT, Installed

# What takes long to import and is not needed before somebody has a menu: it comes behind it, or in a process of its own.
LATER = {
    "difflib",
    "email",
    "http.client",
    "importlib.metadata",
    "jedi",
    "multiprocessing",
    "octod.adapters.card",
    "octod.adapters.verify",
    "octod.daemon.actions",
    "octod.daemon.details",
    "octod.daemon.upkeep",
    "octod.indexer.build",
    "octod.indexer.mining",
    "octod.indexer.pool",
    "octod.indexer.project",
    "octod.indexer.versions",
    "octod.indexer.watch",
    "octod.indexer.work",
    "onnxruntime",
    "secrets",
    "sqlite_utils",
    "tempfile",
    "tokenizers",
    "tomllib",
    "urllib.request",
    "watchdog",
    "zipfile",
}

FIRST_MENU = """
import asyncio, json, sys
from octod.core.paths import Paths
from octod.core.settings import Settings
from octod.daemon import workspaces
from octod.daemon.protocol import Document
from octod.daemon.service import make_service

home, environment = sys.argv[1:]
workspaces._QUIET = 3600.0  # what comes behind the first menu shall wait until all is told

async def main():
    paths = Paths.of({"OCTOD_HOME": home})
    service = make_service(paths, Settings.read(paths.config), None)
    menu = await service.menu(Document("file:///a.py", 1, "import shop\\nshop.", None, environment, home), 17)
    print(json.dumps([[item.name for item in menu.items], sorted(sys.modules)]))
    await service.stop()

asyncio.run(main())
"""


def test_the_first_menu_waits_for_nothing_that_can_come_later(tmp_path: Path) -> None:
    """Importing the service and answering from the index loads none of the modules that take long and are not needed yet."""
    environment = Installed(tmp_path / "env")
    environment.install("shop", "1.0", {"shop/__init__.py": CLIENT})
    paths = Paths.of({"OCTOD_HOME": str(tmp_path / "o")})
    found = find_environment(environment.python)
    paths.indexes.mkdir(mode=0o700, parents=True)
    build(found, paths.indexes / f"{found.key}.db", processes=0)
    Registry.open(paths).close()
    command = [sys.executable, "-c", FIRST_MENU, str(tmp_path / "o"), environment.python]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    names, loaded = json.loads(ended.stdout)
    assert "open_basket" in names
    assert set() == LATER & set(loaded)
