"""How long the first menu takes after a start: `octod lsp` started with no daemon, a file opened and asked about at once.

    python bench/first.py --python ENV/bin/python [--server "octod lsp"] [--library numpy] [--times 10]

The index exists already (`octod index ENV`).  Printed are, in milliseconds, the least, the middle and the most of: ``answering``
(until the language server answers ``initialize``), ``first menu`` (a file opened and asked about right after that, both processes
still starting), ``next menu`` (the same question again), ``new daemon`` (another daemon was started under the running language
server, and nothing was asked of it before) and ``daemon alone`` (asked over its own socket, from the start of its process on).
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import lsp_eval
from octod.core.paths import Paths
from octod.daemon import lifecycle
from octod.daemon.client import connect
from octod.daemon.protocol import Document


def once(options: argparse.Namespace, root: Path) -> dict[str, float]:
    """One start of both, and of a new daemon."""
    command = shlex.split(options.server)
    subprocess.run([command[0], "stop"], capture_output=True, check=False)  # one that others left
    began = time.perf_counter()
    server = lsp_eval.start(argparse.Namespace(command=command, log=None, root=root, python=options.python))
    took = {"answering": (time.perf_counter() - began) * 1e3}

    def menu(number: int, wait: float = 0.0) -> float:
        line = f"{options.library}."
        uri = (root / f"first{number}.py").as_uri()
        text = f"import {options.library}\n{line}"
        server.notify("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "python", "version": 1, "text": text}})
        time.sleep(wait)
        place = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": len(line)}, "context": lsp_eval.DOT}
        result, milliseconds = server.request("textDocument/completion", place, 30)
        if not lsp_eval.items_of(result):
            raise SystemExit(f"no menu of {options.library}: is {options.python} indexed? run: octod index")
        return milliseconds

    took["first menu"] = menu(1)
    took["next menu"] = menu(2, wait=options.idle)
    for action in ("stop", "start"):
        subprocess.run([command[0], action], capture_output=True, check=True)
    took["new daemon"] = menu(3)
    server.end()
    subprocess.run([command[0], "stop"], capture_output=True, check=False)
    took["daemon alone"] = alone(options, root)
    return took


def alone(options: argparse.Namespace, root: Path) -> float:
    """Milliseconds from the start of a daemon's process until it has answered its first question."""
    paths = Paths.of()
    text = f"import {options.library}\n{options.library}."
    document = Document("file:///first.py", 1, text, str(root / "first.py"), options.python, str(root))
    began = time.perf_counter()
    lifecycle.start(paths)
    with connect(paths, deadline=10) as daemon:
        menu = daemon.request("menu", {"document": document.to_json(text=True), "offset": len(text)}, 10)
    took = (time.perf_counter() - began) * 1e3
    lifecycle.stop(paths)
    if not menu["items"]:
        raise SystemExit(f"no menu of {options.library}: is {options.python} indexed? run: octod index")
    return took


def main() -> int:
    """Start, ask and stop as often as told, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, type=os.path.abspath)
    parser.add_argument("--server", default="octod lsp")
    parser.add_argument("--library", default="numpy")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--idle", type=float, default=2.0, help="seconds before the next menu")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.times):
            for name, value in once(options, Path(folder)).items():
                found.setdefault(name, []).append(value)
    for name, values in found.items():
        print(f"{name:12} {min(values):7.0f} {statistics.median(values):7.0f} {max(values):7.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
