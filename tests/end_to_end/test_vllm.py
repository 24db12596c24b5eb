"""The real vLLM behind the daemon: started, asked through the language server, killed again and again, gone at the end.

Needs an environment with vLLM: ``OCTOD_TEST_VLLM`` names its interpreter (`octod engine install vllm` makes one).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from octod.adapters import mixture
from octod.adapters.identity import BaseModel, bundled_base
from octod.adapters.verify import MODULES, base_shapes
from octod.core.errors import EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Mixture, Prompt
from octod.daemon.engines.vllm import VllmEngine
from octod.daemon.engines.vllm_child import Child

from tests.daemon.engines.conftest import CONFIG, make_tokenizer
from tests.daemon.installed import CLIENT
from tests.end_to_end.house import House, until

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from engine_parity import Here

PYTHON = Path(os.environ.get("OCTOD_TEST_VLLM", ""))
pytestmark = [
    pytest.mark.slow(takes=115),
    pytest.mark.engine,
    pytest.mark.vllm,
    pytest.mark.timeout(1800),
]

PROMPT = Prompt("import numpy as np\n", ("np.zeros(shape, dtype=float)",), "result = np.", "\n")
CALL = Prompt("import numpy as np\n", ("np.zeros(shape, dtype=float)",), "result = np.zeros(")
CONSTRAINT = CallConstraint(
    keywords=("shape", "dtype"), required=("shape",), positional=2, positional_names=("shape", "dtype"), names=("np",)
)
CANDIDATES = ["zeros", "ones", "array", "arange", "linspace", "zeros_like"]
SOURCE = "import shop\n\nbasket = shop.open_basket('me')\nbasket.$0"
START = 600.0  # seconds that vLLM may take here


@pytest.fixture(autouse=True)
def _installed() -> None:
    """Looked for late, because `.ci/run` installs it beside the other tests."""
    if not PYTHON.is_file():
        pytest.skip("OCTOD_TEST_VLLM names no interpreter that has vLLM")


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


def make_checkpoint(folder: Path, family: str) -> Path:
    """A tiny checkpoint of random numbers in a published family's shape."""
    from safetensors.numpy import save_file

    config = {**CONFIG, "model_type": family, "hidden_size": 64, "head_dim": 32, "tie_word_embeddings": family == "qwen3"}
    source, made = np.random.default_rng(3), {}

    def draw(name: str, *shape: int, around: float = 0.0) -> None:
        made[f"{name}.weight" if not name.endswith("bias") else name] = source.normal(around, 0.1, shape).astype(np.float32)

    draw("model.embed_tokens", 600, 64)
    draw("model.norm", 64, around=1.0)
    if family != "qwen3":
        draw("lm_head", 600, 64)
    shapes = base_shapes(config)
    for layer in range(shapes["layers"][0]):
        prefix = f"model.layers.{layer}"
        for module in MODULES:
            part = "self_attn" if module[0] in "qkvo" else "mlp"
            draw(f"{prefix}.{part}.{module}", *shapes[module])
            if family == "qwen2" and module[0] in "qkv":
                draw(f"{prefix}.{part}.{module}.bias", shapes[module][0])
        for norm in ("input_layernorm", "post_attention_layernorm"):
            draw(f"{prefix}.{norm}", 64, around=1.0)
        for norm in ("q_norm", "k_norm") if family == "qwen3" else ():
            draw(f"{prefix}.self_attn.{norm}", 32, around=1.0)
    make_tokenizer(folder)
    save_file(made, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def make_adapters(base: BaseModel, folder: Path, count: int) -> list[AdapterFiles]:
    """Adapters of small random numbers for a base, on the seven linears."""
    shapes = base_shapes(base.config())
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


async def compare(base: BaseModel, paths: Paths, adapters: list[AdapterFiles], mixtures: list[Mixture]) -> int:
    """Ask both engines the same with each mixture; the number of the vLLM process, which is gone."""
    here, there = Here(base.folder, paths, 32), VllmEngine(Child(PYTHON, base.folder, paths), base.folder, paths)
    try:
        await there.start()
        pid = there.info.pid
        assert pid is not None and len(session(pid)) > 1
        for adapter in adapters:
            await here.load(adapter)
            await there.load(adapter)
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


def source_of(library: str) -> str:
    """A buffer that calls a library which is named otherwise in every test."""
    return f"import {library}\n\nbasket = {library}.open_basket('me')\nbasket.$0"


@pytest.mark.slow(takes=270)
def test_killed_three_times_in_mid_request_it_comes_back_with_its_adapters(house: House) -> None:
    """Through the language server, 32 adapters: the menu never fails, the model returns, `kill -9` of the daemon ends vLLM too."""
    house.paths.config.mkdir(parents=True, mode=0o700, exist_ok=True)
    settings = f'engine = "vllm"\nengine_python = "{PYTHON}"\nmenu_model_ms = 5000\nghost_ms = 5000\n'
    (house.paths.config / "config.toml").write_text(settings)
    libraries = [f"shop{number}" for number in range(32)]
    for library in libraries:
        house.environment.install(library, "1.0", {f"{library}/__init__.py": CLIENT})
    adapters = {library: house.publish(bundled_base(), library).name for library in libraries}
    try:
        with house.editor() as editor:
            assert "add" in house.menu(editor, SOURCE)  # long before vLLM is there
            until(house.ready, "vLLM", START)
            assert "vllm" == house.model()["engine"]
            for library in libraries:
                until(lambda: house.menu(editor, source_of(library)) and adapters[library] in house.model()["adapters"], library, START)  # noqa: B023
            assert set(adapters.values()) <= set(house.model()["adapters"])
            for victim in (0, -1, -2):  # the server, the worker, the engine's process
                pid = house.model()["pid"]
                threading.Timer(0.05, os.kill, (session(pid)[victim], signal.SIGKILL)).start()
                while house.model()["ready"] and house.model()["pid"] == pid:
                    assert "add" in house.menu(editor, source_of("shop7"))  # each asks the model, one of them as it dies
                assert "add" in house.menu(editor, source_of("shop8"))
                until(lambda: house.model()["ready"] and house.model()["pid"] != pid, "another vLLM", START)  # noqa: B023
                until(lambda: [] == session(pid), "end of the old one", 30.0)  # noqa: B023
                assert "add" in house.menu(editor, source_of("shop9"))
                until(lambda: house.menu(editor, source_of("shop9")) and adapters["shop9"] in house.model()["adapters"], "adapter", 60.0)
            pid = house.model()["pid"]
            os.kill(house.daemon(), signal.SIGKILL)
            began = time.monotonic()
            until(lambda: [] == session(pid), "end of vLLM", 30.0)
            assert time.monotonic() - began < 15.0
    finally:
        house.close()


def test_forty_adapters_say_what_they_say_in_the_embedded_engine(tmp_path: Path) -> None:
    """More adapters than have room: scores and arguments of some, of a mixture and of the base are the embedded engine's."""
    paths, base = Paths.of({"OCTOD_HOME": str(tmp_path / "o")}), bundled_base()
    mixtures: list[Mixture] = [(), *(((f"adapter-{n}", 1.0),) for n in (0, 7, 39)), (("adapter-1", 0.5), ("adapter-2", 0.5))]
    pid = asyncio.run(compare(base, paths, make_adapters(base, tmp_path, 40), mixtures))
    assert [] == session(pid)


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_other_families_say_the_same_in_both_engines(family: str, tmp_path: Path) -> None:
    """Biases, norms on queries and keys, tied and untied heads, with an adapter on the seven linears and without."""
    paths, base = Paths.of({"OCTOD_HOME": str(tmp_path / "o")}), BaseModel.of(make_checkpoint(tmp_path / "base", family))
    pid = asyncio.run(compare(base, paths, make_adapters(base, tmp_path, 1), [(), (("adapter-0", 1.0),)]))
    assert [] == session(pid)
