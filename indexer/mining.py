"""Mining usage: sources handed out to workers, what they find stored by source, and merged by receiver."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from octod.indexer.pool import default_processes, run_tasks
from octod.indexer.store import Index
from octod.indexer.usage import project_key
from octod.indexer.work import LARGEST_MINED, MineTask, chunks, mine

__all__ = ["CHUNK", "MINING", "Progress", "mine_sources", "project_key", "size_of", "workers"]

MINING = "octod.indexer.usage"
CHUNK = 1_500_000  # bytes of source in one task: about a second of work
FIRST_MERGE = 20.0  # seconds of mining before what was found is merged
_INLINE = 400_000  # bytes below which starting processes costs more than it saves


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: ``done`` of ``total`` bytes of ``stage`` (``api``, ``usage``), now at ``library``."""

    stage: str
    done: int
    total: int
    library: str = ""


class _Mining(Protocol):
    VERSION: int

    def merge(self, parts: list[bytes], /) -> bytes: ...

    def calls(self, receiver: str, entry: bytes, /) -> Mapping[str, int]: ...


def mine_sources(
    index: Index,
    sources: Iterable[tuple[str, str, tuple[Path, ...]]],
    mining: str,
    processes: int | None,
    tell: Callable[[Progress], None],
    problems: list[str],
) -> None:
    """Mine those of the (name, stamp, files) sources that are not known as they are now, each replacing what it said
    before, and merge what was touched.

    A stamp also names the mining code's version: a later one reads everything again.
    What is mined counts from time to time already, so that a first build of minutes is of use before its end.
    """
    if importlib.util.find_spec(mining) is None:
        problems.append(f"usage is not mined: {mining} is missing")
        return
    module: _Mining = importlib.import_module(mining)
    tasks: list[MineTask] = []
    weights: list[int] = []
    open_tasks: dict[str, int] = {}
    stamps: dict[str, str] = {}
    generation = index.generation
    known = index.usage_sources()
    for name, mark, files in sources:
        stamps[name] = f"{module.VERSION}/{mark}"
        if known.get(name) == stamps[name]:
            continue
        open_tasks[name] = 0
        sized = [(f, s) for f in files if f.suffix == ".py" and 0 < (s := size_of(f)) <= LARGEST_MINED]
        for group in chunks(sized, CHUNK):
            tasks.append(MineTask(name, group, index.path, generation, mining))
            weights.append(sum(size_of(f) for f in group))
            open_tasks[name] += 1
        if not open_tasks[name]:
            index.put_usage(name, {}, stamps[name])
    results: dict[str, list[dict[str, bytes]]] = {}
    total, done = sum(weights), 0
    merged, pause = time.monotonic(), FIRST_MERGE
    for number, result, reason in run_tasks(mine, tasks, workers(processes, total)):
        name = tasks[number].source
        if result is None:
            problems.append(f"{name}: usage of {len(tasks[number].files)} files was passed over: {reason}")
        results.setdefault(name, []).append(_with_project(name, result or {}))
        open_tasks[name] -= 1
        done += weights[number]
        if not open_tasks[name]:
            index.put_usage(name, _joined(results.pop(name), module), stamps[name])
            if time.monotonic() - merged > pause:
                started = time.monotonic()
                index.merge_usage(module.merge, module.calls)
                merged = time.monotonic()
                pause = max(FIRST_MERGE, 10 * (merged - started))  # at most a tenth of the time goes into merging
        tell(Progress("usage", done, total, name))
    index.merge_usage(module.merge, module.calls)


def _with_project(source: str, entries: dict[str, bytes]) -> dict[str, bytes]:
    """What a source says; a file of a project (``project:<folder>/<file>``) says it for that project alone too."""
    project, slash, _ = source.partition("/")
    if not slash or not project.startswith("project:"):
        return entries
    return entries | {project_key(project, receiver): entry for receiver, entry in entries.items()}


def _joined(parts: list[dict[str, bytes]], module: _Mining) -> dict[str, bytes]:
    gathered: dict[str, list[bytes]] = {}
    for part in parts:
        for key, data in part.items():
            gathered.setdefault(key, []).append(data)
    return {key: data[0] if len(data) == 1 else module.merge(data) for key, data in gathered.items()}


def workers(processes: int | None, total: int) -> int:
    """How many processes to use for ``total`` bytes: none where starting them costs more than it saves."""
    wanted = default_processes() if processes is None else processes
    return 0 if processes is None and total < _INLINE else wanted


def size_of(path: Path) -> int:
    """A file's size in bytes, 0 when it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
