"""The embedded engine as its callers see it: scores, arguments, deadlines, cancelling, dying and coming back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from octod.adapters.identity import BaseModel
from octod.adapters.prompt import encode_prompt, encode_text, load_tokenizer
from octod.core.errors import AdapterRefused, EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines.decoder import Decoder
from octod.daemon.engines.embedded import EmbeddedEngine
from octod.daemon.engines.generate import Vocabulary
from octod.daemon.engines.graph import cached_graph
from octod.daemon.engines.protocol import CallConstraint, Prompt

from tests.foreign import make_foreign

from .conftest import make_adapter, make_checkpoint

pytestmark = pytest.mark.engine

PROMPT = Prompt("import numpy as np\n", ("np.zeros(shape, dtype=float)",), "result = np.", "\n")
CALL = Prompt("import numpy as np\n", (), "result = np.zeros(", "")
CONSTRAINT = CallConstraint(
    keywords=("shape", "dtype"),
    required=("shape",),
    positional=2,
    positional_names=("shape", "dtype"),
    names=("np",),
)
CANDIDATES = ["zeros", "get", "get_all", "head", "groupby", "dtype"]
LONG = Prompt("x = np.zeros((2, 3))\n" * 60, (), "y = np.", "")


@asynccontextmanager
async def running(base: Path, paths: Paths) -> AsyncIterator[EmbeddedEngine]:
    """A started engine, stopped at the end."""
    engine = EmbeddedEngine(base, paths, threads=1)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def check(base: Path, paths: Paths, body: Callable[[EmbeddedEngine], Awaitable[None]]) -> None:
    """Run a test's body on a started engine."""

    async def run() -> None:
        async with running(base, paths) as engine:
            async with asyncio.timeout(60):
                await body(engine)

    asyncio.run(run())


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition; AssertionError at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """In fp64, as a reference."""
    shifted = logits.astype(np.float64) - logits.max()
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum())
    return found


@pytest.mark.parametrize("end", ["none", "call", "boundary"])
@pytest.mark.parametrize("own", [True, False], ids=["octod", "qwen"])
def test_scores_are_the_sums_of_each_candidates_tokens(
    checkpoint: Path, tmp_path: Path, paths: Paths, end: str, *, own: bool
) -> None:
    """One forward over a trie gives what reading every candidate on its own gives, also behind another family's FIM tokens."""
    checkpoint = checkpoint if own else make_foreign(tmp_path / "foreign")
    tokenizer = load_tokenizer(checkpoint / "tokenizer.json")
    path, shape = cached_graph(BaseModel.of(checkpoint), paths.cache)
    reference = Decoder(path, shape, 1)
    prefix = encode_prompt(tokenizer, PROMPT)
    boundary = Vocabulary.of(tokenizer, shape.vocabulary).boundary
    expected = []
    for candidate in CANDIDATES:
        tokens, total = encode_text(tokenizer, candidate), 0.0
        for n, token in enumerate(tokens):
            total += log_softmax(reference.read(prefix + tokens[:n], (), lambda: None))[token]
        after = log_softmax(reference.read(prefix + tokens, (), lambda: None))
        if end == "call":
            total += after[encode_text(tokenizer, "(")[0]]
        elif end == "boundary":
            total += np.log(np.exp(after[boundary]).sum())
        expected.append(total)

    async def body(engine: EmbeddedEngine) -> None:
        actual = await engine.score(PROMPT, CANDIDATES, (), 10.0, end)  # type: ignore[arg-type]
        np.testing.assert_allclose(actual, expected, atol=1e-3)

    check(checkpoint, paths, body)


def test_many_and_long_candidates_are_scored_in_several_forwards(checkpoint: Path, paths: Paths) -> None:
    """A trie too large for one forward gives each candidate the score it has alone."""
    names = [f"{a}{b}_{c}" for a in "abcdef" for b in "ghijkl" for c in ("zeros", "all", "by_none")]

    async def body(engine: EmbeddedEngine) -> None:
        together = await engine.score(PROMPT, names, (), 20.0)
        for place in (0, 50, 107):
            alone = await engine.score(PROMPT, [names[place]], (), 20.0)
            assert alone[0] == pytest.approx(together[place], abs=1e-3)
        assert [] == await engine.score(PROMPT, [], (), 1.0)

    check(checkpoint, paths, body)


def test_a_candidate_that_joins_the_lines_last_token_is_scored(checkpoint: Path, paths: Paths) -> None:
    """Text whose first letters merge with the end of the line gets a finite score."""

    async def body(engine: EmbeddedEngine) -> None:
        half_typed = Prompt(PROMPT.before, (), "result = np.ze")
        scores = await engine.score(half_typed, ["ros", "ro", "x"], (), 10.0)
        assert np.isfinite(scores).all()

    check(checkpoint, paths, body)


def test_generation_stays_within_the_call_and_the_deadline(checkpoint: Path, paths: Paths) -> None:
    """A random model either finishes validly or says that it did not; no time gives no answer."""

    async def body(engine: EmbeddedEngine) -> None:
        found = await engine.generate(CALL, CONSTRAINT, (), 10.0)
        assert found.finished == found.text.endswith(")")
        assert found.logprob_min <= found.logprob_mean or not found.tokens
        with pytest.raises(EngineProblem):
            await engine.score(LONG, ["zeros"], (), 0.000001)

    check(checkpoint, paths, body)


def test_adapters_change_scores_and_dropping_them_restores_the_base(
    checkpoint: Path, tmp_path: Path, paths: Paths
) -> None:
    """After a drop the base's scores are bit for bit its own, and the adapter's name is refused."""
    adapter = make_adapter(tmp_path / "adapter-one", 3)

    async def body(engine: EmbeddedEngine) -> None:
        base = await engine.score(PROMPT, CANDIDATES, (), 10.0)
        with pytest.raises(AdapterRefused, match="adapter-one"):
            await engine.score(PROMPT, CANDIDATES, (("adapter-one", 1.0),), 10.0)
        await engine.load(adapter)
        assert ("adapter-one",) == engine.info.adapters
        tuned = await engine.score(PROMPT, CANDIDATES, (("adapter-one", 1.0),), 10.0)
        assert max(abs(a - b) for a, b in zip(base, tuned, strict=True)) > 0.01
        await engine.drop("adapter-one")
        assert base == await engine.score(PROMPT, CANDIDATES, (), 10.0)
        with pytest.raises(AdapterRefused):
            await engine.score(PROMPT, CANDIDATES, (("adapter-one", 1.0),), 10.0)

    check(checkpoint, paths, body)


def test_a_killed_worker_fails_its_callers_at_once_and_comes_back_with_its_adapters(
    checkpoint: Path, tmp_path: Path, paths: Paths
) -> None:
    """Killed in the middle of a request: an error within a second, and the next request is answered."""
    adapter = make_adapter(tmp_path / "adapter-two", 4)
    mixture = (("adapter-two", 1.0),)

    async def body(engine: EmbeddedEngine) -> None:
        await engine.load(adapter)
        expected = await engine.score(PROMPT, CANDIDATES, mixture, 10.0)
        pid = engine.info.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # so that the request is surely under way
        waiting = asyncio.create_task(engine.score(LONG, CANDIDATES, mixture, 30.0))
        await until(lambda: bool(engine._pending))
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EngineProblem) as died:
            await waiting
        assert time.monotonic() - killed < 1.0
        assert died.value.hint
        np.testing.assert_allclose(await engine.score(PROMPT, CANDIDATES, mixture, 20.0), expected, atol=1e-4)
        assert engine.info.alive and pid != engine.info.pid

    check(checkpoint, paths, body)


def test_late_scores_are_not_waited_for(checkpoint: Path, paths: Paths) -> None:
    """A menu goes on at its deadline, whatever the worker does."""

    async def body(engine: EmbeddedEngine) -> None:
        pid = engine.info.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(EngineProblem, match="deadline"):
                await engine.score(PROMPT, CANDIDATES, (), 0.04)
            assert time.monotonic() - began < 0.2
        finally:
            os.kill(pid, signal.SIGCONT)
        assert len(CANDIDATES) == len(await engine.score(PROMPT, CANDIDATES, (), 10.0))

    check(checkpoint, paths, body)


def test_cancelling_frees_the_worker_within_50_ms(checkpoint: Path, paths: Paths) -> None:
    """A cancelled caller's work stops between pieces; the next request does not wait for it (P7)."""
    base = Path(__file__).parents[3] / "adapters" / "base" / "bundled"
    if not (base / "model.safetensors").is_file():
        base = checkpoint
    words = [f"name_{a}{b}_{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuv"]

    async def body(engine: EmbeddedEngine) -> None:
        await engine.ping(10.0)
        waited = []
        for number in range(5):
            prompt = Prompt(f"v{number} = 1\n" + LONG.before[:2000], (), f"a{number} = np.")
            task = asyncio.create_task(engine.score(prompt, words, (), 30.0))
            asked = time.monotonic()
            await until(lambda asked=asked: time.monotonic() > asked + 0.01)  # type: ignore[misc]
            task.cancel()  # in the middle of its work
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            await engine.ping(10.0)
            waited.append(time.monotonic() - began)
        assert sorted(waited)[2] < 0.05, waited

    check(base, paths, body)


def test_the_newest_warm_up_wins_and_gives_way(checkpoint: Path, paths: Paths) -> None:
    """Of many warm-ups at once all return, and a score asked meanwhile is answered."""

    async def body(engine: EmbeddedEngine) -> None:
        prompts = [Prompt(LONG.before + f"v = {n}\n", (), "v.") for n in range(20)]
        warming = [asyncio.create_task(engine.warm(p, ())) for p in prompts]
        scores = await engine.score(prompts[-1], CANDIDATES, (), 10.0)
        await asyncio.gather(*warming)
        assert len(CANDIDATES) == len(scores)
        assert {} == engine._pending

    check(checkpoint, paths, body)


def test_a_base_that_cannot_be_opened_is_said_at_the_start(tmp_path: Path, paths: Paths) -> None:
    """start() raises with the reason, and later calls too."""

    async def run() -> None:
        engine = EmbeddedEngine(tmp_path, paths)
        with pytest.raises(EngineProblem) as refused:
            await engine.start()
        assert "base model" in str(refused.value)
        with pytest.raises(EngineProblem):
            await engine.score(PROMPT, CANDIDATES, (), 1.0)
        assert not engine.info.alive

    asyncio.run(run())


def test_a_damaged_cache_is_made_again(checkpoint: Path, paths: Paths) -> None:
    """Derived files are disposable (P12)."""
    path, _ = cached_graph(BaseModel.of(checkpoint), paths.cache)
    path.write_bytes(b"not a model")

    async def body(engine: EmbeddedEngine) -> None:
        assert len(CANDIDATES) == len(await engine.score(PROMPT, CANDIDATES, (), 10.0))

    check(checkpoint, paths, body)


def test_modules_of_the_project_are_not_imported(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizers.py in the current folder or on PYTHONPATH does not run (P1)."""
    base = make_checkpoint(tmp_path / "base")
    project = tmp_path / "project"
    project.mkdir()
    fired = tmp_path / "fired"
    for name in ("tokenizers", "numpy", "onnxruntime", "sitecustomize"):
        (project / f"{name}.py").write_text(f"open({str(fired)!r}, 'w')\n", encoding="utf-8")
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPATH", str(project))

    async def body(engine: EmbeddedEngine) -> None:
        await engine.score(PROMPT, CANDIDATES, (), 10.0)

    check(base, paths, body)
    assert not fired.exists()
