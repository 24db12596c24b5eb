"""Two versions of a library side by side: does each environment's menu offer what that version has, and nothing else?

    python bench/versions.py prepare --folder FOLDER        # virtual environments, repositories of the time, their call sites
    python bench/versions.py measure --folder FOLDER --server "octod lsp" [--library pydantic] [--json out.json]

For every library of versions.toml two sessions run at once, one an environment, behind one daemon, and are asked in turn at the
call sites of code of that version's time: the menu after the dot, and the keywords behind the opening bracket.  What is offered
is then compared with the library itself, imported by that environment's own interpreter (real.py; for trusted packages only).

``lacking`` counts offered members and keywords that the installed version does not have, over distinct names a receiver;
``unchecked`` those whose owner cannot be imported or tells no signature.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import lsp_eval

Row = dict[str, Any]
HERE = Path(__file__).parent
TABLE: dict[str, dict[str, Row]] = tomllib.loads((HERE / "versions.toml").read_text())


def prepare(folder: Path, libraries: list[str]) -> None:
    """Whatever of environments, sources and sites is not there yet."""
    for library in libraries:
        for version, given in TABLE[library].items():
            name = f"{library}-{version}"
            if not (folder / name).exists():
                subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
                subprocess.run([str(folder / name / "bin" / "pip"), "install", "-q", *given["requires"]], check=True)
            for repository in given["repositories"]:
                _checkout(repository, given, folder / "clones", folder / "sources" / name)
            if not (sites := folder / f"{name}.jsonl").exists():
                sites.write_text(_sample(library, folder / "sources" / name))


def _checkout(repository: str, given: Row, clones: Path, sources: Path) -> None:
    """The Python files of the last commit before the day that is given, without the folders that are."""
    clone, target = clones / repository.replace("/", "+"), sources / repository.split("/")[1]
    if target.exists():
        return
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", "--bare", f"https://github.com/{repository}", str(clone)], check=True)
    git = ["git", "-C", str(clone)]
    day = [f"--before={given['before']}"] if "before" in given else []
    wanted = [":(glob)**/*.py", *(f":(exclude){part}" for part in given.get("without", ()))]
    commit = subprocess.run([*git, "rev-list", "-1", *day, "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    target.mkdir(parents=True)
    packed = subprocess.run([*git, "archive", commit, "--", *wanted], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(target)], input=packed, check=True)


def _sample(library: str, sources: Path) -> str:
    """At most 100 call sites a kind, derived classes included: five a file, nine where that makes fewer than 100 in all."""
    found = subprocess.run(
        [sys.executable, str(HERE / "callsites.py"), "--derived", "--lib", library, str(sources)],
        stdout=subprocess.PIPE, check=True).stdout  # fmt: skip
    drawn = ""
    with tempfile.NamedTemporaryFile() as file:
        file.write(found)
        file.flush()
        for most in ("5", "9"):
            command = [sys.executable, str(HERE / "sample.py"), "--cap", "100", "--per-file", most, file.name]
            drawn = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            if drawn.count("\n") >= 100:
                break
    return drawn


def ask(session: lsp_eval.Session, site: Row) -> Row:
    """What is offered at one site, behind the dot and behind the bracket."""
    path, text, before = lsp_eval.cut(site, None)
    session.open(path, text)
    result, took = session.ask("textDocument/completion", site["line"], before, lsp_eval.DOT)
    session.close()
    items = lsp_eval.items_of(result)
    names = [lsp_eval.name_of(item) for item in items]
    members = {name: (item.get("data") or {}).get("qualified", "") for name, item in zip(names, items, strict=True)}
    rank = names.index(site["member"]) + 1 if site["member"] in names else 0
    row = {**site, "rank": rank, "ms": took, "members": members, "keywords": [], "offered": len(names), "first": names[:5]}
    place = lsp_eval.cut(site, None, site["member"] + "(")
    if place is not None:
        path, text, before = place
        session.open(path, text)
        result, _ = session.ask("textDocument/completion", site["line"], before, {"triggerKind": 2, "triggerCharacter": "("})
        session.close()
        shown = [lsp_eval.name_of(item) for item in lsp_eval.items_of(result)]
        row["keywords"] = [name.rstrip("=") for name in shown if name.endswith("=")]
    return row


def questions(rows: list[Row], library: str) -> list[Row]:
    """What to ask the really imported library: each offered name once a receiver and once where it says that it comes from."""
    names: dict[str, set[str]] = defaultdict(set)
    keywords: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        own = {n: q for n, q in row["members"].items() if q.split(".")[0] == library}
        for name, qualified in own.items():
            names[qualified.rpartition(".")[0]].add(name if qualified.endswith(f".{name}") else qualified.rpartition(".")[2])
        if row["kind"] == "module" and "(" not in row["qualified"]:
            names[row["qualified"]].update(own)
        if row["keywords"] and (called := own.get(row["member"])):
            keywords[called].update(row["keywords"])
    asked: list[Row] = [{"receiver": owner, "names": sorted(found)} for owner, found in sorted(names.items()) if owner]
    return asked + [{"callable": owner, "keywords": sorted(found)} for owner, found in sorted(keywords.items())]


def check(rows: list[Row], library: str, python: Path) -> list[Row]:
    """The questions answered by the library itself."""
    asked = "".join(json.dumps(q) + "\n" for q in questions(rows, library))
    run = subprocess.run([str(python), str(HERE / "real.py")], input=asked, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, check=True)  # fmt: skip
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def figures(rows: list[Row], answers: list[Row]) -> Row:
    """One line of the table."""
    sites = len(rows) or 1
    found: Row = {"sites": len(rows)}
    found["found"] = round(sum(r["rank"] > 0 for r in rows) / sites, 3)
    found["top-1"] = round(sum(r["rank"] == 1 for r in rows) / sites, 3)
    found["top-5"] = round(sum(0 < r["rank"] <= 5 for r in rows) / sites, 3)
    for kind, key in (("members", "receiver"), ("keywords", "callable")):
        some = [a for a in answers if key in a]
        found[kind] = sum(a["of"] for a in some)
        found[f"lacking {kind}"] = sum(len(a["missing"]) for a in some)
        found[f"unchecked {kind}"] = sum(len(a.get("names", a.get("keywords"))) for a in some if "error" in a)
    found["ms p50"] = round(lsp_eval.percentile([r["ms"] for r in rows], 0.5), 1)
    found["ms p95"] = round(lsp_eval.percentile([r["ms"] for r in rows], 0.95), 1)
    return found


def measure(options: argparse.Namespace, library: str) -> dict[str, Row]:
    """Both versions of one library, asked in turn."""
    sessions, sites, rows = {}, {}, {}
    for version in TABLE[library]:
        name = f"{library}-{version}"
        python = options.folder / name / "bin" / "python"
        if options.index:
            subprocess.run([*shlex.split(options.index), str(options.folder / name)], stdout=subprocess.DEVNULL, check=True)
        given = argparse.Namespace(command=shlex.split(options.server), log=None, root=options.root, python=str(python),
                                   warm=options.warm, settle=options.settle, timeout=30.0)  # fmt: skip
        sessions[name], rows[name] = lsp_eval.Session(given), []
        lines = (options.folder / f"{name}.jsonl").read_text().splitlines()[: options.limit]
        sites[name] = [json.loads(line) for line in lines]
    for turn in range(max(map(len, sites.values()))):
        for name, session in sessions.items():
            if turn < len(sites[name]):
                rows[name].append(ask(session, sites[name][turn]))
    found = {}
    for name, session in sessions.items():
        session.server.end()
        answers = check(rows[name], library, options.folder / name / "bin" / "python")
        missed = [r for r in rows[name] if not r["rank"]]
        found[name] = {
            **figures(rows[name], answers),
            "names": [[a.get("receiver", a.get("callable")), a["missing"]] for a in answers if a["missing"]],
            "unchecked": [[a.get("receiver", a.get("callable")), a["error"]] for a in answers if "error" in a],
            "missed": [{k: r[k] for k in ("path", "line", "qualified", "member", "offered")} for r in missed],
            "ranks": [[r["qualified"], r["member"], r["rank"], r["offered"]] for r in rows[name]],
        }
    return found


COLUMNS = ["sites", "found", "top-1", "top-5", "members", "lacking members", "unchecked members",
           "keywords", "lacking keywords", "unchecked keywords", "ms p50", "ms p95"]  # fmt: skip


def main() -> int:
    """Prepare or measure; the table is Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["prepare", "measure"])
    parser.add_argument("--folder", type=Path, required=True, help="environments NAME-VERSION, NAME-VERSION.jsonl, sources")
    parser.add_argument("--library", action="append", choices=list(TABLE), help="only this one; repeatable")
    parser.add_argument("--server", default="octod lsp")
    parser.add_argument("--index", default="octod index", help="command that indexes an environment first, or nothing")
    parser.add_argument("--limit", type=int, default=200, help="sites a version")
    parser.add_argument("--settle", type=float, default=100)
    parser.add_argument("--warm", type=float, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    libraries = options.library or list(TABLE)
    if options.task == "prepare":
        prepare(options.folder, libraries)
        return 0
    everything: dict[str, Row] = {}
    print("| version | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 1) + "|")
    with tempfile.TemporaryDirectory() as empty:  # the measured code is not to be read as the user's project
        options.root = Path(empty)
        for library in libraries:
            everything |= (found := measure(options, library))
            for name, row in found.items():
                print(f"| {name} | " + " | ".join(str(row[c]) for c in COLUMNS) + " |", flush=True)
    for name, row in everything.items():
        for owner, missing in row["names"]:
            print(f"{name}: {owner} lacks {', '.join(missing)}")
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
