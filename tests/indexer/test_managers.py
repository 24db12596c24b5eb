"""Where tools keep environments: each layout is built in a folder and found again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from octod.indexer.environment import Environment, find_environment
from octod.indexer.managers import Machine, candidates, known_places, pipenv_name
from packages import make_environment


def found(project: Path, home: Path, **environ: str) -> Environment:
    """The environment of a project for a user whose home is ``home``."""
    return find_environment(None, project, {"HOME": str(home), **environ})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    (tmp_path / "work" / "ham").mkdir(parents=True)
    return tmp_path / "work" / "ham"


@pytest.mark.parametrize("name", [".venv", "venv", "env", ".pixi/envs/default"])
def test_an_environment_inside_the_project_is_its_own(project: Path, home: Path, name: str) -> None:
    """By convention; the reason names what led there."""
    made = make_environment(project / name)
    environment = found(project, home)
    assert (environment, environment.project) == (made, project)
    assert str(project) in environment.reason


def test_a_folder_named_env_needs_to_say_that_it_is_one(project: Path, home: Path) -> None:
    """``env`` is also a common name for other things."""
    (project / "env" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    assert found(project, home).root == Path(sys.prefix)


def test_uv_members_share_the_environment_of_the_workspace(project: Path, home: Path) -> None:
    """A member has no environment of its own: the root's is found above it."""
    (project / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['packages/*']\n")
    made = make_environment(project / ".venv")
    member = project / "packages" / "eggs"
    member.mkdir(parents=True)
    (member / "pyproject.toml").write_text("[project]\nname = 'eggs'\n")
    assert (found(member, home), found(member, home).project) == (made, project)


def test_uv_project_environment_is_relative_to_the_lock_file(project: Path, home: Path) -> None:
    """It replaces ``.venv``, as uv has it."""
    (project / "uv.lock").write_text("")
    make_environment(project / ".venv")
    made = make_environment(project / "other")
    assert found(project, home, UV_PROJECT_ENVIRONMENT="other") == made


def test_pyright_settings_name_an_environment(project: Path, home: Path) -> None:
    """``venvPath`` and ``venv``, in pyproject.toml or in pyrightconfig.json with comments."""
    made = make_environment(home / ".virtualenvs" / "ham")
    (project / "pyproject.toml").write_text("[tool.pyright]\nvenvPath = '~/.virtualenvs'\nvenv = 'ham'\n")
    assert found(project, home) == made
    own = make_environment(project / "its")
    (project / "pyrightconfig.json").write_text('// ours\n{"venvPath": ".", "venv": "its"}\n')
    assert found(project, home) == own


def test_a_project_may_not_point_anywhere_else(project: Path, home: Path, tmp_path: Path) -> None:
    """A path outside the project and outside what tools keep is not followed, nor is a link there."""
    make_environment(tmp_path / "elsewhere")
    (project / "pyproject.toml").write_text(f"[tool.pyright]\nvenvPath = '{tmp_path}'\nvenv = 'elsewhere'\n")
    assert found(project, home).root == Path(sys.prefix)
    (project / "link").symlink_to(tmp_path / "elsewhere")
    (project / "pyproject.toml").write_text("[tool.pyright]\nvenv = 'link'\n")
    assert found(project, home).root == Path(sys.prefix)


@pytest.mark.parametrize("header", ["[tool.poetry]\nname = 'Ham Eggs'", "[project]\nname = 'Ham Eggs'\n[tool.poetry]\nx = 1"])
def test_poetry_hashes_the_project_path(project: Path, home: Path, header: str) -> None:
    """``<name>-<hash>-py3.x``; of several the one that envs.toml chose, else the newest."""
    (project / "pyproject.toml").write_text(header)
    from base64 import urlsafe_b64encode
    from hashlib import sha256

    stem = "ham_eggs-" + urlsafe_b64encode(sha256(str(project.resolve()).encode()).digest()).decode()[:8]
    place = home / ".cache" / "pypoetry" / "virtualenvs"
    old, new = make_environment(place / f"{stem}-py3.9"), make_environment(place / f"{stem}-py3.12")
    assert found(project, home) == new
    (place / "envs.toml").write_text(f'[{stem}]\nminor = "3.9"\npatch = "3.9.1"\n')
    assert found(project, home) == old
    moved = make_environment(home / "moved" / f"{stem}-py3.11")
    assert found(project, home, POETRY_VIRTUALENVS_PATH=str(home / "moved")) == moved


def test_hatch_keeps_environments_by_name_and_hash(project: Path, home: Path) -> None:
    """Data folder, project's name, hash of its path, project's name again."""
    from octod.indexer.managers import _digest

    (project / "pyproject.toml").write_text("[project]\nname = 'Ham_Eggs'\n[build-system]\nbuild-backend = 'hatchling.build'\n")
    made = make_environment(
        home / ".local/share/hatch/env/virtual/ham-eggs" / _digest(str(project), 8) / "ham-eggs"
    )
    assert found(project, home) == made


def test_hatch_may_have_its_environment_in_the_project(project: Path, home: Path) -> None:
    """``path`` of the default environment."""
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'ham'\n[tool.hatch.envs.default]\npath = 'its/own'\n"
    )
    made = make_environment(project / "its" / "own")
    assert found(project, home) == made


def test_pipenv_hashes_the_path_of_the_pipfile(project: Path, home: Path) -> None:
    """In WORKON_HOME, else in the data folder."""
    from base64 import urlsafe_b64encode
    from hashlib import sha256

    (project / "Pipfile").write_text("")
    name = f"ham-{urlsafe_b64encode(sha256(str(project / 'Pipfile').encode()).digest()[:6]).decode()[:8]}"
    made = make_environment(home / ".local/share/virtualenvs" / name)
    assert found(project, home) == made
    moved = make_environment(home / "envs" / name)
    assert found(project, home, WORKON_HOME=str(home / "envs")) == moved


def test_the_name_of_a_pipenv_environment_is_the_documented_one() -> None:
    """The example in pipenv's own source: /home/user/MY_PROJECT/Pipfile gives wyUfYPqE."""
    assert pipenv_name(Path("/home/user/MY_PROJECT/Pipfile")) == "MY_PROJECT-wyUfYPqE"


@pytest.mark.parametrize("place", ["home/miniconda3/envs/ham", "far/conda/envs/ham"])
def test_conda_environments_are_named_in_environment_yml(project: Path, home: Path, tmp_path: Path, place: str) -> None:
    """Below a usual prefix, or listed in ~/.conda/environments.txt."""
    (project / "environment.yml").write_text("channels: [x]\nname: ham  # ours\ndependencies:\n  - name: no\n")
    made = make_environment(tmp_path / place)
    (made.root / "pyvenv.cfg").unlink()
    (made.root / "conda-meta").mkdir()
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{tmp_path}/far/conda/envs/ham\n")
    assert found(project, home).root == made.root


def test_pyenv_names_a_virtual_environment(project: Path, home: Path) -> None:
    """``.python-version`` may name one; a version number alone is an interpreter, not an environment."""
    made = make_environment(home / ".pyenv" / "versions" / "ham")
    (project / ".python-version").write_text("ham\n")
    assert found(project, home) == made
    (home / ".pyenv/versions/3.11.7/lib/python3.11/site-packages").mkdir(parents=True)
    (project / ".python-version").write_text("3.11.7\n")
    assert found(project, home).root == Path(sys.prefix)
    (project / ".python-version").write_text("../../../etc\n")
    assert found(project, home).root == Path(sys.prefix)


def test_windows_layouts_are_read(project: Path, home: Path) -> None:
    """``Lib/site-packages`` and ``Scripts/python.exe``."""
    (project / ".venv" / "Lib" / "site-packages").mkdir(parents=True)
    (project / ".venv" / "Scripts").mkdir()
    (project / ".venv" / "Scripts" / "python.exe").write_text("")
    (project / ".venv" / "pyvenv.cfg").write_text("version = 3.12.1\n")
    environment = found(project, home)
    assert (environment.python, environment.site_packages) == ("3.12", (project / ".venv/Lib/site-packages",))
    assert find_environment(project / ".venv" / "Scripts" / "python.exe") == environment


def test_the_order_within_a_folder_is_the_documented_one(project: Path, home: Path) -> None:
    """docs/environments.md lists it; what says the most comes first."""
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'ham'\n[tool.pyright]\nvenv = 'its'\n[tool.poetry]\nx = 1\n[tool.hatch]\nx = 1\n"
    )
    (project / "uv.lock").write_text("")
    (project / "Pipfile").write_text("")
    (project / "environment.yml").write_text("name: ham\n")
    (project / ".python-version").write_text("ham\n")
    environ: Mapping[str, str] = {"UV_PROJECT_ENVIRONMENT": "uv", "WORKON_HOME": str(home / "w")}
    order = [c.reason.replace(str(project), "P") for c in candidates(project, Machine(home, environ, "linux"))]
    assert list(dict.fromkeys(order)) == [
        "venv in [tool.pyright] of P", "UV_PROJECT_ENVIRONMENT in P", ".venv in P", "venv in P", "env in P",
        "pixi's default environment in P", "hatch's environment of P", "pipenv's environment of P",
        "conda environment 'ham' of P/environment.yml", "pyenv's 'ham' of P/.python-version",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["[tool", "x = 1\n" * 300_000, "\0\xff", "[tool]\npoetry = 3\npyright = []\nuv = 'x'\n"])
def test_odd_project_files_say_nothing(project: Path, home: Path, text: str) -> None:
    """Broken, huge, binary, of other types: as if they were not there."""
    for name in ("pyproject.toml", "pyrightconfig.json", "poetry.toml", "hatch.toml", "environment.yml", ".python-version"):
        (project / name).write_text(text, encoding="latin-1")
    assert found(project, home).root == Path(sys.prefix)


def test_places_follow_the_platform() -> None:
    """As platformdirs has it for poetry and hatch."""
    mac = Machine(Path("/Users/ham"), {}, "darwin")
    windows = Machine(Path("/c/ham"), {"LOCALAPPDATA": "/c/ham/local"}, "win32")
    assert known_places(mac)[0] == Path("/Users/ham/Library/Caches/pypoetry/virtualenvs")
    assert known_places(windows)[0] == Path("/c/ham/local/pypoetry/Cache/virtualenvs")
    assert known_places(windows)[1] == Path("/c/ham/local/hatch/env/virtual")
