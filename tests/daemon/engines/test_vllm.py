"""The vLLM engine against a small server of the dialect: what it asks, what it answers, what it does with faults."""

from __future__ import annotations

import asyncio
import json
import math
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from octod.adapters.prompt import encode_text, load_tokenizer
from octod.core.errors import AdapterRefused, EngineProblem
from octod.core.paths import Paths
from octod.daemon.engines import generate as generating
from octod.daemon.engines import vllm
from octod.daemon.engines.generate import Trie, Vocabulary
from octod.daemon.engines.protocol import AdapterFiles, CallConstraint, Prompt
from octod.daemon.engines.tokens import candidate_tokens, prompt_tokens
from octod.daemon.engines.vllm import Remote, VllmEngine

from .conftest import make_adapter
from .dialect_server import DialectServer, logprobs

SIZE = 600  # the test base's vocabulary
PROMPT = Prompt("import numpy as np\n", (), "result = np.")
CALL = Prompt("import numpy as np\n", (), "result = np.zeros(")
CANDIDATES = ["zeros", "get", "get_all", "head", "groupby", "dtype"]
CONSTRAINT = CallConstraint(
    keywords=("shape", "dtype"), required=(), positional=2, positional_names=("shape", "dtype"), names=("np",)
)
Body = Callable[[VllmEngine], Awaitable[None]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DialectServer]:
    """A server that does all that is asked of it."""
    with DialectServer(tmp_path / "s.sock", SIZE) as found:
        yield found


@asynccontextmanager
async def running(server: DialectServer, base: Path, paths: Paths, **options: object) -> AsyncIterator[VllmEngine]:
    """A started engine over the server, as if it were a child of ours."""
    engine = VllmEngine(Remote(server.address, server.token), base, paths, **options)  # type: ignore[arg-type]
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def check(server: DialectServer, base: Path, paths: Paths, body: Body, **options: object) -> None:
    """Run a test's body with an engine."""

    async def run() -> None:
        async with asyncio.timeout(60), running(server, base, paths, **options) as engine:
            await body(engine)

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", ["none", "call", "boundary"])
def test_scores_are_those_of_the_whole_distribution(end: str, server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """What is asked for token by token equals what the embedded engine's way gives with all logits at hand."""
    tokenizer = load_tokenizer(checkpoint / "tokenizer.json")
    prefix, texts = candidate_tokens(tokenizer, PROMPT, CANDIDATES, 512)
    first = logprobs("code", prefix, SIZE).astype(np.float32)

    def branch(trie: Trie) -> np.ndarray:
        places: list[list[int]] = []
        for token, parent in zip(trie.tokens, trie.parents, strict=True):
            places.append([*(places[parent] if parent >= 0 else prefix), token])
        return np.stack([logprobs("code", place, SIZE) for place in places]).astype(np.float32)

    bracket = encode_text(tokenizer, "(")[0]
    vocabulary = Vocabulary.of(tokenizer, SIZE)
    expected = generating.score(first, branch, vocabulary, texts, end, bracket, 128)  # type: ignore[arg-type]

    async def body(engine: VllmEngine) -> None:
        actual = await engine.score(PROMPT, CANDIDATES, (), 10.0, end)  # type: ignore[arg-type]
        # The end of a name is a sum over thousands of tokens, of which the likeliest 64 are known.
        np.testing.assert_allclose(actual, expected, atol=0.05 if end == "boundary" else 1e-4)

    check(server, checkpoint, paths, body)


def test_arguments_are_those_of_the_same_decoder_with_all_logits(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """Drafts read token by token give the text, the end and the probabilities that a local model would."""
    tokenizer = load_tokenizer(checkpoint / "tokenizer.json")
    vocabulary = Vocabulary.of(tokenizer, SIZE)
    prompts = [Prompt(CALL.before, (), f"v{n} = np.zeros(") for n in range(12)]

    async def body(engine: VllmEngine) -> None:
        drafts = []
        for prompt in prompts:
            tokens = prompt_tokens(tokenizer, prompt, 512)

            def logits(made: list[int], tokens: list[int] = tokens) -> np.ndarray:
                return logprobs("code", tokens + made, SIZE).astype(np.float32)

            expected = generating.generate(logits, vocabulary, CONSTRAINT, lambda: True)
            before = len(server.asked)
            actual = await engine.generate(prompt, CONSTRAINT, (), 10.0)
            drafts.append(len(server.asked) - before)
            assert (expected.text, expected.finished, expected.tokens) == (actual.text, actual.finished, actual.tokens)
            if expected.tokens:
                assert actual.logprob_mean == pytest.approx(expected.logprob_mean, abs=1e-3)
        assert max(drafts) > 1  # a draft was given up, and begun again

    check(server, checkpoint, paths, body)


def test_answers_without_alternatives_are_asked_for_again(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """vLLM leaves alternatives out where another request of the same batch asks for chosen tokens."""

    async def body(engine: VllmEngine) -> None:
        expected = await engine.score(PROMPT, CANDIDATES, (), 10.0)
        made = await engine.generate(CALL, CONSTRAINT, (), 10.0)
        server.short = 1
        assert expected == await engine.score(PROMPT, CANDIDATES, (), 10.0)
        server.short = 2
        assert made == await engine.generate(CALL, CONSTRAINT, (), 10.0)
        assert 0 == server.short
        server.short = 1000
        with pytest.raises(EngineProblem, match="leaves out"):
            await engine.score(PROMPT, CANDIDATES, (), 10.0)

    check(server, checkpoint, paths, body)


def test_adapters_are_loaded_once_and_mixtures_written_as_adapters(
    server: DialectServer, checkpoint: Path, tmp_path: Path, paths: Paths
) -> None:
    """One adapter goes by its name, two become a third that is their weighted sum, an unknown one is refused."""
    one, two = make_adapter(tmp_path / "one", 1), make_adapter(tmp_path / "two", 2)

    async def body(engine: VllmEngine) -> None:
        await engine.load(one)
        await engine.load(two)
        assert ("one", "two") == engine.info.adapters
        base = await engine.score(PROMPT, CANDIDATES, (), 10.0)
        assert base != await engine.score(PROMPT, CANDIDATES, (("one", 1.0),), 10.0)
        both = (("one", 0.75), ("two", 0.25))
        scores = await engine.score(PROMPT, CANDIDATES, both, 10.0)
        assert scores == await engine.score(PROMPT, CANDIDATES, both, 10.0)
        loads = [body["lora_name"] for path, body in server.asked if path == "/v1/load_lora_adapter"]
        (mixture,) = [name for name in loads if name.startswith("mixture-")]
        assert 8 == json.loads((Path(server.adapters[mixture]) / "adapter_config.json").read_text())["r"]
        with pytest.raises(AdapterRefused, match="three"):
            await engine.score(PROMPT, CANDIDATES, (("three", 1.0),), 10.0)
        await engine.drop("one")
        assert ["two"] == sorted(server.adapters)
        with pytest.raises(AdapterRefused, match="one"):
            await engine.score(PROMPT, CANDIDATES, (("one", 1.0),), 10.0)

    check(server, checkpoint, paths, body)


def test_a_mixture_keeps_to_the_servers_rank(server: DialectServer, checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """Of three adapters of rank 16 the two strongest fit."""
    parts = [make_adapter(tmp_path / f"a{n}", n, rank=16) for n in range(3)]

    async def body(engine: VllmEngine) -> None:
        for part in parts:
            await engine.load(part)
        await engine.score(PROMPT, CANDIDATES, (("a0", 0.2), ("a1", 0.5), ("a2", 0.3)), 10.0)
        (mixture,) = [path for name, path in server.adapters.items() if name.startswith("mixture-")]
        assert 32 == json.loads((Path(mixture) / "adapter_config.json").read_text())["r"]

    check(server, checkpoint, paths, body)


def test_the_adapter_used_longest_ago_makes_room(
    server: DialectServer, checkpoint: Path, tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full server unloads one before it loads another, and gets it back when it is wanted."""
    monkeypatch.setattr("octod.daemon.engines.vllm_adapters.SLOTS", 2)
    parts = [make_adapter(tmp_path / f"a{n}", n) for n in range(3)]

    async def body(engine: VllmEngine) -> None:
        for part in parts:
            await engine.load(part)
        assert ["a1", "a2"] == sorted(server.adapters)
        await engine.score(PROMPT, CANDIDATES, (("a1", 1.0),), 10.0)
        await engine.score(PROMPT, CANDIDATES, (("a0", 1.0),), 10.0)
        assert ["a0", "a1"] == sorted(server.adapters)

    check(server, checkpoint, paths, body)


def test_a_refused_adapter_is_told_with_the_servers_reason(
    server: DialectServer, checkpoint: Path, tmp_path: Path, paths: Paths
) -> None:
    """The base goes on serving."""
    server.refused["bad"] = "LoRA rank 128 is greater than max_lora_rank 32"

    async def body(engine: VllmEngine) -> None:
        with pytest.raises(AdapterRefused, match="bad.*rank 128"):
            await engine.load(make_adapter(tmp_path / "bad", 1))
        assert () == engine.info.adapters
        assert len(CANDIDATES) == len(await engine.score(PROMPT, CANDIDATES, (), 10.0))

    check(server, checkpoint, paths, body)


FAULTS = {
    "no chosen tokens": ({"chosen": False}, "probabilities"),
    "no alternatives": ({"most": 1}, "likely tokens"),
    "adapters without effect": ({"effect": False}, "no effect"),
    "another token": ({"token": "secret"}, "token"),
}


@pytest.mark.parametrize(("faults", "reason"), list(FAULTS.values()), ids=list(FAULTS))
def test_a_server_that_will_not_do_is_found_at_the_start(
    faults: dict[str, object], reason: str, server: DialectServer, checkpoint: Path, paths: Paths
) -> None:
    """The canaries: what is accepted and ignored must not serve."""
    for name, value in faults.items():
        setattr(server, name, value)

    async def run() -> None:
        engine = VllmEngine(Remote(server.address), checkpoint, paths)
        with pytest.raises(EngineProblem, match=reason):
            await engine.start()
        assert not engine.info.alive

    asyncio.run(run())


def test_a_shared_server_is_asked_only_for_likely_tokens(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """What would take away the alternatives of others' requests is not asked; scores come from one request."""

    async def ours(engine: VllmEngine) -> None:
        scores.append(await engine.score(PROMPT, CANDIDATES, (), 10.0))

    scores: list[list[float]] = []
    check(server, checkpoint, paths, ours)
    server.asked.clear()
    server.chosen = False

    async def shared(engine: VllmEngine) -> None:
        server.asked.append(("", {}))
        await ours(engine)

    check(server, checkpoint, paths, shared, own=False)
    assert [] == [body for _, body in server.asked if "logprob_token_ids" in body]
    assert ["", "/v1/completions"] == server.paths()[-2:]
    assert np.isfinite(scores[1]).all() and len(CANDIDATES) == len(scores[1])


def test_a_server_with_vllms_own_bound_of_alternatives_will_do(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """`--max-logprobs` is 20 where nobody set it."""
    server.most = 20

    async def body(engine: VllmEngine) -> None:
        assert all(math.isfinite(score) for score in await engine.score(PROMPT, CANDIDATES, (), 10.0))
        await engine.generate(CALL, CONSTRAINT, (), 10.0)

    check(server, checkpoint, paths, body)


def test_a_deadline_and_cancelling_close_the_request(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """The server sees that nobody waits any more, and the caller has waited no longer than it said."""

    async def body(engine: VllmEngine) -> None:
        server.pause = 0.2
        began = time.monotonic()
        with pytest.raises(EngineProblem, match="deadline"):
            await engine.score(PROMPT, CANDIDATES, (), 0.04)
        assert time.monotonic() - began < 0.15
        await until(server.broken_off.is_set)
        server.broken_off.clear()
        task = asyncio.create_task(engine.generate(CALL, CONSTRAINT, (), 30.0))
        asked = len(server.asked)
        await until(lambda: len(server.asked) > asked)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 0.05
        await until(server.broken_off.is_set)
        late = await engine.generate(CALL, CONSTRAINT, (), 0.1)
        assert not late.finished

    check(server, checkpoint, paths, body)


def test_a_lost_server_is_noticed_and_comes_back_with_its_adapters(
    server: DialectServer, checkpoint: Path, tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone and begun anew: an error at once, then answers again, the adapter loaded again."""
    monkeypatch.setattr(vllm, "_LOOK", 0.1)
    mixture = (("one", 1.0),)

    async def body(engine: VllmEngine) -> None:
        await engine.load(make_adapter(tmp_path / "one", 1))
        expected = await engine.score(PROMPT, CANDIDATES, mixture, 10.0)
        server.stop()
        with pytest.raises(EngineProblem):
            await engine.score(PROMPT, CANDIDATES, mixture, 10.0)
        await until(lambda: not engine.info.alive)
        server.start()
        await until(lambda: engine.info.alive)
        assert expected == await engine.score(PROMPT, CANDIDATES, mixture, 10.0)
        assert {"one": str(tmp_path / "one")} == server.adapters

    check(server, checkpoint, paths, body)


def test_a_token_is_sent_and_a_shared_folder_filled(checkpoint: Path, tmp_path: Path, paths: Paths) -> None:
    """A team's server: its key, and adapters where it finds them; they stay there when they are dropped."""
    shared = tmp_path / "shared"
    shared.mkdir()
    mode = stat.S_IMODE(shared.stat().st_mode)
    adapter = make_adapter(tmp_path / "one", 1)

    async def body(engine: VllmEngine) -> None:
        await engine.load(adapter)
        assert str(shared / "one") == server.adapters["one"]
        assert mode == stat.S_IMODE(shared.stat().st_mode)
        await engine.drop("one")
        assert "one" in server.adapters

    with DialectServer(tmp_path / "t.sock", SIZE, token="secret") as server:
        check(server, checkpoint, paths, body, own=False, shared=shared)


def test_without_a_shared_folder_only_what_the_server_has_is_used(
    server: DialectServer, checkpoint: Path, tmp_path: Path, paths: Paths
) -> None:
    """An adapter that the server does not list is refused, one that it lists is not loaded again."""
    server.adapters["there"] = "/somewhere"

    async def body(engine: VllmEngine) -> None:
        with pytest.raises(AdapterRefused, match="does not have"):
            await engine.load(make_adapter(tmp_path / "here", 1))
        there = make_adapter(tmp_path / "there", 2)
        await engine.load(AdapterFiles("there", there.folder, there.rank, there.scaling))
        await engine.score(PROMPT, CANDIDATES, (("there", 1.0),), 10.0)
        server.adapters["code:elsewhere"] = "/somewhere"  # as Ray Serve names it
        await engine.load(AdapterFiles("elsewhere", there.folder, there.rank, there.scaling))
        await engine.score(PROMPT, CANDIDATES, (("elsewhere", 0.6), ("there", 0.4)), 10.0)
        assert "code:elsewhere" == server.asked[-1][1]["model"]
        assert "/v1/load_lora_adapter" not in server.paths()

    check(server, checkpoint, paths, body, own=False)


def test_the_newest_warm_up_wins(server: DialectServer, checkpoint: Path, paths: Paths) -> None:
    """All return, none raises."""

    async def body(engine: VllmEngine) -> None:
        server.pause = 0.05
        await asyncio.gather(*(engine.warm(Prompt(f"v = {n}\n", (), "v."), ()) for n in range(6)))

    check(server, checkpoint, paths, body)
