"""Versions of a library as a user names them: installed, in an environment or a folder, a wheel, or one known from before."""

from __future__ import annotations

import logging
import sqlite3
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from octod.core.errors import NotInstalled, OctodError, UsageError
from octod.core.symbols import LibraryId
from octod.indexer.api import Api, Entry, api_of
from octod.indexer.build import build_library
from octod.indexer.database import FORMAT
from octod.indexer.distribution import Distribution, installed, normalised
from octod.indexer.environment import Environment, find_environment
from octod.indexer.extract import LARGEST_FILE
from octod.indexer.hints import Hints, deprecation_hints, removal_notes
from octod.indexer.history import History
from octod.indexer.store import Index
from octod.indexer.work import Module, modules, read_source

__all__ = ["api_from_index", "api_of_distribution", "api_of_installed", "find_version", "keep_leaving"]

log = logging.getLogger("octod.indexer")

INSTALLED = "installed"
_LARGEST_WHEEL = 1 << 30  # bytes of Python text taken out of a wheel
_MOST_LEAVING = 30  # libraries whose APIs are kept when they go at once: half a second each for the largest
_LONGEST_TEXT = 400  # characters of a deprecation text
_TEXTS = (".py", ".pyi")


def find_version(
    name: str, wanted: str, environment: Environment, history: History, indexes: Path, *, processes: int | None = None
) -> Api:
    """The API of the library ``name`` in the version that ``wanted`` names.

    ``installed`` is the one of ``environment``; a path is an environment, a site-packages folder or a wheel; anything
    else is a version number, looked for in history, the environment and the other environments that are indexed.
    Raises NotInstalled or UsageError with what can be named instead.
    """
    name = normalised(name)
    if wanted == INSTALLED:
        return _installed(name, environment, history, indexes, processes)
    path = Path(wanted).expanduser()
    if path.suffix == ".whl":
        with _unpacked(path) as folder:
            return _in_folder(name, folder, path, environment.python, processes)
    if path.is_dir():
        return _installed(name, find_environment(path), history, indexes, processes)
    if "/" in wanted or wanted.startswith(("~", ".")):
        raise UsageError(f"{path} does not exist", "name an environment's folder, a site-packages or a wheel")
    known = history.versions(name)
    for kept in known:
        if kept.library.version == wanted:
            return kept
    here = _distribution(name, environment)
    if here is not None and here.library.version == wanted:
        return _installed(name, environment, history, indexes, processes)
    if (api := _indexed_elsewhere(name, wanted, indexes)) is not None:
        return api
    there = [here.library.version] if here is not None else []
    versions = sorted({*there, *(a.library.version for a in known), *_versions_elsewhere(name, indexes)})
    hint = f"known are {', '.join(versions)}; " if versions else ""
    raise NotInstalled(
        f"no {name} {wanted} is known", f"{hint}a folder where it is installed or a wheel can be named as well"
    )


def api_from_index(index: Index, library: LibraryId) -> Api:
    """The API of a library as the index has it: without hints from its sources, which may be gone."""
    return api_of(index, library, [name for name, owners in index.import_names().items() if library in owners])


def api_of_distribution(distribution: Distribution, python: str, *, processes: int | None = None) -> Api:
    """The API of one library that no index has, read into a temporary one; with the hints in its sources."""
    with tempfile.TemporaryDirectory(prefix="octod-") as folder:
        path = Path(folder, "one.db")
        build_library(distribution, python, path, processes=processes)
        with Index.open_snapshot(path) as index:
            return _with_hints(api_of(index, distribution.library, distribution.import_names), modules(distribution))


def api_of_installed(index: Index, distribution: Distribution) -> Api:
    """The API of an installed library as the index has it, with the hints in its sources."""
    return _with_hints(api_from_index(index, distribution.library), modules(distribution))


def keep_leaving(history: History) -> Callable[[Index, list[LibraryId]], None]:
    """What ``build`` is given so that the APIs of versions that go are kept; a full disk is no reason not to build."""

    def keep(index: Index, libraries: list[LibraryId]) -> None:
        for library in libraries[:_MOST_LEAVING]:
            try:
                if library.distribution != "stdlib" and history.find(library) is None:
                    history.keep(api_from_index(index, library))
            except OctodError as error:
                log.warning("the API of %s is not kept: %s", library, error)
                return

    return keep


def _with_hints(api: Api, every: list[Module]) -> Api:
    """The API with what its sources say of deprecated and removed names."""
    sources: list[tuple[str, str]] = []
    notes: dict[str, str] = {}
    served: dict[str, str] = {}
    for module in every:
        text, _ = read_source(module.source, LARGEST_FILE) if module.source is not None else (None, "")
        if text is not None:
            sources.append((module.name, text))
            gone, given = removal_notes(module.name, text)
            notes, served = notes | gone, served | given
    hints = deprecation_hints(sources)
    entries = {path: _hinted(entry, hints) for path, entry in api.entries.items()}
    entries |= {
        path: Entry("attribute", deprecated=said, front=True) for path, said in served.items() if api.canonical(path) is None
    }
    lost = {path: said for path, said in notes.items() if api.canonical(path) is None and path not in entries}
    return Api(api.library, entries, api.aliases, lost, hinted=True)


def _hinted(entry: Entry, hints: Hints) -> Entry:
    place = entry.definition
    if place not in hints.texts and place not in hints.renames and place not in hints.same:
        return entry
    said = " ".join(filter(None, (entry.deprecated, hints.texts.get(place))))[:_LONGEST_TEXT] or None
    renames = tuple(hints.renames.get(place, {}).items())
    return replace(entry, deprecated=said, renames=renames, same=hints.same.get(place, entry.same))


def _installed(name: str, environment: Environment, history: History, indexes: Path, processes: int | None) -> Api:
    distribution = _distribution(name, environment)
    if distribution is None:
        raise NotInstalled(f"{environment.root} has no {name}", "`octod index` reads what it has")
    library = distribution.library
    kept = history.find(library)
    if kept is not None and kept.hinted:
        return kept
    path = indexes / f"{environment.key}.db"
    if library.version in _version_in(path, name):
        with Index.open_snapshot(path) as index:
            api = api_of_installed(index, distribution) if library in index.libraries() else None
        if api is not None:
            return api
    api = api_of_distribution(distribution, environment.python, processes=processes)
    if not distribution.editable:
        history.keep(api)
    return api


def _distribution(name: str, environment: Environment) -> Distribution | None:
    found, _ = installed(environment.site_packages)
    return next((d for d in found if d.library.distribution == name), None)


def _in_folder(name: str, folder: Path, shown: Path, python: str, processes: int | None) -> Api:
    found, problems = installed([folder])
    for distribution in found:
        if distribution.library.distribution == name:
            return api_of_distribution(distribution, python, processes=processes)
    holds = ", ".join(str(d.library) for d in found) or "; ".join(problems) or "no distribution"
    raise NotInstalled(f"{shown} has no {name}", f"it holds {holds}")


@contextmanager
def _unpacked(wheel: Path) -> Iterator[Path]:
    """The Python text and the metadata of a wheel in a temporary folder; nothing else of it is written."""
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(wheel))
        except FileNotFoundError as error:
            raise UsageError(f"{wheel} does not exist", "name a wheel, an environment's folder or a version") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise OctodError(f"{wheel} cannot be read: {error}", "a wheel is a zip archive; get it again") from error
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octod-")))
        total = 0
        for info in archive.infolist():
            parts = info.filename.split("/")
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or any(p in ("", ".", "..") or "\\" in p for p in parts):
                continue
            wanted = info.filename.endswith(_TEXTS) or parts[0].endswith(".dist-info") and len(parts) == 2
            if not wanted or info.file_size > LARGEST_FILE * 4 or total + info.file_size > _LARGEST_WHEEL:
                continue
            place = folder.joinpath(*parts)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source:
                    place.write_bytes(source.read(info.file_size))
            except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
                raise OctodError(f"{wheel} cannot be read: {error}", "a wheel is a zip archive; get it again") from error
            total += info.file_size
        yield folder


def _versions_elsewhere(name: str, indexes: Path) -> set[str]:
    return {version for path in sorted(indexes.glob("*.db")) for version in _version_in(path, name)}


def _indexed_elsewhere(name: str, wanted: str, indexes: Path) -> Api | None:
    for path in sorted(indexes.glob("*.db")):
        if wanted in _version_in(path, name):
            with Index.open(path) as index:
                for library in index.libraries():
                    if (library.distribution, library.version) == (name, wanted):
                        return api_from_index(index, library)
    return None


def _version_in(path: Path, name: str) -> list[str]:
    """The version of a library in an index, which is opened only to be read."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                return []
            rows = connection.execute("SELECT version FROM libraries WHERE distribution = ?", (name,)).fetchall()
            return [str(version) for (version,) in rows]
    except sqlite3.Error:
        return []
