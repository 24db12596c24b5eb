"""Environments: where the packages of the code being edited are installed, found by reading files alone.

The interpreter of an environment is never started and nothing in it is imported: ``pyvenv.cfg``, ``*.dist-info``,
``*.egg-info``, ``*.pth`` and ``direct_url.json`` are read as text.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from octod.core.errors import EnvironmentProblem
from octod.indexer.distribution import Distribution, installed, module_of, standard_library
from octod.indexer.managers import Machine, candidates

__all__ = [
    "Distribution",
    "Environment",
    "distributions",
    "find_environment",
    "module_of",
    "standard_library",
]

_OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Environment:
    """An installed Python: its folder, its site-packages in import order, its version as text (``3.11``).

    ``reason`` says in words what led to it, ``project`` is the folder whose environment it is, where that is known.
    """

    root: Path
    site_packages: tuple[Path, ...]
    python: str = _OWN_VERSION
    reason: str = field(default="", compare=False)
    project: Path | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name the environment by its paths."""
        text = "\0".join(map(str, (self.root, *self.site_packages)))
        return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]


def find_environment(
    hint: str | Path | None = None, start: Path | None = None, environ: Mapping[str, str] | None = None
) -> Environment:
    """The environment that ``hint`` names, else the one that belongs to ``start``.

    ``hint`` is an interpreter, a folder with ``pyvenv.cfg``, a prefix, a site-packages folder or a project folder.
    Without it: the environments of ``start`` and of each folder above it, the nearest first (``managers.candidates``
    gives the order within one folder), then VIRTUAL_ENV, then CONDA_PREFIX, then octod's own environment.  Raises
    EnvironmentProblem when the hint leads nowhere.
    """
    environ = os.environ if environ is None else environ
    machine = Machine.of(environ)
    if hint:
        path = Path(hint).expanduser().absolute()
        if found := _from_hint(path):
            return replace(found, reason=f"{path} was named") if not found.reason else found
        if path.is_dir() and (found := _of_folder(path, machine)):
            return found
        what = "has no installed Python packages" if path.exists() else "does not exist"
        raise EnvironmentProblem(
            f"{path} {what}", "name a virtual environment's folder, its python, or a site-packages folder"
        )
    if start is not None:
        for folder in (start.absolute(), *start.absolute().parents):
            if found := _of_folder(folder, machine):
                return found
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        value = environ.get(variable)
        if value and (found := _from_prefix(Path(value).absolute())):
            return replace(found, reason=f"{variable} is set to it")
    if found := _from_prefix(Path(sys.prefix)):
        return replace(found, reason="octod itself runs in it, no other was found")
    raise EnvironmentProblem(
        "no Python environment was found", "create one with: python -m venv .venv, or name one with --env"
    )


def distributions(environment: Environment) -> tuple[list[Distribution], list[str]]:
    """What is installed in ``environment``, earlier folders hiding later ones, and what could not be read."""
    return installed(environment.site_packages)


def _of_folder(folder: Path, machine: Machine) -> Environment | None:
    """The environment that belongs to one project folder."""
    if _is_marked(folder) and (found := _from_prefix(folder)):
        return replace(found, reason=f"the file is inside {folder}")
    for candidate in candidates(folder, machine):
        if candidate.marked and not _is_marked(candidate.folder):
            continue
        if found := _from_prefix(candidate.folder):
            return replace(found, reason=candidate.reason, project=folder)
    return None


def _is_marked(folder: Path) -> bool:
    """Whether a folder says of itself that it is an environment."""
    return (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()


def _from_hint(path: Path) -> Environment | None:
    if path.is_dir():
        if path.name in ("site-packages", "dist-packages"):
            return _from_site_packages(path)
        for folder in (path, path.parent if path.name in ("bin", "Scripts") else path):
            if found := _from_prefix(folder):
                return found
        return _from_site_packages(path) if any(path.glob("*.dist-info")) else None
    return _from_interpreter(path)


def _from_interpreter(path: Path) -> Environment | None:
    """``bin/python`` belongs to the folder above, and so does each link on the way, but not the last link's target."""
    seen: set[Path] = set()
    fallback: Environment | None = None
    while path not in seen and (path.is_file() or path.is_symlink()):
        seen.add(path)
        prefix = path.parent.parent
        if found := _from_prefix(prefix):
            if (prefix / "pyvenv.cfg").is_file():
                return found
            fallback = fallback or found
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / os.readlink(path)))
    return fallback


def _from_site_packages(path: Path) -> Environment:
    """The environment around a site-packages folder, or that folder alone (``pip install --target``)."""
    for above in list(path.parents)[:3]:
        found = _from_prefix(above)
        if found and path in found.site_packages:
            return found
    return Environment(path, (path,))


def _from_prefix(root: Path) -> Environment | None:
    config = _config(root / "pyvenv.cfg")
    folders = _site_packages(root, config.get("version", ""))
    if not folders:
        return None
    version = config.get("version") or config.get("version_info") or _folder_version(folders[0]) or _OWN_VERSION
    if config.get("include-system-site-packages", "").lower() == "true" and config.get("home"):
        base = Path(config["home"]).parent
        folders += [f for f in _site_packages(base, version) if f not in folders]
    return Environment(root, tuple(folders), ".".join(version.split(".")[:2]))


def _config(path: Path) -> dict[str, str]:
    """``key = value`` lines of ``pyvenv.cfg``; empty when there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _site_packages(root: Path, version: str) -> list[Path]:
    """The package folders below a prefix that exist, each once, those of ``version`` when several Pythons share it."""
    wanted = ".".join(version.split(".")[:2]) if version else ""
    found: list[Path] = []
    seen: set[Path] = set()
    for base in (root, root / "local"):
        for lib in ("lib", "lib64", "Lib"):
            candidates = sorted((base / lib).glob("python3*"), key=_newest_first) + [base / lib]
            for folder in candidates:
                if wanted and folder.name.startswith("python3.") and folder.name != f"python{wanted}":
                    continue
                for name in ("site-packages", "dist-packages"):
                    place = folder / name
                    if place.is_dir() and (real := place.resolve()) not in seen:
                        seen.add(real)
                        found.append(place)
    if not wanted and found:
        # A prefix such as /usr/local may hold folders of several Pythons: one environment is one Python.
        newest = _folder_version(found[0])
        found = [f for f in found if _folder_version(f) in ("", newest)]
    return found


def _newest_first(folder: Path) -> tuple[int, ...]:
    digits = folder.name.removeprefix("python").rstrip("t").split(".")
    return tuple(-int(part) for part in digits if part.isdigit())


def _folder_version(site_packages: Path) -> str:
    name = site_packages.parent.name
    return name.removeprefix("python").rstrip("t") if name.startswith("python3.") else ""
