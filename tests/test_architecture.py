"""The rules of ARCHITECTURE.md that can be read off the files: floors, late imports, sizes, exports, time to help."""

from __future__ import annotations

import ast
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Folder -> the folders it may import; the table in ARCHITECTURE.md.
FLOORS = {
    "core": set(),
    "indexer": {"core"},
    "adapters": {"core", "indexer"},
    "daemon": {"core", "indexer", "adapters"},
    "lsp": {"core", "daemon"},
    "cli": {"core", "indexer", "adapters", "daemon", "lsp"},
}
# What takes long to import, or is not installed without the extra that needs it.
HEAVY = {
    "griffe",
    "huggingface_hub",
    "jedi",
    "lsprotocol",
    "onnx",
    "onnxruntime",
    "peft",
    "pygls",
    "rich",
    "sqlite_utils",
    "tokenizers",
    "torch",
    "transformers",
    "vllm",
    "watchdog",
}
LONGEST = 400
MODULES = sorted(path for folder in FLOORS for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    """The name a test is shown by."""
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "octod")


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_folder_imports_only_the_floors_below_it(path: Path) -> None:
    """An import of a floor above, or of a neighbour, is an error."""
    folder = path.relative_to(ROOT).parts[0]
    used = {parts[1] for name in imports(path) if (parts := name.split("."))[0] == "octod" and len(parts) > 1}
    assert set() == used - FLOORS[folder] - {folder}


@pytest.mark.parametrize("path", [p for p in MODULES if p.relative_to(ROOT).parts[0] == "lsp"], ids=named)
def test_the_language_server_knows_only_the_daemons_client_side(path: Path) -> None:
    """lsp/ speaks with the daemon; it does not reach into the service behind it."""
    allowed = {"client", "lifecycle", "protocol", "wire"}
    used = {
        parts[2]
        for name in imports(path)
        if (parts := name.split("."))[:2] == ["octod", "daemon"] and len(parts) > 2
    }
    assert set() == used - allowed


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_the_language_server_knows_lsprotocol(path: Path) -> None:
    """The types of the Language Server Protocol stay in lsp/."""
    used = {name.split(".")[0] for name in imports(path)} & {"lsprotocol", "pygls"}
    assert not used or path.relative_to(ROOT).parts[0] == "lsp"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_one_module_knows_the_hub(path: Path) -> None:
    """What could ask the model hub is imported in the process that `octod base add` starts for it, and nowhere else."""
    used = {name.split(".")[0] for name in imports(path)} & {"huggingface_hub"}
    assert not used or path.relative_to(ROOT) == Path("cli/hub.py")


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    """A module that grows beyond that has two subjects."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_exports_are_sorted_and_exist(path: Path) -> None:
    """``__all__`` is sorted as ruff sorts it, and each name in it is bound in the module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bound: set[str] = set()
    exported: list[str] = []
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    bound |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
                    if isinstance(target, ast.Name) and target.id == "__all__":
                        exported = ast.literal_eval(value)
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {alias.asname or alias.name.split(".")[0] for alias in names}
    assert sorted(exported, key=_export_order) == exported
    assert set() == set(exported) - bound


def _export_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: isort's order, which ruff keeps."""
    return (0 if name.isupper() else 1 if name.lstrip("_")[:1].isupper() else 2, name)


def test_help_imports_nothing_heavy() -> None:
    """``octod --help`` loads click and the table of commands, none of the libraries that take long."""
    code = (
        "import json, sys; sys.argv = ['octod', '--help']\n"
        "from octod.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ended.stderr.strip().splitlines()[-1]))
    assert set() == loaded & (HEAVY | {"asyncio", "numpy", "sqlite3"})


def test_help_is_there_in_200_milliseconds() -> None:
    """The median of seven runs of ``octod --help``, less what the bare interpreter takes twice on a busy machine."""
    bare = _seconds("pass")
    helped = _seconds("import sys; sys.argv = ['octod', '--help']\nfrom octod.cli import main; main()")
    assert helped < max(0.2, 5 * bare)


def _seconds(code: str) -> float:
    """The median time of running ``code`` in a fresh interpreter."""
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


@pytest.mark.parametrize(
    "module", [".".join(("octod", *p.relative_to(ROOT).with_suffix("").parts)) for p in MODULES]
)
def test_every_module_lies_where_its_name_says(module: str) -> None:
    """``octod.x.y`` is x/y.py: a folder that pyproject.toml does not map cannot be imported."""
    from importlib.util import find_spec

    name = module.removesuffix(".__init__")
    assert find_spec(name) is not None
