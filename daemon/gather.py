"""``python -m octod.daemon.gather INDEX TABLE``: the public names of an environment that a file may import, as one text file.

A process of its own: it reads thousands of modules for some seconds, while the daemon answers.  Its parts are remembered
by library, so after an upgrade only what changed is read again.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from octod.core.errors import IndexProblem
from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.lookup import refresh, resolve
from octod.indexer.store import Index
from octod.indexer.usage import usage_of

__all__ = ["FORMAT", "gather", "stamps", "write"]

FORMAT = 3
_DEEPEST = 2  # dots of a module's name: sqlalchemy.ext.asyncio; of those in large libraries packages and what is called into
_FEW = 200  # modules of a library that are all read, however deep
_MOST = 120_000  # names; 60 bytes each keep the table under the 10 MB that it may take in memory
_MOST_OF_ONE = 6_000  # names of one import name: generated clients of web services have more
_OFTEN = 3  # imports that make a path one that is offered
_MOST_TAKEN = 1_500  # names of other libraries whose imports are counted for one import name
_EACH = 4  # uses that an import stands for: who imports a name writes it more than once
_OWN = 20  # what an import in the user's own project counts, beside one in a library
_MOST_PATHS = 2  # different things of one name that one library offers
_PASSED = frozenset(
    ["tests", "test", "testing", "conftest", "setup", "vendor", "vendored", "idlelib", "lib2to3", "encodings", "antigravity", "this", "nt", "ntpath", "posix", "posixpath", "genericpath", "sre_compile", "sre_constants", "sre_parse"]
)


def stamps(imports: Mapping[str, tuple[LibraryId, ...]]) -> dict[str, str]:
    """Import name -> what its libraries are; private ones are left out."""
    return {
        top: " ".join(f"{i.distribution} {i.version} {i.record[:12]}" for i in ids)
        for top, ids in imports.items()
        if not top.startswith("_") and top not in _PASSED
    }


def gather(index: Index, top: str) -> list[str]:
    """The lines of one import name: ``lower case<TAB>name<TAB>module<TAB>kind<TAB>calls<TAB>uses``; the module of a top-level one is empty.

    Those that begin with a tab say how many of its modules import a name of another library: in the place of the name that, in
    the place of the module this import name.
    """
    weight = _OWN if any(i.distribution.startswith("project:") for i in index.import_names().get(top, ())) else 1
    taken_from: Counter[str] = Counter()
    found: dict[str, list[tuple[str, str, str, int]]] = {}  # name -> (module, what it leads to, kind, uses)
    for scope, uses, calls in _modules(index, top):
        parent, _, last = scope.qualified.rpartition(".")
        found.setdefault(last, []).append((parent, scope.qualified, "module", calls))
        taken_from.update({t for s in scope.symbols.values() if (t := _from_elsewhere(s, top))})
        for name, symbol in scope.symbols.items():
            if symbol.public and not name.startswith("_"):
                kind, target = _followed(index, scope, symbol)
                # modules come by their own; a variable of an inner module is seldom meant for others
                if kind != "module" and (kind != "attribute" or "." not in scope.qualified or name in uses):
                    found.setdefault(name, []).append((scope.qualified, target, kind, uses.get(name, 0)))
    rows: list[tuple[int, int, str]] = []
    for name, paths in found.items():
        total = sum(p[3] for p in paths)
        taken: set[str] = set()
        for module, target, kind, count in sorted(paths, key=lambda p: (-p[3] if p[3] > 2 else 0, p[0].count("."), len(p[0]))):
            if target in taken or len(taken) == _MOST_PATHS or (taken and not count):
                continue
            shown = count if taken else total
            taken.add(target)
            rows.append((-shown, module.count("."), f"{name.lower()}\t{name}\t{module}\t{kind}\t{shown}\t{shown}"))
    taken_lines = [f"\t{name}\t{top}\timport\t{n * weight}\t0" for name, n in taken_from.most_common(_MOST_TAKEN)]
    return taken_lines + [line for _, _, line in sorted(rows)[:_MOST_OF_ONE]]


def _from_elsewhere(symbol: Symbol, top: str) -> str:
    """What a module imports from another library; empty for a name that it does not import from one."""
    target = symbol.target or ""
    return target if symbol.kind == "alias" and target.partition(".")[0] not in (top, "__future__", "") else ""


def _counted(index_path: Path, lines: Iterable[str]) -> list[str]:
    """The lines with their uses: the calls of a name, and the modules that import it by the path of its line.

    A path that is imported often and has no line (a star hands it on) gets one.
    """
    split = [line.split("\t") for line in lines]
    taken: Counter[str] = Counter()
    for _, name, _, kind, count, _ in split:
        if kind == "import":
            taken[name] += int(count)
    paths = {f"{line[2]}.{line[1]}".lstrip(".") for line in split if line[0]}
    with Index.open_snapshot(index_path) as index:
        for path in (p for p, count in taken.items() if count >= _OFTEN and p not in paths and "._" not in f".{p}"):
            target = resolve(index, path)
            module, _, name = path.rpartition(".")
            if target is not None and module and target.kind in ("class", "function", "attribute"):
                split.append([name.lower(), name, module, target.kind, "0", "0"])
    return [
        "\t".join((*line[:5], str(int(line[4]) + _EACH * taken[f"{line[2]}.{line[1]}".lstrip(".")]))) if line[0] else "\t".join(line)
        for line in split
    ]


def write(index_path: Path, path: Path) -> None:
    """Bring the table at ``path`` up to date with an index; it is replaced as a whole, readable by its owner alone."""
    known, lines = _earlier(path)
    with Index.open_snapshot(index_path) as index:
        now = stamps(index.import_names())
        kept = [line for line in lines if known.get(_top(line)) == now.get(_top(line), "")]
        for top in now:
            if known.get(top) != now[top]:
                kept += gather(index, top)
    kept = _counted(index_path, kept)
    if len(kept) > _MOST:
        kept = sorted(kept, key=lambda line: (line[0] != "\t", -int(line.rpartition("\t")[2]), line.count(".")))[:_MOST]
    head = json.dumps({"format": FORMAT, "stamps": now}, ensure_ascii=True)
    body = "\n".join(sorted(kept, key=lambda line: line.encode("utf-8", "replace")))
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(f"{head}\n{body}\n".encode("utf-8", "replace"))
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _modules(index: Index, top: str) -> Iterator[tuple[Scope, Mapping[str, int], int]]:
    """(module, how often each of its names was called, calls in all), the outer ones first."""
    every = [top]
    for qualified in every:
        if qualified.count(".") < _DEEPEST:
            inner = ((m, m.rpartition(".")[2]) for m in index.submodules(qualified))
            every += [m for m, last in inner if not last.startswith("_") and last not in _PASSED]
    for qualified in every:
        refresh(index)  # what was looked up for the modules before may have become too much
        scope = index.scope(qualified)
        if scope is None or scope.kind != "module":
            continue
        usage = usage_of(index, qualified)
        package = scope.file.endswith(("__init__.py", "__init__.pyi"))
        if len(every) <= _FEW or qualified.count(".") < _DEEPEST or usage is not None or package:
            yield scope, usage.members if usage else {}, usage.calls if usage else 0


def _followed(index: Index, scope: Scope, symbol: Symbol) -> tuple[str, str]:
    """(kind, qualified name) of what a name of a module leads to."""
    if symbol.kind != "alias":
        return symbol.kind, f"{scope.qualified}.{symbol.name}"
    target = symbol.target or ""
    found = resolve(index, target)
    return (found.kind, found.qualified) if found is not None else ("attribute", target)  # of what is not installed


def _earlier(path: Path) -> tuple[dict[str, str], list[str]]:
    """What the table says it was made of, and its lines; nothing when there is none of this format."""
    try:
        head, *lines = path.read_text("utf-8").splitlines()
        read = json.loads(head)
        return (read["stamps"], lines) if read["format"] == FORMAT else ({}, [])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, []


def _top(line: str) -> str:
    _, name, module, *_ = line.split("\t")
    return (module or name).partition(".")[0]


def main(arguments: list[str]) -> int:
    """Write the table; 1 when the index cannot be read."""
    os.nice(10)
    try:
        write(Path(arguments[0]), Path(arguments[1]))
    except (IndexProblem, OSError) as error:
        print(f"octod: names: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
