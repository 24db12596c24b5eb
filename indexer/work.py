"""What worker processes do: read files of a library as data, and hand back packed scopes or mined usage.

Nothing is imported from what is read; each function takes and returns plain values, so it runs the same in the
calling process, in a spawned one and in a test.
"""

from __future__ import annotations

import ast
import gc
import importlib
import io
import os
import stat
import sysconfig
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from octod.core.symbols import LibraryId, Scope
from octod.indexer.added_docs import ADDED_DOCS, added_docs, with_added_docs
from octod.indexer.distribution import Distribution
from octod.indexer.extract import LARGEST_FILE, extract_module, merge_stub
from octod.indexer.packs import Pack, packs_of
from octod.indexer.rows import Row, encode_scope
from octod.indexer.store import Index

__all__ = [
    "Extracted",
    "MineTask",
    "Module",
    "Task",
    "chunks",
    "extract",
    "extract_files",
    "is_test",
    "mine",
    "modules",
    "prepare",
    "read_source",
    "stamp",
]

T = TypeVar("T")
LARGEST_MINED = 1_000_000  # bytes: larger files are generated and say nothing of how people call
_TEST_FOLDERS = {"tests", "examples", "benchmarks", "_tests"}


@dataclass(frozen=True, slots=True)
class Module:
    """A module to extract and the files that define it: a source, a stub, or both."""

    name: str
    source: Path | None
    stub: Path | None
    docs_only: bool = False  # the source only lends docstrings to the stub (typeshed's stubs)
    added: Path | None = None  # documents what is compiled (see added_docs)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the module is made of, the stub first."""
        return tuple(f for f in (self.stub, None if self.docs_only else self.source) if f is not None)


@dataclass(frozen=True, slots=True)
class Task:
    """Some modules of one library, to be extracted for a Python version."""

    library: LibraryId
    modules: tuple[Module, ...]
    python: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Extracted:
    """The packs of a task, how its files were when they were read, and what was passed over."""

    packs: tuple[Pack, ...]
    stamps: dict[str, str]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MineTask:
    """Some files of one source, to be mined for usage with the module named ``mining``."""

    source: str
    files: tuple[Path, ...]
    index: Path
    generation: int  # of the index when mining began: the API it reads does not change meanwhile
    mining: str


def prepare() -> None:
    """Make a worker ready: what is alive now stays, so the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    # Syntax trees are many objects without cycles: fewer rounds of the collector halve the time (seen on pandas).
    gc.set_threshold(100_000, 20, 100)


def is_test(path: Path, root: Path) -> bool:
    """Whether a file below ``root`` is a test or an example: mined for usage, never offered as API."""
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = path.parts
    name = parts[-1]
    if name.startswith("test_") or name in ("conftest.py", "setup.py", "noxfile.py") or name.endswith("_test.py"):
        return True
    if not _TEST_FOLDERS.isdisjoint(parts[:-1]):
        return True
    # `django.test` is an API; a folder `test` that holds test_*.py is not.
    return "test" in parts[:-1] and _holds_tests(str(path.parent))


@cache
def _holds_tests(folder: str) -> bool:
    try:
        return any(name.startswith("test_") for name in os.listdir(folder))
    except OSError:
        return False


def modules(distribution: Distribution) -> list[Module]:
    """The modules of a distribution that are API, each with its source and stub."""
    found: dict[str, Module] = {}
    is_stdlib = distribution.library.distribution == "stdlib"
    for file in distribution.files:
        base = next((f for _, f in distribution.mapping if f in file.parents), distribution.root)
        if is_test(file, base) and not is_stdlib:
            continue
        name = distribution.module(file)
        if name is None:
            continue
        known = found.get(name, Module(name, None, None))
        found[name] = replace(known, stub=file) if file.suffix == ".pyi" else replace(known, source=file)
    if is_stdlib:
        lib = Path(sysconfig.get_path("stdlib"))
        for name, module in found.items():
            parts = name.split(".")
            for candidate in (lib.joinpath(*parts, "__init__.py"), lib.joinpath(*parts).with_suffix(".py")):
                if candidate.is_file():
                    found[name] = replace(module, source=candidate, docs_only=True)
    if distribution.library.distribution == "numpy":
        for name, place in ADDED_DOCS.items():
            if name in found:
                found[name] = replace(found[name], added=distribution.root / place)
    return list(found.values())


def extract(task: Task) -> Extracted:
    """Extract the modules of a task; never raises on what their files hold."""
    stamps: dict[str, str] = {}
    problems: list[str] = []
    return Extracted(tuple(packs_of(_rows(task, stamps, problems))), stamps, tuple(problems))


def extract_files(task: Task) -> Extracted:
    """``extract`` with packs that hold the scopes of one file each."""
    stamps: dict[str, str] = {}
    problems: list[str] = []
    rows = sorted(_rows(task, stamps, problems), key=lambda row: row.file)
    packs = [pack for _, group in groupby(rows, lambda row: row.file) for pack in packs_of(group)]
    return Extracted(tuple(packs), stamps, tuple(problems))


def _rows(task: Task, stamps: dict[str, str], problems: list[str]) -> Iterator[Row]:
    for module in task.modules:
        scopes = []
        for path in (module.stub, module.source):
            if path is None:
                continue
            if path in module.files:
                stamps[str(path)] = stamp(path)
            text, problem = read_source(path, LARGEST_FILE)
            if text is None:
                problems.append(problem)
                continue
            made, noted = extract_module(
                text,
                module=module.name,
                file=str(path),
                library=task.library,
                is_package=path.stem == "__init__",
                is_stub=path.suffix == ".pyi",
                python=task.python,
            )
            problems += [] if path not in module.files else noted
            if made:
                scopes.append(made)
        if len(scopes) == 2:
            merged = merge_stub(scopes[0], scopes[1])
            # what the module takes back is gone, whatever its stub says: numpy 1 with Arrayterator
            gone = set() if module.docs_only else _deleted(text or "") - set(scopes[1][0].symbols)
            if gone & set(merged[0].symbols):
                merged[0] = replace(merged[0], symbols={n: s for n, s in merged[0].symbols.items() if n not in gone})
            if module.docs_only:
                # What only this interpreter's source has need not exist in the environment's Python.
                own = {s.qualified: s for s in scopes[0]}
                merged = [_limited(s, own[s.qualified]) for s in merged if s.qualified in own]
        elif scopes and not (module.docs_only and scopes[0][0].file == str(module.source)):
            merged = scopes[0]
        else:
            continue
        if module.added is not None:
            text, _ = read_source(module.added, LARGEST_FILE)
            merged = with_added_docs(merged, added_docs(text or ""))  # for search
        yield from map(encode_scope, merged)


def _deleted(text: str) -> set[str]:
    """The names that a module deletes when it is imported."""
    if "del " not in text:
        return set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            blocks = [ast.parse(text).body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[str] = set()
    while blocks:
        for node in blocks.pop():
            if isinstance(node, ast.Delete):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, (ast.If, ast.Try, ast.With)):
                blocks += [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
    return found


def mine(task: MineTask) -> dict[str, bytes]:
    """Mine the files of a task: receiver key -> encoded usage."""
    mining = importlib.import_module(task.mining)
    index = _index(task)
    return {key: mining.encode(usage) for key, usage in mining.mine(index, list(task.files)).items()}


_opened: tuple[tuple[Path, int, int], Index] | None = None


def _index(task: MineTask) -> Index:
    """The index a task reads, kept open from task to task."""
    global _opened
    key = (task.index, task.index.stat().st_ino, task.generation)
    if _opened is None or _opened[0] != key:
        if _opened is not None:
            _opened[1].close()
        _opened = key, Index.open_snapshot(task.index)
    return _opened[1]


def read_source(path: Path, largest: int) -> tuple[str | None, str]:
    """The text of a Python file, or None and why not: too large, no regular file, undecodable."""
    try:
        # Without blocking, so that a named pipe called x.py does not hold the worker.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None, f"{path}: not a regular file, passed over"
            if found.st_size > largest:
                return None, f"{path}: {found.st_size:,} bytes, larger than {largest:,}, passed over"
            data = file.read(largest + 1)
        if len(data) > largest:
            return None, f"{path}: grew while it was read, passed over"
    except OSError as error:
        return None, f"{path}: {error.strerror}, passed over"
    if b"\0" in data:
        return None, f"{path}: holds a null byte, passed over"
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        pass  # an older encoding, told by a cookie on the first lines
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), ""
    except (SyntaxError, LookupError, ValueError):
        return None, f"{path}: neither UTF-8 nor of the encoding it names, passed over"


def stamp(path: Path) -> str:
    """Size and time of a file, to see whether it changed; empty when it is gone."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def chunks(items: Iterable[tuple[T, int]], largest: int) -> Iterator[tuple[T, ...]]:
    """Groups of (item, bytes) whose sizes add up to about ``largest``."""
    group: list[T] = []
    size = 0
    for item, weight in items:
        group.append(item)
        size += weight
        if size >= largest:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)


def _limited(merged: Scope, own: Scope) -> Scope:
    """The symbols of ``merged`` that ``own`` has."""
    return replace(merged, symbols={n: s for n, s in merged.symbols.items() if n in own.symbols}, file=own.file)
