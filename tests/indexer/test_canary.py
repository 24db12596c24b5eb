"""Nothing of an environment or a project is ever executed (promise P1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import audit
import pytest
from octod.indexer import build as build_module
from octod.indexer import pool
from octod.indexer.build import build, index_project
from octod.indexer.environment import find_environment
from octod.indexer.store import Index
from packages import few_standard_modules, install, make_environment

FIRES = "import pathlib; pathlib.Path({marker!r}).open('a').write({name!r} + chr(10))\n"


def lay(folder: Path) -> Path:
    """A canary environment and project below ``folder``; whatever of it runs writes into the file returned."""
    marker = folder / "fired"

    def fires(name: str) -> str:
        return FIRES.format(marker=str(marker), name=name)

    environment = make_environment(folder / "env")
    site = environment.site_packages[0]
    (folder / "env" / "bin").mkdir()
    (folder / "env" / "bin" / "python").write_text(f"#!/bin/sh\necho interpreter >> {marker}\n")
    (folder / "env" / "bin" / "python").chmod(0o755)
    suffix = "cpython-311-x86_64-linux-gnu.so"
    files = {
        "canary/__init__.py": fires("__init__") + "from .fast import go\ndef __getattr__(name):\n    " + fires("getattr"),
        "canary/core.py": fires("core") + "import canary.fast\nclass Metal(type):\n  def __new__(c, *a):\n    "
        + fires("metaclass") + "class C(metaclass=Metal):\n  x = eval('1')\n" + "import canary\ncanary.go()\n",
        f"canary/fast.{suffix}": b"\x7fELF" + b"\0" * 200,
        "canary/conftest.py": fires("conftest"),
        "canary/tests/test_canary.py": fires("test") + "import canary\ncanary.go()\n",
        "canary.pth": fires("pth").rstrip() + "\n",
        "canary_egg.pth": "import canary\n",
        "__editable___canary_finder.py": "MAPPING = {'canary_mapped': " + repr(str(folder / "project")) + "}\n" + fires("finder"),
        "sitecustomize.py": fires("sitecustomize"),
        "usercustomize.py": fires("usercustomize"),
        "json/__init__.py": fires("shadowed json"),
    }  # fmt: skip
    install(environment, "canary", "1", files)
    install(environment, "canary-plugin", "1", {"canary_plugin.py": fires("plugin")}, "Requires-Dist: canary")
    info = site / "canary_plugin-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "entry_points.txt").write_text("[octod]\nx = canary_plugin\n[pytest11]\nx = canary_plugin\n")
    project = folder / "project"
    (project / "src" / "canary_own").mkdir(parents=True)
    for name in ("setup.py", "conftest.py", "noxfile.py", "manage.py", "src/canary_own/__init__.py", "sitecustomize.py"):
        (project / name).write_text(fires(name) + "import canary\ncanary.go()\n")
    (project / "pyproject.toml").write_text(
        f"[build-system]\nrequires = []\nbuild-backend = 'canary'\nbackend-path = ['.']\n"
        f"[tool.octod]\nengine = '{project}/evil'\nbase = '{project}/model'\n[tool.mypy]\nplugins = ['canary']\n"
    )
    (project / ".env").write_text("PYTHONSTARTUP=setup.py\n")
    return marker


def test_a_full_index_executes_nothing(tmp_path: Path) -> None:
    """Environment and project indexed in a process with an audit hook: no import, exec, dlopen, process or connection."""
    marker = lay(tmp_path / "canary")
    log = tmp_path / "log"
    code = f"""
import sys, os
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import octod.indexer.build, octod.indexer.environment, octod.indexer.search, octod.indexer.usage, jedi
import audit, packages
octod.indexer.build.standard_library = packages.few_standard_modules
os.chdir({str(tmp_path / "canary" / "project")!r})
audit.listen({str(tmp_path / "canary")!r}, {str(log)!r})
from octod.indexer.environment import find_environment
environment = find_environment({str(tmp_path / "canary" / "env" / "bin" / "python")!r})
path = Path({str(tmp_path / "i.db")!r})
report = octod.indexer.build.build(environment, path, processes=0)
octod.indexer.build.index_project(Path.cwd(), path, processes=0)
with octod.indexer.store.Index.open(path) as index:
    assert index.scope("canary.core.C") is not None
    octod.indexer.search.search(index, "canary")
    index.scope("canary.fast")
print(report.libraries)
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr
    assert not marker.exists(), marker.read_text()
    assert not log.exists(), log.read_text()


def test_the_workers_execute_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in two spawned workers, each with the audit hook."""
    marker = lay(tmp_path / "canary")
    log = tmp_path / "log"
    monkeypatch.setenv("CANARY_FOLDER", str(tmp_path / "canary"))
    monkeypatch.setenv("CANARY_LOG", str(log))
    monkeypatch.setattr(pool, "prepare", audit.prepare)
    monkeypatch.setattr(build_module, "standard_library", few_standard_modules)
    monkeypatch.chdir(tmp_path / "canary" / "project")
    environment = find_environment(tmp_path / "canary" / "env")
    build(environment, tmp_path / "i.db", processes=2)
    index_project(tmp_path / "canary" / "project", tmp_path / "i.db", processes=1)
    assert Path(f"{log}.workers").read_text().count("ready") >= 2
    assert not marker.exists(), marker.read_text()
    assert not log.exists(), log.read_text()
    with Index.open(tmp_path / "i.db") as index:
        assert index.scope("canary_own") is not None


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The test can fail: importing the package, even its ``.pth`` line, leaves a mark and a line in the log."""
    marker = lay(tmp_path / "canary")
    site = tmp_path / "canary" / "env" / "lib" / "python3.11" / "site-packages"
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(site)!r}]
import audit
audit.listen({str(tmp_path / "canary")!r}, {str(tmp_path / "log")!r})
try:
    import canary
except ImportError:
    pass
"""
    subprocess.run([sys.executable, "-B", "-c", code], timeout=120, check=True)
    assert "__init__" in marker.read_text()
    assert "exec" in (tmp_path / "log").read_text()
