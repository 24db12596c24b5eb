"""Environment managers: where uv, poetry, hatch, pipenv, conda, pixi and pyenv keep the environment of a project folder.

Their files are read as text, and the paths are computed as each tool computes them; none of them is started.  A
project's files may point at environments inside the project and at the folders where these tools keep theirs, and
nowhere else.  The order is documented in docs/environments.md.
"""

from __future__ import annotations

import os
import re
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["Candidate", "Machine", "candidates", "known_places", "pipenv_name"]

_IN_PROJECT = (".venv", "venv", "env")
_SIGNS = (
    *_IN_PROJECT, "pyproject.toml", "pyrightconfig.json", "uv.lock", ".pixi", "poetry.lock", "hatch.toml", "Pipfile",
    "environment.yml", "environment.yaml", ".python-version",
)  # fmt: skip
_LONGEST = 1 << 20  # bytes of a project's file that are read
_CONDA_HOMES = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda", ".mamba", ".micromamba")
_CONDA_FILES = ("environment.yml", "environment.yaml")
_UNSAFE = re.compile(r'[ $`!*@"\\\r\n\t]')  # what poetry replaces in a name
_UNSAFE_PIPENV = re.compile(r'[ &$`!*@"()\[\]\\\r\n\t]')


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder that may be an environment and what led to it; ``marked``: only with pyvenv.cfg or conda-meta in it."""

    folder: Path
    reason: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What the user's tools are told by: the home folder, the process's variables, the platform."""

    home: Path
    environ: Mapping[str, str]
    platform: str = sys.platform

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Machine:
        """The machine as ``environ`` describes it."""
        return cls(Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home()), environ)

    def folder(self, variable: str, fallback: Path) -> Path:
        """The folder that a variable names, else ``fallback``."""
        value = self.environ.get(variable)
        return Path(value).expanduser() if value else fallback

    def cache(self, name: str) -> Path:
        """A tool's cache folder, as platformdirs places it."""
        if self.platform == "darwin":
            return self.home / "Library" / "Caches" / name
        if self.platform == "win32":
            return self.folder("LOCALAPPDATA", self.home / "AppData" / "Local") / name / "Cache"
        return self.folder("XDG_CACHE_HOME", self.home / ".cache") / name

    def data(self, name: str) -> Path:
        """A tool's data folder, as platformdirs places it."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support" / name
        if self.platform == "win32":
            return self.folder("LOCALAPPDATA", self.home / "AppData" / "Local") / name
        return self.folder("XDG_DATA_HOME", self.home / ".local" / "share") / name


def candidates(folder: Path, machine: Machine) -> Iterator[Candidate]:
    """Where the environment of a project folder may be, the surest first; whether one is there is not looked at."""
    if not any(os.path.lexists(f"{folder}/{name}") for name in _SIGNS):
        return  # nearly every folder on the way up: asked for every couple of seconds
    project = _toml(folder / "pyproject.toml")
    yield from _pyright(folder, project, machine)
    yield from _uv(folder, project, machine)
    for name in _IN_PROJECT:
        yield Candidate(folder / name, f"{name} in {folder}", marked=name == "env")
    yield Candidate(folder / ".pixi" / "envs" / "default", f"pixi's default environment in {folder}")
    yield from _poetry(folder, project, machine)
    yield from _hatch(folder, project, machine)
    yield from _pipenv(folder, machine)
    yield from _conda(folder, machine)
    yield from _pyenv(folder, machine)


def known_places(machine: Machine) -> tuple[Path, ...]:
    """The folders that hold environments and nothing else: a project's file may name what lies below them."""
    return (
        _poetry_folder(machine),
        _hatch_folder(machine),
        *_pipenv_folders(machine),
        machine.home / ".virtualenvs",
        _pyenv_root(machine) / "versions",
        *(home / "envs" for home in _conda_homes(machine)),
    )


def _allowed(path: Path, folder: Path, machine: Machine) -> bool:
    """Whether a project's file may point at ``path``: inside the project, or where tools keep environments."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(place)) for place in (folder, *known_places(machine)))


def _pyright(folder: Path, project: dict[str, Any], machine: Machine) -> Iterator[Candidate]:
    for name, settings in (
        ("pyrightconfig.json", _json(folder / "pyrightconfig.json")),
        ("[tool.pyright]", _table(project, "tool", "pyright")),
        ("[tool.basedpyright]", _table(project, "tool", "basedpyright")),
    ):
        venv, above = settings.get("venv"), settings.get("venvPath", ".")
        if isinstance(venv, str) and isinstance(above, str) and venv:
            path = folder / _expanded(above, machine) / venv
            if _allowed(path, folder, machine):
                yield Candidate(path, f"venv in {name} of {folder}")


def _uv(folder: Path, project: dict[str, Any], machine: Machine) -> Iterator[Candidate]:
    """UV_PROJECT_ENVIRONMENT is relative to the workspace's root, which has the lock file."""
    named = machine.environ.get("UV_PROJECT_ENVIRONMENT")
    is_root = (folder / "uv.lock").is_file() or "workspace" in _table(project, "tool", "uv")
    if named and is_root:
        yield Candidate(folder / named, f"UV_PROJECT_ENVIRONMENT in {folder}")


def _poetry(folder: Path, project: dict[str, Any], machine: Machine) -> Iterator[Candidate]:
    settings = _table(project, "tool", "poetry")
    if not settings and not (folder / "poetry.lock").is_file():
        return
    name = settings.get("name") or _table(project, "project").get("name") or ""
    if not isinstance(name, str):
        return
    # poetry.utils.env.EnvManager.generate_env_name
    place = os.path.normcase(os.path.realpath(folder))
    stem = f"{_UNSAFE.sub('_', name.lower())[:42]}-{_digest(place, 8)}"
    environments = _poetry_folder(machine)
    reason = f"poetry's environment of {folder}"
    chosen = _table(_toml(environments / "envs.toml"), stem).get("minor")
    if isinstance(chosen, str):
        yield Candidate(environments / f"{stem}-py{chosen}", reason)
    for path in sorted(environments.glob(f"{_literal(stem)}-py*"), key=_newest_first):
        yield Candidate(path, reason)


def _poetry_folder(machine: Machine) -> Path:
    """Where poetry keeps environments, by its variables alone: ``poetry.toml`` is a project's file."""
    cache = machine.folder("POETRY_CACHE_DIR", machine.cache("pypoetry"))
    return machine.folder("POETRY_VIRTUALENVS_PATH", cache / "virtualenvs")


def _hatch(folder: Path, project: dict[str, Any], machine: Machine) -> Iterator[Candidate]:
    settings = _table(project, "tool", "hatch") or _toml(folder / "hatch.toml")
    name = _table(project, "project").get("name")
    backend = str(_table(project, "build-system").get("build-backend", ""))
    if not isinstance(name, str) or not (settings or backend.startswith("hatchling")):
        return
    reason = f"hatch's environment of {folder}"
    chosen = _table(settings, "envs", "default").get("path")
    if isinstance(chosen, str) and chosen and _allowed(folder / chosen, folder, machine):
        yield Candidate(folder / chosen, reason)
    # hatch.env.virtual.VirtualEnvironment: data folder / project's name / hash of its path / project's name
    name = re.sub(r"[-_.]+", "-", name).lower()
    yield Candidate(_hatch_folder(machine) / name / _digest(str(folder), 8) / name, reason)


def _hatch_folder(machine: Machine) -> Path:
    return machine.folder("HATCH_DATA_DIR", machine.data("hatch")) / "env" / "virtual"


def _pipenv(folder: Path, machine: Machine) -> Iterator[Candidate]:
    pipfile = folder / "Pipfile"
    if not pipfile.is_file():
        return
    name = pipenv_name(pipfile)
    suffix = machine.environ.get("PIPENV_PYTHON")
    for place in _pipenv_folders(machine):
        yield Candidate(place / (f"{name}-{suffix}" if suffix else name), f"pipenv's environment of {folder}")


def pipenv_name(pipfile: Path) -> str:
    """What pipenv calls the environment of a Pipfile (``Project._get_virtualenv_hash``)."""
    digest = urlsafe_b64encode(sha256(os.fsencode(pipfile)).digest()[:6]).decode()[:8]
    return f"{_UNSAFE_PIPENV.sub('_', pipfile.parent.name)[:42]}-{digest}"


def _pipenv_folders(machine: Machine) -> tuple[Path, ...]:
    if machine.environ.get("WORKON_HOME"):
        return (machine.folder("WORKON_HOME", machine.home),)
    return (machine.home / ".local" / "share" / "virtualenvs", machine.home / ".virtualenvs")


def _conda(folder: Path, machine: Machine) -> Iterator[Candidate]:
    for file in _CONDA_FILES:
        # YAML, but only two plain keys at the left edge are of interest.
        match = re.search(r"^name:[ \t]*['\"]?([\w.-]+)['\"]?[ \t]*(?:#.*)?$", _text(folder / file), re.MULTILINE)
        if match is None or match[1] in (".", ".."):
            continue
        reason = f"conda environment {match[1]!r} of {folder / file}"
        for home in _conda_homes(machine):
            yield Candidate(home / "envs" / match[1], reason, marked=True)
        for line in _text(machine.home / ".conda" / "environments.txt").splitlines():
            if line.strip() and Path(line.strip()).name == match[1]:
                yield Candidate(Path(line.strip()), reason, marked=True)


def _conda_homes(machine: Machine) -> list[Path]:
    named = [machine.environ.get(variable) for variable in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT")]
    executable = machine.environ.get("CONDA_EXE")
    if executable:
        named.append(str(Path(executable).parent.parent))
    return [Path(n) for n in named if n] + [machine.home / n for n in _CONDA_HOMES]


def _pyenv(folder: Path, machine: Machine) -> Iterator[Candidate]:
    """``.python-version`` may name a virtual environment of pyenv-virtualenv; a bare version is no environment."""
    for line in _text(folder / ".python-version").splitlines():
        name = line.strip()
        if re.fullmatch(r"\w[\w.+-]*(/envs/\w[\w.+-]*)?", name):
            place = _pyenv_root(machine) / "versions" / name
            yield Candidate(place, f"pyenv's {name!r} of {folder / '.python-version'}", marked=True)


def _pyenv_root(machine: Machine) -> Path:
    return machine.folder("PYENV_ROOT", machine.home / ".pyenv")


# reading -----------------------------------------------------------------------------------------------------------


def _digest(text: str, length: int) -> str:
    return urlsafe_b64encode(sha256(os.fsencode(text)).digest()).decode()[:length]


def _literal(name: str) -> str:
    """A name for ``glob`` in which nothing is a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _newest_first(path: Path) -> tuple[int, ...]:
    return tuple(-int(part) for part in path.name.rpartition("-py")[2].split(".") if part.isdigit())


def _expanded(path: str, machine: Machine) -> str:
    return f"{machine.home}{path[1:]}" if path == "~" or path.startswith("~/") else path


def _text(path: Path) -> str:
    """The beginning of a text file; empty where there is none."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file's tables; a broken one says nothing."""
    import tomllib

    text = _text(path)
    try:
        return tomllib.loads(text) if text else {}
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _json(path: Path) -> dict[str, Any]:
    """A JSON file's object, which pyright lets hold comments; a broken one says nothing."""
    import json

    text = re.sub(r"^\s*//.*$", "", _text(path), flags=re.MULTILINE)
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _table(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A table inside tables; empty where something else is in the way."""
    for key in keys:
        found = data.get(key)
        if not isinstance(found, dict):
            return {}
        data = found
    return data
