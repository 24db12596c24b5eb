"""Building the index: first the API of what changed, then how it is used, then forgetting what is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from octod.core.symbols import LibraryId
from octod.indexer.cataloguing import catalogue
from octod.indexer.environment import Distribution, Environment, distributions, standard_library
from octod.indexer.mining import CHUNK, MINING, Progress, mine_sources, size_of, workers
from octod.indexer.packs import Pack
from octod.indexer.pool import run_tasks
from octod.indexer.project import PROJECT, index_project
from octod.indexer.store import Index
from octod.indexer.work import Module, Task, chunks, extract, modules

__all__ = ["BuildReport", "Progress", "build", "build_library", "index_project"]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did: how many libraries there are now, the names of those changed and removed, files and symbols
    extracted, seconds taken, what was passed over and why, and the project folders of editable installs."""

    libraries: int
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    files: int
    symbols: int
    seconds: float
    problems: tuple[str, ...]
    editable: tuple[str, ...] = ()


def build(
    environment: Environment,
    index_path: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    processes: int | None = None,
    mining: str | None = MINING,
    leaving: Callable[[Index, list[LibraryId]], None] | None = None,
) -> BuildReport:
    """Bring the index of an environment up to date.

    Libraries are compared by distribution, version and RECORD hash; only those that differ are read again.  ``leaving``
    is given the index and the libraries of which it holds a version that is no longer installed, before they go.
    ``processes`` of 0 works in this process; ``mining`` names the module that mines usage (None: none is mined).
    Raises IndexProblem when the index cannot be written.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    found, problems = distributions(environment)
    wanted = [standard_library(environment.python), *found]
    version = _version(environment.python)
    with Index.open(index_path) as index:
        known = set(index.libraries())
        present = {d.library.distribution for d in wanted}
        gone = [k.distribution for k in known if k.distribution not in present and not k.distribution.startswith(PROJECT)]
        changed = [d for d in wanted if d.library not in known]
        versions = {d.library.distribution: d.library.version for d in wanted}
        if leaving is not None:
            old = [k for k in known if not k.distribution.startswith(PROJECT)]
            leaving(index, sorted((k for k in old if versions.get(k.distribution) != k.version), key=str))
        files = symbols = 0
        for name in gone:
            index.remove_library(name)
            index.remove_usage(name)
        counted = _extract(index, changed, version, processes, tell, problems)
        files, symbols = counted
        if mining is not None:
            sources = [(d.library.distribution, _stamp(d.library), d.files) for d in wanted]
            mine_sources(index, sources, mining, processes, tell, problems)
        catalogue(index, processes, problems)
        total = len(index.libraries())
    names = tuple(sorted(d.library.distribution for d in changed))
    seconds = time.perf_counter() - started
    editable = tuple(dict.fromkeys(str(_editable_root(d)) for d in wanted if d.editable is not None))
    return BuildReport(total, names, tuple(sorted(gone)), files, symbols, seconds, tuple(problems), editable)


def build_library(distribution: Distribution, python: str, index_path: Path, *, processes: int | None = None) -> None:
    """Put one library into the index at ``index_path``, whatever else is there; its usage is not mined."""
    with Index.open(index_path) as index:
        _extract(index, [distribution], _version(python), processes, lambda _: None, [])


def _editable_root(distribution: Distribution) -> Path:
    """The folder to watch for changes of an editable install: its project's, unless its modules are elsewhere."""
    project = distribution.editable or distribution.root
    return project if distribution.root.is_relative_to(project) else distribution.root


def _extract(
    index: Index,
    changed: list[Distribution],
    version: tuple[int, int],
    processes: int | None,
    tell: Callable[[Progress], None],
    problems: list[str],
) -> tuple[int, int]:
    """Extract and write the libraries; returns (files read, symbols written)."""
    tasks: list[Task] = []
    weights: list[int] = []
    owners: list[Distribution] = []
    open_tasks: dict[str, int] = {}
    for distribution in changed:
        groups = list(chunks(((m, _weight(m)) for m in modules(distribution)), CHUNK))
        open_tasks[distribution.library.distribution] = len(groups)
        if not groups:
            index.replace_packs(distribution, ())
        for group in groups:
            tasks.append(Task(distribution.library, group, version))
            weights.append(sum(map(_weight, group)))
            owners.append(distribution)
    total, done, files, symbols = sum(weights), 0, 0, 0
    packs: dict[str, list[Pack]] = {}
    stamps: dict[str, dict[str, str]] = {}
    for number, result, reason in run_tasks(extract, tasks, workers(processes, total)):
        owner = owners[number]
        name = owner.library.distribution
        if result is None:
            problems.append(f"{name}: {len(tasks[number].modules)} modules were passed over: {reason}")
        else:
            problems += result.problems
            packs.setdefault(name, []).extend(result.packs)
            stamps.setdefault(name, {}).update(result.stamps)
            files += len(result.stamps)
        open_tasks[name] -= 1
        done += weights[number]
        if not open_tasks[name]:
            made = packs.pop(name, [])
            symbols += sum(pack.symbols for pack in made)
            # Times of files matter only where they change in place.
            kept = stamps.pop(name, {}) if owner.editable else {}
            index.replace_packs(owner, made, kept)
        tell(Progress("api", done, total, name))
    return files, symbols


def _stamp(library: LibraryId) -> str:
    return f"{library.version}:{library.record}"


def _version(python: str) -> tuple[int, int]:
    major, _, minor = python.partition(".")
    digits = minor.split(".")[0]
    return (int(major), int(digits)) if major.isdigit() and digits.isdigit() else (3, 11)


def _weight(module: Module) -> int:
    return sum(size_of(f) for f in (module.stub, module.source) if f is not None)
