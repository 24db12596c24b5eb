"""The Neovim plugin in a real Neovim, against a real ``octod lsp``: the menu arrives and ghost text is on the screen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from octod.core.paths import Paths
from octod.daemon import lifecycle

PLUGIN = Path(__file__).resolve().parents[2] / "editors" / "nvim"
NVIM = shutil.which("nvim")
DEADLINE = 60.0  # seconds: a first start indexes the environment and prepares the model

STUB = Path(__file__).resolve().parents[1] / "daemon" / "stub_daemon.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NVIM is None, reason="Neovim is not installed (apt-get install neovim)"),
]

ATTACHED = "#vim.tbl_keys(vim.lsp.buf_get_clients(0)) > 0"
GHOST = "vim.api.nvim_buf_get_extmarks(0, require('octod').namespace, 0, -1, { details = true })"
WORDS = "vim.tbl_map(function(item) return item.word end, vim.fn.complete_info({'items'}).items)"

SOURCE = """\
import petstore

dog = petstore.adopt("Rex", age=3)
dog.feed("bone", warm=True)
cat = petstore.adopt("Tom", age=2)
cat.feed("fish", warm=True)
bird = petstore.adopt("Jack", age=1)
"""


class Neovim:
    """A headless Neovim that is told keys and asked for values over its own socket."""

    def __init__(self, folder: Path, file: Path) -> None:
        self.socket = folder / "nvim.sock"
        start = f"require('octod').setup({{ cmd = {{ '{sys.executable}', '-m', 'octod.cli', 'lsp' }} }})"
        self.process = subprocess.Popen(
            [
                *(str(NVIM), "--headless", "--clean", "-n", "--listen", str(self.socket)),
                *("--cmd", f"set runtimepath^={PLUGIN}", "--cmd", f"lua {start}", "--cmd", "filetype on"),
                str(file),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=file.parent,
        )

    def keys(self, keys: str) -> None:
        """Type keys."""
        subprocess.run(
            [str(NVIM), "--server", str(self.socket), "--remote-send", keys], check=True, timeout=10
        )

    def lua(self, expression: str) -> Any:
        """The value of a Lua expression."""
        code = f"luaeval('vim.json.encode({expression.replace(chr(39), chr(39) * 2)})')"
        asked = subprocess.run(
            [str(NVIM), "--server", str(self.socket), "--remote-expr", code],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        try:
            return json.loads(asked.stdout or asked.stderr)
        except ValueError:
            return None

    def wait_for(self, expression: str, met: Callable[[Any], bool] = bool, again: str = "") -> Any:
        """The value of ``expression`` once it is as wanted; fails at the deadline with the last value.

        ``again`` are keys to type every other second: the daemon may still have been indexing when it was asked.
        """
        until = time.monotonic() + DEADLINE
        typed = time.monotonic()
        while not met(value := self.lua(expression)):
            assert time.monotonic() < until, f"{expression} is still {value!r}"
            if again and time.monotonic() - typed > 2:
                self.keys(again)
                typed = time.monotonic()
        return value


@pytest.fixture
def neovim(tmp_path: Path) -> Iterator[Neovim]:
    """Neovim on a small project whose .venv has one small library."""
    packages = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages"
    (packages / "petstore-1.2.dist-info").mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n", encoding="utf-8")
    (packages / "petstore.py").write_text(
        "class Pet:\n"
        "    def __init__(self, name: str, *, age: int = 1) -> None: ...\n"
        '    def feed(self, food: str, *, warm: bool = False) -> "Pet": ...\n'
        "    def walk(self, minutes: int = 10) -> None: ...\n\n\n"
        "def adopt(name: str, *, age: int = 1) -> Pet: ...\n",
        encoding="utf-8",
    )
    info = packages / "petstore-1.2.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: petstore\nVersion: 1.2\n", encoding="utf-8")
    (info / "RECORD").write_text("petstore.py,,\npetstore-1.2.dist-info/METADATA,,\n", encoding="utf-8")
    file = tmp_path / "shop.py"
    file.write_text(SOURCE, encoding="utf-8")
    editor = Neovim(tmp_path, file)
    try:
        yield editor
    finally:
        editor.process.terminate()
        editor.process.wait(10)
        lifecycle.stop(Paths.of())


@pytest.fixture
def stub_daemon() -> None:
    """A daemon with fixed answers, for what is the plugin's alone."""
    lifecycle.start(Paths.of(), command=[sys.executable, str(STUB)])


@pytest.mark.usefixtures("stub_daemon")
def test_the_plugin_shows_menu_and_ghost_text_and_takes_it(neovim: Neovim) -> None:
    """The menu keeps the server's order; ghost text stands after the cursor; the key puts it into the file."""
    neovim.wait_for(ATTACHED)
    neovim.keys("Gobird.")
    assert ["get", "post", "Client"] == neovim.wait_for(WORDS)
    neovim.keys("<C-e>get(")
    row, column, details = neovim.wait_for(GHOST, met=lambda found: bool(found) and found[0][2] == 9)[0][1:4]
    assert (SOURCE.count("\n"), 9, "url, timeout=5)") == (row, column, details["virt_text"][0][0])
    neovim.keys("<C-l>")
    line = neovim.wait_for("vim.api.nvim_get_current_line()", met=lambda found: found != "bird.get(")
    assert "bird.get(url, timeout=5)" == line


@pytest.mark.usefixtures("stub_daemon")
def test_leaving_insert_mode_takes_the_ghost_text_off(neovim: Neovim) -> None:
    """Nothing that is not in the file stays on the screen."""
    neovim.wait_for(ATTACHED)
    neovim.keys("Gobird.get(")
    neovim.wait_for(GHOST)
    neovim.keys("<Esc>")
    neovim.wait_for(f"#{GHOST} == 0")


@pytest.mark.engine
def test_octod_completes_an_installed_library(neovim: Neovim) -> None:
    """With the real daemon ``bird.`` opens the members of its class, and the arguments of ``feed`` come as ghost text."""
    neovim.wait_for(ATTACHED)
    neovim.keys("Gobird.")
    words = neovim.wait_for(WORDS, met=lambda found: bool(found) and "feed" in found, again="<BS>.")
    assert {"feed", "walk"} <= set(words)
    neovim.keys("<C-e>feed(")
    text = neovim.wait_for(GHOST, met=lambda found: bool(found) and found[0][2] == 10, again="<BS>(")[0][3][
        "virt_text"
    ][0][0]
    assert text.endswith(")")
