"""What the tests of the commands share: a way to call ``octod``, and a small environment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    """``call("adapters", "list")`` runs octod in this process, without a terminal."""
    from octod.cli.root import octod

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(octod, list(arguments), prog_name="octod")

    return run


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with one small library, ``petstore`` 1.2; nobody changes it."""
    root = tmp_path_factory.mktemp("environment") / "venv"
    packages = root / "lib" / "python3.11" / "site-packages"
    (packages / "petstore").mkdir(parents=True)
    (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n", encoding="utf-8")
    (packages / "petstore" / "__init__.py").write_text(
        '"""A shop of animals."""\n\n\n'
        "class Pet:\n"
        '    """An animal with a name."""\n\n'
        "    def __init__(self, name: str, *, age: int = 1) -> None:\n"
        "        self.name = name\n\n"
        '    def feed(self, food: str, /, amount: int = 2, *, warm: bool = False) -> "Pet":\n'
        '        """Give it something to eat."""\n'
        "        return self\n\n\n"
        "def adopt(name: str, *, age: int = 1) -> Pet:\n"
        '    """Take a pet home."""\n'
        "    return Pet(name, age=age)\n",
        encoding="utf-8",
    )
    info = packages / "petstore-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: petstore\nVersion: 1.2\n", encoding="utf-8")
    (info / "RECORD").write_text(
        "petstore/__init__.py,,\npetstore-1.2.dist-info/METADATA,,\npetstore-1.2.dist-info/RECORD,,\n",
        encoding="utf-8",
    )
    return root


@pytest.fixture(scope="session")
def index_file(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of ``environment``, made once: the standard library in it takes seconds."""
    from octod.indexer.build import build
    from octod.indexer.environment import find_environment

    found = find_environment(environment)
    path = tmp_path_factory.mktemp("index") / f"{found.key}.db"
    build(found, path)
    return path


@pytest.fixture
def indexed(index_file: Path, sealed: Path) -> Path:
    """A copy of the index of ``environment`` where octod looks for it; the path of the copy."""
    from octod.core.paths import Paths, private_folder

    return Path(shutil.copy(index_file, private_folder(Paths.of().indexes)))
