"""The tables of the README: ``make bench SOURCES=folder ENV=folder``.

SOURCES holds checkouts of code that calls the libraries, ENV is a virtual environment with the libraries installed.  Neither
the sources nor copies of them may be installed in ENV: its installed code is what the counts are mined from.  Writes
bench/results/*.json; everything runs on this machine, one server after the other on the same sites.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LIBRARIES = ["requests", "httpx", "numpy", "pandas", "matplotlib", "scipy", "sklearn", "networkx", "click", "flask", "rich", "sqlalchemy"]
DERIVED = ["pydantic"]  # called through the classes that users derive from it


def run(*command: str, output: Path | None = None) -> None:
    """Run a script of this folder, its output into a file where one is named."""
    with open(output, "w") if output else tempfile.TemporaryFile("w") as stream:
        target = stream if output else None
        subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], stdout=target, check=True)


def main() -> int:
    """Mine sites, draw a sample, measure menus and ghost text."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, required=True, help="folder with checkouts of code to measure on")
    parser.add_argument("--env", type=Path, required=True, help="virtual environment with the libraries")
    parser.add_argument("--cap", type=int, default=115, help="sites a (library, kind) at the most")
    parser.add_argument("--settle", type=float, default=300, help="ms between opening a document and asking")
    parser.add_argument("--server", action="append", default=[], help="NAME=COMMAND of another server; repeatable")
    parser.add_argument("--peers", type=Path, help="a bin folder: also every server of peers.py that is in it")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    everything, derived, sites = (options.out / f"{name}.jsonl" for name in ("all-sites", "derived-sites", "sites"))
    sources = str(options.sources.resolve())
    run("callsites.py", *(part for name in LIBRARIES for part in ("--lib", name)), sources, output=everything)
    run("callsites.py", "--derived", *(part for name in DERIVED for part in ("--lib", name)), sources, output=derived)
    run("sample.py", "--cap", str(options.cap), str(everything), str(derived), output=sites)
    python = str(options.env / "bin" / "python")
    octod = f"octod={Path(sys.executable).parent / 'octod'} lsp"
    with tempfile.TemporaryDirectory() as empty:  # as workspace: the sources themselves must not be mined
        for task, servers in (("members", [octod, *options.server]), ("calls", [octod])):
            given = [part for server in servers for part in ("--server", server)]
            given += ["--peers", str(options.peers)] if options.peers and task == "members" else []
            common = ["--sites", str(sites), "--root", empty, "--python", python, "--settle", str(options.settle)]
            run("compare.py", task, *common, *given, "--json", str(options.out / f"{task}.json"))
    print(json.dumps({"sites": str(sites), "results": str(options.out)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
