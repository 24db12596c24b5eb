"""A small environment with its index, and code of two repositories that calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from octod.indexer.build import build
from octod.indexer.environment import find_environment

from tests.daemon.installed import CLIENT, Installed

BENCH = Path(__file__).parents[2] / "bench"
CODE = "import shop\n\nbasket = shop.open_basket('me')\nbasket.checkout('here')\nunheard_of.checkout(address)\nbasket.add('tea')\n"
CALLS = ((2, "shop", "open_basket"), (3, "basket", "checkout"), (4, "unheard_of", "checkout"), (5, "basket", "add"))


@dataclass(frozen=True)
class Shop:
    """``sites.jsonl`` has every call, ``one.jsonl`` those of one file; paths are relative to ``folder``."""

    folder: Path
    index: Path

    def run(self, script: str, *arguments: str) -> str:
        """What a script of bench/ prints; a failure is the test's."""
        command = [sys.executable, str(BENCH / script), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        assert 0 == done.returncode, done.stderr[-4_000:]
        return done.stdout


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Built once: nothing here changes it."""
    folder = tmp_path_factory.mktemp("shop")
    environment = Installed(folder / "env")
    environment.install("shop", "1.0", {"shop/__init__.py": CLIENT})
    build(find_environment(environment.python), folder / "index.db")
    lines = CODE.splitlines()
    sites = []
    for path in ("one/code.py", "one/more.py", "two/code.py"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(CODE)
        for line, receiver, member in CALLS:
            character = lines[line].index(f"{receiver}.") + len(receiver) + 1
            kind = "module" if receiver == "shop" else "instance"
            sites.append(json.dumps({
                "path": path, "line": line, "character": character, "library": "shop", "qualified": "shop", "kind": kind,
                "member": member, "call": lines[line][character:],
            }))  # fmt: skip
    (folder / "sites.jsonl").write_text("\n".join(sites))
    (folder / "one.jsonl").write_text("\n".join(sites[: len(CALLS)]))
    return Shop(folder, folder / "index.db")
