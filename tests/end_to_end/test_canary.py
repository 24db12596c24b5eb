"""P1: whatever an editor asks, nothing of the environment or the project is executed, compiled extensions included."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from octod.core.paths import Paths
from octod.core.settings import Settings
from octod.daemon.protocol import Document
from octod.daemon.service import OctodService

pytestmark = pytest.mark.slow

# where each question is asked: with the index, with jedi (what is compiled or unknown), in the project's own files
_SOURCES = [
    "import canary\ncanary.$0",
    "import canary\ncanary.core.C().$0",
    "import canary\ncanary.go($0)",
    "from canary.fast import $0",
    "import canary.fast\ncanary.fast.spin().$0",
    "import canary_plugin\ncanary_plugin.$0",
    "import canary_mapped\ncanary_mapped.$0",
    "import canary_own\ncanary_own.$0",
    "import conftest, setup, noxfile, manage\nconftest.canary.$0",
    "import json\njson.$0",
    "def f(x, y=eval('1')):\n    return x\nf($0",
    "import$0",
]
_EXTENSION = """
#include <Python.h>
#include <stdio.h>
__attribute__((constructor)) static void loaded(void) { fclose(fopen("MARKER", "a")); }
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", 0, -1, 0};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""


def test_no_question_executes_anything(tmp_path: Path) -> None:
    """Every method of the service over the canary, in a process with an audit hook, jedi's worker without one beside it."""
    folder, log = tmp_path / "canary", tmp_path / "log"
    folder.mkdir()
    indexer = Path(__file__).parents[1] / "indexer"
    code = f"""
import sys
sys.path.insert(0, {str(indexer)!r})
from pathlib import Path
import test_canary
test_canary.lay(Path({str(folder)!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    compiled = _compile(folder)
    code = f"""
import sys
sys.path[:0] = [{str(indexer)!r}, {str(Path(__file__).parents[2])!r}]
import audit, packages
import octod.indexer.build, octod.daemon.service, asyncio
import encodings.idna, numpy  # loaded by ourselves, not by a question
octod.indexer.build.standard_library = packages.few_standard_modules
from tests.end_to_end import test_canary
audit.listen({str(folder)!r}, {str(log)!r})
print(test_canary.ask_everything({str(folder)!r}))
"""
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert 0 == done.returncode, done.stderr[-3_000:]
    assert int(done.stdout) > len(_SOURCES)
    fired = folder / "fired"
    assert not fired.exists(), f"compiled: {compiled}; {fired.read_text()}"
    assert not log.exists(), log.read_text()


def ask_everything(folder: str) -> int:
    """Ask each question in and beside the project; how many had an answer."""
    home = Path(folder)
    files = [home / "project" / name for name in ("open.py", "conftest.py", "setup.py", "src/canary_own/__init__.py")]
    environment = str(home / "env" / "bin" / "python")

    async def run() -> int:
        answered = 0
        service = OctodService(Paths.of({"OCTOD_HOME": str(home.parent / "o"), "HOME": str(home.parent)}), Settings(), None, None)
        try:
            await service.index(environment, False)
            for number, source in enumerate(_SOURCES):
                offset, text = source.index("$0"), source.replace("$0", "")
                for path in files[: 4 if number < 4 else 1]:
                    document = Document(path.as_uri(), number, text, str(path), environment, str(home / "project"))
                    menu = await service.menu(document, offset)
                    for item in menu.items[:5] if menu is not None else ():
                        await service.describe(environment, document.root, document.path, item.qualified)
                    found = [
                        menu is not None and menu.items,
                        await service.hover(document, max(offset - 2, 0)),
                        await service.signature(document, offset),
                        await service.ghost(document, offset, None),
                        await service.fixes(document, 0, len(text)),
                    ]
                    await service.warm(document, offset)
                    answered += sum(map(bool, found))
            # jedi's worker had its time: a question that was late is answered by now
            await asyncio.wait_for(service._jedi.complete("import canary.fast\ncanary.fast.", 2, 12, [], deadline=30), 40)
        finally:
            await service.stop()
        return answered

    return asyncio.run(run())


def _compile(folder: Path) -> bool:
    """Put a real extension in the place of the stand-in, where there is a compiler: loading it leaves the mark."""
    target = next((folder / "env").rglob("canary/fast.*.so"))
    source = folder.parent / "fast.c"
    source.write_text(_EXTENSION.replace("MARKER", str(folder / "fired")))
    include = sysconfig.get_path("include")
    command = ["cc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    except FileNotFoundError:
        return False
