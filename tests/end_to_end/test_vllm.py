"""The real vLLM behind the daemon: started, asked through the language server, killed again and again, gone at the end.

Needs an environment with vLLM: ``OCTOD_TEST_VLLM`` names its interpreter (`octod engine install vllm` makes one).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from octod.adapters import mixture
from octod.adapters.identity import bundled_base
from octod.adapters.verify import MODULES, base_shapes
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.embedded import EmbeddedEngine
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Prompt
from octod.daemon.engines.vllm import VllmEngine
from octod.daemon.engines.vllm_child import Child

from tests.end_to_end.house import House, until

PYTHON = Path(os.environ.get("OCTOD_TEST_VLLM", ""))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PYTHON.is_file(), reason="OCTOD_TEST_VLLM names no interpreter that has vLLM"),
]

PROMPT = Prompt("import numpy as np\n", ("np.zeros(shape, dtype=float)",), "result = np.", "\n")
CALL = Prompt("import numpy as np\n", ("np.zeros(shape, dtype=float)",), "result = np.zeros(")
CONSTRAINT = CallConstraint(
    keywords=("shape", "dtype"), required=("shape",), positional=2, positional_names=("shape", "dtype"), names=("np",)
)
CANDIDATES = ["zeros", "ones", "array", "arange", "linspace", "zeros_like"]
SOURCE = "import shop\n\nbasket = shop.open_basket('me')\nbasket.$0"
START = 600.0  # seconds that vLLM may take here


def session(pid: int) -> list[int]:
    """The processes that vLLM's process started, and itself."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == pid:
                found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


def make_adapters(folder: Path, count: int) -> list[AdapterFiles]:
    """Adapters of small random numbers for the bundled base."""
    shapes = base_shapes(bundled_base().config())
    made = []
    for number in range(count):
        random, factors = np.random.default_rng(number), {}
        for layer in range(shapes["layers"][0]):
            for module in MODULES:
                outputs, inputs = shapes[module]
                part = "self_attn" if module[0] in "qkvo" else "mlp"
                factors[f"model.layers.{layer}.{part}.{module}"] = (
                    random.normal(0, 0.1, (4, inputs)).astype(np.float32),
                    random.normal(0, 0.1, (outputs, 4)).astype(np.float32),
                )
        config = mixture.write(factors, folder / f"adapter-{number}")
        made.append(AdapterFiles(f"adapter-{number}", folder / f"adapter-{number}", config.rank, config.scaling))
    return made


def test_forty_adapters_say_what_they_say_in_the_embedded_engine(tmp_path: Path) -> None:
    """More adapters than have room: scores and arguments of some, of a mixture and of the base are the embedded engine's."""
    paths, base = Paths.of({"OCTOD_HOME": str(tmp_path / "o")}), bundled_base().folder
    adapters = make_adapters(tmp_path, 40)

    async def run() -> int:
        here, there = EmbeddedEngine(base, paths), VllmEngine(Child(PYTHON, base, paths), base, paths)
        await here.start()
        try:
            await there.start()
            pid = there.info.pid
            assert pid is not None and len(session(pid)) > 1
            for adapter in adapters:
                await here.load(adapter)
                await there.load(adapter)
            mixtures = [(), *(((f"adapter-{n}", 1.0),) for n in (0, 7, 39)), (("adapter-1", 0.5), ("adapter-2", 0.5))]
            for one in mixtures:
                expected, actual = [await e.score(PROMPT, CANDIDATES, one, 60.0, "call") for e in (here, there)]
                np.testing.assert_allclose(actual, expected, atol=2e-3)
                expected, actual = [await e.score(PROMPT, CANDIDATES, one, 60.0) for e in (here, there)]
                np.testing.assert_allclose(actual, expected, atol=0.5)  # ends of names are known by their likeliest tokens
                wanted, made = [await e.generate(CALL, CONSTRAINT, one, 60.0) for e in (here, there)]
                assert (wanted.text, wanted.finished) == (made.text, made.finished)
            with pytest.raises(EngineProblem, match="deadline"):
                await there.score(PROMPT, CANDIDATES, (), 0.001)
            return pid
        finally:
            await there.stop()
            await here.stop()

    pid = asyncio.run(run())
    assert [] == session(pid)


def test_killed_three_times_it_comes_back_and_nothing_is_left(house: House) -> None:
    """Through the language server: the menu never fails, the model returns, `kill -9` of the daemon ends vLLM too."""
    house.paths.config.mkdir(parents=True, mode=0o700)
    settings = f'engine = "vllm"\nengine_python = "{PYTHON}"\nmenu_model_ms = 5000\nghost_ms = 5000\n'
    (house.paths.config / "config.toml").write_text(settings)
    adapter = house.publish(bundled_base(), "shop")
    try:
        with house.editor() as editor:
            assert "add" in house.menu(editor, SOURCE)  # long before vLLM is there
            until(house.ready, "vLLM", START)
            assert "vllm" == house.model()["engine"]
            until(lambda: house.menu(editor, SOURCE) and adapter.name in house.model()["adapters"], "adapter", START)
            for victim in (0, -1, -2):  # the server, the worker, the engine's process
                pid = house.model()["pid"]
                house.menu(editor, SOURCE)
                os.kill(session(pid)[victim], signal.SIGKILL)
                assert "add" in house.menu(editor, SOURCE)
                until(lambda: house.model()["ready"] and house.model()["pid"] != pid, "another vLLM", START)  # noqa: B023
                until(lambda: [] == session(pid), "end of the old one", 30.0)  # noqa: B023
                assert "add" in house.menu(editor, SOURCE)
                assert adapter.name in house.model()["adapters"]
            pid = house.model()["pid"]
            os.kill(house.daemon(), signal.SIGKILL)
            began = time.monotonic()
            until(lambda: [] == session(pid), "end of vLLM", 30.0)
            assert time.monotonic() - began < 15.0
    finally:
        house.close()
