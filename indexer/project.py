"""The user's own repositories: their modules as a library named ``project:<folder>``, and how they use the others."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from octod.core.symbols import LibraryId
from octod.indexer.cataloguing import catalogue
from octod.indexer.distribution import SKIPPED_FOLDERS, Distribution, python_files
from octod.indexer.mining import CHUNK, MINING, Progress, mine_sources, size_of, workers
from octod.indexer.packs import Pack
from octod.indexer.pool import run_tasks
from octod.indexer.store import Index
from octod.indexer.usage import PROJECT, project_name
from octod.indexer.work import LARGEST_MINED, Module, Task, chunks, extract_files, is_test, stamp

__all__ = ["PROJECT", "ProjectReport", "index_project", "project_files", "project_name"]

_MOST_FILES = 20_000


@dataclass(frozen=True, slots=True)
class ProjectReport:
    """What indexing a project did: its library's name, Python files there are, those read again, those gone."""

    library: str
    files: int
    changed: int
    removed: int
    seconds: float
    problems: tuple[str, ...]


def index_project(
    root: Path,
    index_path: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    processes: int | None = None,
    mining: str | None = MINING,
) -> ProjectReport:
    """Bring what the index knows of a repository up to date: only files whose size or time changed are read.

    Hidden folders, environments, ``node_modules`` and files above a megabyte are passed over.  Raises IndexProblem
    when the index cannot be written.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    problems: list[str] = []
    root = root.absolute()
    name = project_name(root)
    found = project_files(root)
    if len(found) >= _MOST_FILES:
        problems.append(f"{root}: more than {_MOST_FILES:,} Python files, the rest is passed over")
    with Index.open(index_path) as index:
        known = index.files(name)
        now = {str(path): mark for path in found if (mark := stamp(path))}
        changed = [Path(p) for p, mark in now.items() if known.get(p) != mark]
        gone = [p for p in known if p not in now]
        if changed or gone:
            _write(index, root, name, now, changed, gone, processes, problems)
        if mining is not None:
            sources = {f"{name}/{os.path.relpath(p, root)}": (p, m) for p, m in now.items() if p.endswith(".py")}
            for source in [s for s in index.usage_sources() if s.startswith(f"{name}/") and s not in sources]:
                index.remove_usage(source)
            mine_sources(index, [(s, m, (Path(p),)) for s, (p, m) in sources.items()], mining, processes, tell, problems)
        catalogue(index, processes, problems)
    return ProjectReport(name, len(now), len(changed), len(gone), time.perf_counter() - started, tuple(problems))


def project_files(root: Path) -> list[Path]:
    """The Python files of a repository, without hidden folders and environments of whatever name."""
    found: list[Path] = []
    for folder in _folders(root):
        found += folder
        if len(found) > _MOST_FILES:
            break
    return found[:_MOST_FILES]


def _folders(root: Path) -> list[list[Path]]:
    groups: list[list[Path]] = []
    try:
        entries = sorted(os.scandir(root), key=lambda e: e.name)
    except OSError:
        return []
    groups.append([Path(e.path) for e in entries if e.name.endswith((".py", ".pyi")) and e.is_file(follow_symlinks=False)])
    for entry in entries:
        if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS or not entry.is_dir(follow_symlinks=False):
            continue
        if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
            groups += [python_files_without_environments(Path(entry.path))]
    return groups


def python_files_without_environments(folder: Path) -> list[Path]:
    """``python_files`` that passes over virtual environments further down."""
    environments = {str(Path(found).parent) for found in _configs(folder)}
    files = python_files(folder)
    return [f for f in files if not any(str(f).startswith(f"{e}/") for e in environments)] if environments else files


def _configs(folder: Path) -> list[str]:
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [d for d in folders if d not in SKIPPED_FOLDERS and not d.startswith(".")]
        if "pyvenv.cfg" in files:
            found.append(os.path.join(here, "pyvenv.cfg"))
            folders.clear()
    return found


def _write(
    index: Index,
    root: Path,
    name: str,
    now: dict[str, str],
    changed: list[Path],
    gone: list[str],
    processes: int | None,
    problems: list[str],
) -> None:
    """Extract what changed and put it in place of what those files gave before."""
    record = sha256("\n".join(f"{p}:{m}" for p, m in sorted(now.items())).encode("utf-8", "replace")).hexdigest()
    library = LibraryId(name, "0", record)
    named = {path: module for path in map(Path, now) if (module := _module(path, root)) and not is_test(path, root)}
    pairs: dict[str, Module] = {}
    for path, module in named.items():
        known = pairs.get(module, Module(module, None, None))
        source, stub = (known.source, path) if path.suffix == ".pyi" else (path, known.stub)
        pairs[module] = Module(module, source, stub)
    dirty = {named[path] for path in changed if path in named}
    # A module of a source and a stub is read again as a whole when either changed or went.
    dirty |= {m for path in map(Path, gone) if (m := _module(path, root)) in pairs and m is not None}
    wanted = [pairs[m] for m in sorted(dirty) if m in pairs]
    weights = [sum(size_of(f) for f in module.files) for module in wanted]
    kept = [(m, w) for m, w in zip(wanted, weights, strict=True) if w <= LARGEST_MINED]
    tasks = [Task(library, group, sys.version_info[:2]) for group in chunks(kept, CHUNK)]
    packs: dict[str, list[Pack]] = {}
    for number, result, reason in run_tasks(extract_files, tasks, workers(processes, sum(w for _, w in kept))):
        if result is None:
            problems.append(f"{name}: {len(tasks[number].modules)} modules were passed over: {reason}")
        else:
            for pack in result.packs:
                packs.setdefault(pack.files[0], []).append(pack)
            problems += result.problems
    read = {str(f) for module in wanted for f in module.files} | {str(f) for f in changed}
    tops = tuple(sorted({module.split(".")[0] for module in named.values()}))
    distribution = Distribution(library, tops, (), root, root)
    index.replace_files(distribution, [*gone, *sorted(read)], packs, {p: now[p] for p in sorted(read) if p in now})


def _module(path: Path, root: Path) -> str | None:
    """The name a file of a repository is imported by: from the folder above its outermost package, else from ``src``
    or the repository's root."""
    top = path.parent
    while top != root and root in top.parents and (top / "__init__.py").exists():
        top = top.parent
    base = top if (path.parent / "__init__.py").exists() else next(
        (f for f in (root / "src", root) if f in path.parents), root
    )  # fmt: skip
    parts = list(path.relative_to(base).parts)
    parts[-1] = parts[-1].split(".", 1)[0]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(p.isidentifier() for p in parts) else None
