"""Building the index: first the API of what changed, then how it is used, then forgetting what is gone."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from octod.core.symbols import LibraryId
from octod.indexer.environment import Distribution, Environment, distributions, standard_library
from octod.indexer.pool import default_processes, run_tasks
from octod.indexer.rows import Row
from octod.indexer.store import Index
from octod.indexer.work import LARGEST_MINED, MineTask, Module, Task, chunks, extract, mine, modules

__all__ = ["BuildReport", "Progress", "build", "mine_sources"]

MINING = "octod.indexer.usage"
PROJECT = "project:"  # what libraries and usage sources of the user's own repositories are called
_CHUNK = 1_500_000  # bytes of source in one task: about a second of work
_INLINE = 400_000  # bytes below which starting processes costs more than it saves


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: ``done`` of ``total`` bytes of ``stage`` (``api``, ``usage``), now at ``library``."""

    stage: str
    done: int
    total: int
    library: str = ""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did: how many libraries there are now, the names of those changed and removed, files and symbols
    extracted, seconds taken, and what was passed over and why."""

    libraries: int
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    files: int
    symbols: int
    seconds: float
    problems: tuple[str, ...]


class _Mining(Protocol):
    def merge(self, parts: list[bytes], /) -> bytes: ...


def build(
    environment: Environment,
    index_path: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    processes: int | None = None,
    mining: str | None = MINING,
) -> BuildReport:
    """Bring the index of an environment up to date.

    Libraries are compared by distribution, version and RECORD hash; only those that differ are read again.
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
        files = symbols = 0
        for name in gone:
            index.remove_library(name)
            index.remove_usage(name)
        counted = _extract(index, changed, version, processes, tell, problems)
        files, symbols = counted
        if mining is not None:
            stamps = index.usage_sources()
            stale = [d for d in wanted if stamps.get(d.library.distribution) != _stamp(d.library)]
            sources = [(d.library.distribution, _stamp(d.library), d.files) for d in stale]
            mine_sources(index, sources, mining, processes, tell, problems, touched=bool(gone))
        total = len(index.libraries())
    names = tuple(sorted(d.library.distribution for d in changed))
    seconds = time.perf_counter() - started
    return BuildReport(total, names, tuple(sorted(gone)), files, symbols, seconds, tuple(problems))


def mine_sources(
    index: Index,
    sources: Iterable[tuple[str, str, tuple[Path, ...]]],
    mining: str,
    processes: int | None,
    tell: Callable[[Progress], None],
    problems: list[str],
    *,
    touched: bool = False,
) -> None:
    """Mine (name, stamp, files) sources, each replacing what it said before, then merge what was touched."""
    if importlib.util.find_spec(mining) is None:
        problems.append(f"usage is not mined: {mining} is missing")
        return
    module: _Mining = importlib.import_module(mining)  # type: ignore[assignment]  # a module as the protocol's object
    tasks: list[MineTask] = []
    weights: list[int] = []
    open_tasks: dict[str, int] = {}
    stamps: dict[str, str] = {}
    for name, mark, files in sources:
        stamps[name] = mark
        open_tasks[name] = 0
        sized = [(f, s) for f in files if f.suffix == ".py" and 0 < (s := _size(f)) <= LARGEST_MINED]
        for group in chunks(sized, _CHUNK):
            tasks.append(MineTask(name, group, index.path, mining))
            weights.append(sum(_size(f) for f in group))
            open_tasks[name] += 1
        if not open_tasks[name]:
            index.put_usage(name, {}, mark)
    results: dict[str, list[dict[str, bytes]]] = {}
    total, done = sum(weights), 0
    for number, result, reason in run_tasks(mine, tasks, _workers(processes, total)):
        name = tasks[number].source
        if result is None:
            problems.append(f"{name}: usage of {len(tasks[number].files)} files was passed over: {reason}")
        results.setdefault(name, []).append(result or {})
        open_tasks[name] -= 1
        done += weights[number]
        if not open_tasks[name]:
            index.put_usage(name, _joined(results.pop(name), module), stamps[name])
        tell(Progress("usage", done, total, name))
    if stamps or touched:
        index.merge_usage(module.merge)


def _joined(parts: list[dict[str, bytes]], module: _Mining) -> dict[str, bytes]:
    gathered: dict[str, list[bytes]] = {}
    for part in parts:
        for key, data in part.items():
            gathered.setdefault(key, []).append(data)
    return {key: data[0] if len(data) == 1 else module.merge(data) for key, data in gathered.items()}


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
        groups = list(chunks(((m, _weight(m)) for m in modules(distribution)), _CHUNK))
        open_tasks[distribution.library.distribution] = len(groups)
        if not groups:
            index.replace_rows(distribution, ())
        for group in groups:
            tasks.append(Task(distribution.library, group, version))
            weights.append(sum(map(_weight, group)))
            owners.append(distribution)
    total, done, files, symbols = sum(weights), 0, 0, 0
    rows: dict[str, list[Row]] = {}
    stamps: dict[str, dict[str, str]] = {}
    for number, result, reason in run_tasks(extract, tasks, _workers(processes, total)):
        owner = owners[number]
        name = owner.library.distribution
        if result is None:
            problems.append(f"{name}: {len(tasks[number].modules)} modules were passed over: {reason}")
        else:
            problems += result.problems
            rows.setdefault(name, []).extend(result.rows)
            stamps.setdefault(name, {}).update(result.stamps)
            files += len(result.stamps)
        open_tasks[name] -= 1
        done += weights[number]
        if not open_tasks[name]:
            made = rows.pop(name, [])
            symbols += sum(row.symbols for row in made)
            # Times of files matter only where they change in place.
            kept = stamps.pop(name, {}) if owner.editable else {}
            index.replace_rows(owner, made, kept)
        tell(Progress("api", done, total, name))
    return files, symbols


def _workers(processes: int | None, total: int) -> int:
    wanted = default_processes() if processes is None else processes
    return 0 if processes is None and total < _INLINE else wanted


def _weight(module: Module) -> int:
    return sum(_size(f) for f in (module.stub, module.source) if f is not None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _stamp(library: LibraryId) -> str:
    return f"{library.version}:{library.record}"


def _version(python: str) -> tuple[int, int]:
    major, _, minor = python.partition(".")
    digits = minor.split(".")[0]
    return (int(major), int(digits)) if major.isdigit() and digits.isdigit() else (3, 11)
