"""Does a server do what octod needs? Asked once when it comes up, with questions whose answers are known."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octod.core.errors import AdapterRefused, EngineProblem
from octod.core.paths import private_folder
from octod.daemon.engines.dialect import Call, Dialect, Rejected
from octod.daemon.engines.vllm_machine import MOST, TOP

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Findings", "adapter_canary", "examine", "prove_adapters"]

# A first step compiles kernels: 11 s seen.
_SECONDS = 300.0
_PROMPT = "import numpy as np\nx = np.zeros"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a server is like: how many likely tokens it lists, and whether it keeps to constraints."""

    most: int
    constrained: bool

    @property
    def top(self) -> int:
        """Alternatives to ask for with each token."""
        return min(self.most, TOP)


def examine(dialect: Dialect, model: str, tokenizer: Tokenizer, *, own: bool) -> Findings:
    """Ask a server for all that is needed of it, which is more of our ``own``; EngineProblem names what it does not do."""
    from octod.adapters.prompt import encode_text

    call = Call(_SECONDS)
    tokens = encode_text(tokenizer, _PROMPT)
    most = _alternatives(dialect, model, tokens, call)
    if own and not set(tokens) <= set(dialect.after(model, [tokens], tokens, call)[0]):
        raise EngineProblem(
            f"{dialect.address} does not give the probabilities of the tokens that it is asked for",
            "octod needs `logprob_token_ids`: update the server",
        )
    return Findings(most, _constrained(dialect, model, tokens, call))


def prove_adapters(dialect: Dialect, model: str, folder: Path, tokens: list[int], *, own: bool) -> None:
    """Load the adapter of random numbers in ``folder`` and see that it changes what the model says; EngineProblem else."""
    call, name = Call(_SECONDS), folder.name
    try:
        dialect.load(name, str(folder), call)
    except Rejected as error:
        if "already been loaded" not in error.message:
            raise EngineProblem(
                f"{dialect.address} takes no adapters: {error.message}", "start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
            ) from error
    try:
        before, after = (dialect.likeliest(one, [tokens], 5, call)[0] for one in (model, name))
    except Rejected as error:
        raise EngineProblem(f"{dialect.address} cannot use adapters: {error.message}") from error
    if all(abs(value - after.get(token, 0.0)) < 1e-3 for token, value in before.items()):
        raise EngineProblem(f"adapters have no effect in {dialect.address}", "is its base another model?")
    if own:
        dialect.unload(name, call)


def adapter_canary(base: Path, folder: Path) -> Path:
    """Write an adapter of small random numbers that fits a base into ``folder``; its own folder, named by its content."""
    import numpy as np
    from octod.adapters import mixture
    from octod.adapters.identity import BaseModel
    from octod.adapters.verify import MODULES, base_shapes

    found = BaseModel.of(base)
    place = folder / f"canary-{found.weights_hash[:16]}"
    if place.is_dir():
        return place
    random, shapes, factors = np.random.default_rng(7), base_shapes(found.config()), {}
    for layer in range(shapes["layers"][0]):
        for module in MODULES:
            outputs, inputs = shapes[module]
            part = "self_attn" if module[0] in "qkvo" else "mlp"
            factors[f"model.layers.{layer}.{part}.{module}"] = (
                random.normal(0, 0.1, (8, inputs)).astype(np.float32),
                random.normal(0, 0.1, (outputs, 8)).astype(np.float32),
            )
    made = private_folder(folder) / f".{place.name}.{os.getpid()}"
    shutil.rmtree(made, ignore_errors=True)
    mixture.write(factors, made)
    made.rename(place)
    return place


def _alternatives(dialect: Dialect, model: str, tokens: list[int], call: Call) -> int:
    """How many of the likeliest tokens the server lists: what is wanted, or less where it has a bound (vLLM's own is 20)."""
    refused = ""
    for count in (MOST, TOP, 20, 5):
        try:
            if len(dialect.likeliest(model, [tokens], count, call)[0]) >= count:
                return count
        except Rejected as error:
            refused = f": {error.message}"
    raise EngineProblem(f"{dialect.address} does not list likely tokens{refused}", "start it with `--max-logprobs 64`")


def _constrained(dialect: Dialect, model: str, tokens: list[int], call: Call) -> bool:
    """Whether the server keeps to `structured_outputs`, which some accept and ignore."""
    choices = ["octopus)", "squid)"]
    try:
        return dialect.choose(model, tokens, choices, call) in choices
    except (AdapterRefused, EngineProblem):
        return False
