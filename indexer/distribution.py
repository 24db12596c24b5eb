"""Distributions: what is installed, read from ``*.dist-info``, ``*.egg-info``, ``*.pth`` and ``direct_url.json`` as text."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import os
import re
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from octod.core.symbols import LibraryId

__all__ = ["SKIPPED_FOLDERS", "Distribution", "installed", "module_of", "normalised", "python_files", "standard_library"]

# Folders that hold no modules of the project around them.
SKIPPED_FOLDERS = frozenset({
    "__pycache__", ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "env", "node_modules", "site-packages",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".eggs", "build", "dist",
})  # fmt: skip
_SUFFIXES = (".py", ".pyi")
_COMPILED = (".so", ".pyd")
_METADATA_CAP = 1 << 20  # bytes: the headers wanted stand at the start
_RECORD_CAP = 64 << 20  # bytes: the largest RECORD seen has 3 million
_FILES_CAP = 200_000  # files of one distribution; the largest seen has 20,000


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution and its Python files.

    ``files`` are .py and .pyi files; ``root`` is the folder that module names are relative to, ``editable`` the
    project folder of an editable install.  ``mapping`` gives import names that live elsewhere (``octod.core`` in
    ``/src/core``), ``compiled`` modules that exist only as extension files.
    """

    library: LibraryId
    import_names: tuple[str, ...]
    files: tuple[Path, ...]
    root: Path
    editable: Path | None = None
    licence: str = ""
    mapping: tuple[tuple[str, Path], ...] = ()
    compiled: tuple[str, ...] = ()

    def module(self, file: Path) -> str | None:
        """The dotted name under which ``file`` is imported, or None when it cannot be."""
        for prefix, folder in self.mapping:
            if file == folder or folder in file.parents:
                rest = module_of(file, folder.parent if file == folder else folder)
                tail = rest.split(".") if rest else []
                if file == folder:
                    return prefix
                return ".".join([prefix, *tail]) if rest is not None else None
        return module_of(file, self.root) or None


def module_of(file: Path, root: Path) -> str | None:
    """Dotted module name of ``file`` below ``root`` (``-stubs`` dropped), "" for ``root/__init__``, None if unnameable."""
    try:
        parts = list(file.relative_to(root).parts)
    except ValueError:
        return None
    if "typeshed" in parts[:-1]:
        return None  # stubs of other libraries that a type checker brings along
    parts[-1] = parts[-1].split(".", 1)[0]
    if parts[0].endswith("-stubs"):
        parts[0] = parts[0].removesuffix("-stubs")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if all(part.isidentifier() for part in parts) else None


def normalised(name: str) -> str:
    """A distribution's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(site_packages: Iterable[Path]) -> tuple[list[Distribution], list[str]]:
    """Every distribution below the folders (the first of a name wins, as on import) and what could not be read."""
    found: dict[str, Distribution] = {}
    problems: list[str] = []
    for folder in site_packages:
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
            continue
        places = [(folder, folder / n) for n in names if n.endswith((".dist-info", ".egg-info"))]
        for name in names:
            if name.endswith((".pth", ".egg-link")):
                for linked in _linked_folders(folder / name):
                    places += [(linked, p) for p in sorted(linked.glob("*.egg-info"))]
        for root, place in places:
            try:
                distribution = _distribution(root, place, problems, linked=root != folder)
            except (OSError, ValueError, RecursionError, csv.Error) as error:
                problems.append(f"{place}: {error}")
                continue
            if distribution is not None:
                found.setdefault(distribution.library.distribution, distribution)
    return [found[name] for name in sorted(found)], problems


def standard_library(python: str | None = None) -> Distribution:
    """Typeshed's stubs of the standard library, as they ship with jedi (found, not imported)."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = python or own
    spec = find_spec("jedi")
    library = LibraryId("stdlib", python, "")
    if spec is None or not spec.submodule_search_locations:
        return Distribution(library, (), (), Path("/nonexistent"), None, "Apache-2.0")
    root = Path(next(iter(spec.submodule_search_locations))) / "third_party" / "typeshed" / "stdlib"
    names = sorted({p.name.removesuffix(".pyi") for p in root.iterdir()} - {"VERSIONS", "__main__"})
    if python == own:
        # jedi ships the stubs without typeshed's VERSIONS: modules that are gone are told by the interpreter.
        here = {*sys.stdlib_module_names, "_typeshed", "typing_extensions", "builtins"}
        names = [n for n in names if n in here]
    files = [f for f in python_files(root) if f.relative_to(root).parts[0].removesuffix(".pyi") in set(names)]
    return Distribution(library, tuple(names), tuple(files), root, None, "Apache-2.0")


def python_files(root: Path, skipped: frozenset[str] = SKIPPED_FOLDERS) -> list[Path]:
    """The .py and .pyi files below ``root`` in order; links to folders are not followed, hidden folders passed over."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(d for d in folders if d not in skipped and not d.startswith("."))
        found += [Path(folder, name) for name in sorted(files) if name.endswith(_SUFFIXES)]
        if len(found) > _FILES_CAP:
            break
    return found


def _distribution(root: Path, place: Path, problems: list[str], *, linked: bool) -> Distribution | None:
    """The distribution whose metadata is at ``place`` (a folder, or an egg-info file)."""
    headers = _headers(place)
    stem = place.name.rsplit(".", 1)[0]
    name = normalised(headers.get("name") or stem.split("-")[0])
    version = headers.get("version") or (stem.split("-")[1] if "-" in stem else "0")
    licence = headers.get("license-expression") or _classifier(headers) or headers.get("license", "").split("\n")[0][:60]
    if not name or name.startswith("~"):  # pip leaves "~ackage" folders behind when an uninstall is interrupted
        return None
    record = place / "RECORD"
    editable = root if linked else _editable(place)
    if record.is_file():
        raw = _read(record, _RECORD_CAP)
        rows = [row[0] for row in csv.reader(raw.decode("utf-8", "replace").replace("\0", "").splitlines()) if row]
        names = [n for n in rows if not n.startswith("/") and not (".." in n and ".." in n.split("/"))][:_FILES_CAP]
        if editable is not None:
            return _editable_distribution(root, names, name, version, licence, editable)
        files = [n for n in names if n.endswith(_SUFFIXES)]
        library = LibraryId(name, version, hashlib.sha256(raw).hexdigest())
        tops, compiled = _tops(names), _compiled(names)
        return Distribution(
            library, tops, tuple(Path(root, n) for n in files), root, None, licence, (), compiled
        )
    tops_file = place / "top_level.txt"
    tops = tuple(_text(tops_file).split()) if tops_file.is_file() else (name.replace("-", "_"),)
    listed = [p for top in tops if top.isidentifier() for p in _module_files(root, top)]
    if not listed:
        problems.append(f"{place}: neither RECORD nor the modules it names are there")
        return None
    library = LibraryId(name, version, _fingerprint(listed))
    return Distribution(library, tops, tuple(listed), root, editable, licence)


def _editable_distribution(
    site: Path, names: list[str], name: str, version: str, licence: str, project: Path
) -> Distribution:
    """An editable install: its modules are where a ``.pth`` or a generated finder points (both read as text)."""
    mapping: list[tuple[str, Path]] = []
    roots: list[Path] = []
    for listed in names:
        if "/" in listed:
            continue
        if listed.endswith(".pth"):
            roots += _linked_folders(site / listed)
        elif listed.startswith("__editable__") and listed.endswith(".py"):
            mapping += _finder_mapping(site / listed)
    if not mapping and not roots:
        roots = [project / "src" if (project / "src").is_dir() else project]
    root = roots[0] if roots else project
    mapping.sort(key=lambda pair: -len(pair[0]))
    files = [f for _, p in mapping for f in ([p] if p.is_file() else python_files(p))]
    for top in [] if mapping else sorted(os.listdir(root)):
        path = root / top
        if path.suffix == ".py" and path.stem.isidentifier() and top not in ("setup.py", "conftest.py", "noxfile.py"):
            files.append(path)
        elif top.isidentifier() and top not in SKIPPED_FOLDERS and (path / "__init__.py").is_file():
            files += python_files(path)
    files = list(dict.fromkeys(files))
    made = Distribution(LibraryId(name, version, _fingerprint(files)), (), tuple(files), root, project, licence, tuple(mapping))
    modules = {m.split(".")[0] for m in map(made.module, files) if m}
    return Distribution(made.library, tuple(sorted(modules)), made.files, root, project, licence, made.mapping)


def _headers(place: Path) -> dict[str, str]:
    """The headers of METADATA or PKG-INFO by lower-case name; ``classifier`` joins its values by newlines."""
    for path in (place / "METADATA", place / "PKG-INFO", place):
        if path.is_file():
            break
    else:
        return {}
    text = _text(path)
    found: dict[str, str] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and key and not line[0].isspace():
            key = key.lower()
            found[key] = f"{found[key]}\n{value.strip()}" if key == "classifier" and key in found else value.strip()
    return found


def _classifier(headers: dict[str, str]) -> str:
    for line in headers.get("classifier", "").splitlines():
        if line.startswith("License ::"):
            return line.rsplit("::", 1)[1].strip()
    return ""


def _editable(place: Path) -> Path | None:
    """The project folder of an editable install by PEP 610's ``direct_url.json``."""
    path = place / "direct_url.json"
    if not path.is_file():
        return None
    data = json.loads(_text(path))
    if not isinstance(data, dict) or not isinstance(info := data.get("dir_info"), dict) or not info.get("editable"):
        return None
    url = urllib.parse.urlparse(str(data.get("url", "")))
    return Path(urllib.parse.unquote(url.path)) if url.scheme == "file" else None


def _linked_folders(path: Path) -> list[Path]:
    """Folders that a ``.pth`` or ``.egg-link`` names; lines that Python would execute are only passed over."""
    try:
        lines = _text(path).splitlines()
    except OSError:
        return []
    wanted = (line.strip() for line in lines if line.strip() and not line.startswith(("import ", "import\t", "#")))
    folders = (Path(os.path.normpath(path.parent / line)) for line in wanted if "\0" not in line)
    return [f for f in folders if f.is_dir() and f != path.parent]


def _finder_mapping(path: Path) -> list[tuple[str, Path]]:
    """``MAPPING = {...}`` of the finder that setuptools generates, read by ``ast.literal_eval``."""
    match = re.search(r"^MAPPING\b[^=\n]*=\s*(\{.*?\})\s*$", _text(path), re.MULTILINE)
    try:
        data = ast.literal_eval(match[1]) if match else {}
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    pairs = [(str(k), Path(str(v))) for k, v in data.items()]
    # A single module is mapped without its suffix.
    return [(k, p if p.exists() else p.with_suffix(".py")) for k, p in pairs]


def _tops(names: Iterable[str]) -> tuple[str, ...]:
    """Top-level import names among the paths of a RECORD."""
    tops: set[str] = set()
    for name in names:
        first, slash, _ = name.partition("/")
        if name.endswith((*_SUFFIXES, *_COMPILED)):
            top = first.removesuffix("-stubs") if slash else first.split(".", 1)[0]
            if top.isidentifier() and top != "__pycache__" and not top.startswith("__editable__"):
                tops.add(top)
    return tuple(sorted(tops))


def _compiled(names: Iterable[str]) -> tuple[str, ...]:
    """Modules that exist as extension files without a source or a stub beside them."""
    sources = {n.rsplit(".", 1)[0] for n in names if n.endswith(_SUFFIXES)}
    stems = {n.rsplit("/", 1)[0] + "/" + n.rsplit("/", 1)[1].split(".", 1)[0] if "/" in n else n.split(".", 1)[0]
             for n in names if n.endswith(_COMPILED)}  # fmt: skip
    return tuple(sorted(s.replace("/", ".") for s in stems - sources if all(p.isidentifier() for p in s.split("/"))))


def _module_files(root: Path, top: str) -> Iterator[Path]:
    for suffix in _SUFFIXES:
        if (path := root / f"{top}{suffix}").is_file():
            yield path
    if (root / top).is_dir():
        yield from python_files(root / top, SKIPPED_FOLDERS - {"build", "dist", "env", "venv"})


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _text(path: Path) -> str:
    """A metadata file's text, no more than its first megabyte."""
    return _read(path, _METADATA_CAP).decode("utf-8", "replace")


def _fingerprint(files: Iterable[Path]) -> str:
    """sha256 over path, size and time of the files: stands in for RECORD where files change in place."""
    digest = hashlib.sha256()
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue
        digest.update(os.fsencode(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\n"))
    return digest.hexdigest()
