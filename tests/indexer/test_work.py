"""What a module offers when its stub, its source and its ways out of trouble disagree."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.indexer import build as build_module
from octod.indexer.build import build
from octod.indexer.store import Index
from packages import few_standard_modules, install, make_environment

FILES = {
    "tools/__init__.py": """
from .hammers import *
del Maul
try:
    level = int('1')
except ValueError:
    levels = 0
try:
    from fast import saw
except ImportError:
    def saw(): ...
""",
    "tools/__init__.pyi": "class Maul: ...\nclass Mallet: ...\nlevel: int\ndef saw() -> None: ...\n",
    "tools/hammers.py": "class Maul: ...\nclass Mallet: ...\n",
    "plain.py": "try:\n    a = 1\nexcept ValueError:\n    b = 2\nexcept (ImportError, OSError):\n    c = 3\n",
}


@pytest.mark.parametrize(("module", "names"), [("tools", {"Mallet", "level", "saw"}), ("plain", {"a", "c"})])
def test_what_is_deleted_or_bound_in_trouble_alone_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, names: set[str]
) -> None:
    """A name that the source deletes, whatever the stub says, and one that only an exception would bind."""
    environment = make_environment(tmp_path / "env")
    install(environment, "tools", "1", dict(FILES))
    monkeypatch.setattr(build_module, "standard_library", few_standard_modules)
    build(environment, tmp_path / "x.db", processes=0, mining=None)
    with Index.open(tmp_path / "x.db") as index:
        scope = index.scope(module)
        assert scope is not None
        assert names == set(scope.symbols)
