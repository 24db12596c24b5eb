"""Make docs/session.svg, the picture in README.md, from a real Neovim session with a real ``octod lsp``.

    python docs/session.py --python .try/bin/python

Neovim runs in tmux with editors/nvim's plugin on a copy of docs/sample.py; keys are typed, the menu and the ghost text are
waited for, and the two screens are drawn as they are. Needs nvim and tmux; octod's own folders are used (OCTOD_HOME moves
them).
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PLUGIN = DOCS.parent / "editors" / "nvim"
COLUMNS, ROWS = 92, 17
PATIENCE = 30.0  # seconds
GHOST = "require('octod').shown[1] ~= nil"

# What stands in the file before typing starts, then what is typed: a line up to its dot, then up to its bracket.
FIRST, SECOND = "    table.", "add_column("
CUT = '    table.add_column("files", justify="right")\n'
COLOURS = (
    "colorscheme slate",
    "hi Pmenu guibg=#3a3f4b guifg=#d7dae0",
    "hi PmenuSel guibg=#5f87af guifg=#ffffff",
)


class Session:
    """Neovim in a tmux of its own."""

    def __init__(self, folder: Path, python: str) -> None:
        self.socket, self.tmux = folder / "nvim.sock", ["tmux", "-L", f"octod-{folder.name}"]
        setup = f"require('octod').setup({{ cmd = {{ '{sys.executable}', '-m', 'octod.cli', 'lsp' }}, python = '{python}' }})"
        settings = (
            "set runtimepath^=" + str(PLUGIN),
            "lua " + setup,
            "set number termguicolors noshowmode noruler laststatus=0 shortmess+=cI completeopt=menuone,noinsert pumheight=8",
        )
        colours = [word for colour in COLOURS for word in ("-c", colour)]
        commands = [word for setting in settings for word in ("--cmd", setting)]
        nvim = ["nvim", "--clean", "-n", "--listen", str(self.socket), *commands, *colours, "sample.py"]
        self._tmux(
            "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "-c", str(folder), shlex.join(nvim)
        )

    def keys(self, *keys: str) -> None:
        """Type keys, in tmux's names."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-l", text)

    def wait_for(self, expression: str, patience: float = PATIENCE) -> bool:
        """Wait until a Lua expression is neither nil, false nor empty; whether it came true within ``patience``."""
        until = time.monotonic() + patience
        code = f"luaeval('vim.json.encode({expression.replace(chr(39), chr(39) * 2)})')"
        while time.monotonic() < until:
            asked = subprocess.run(
                ["nvim", "--server", str(self.socket), "--remote-expr", code],
                capture_output=True,
                text=True,
                check=False,
            )
            try:
                if json.loads(asked.stdout or asked.stderr):
                    return True
            except ValueError:
                pass  # Neovim is not listening yet
            time.sleep(0.05)
        return False

    def screen(self) -> str:
        """The screen with its colours, as ANSI sequences."""
        shown = self._tmux("capture-pane", "-e", "-p").stdout
        return shown.rstrip("\n")

    def close(self) -> None:
        """End Neovim and tmux."""
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.tmux, *words], capture_output=True, text=True, check=True)


def screens(python: str) -> list[str]:
    """The session: the menu after the dot, then the ghost text after the bracket."""
    with tempfile.TemporaryDirectory(prefix="octod-session-") as made:
        folder = Path(made)
        text = (DOCS / "sample.py").read_text(encoding="utf-8")
        before, _, after = text.partition(CUT)
        (folder / "sample.py").write_text(before + after, encoding="utf-8")
        session = Session(folder, python)
        try:
            session.wait_for("#vim.tbl_keys(vim.lsp.buf_get_clients(0)) > 0")
            line = before.count("\n")
            session.type(f"{line}Gzzo")
            session.keys("C-u")
            session.type(FIRST)
            session.wait_for("vim.fn.pumvisible() == 1")
            session.wait_for(GHOST, patience=2.0)  # beside the menu it may stay silent
            menu = session.screen()
            session.keys("C-e")
            session.type(SECOND)
            if not session.wait_for(f"vim.fn.pumvisible() == 0 and {GHOST}"):
                raise SystemExit("no ghost text came; `octod logs` may say why")
            return [menu, session.screen()]
        finally:
            session.close()


def main() -> int:
    """Write the picture."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--python", required=True, help="the interpreter whose libraries are completed")
    options.add_argument("--out", type=Path, default=DOCS / "session.svg")
    chosen = options.parse_args()
    for command in ("nvim", "tmux"):
        if shutil.which(command) is None:
            raise SystemExit(f"{command} is not installed")
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    # The index and the engine are up before the picture is taken.
    octod = [
        sys.executable,
        "-m",
        "octod.cli",
        "complete",
        f"{DOCS / 'sample.py'}:29:11",
        "--env",
        chosen.python,
    ]
    subprocess.run(octod, check=True, stdout=subprocess.DEVNULL)
    menu, ghost = screens(str(Path(chosen.python).absolute()))
    console.print(Text.from_ansi(menu))
    console.print(Rule(style="grey35"))
    console.print(Text.from_ansi(ghost))
    console.save_svg(str(chosen.out), title="octod in Neovim")
    print(f"wrote {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
