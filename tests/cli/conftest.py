"""What the tests of the commands share: a way to call ``octod``, and a small environment."""

from __future__ import annotations

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


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with one small library, ``petstore`` 1.2."""
    root = tmp_path / "venv"
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
