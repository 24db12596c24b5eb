"""What an engine is: the values that cross its border, and the calls it answers.

Nothing here assumes shared memory or a process of our own: adapters are named, constraints are data, so an engine
may as well be a server that speaks another dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from octod.adapters.mixture import Mixture
from octod.adapters.prompt import Prompt
from octod.core.symbols import Parameter

__all__ = [
    "AdapterFiles",
    "CallConstraint",
    "Ending",
    "Engine",
    "EngineInfo",
    "Generated",
    "Mixture",
    "Prompt",
    "constraint_for",
]

# What is counted after a candidate's text. ``none``: nothing. ``call``: an opening bracket. ``boundary``: anything
# that does not go on with the identifier, so that ``get`` does not win over ``get_all`` for being shorter.
Ending = Literal["none", "call", "boundary"]


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """A verified adapter on disk: PEFT's two files in ``folder``; ``scaling`` is alpha / rank."""

    name: str
    folder: Path
    rank: int
    scaling: float


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs: ``base`` names the model, ``base_hash`` is its BaseModel.weights_hash, ``context`` in tokens."""

    kind: str
    base: str
    context: int
    adapters: tuple[str, ...]
    pid: int | None
    alive: bool
    base_hash: str = ""
    doing: str = ""  # what it does while it is not alive


@dataclass(frozen=True, slots=True)
class CallConstraint:
    """What may stand between the cursor, which is inside a call's brackets, and the closing bracket.

    ``keywords`` may be named, ``positional`` is the largest number of positional arguments (-1: no limit),
    ``positional_names`` their names in order, ``required`` the parameters that need a value; ``any_keyword``: the
    callee takes ``**kwargs``. ``names`` may start an expression (in-scope names, modules; builtins are added).
    ``given_*`` stand before the cursor as complete arguments; ``typed`` is the piece of the argument the cursor is in
    (``timeout=``), the end of ``Prompt.line`` too. ``newlines`` bounds the lines of the answer.
    """

    keywords: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    positional: int = -1
    any_keyword: bool = False
    names: tuple[str, ...] = ()
    given_keywords: tuple[str, ...] = ()
    given_positional: int = 0
    positional_names: tuple[str, ...] = ()
    typed: str = ""
    newlines: int = 3


@dataclass(frozen=True, slots=True)
class Generated:
    """The arguments from the cursor on, with the closing bracket when ``finished``; natural-log probabilities.

    Not finished means: out of time or tokens, or the constraint would have had to force an unlikely token.
    """

    text: str
    logprob_mean: float
    logprob_min: float
    tokens: int
    finished: bool


class Engine(Protocol):
    """Ranks and fills in. Every method may raise EngineProblem; cancelling the awaiting task stops the work."""

    async def start(self) -> None:
        """Get ready to answer; raises EngineProblem when that cannot be."""

    async def stop(self) -> None:
        """Give everything back; pending calls get EngineProblem."""

    @property
    def info(self) -> EngineInfo:
        """What runs now."""

    async def load(self, adapter: AdapterFiles) -> None:
        """Make an adapter usable in mixtures; AdapterRefused names what is wrong with it."""

    async def drop(self, name: str) -> None:
        """Forget an adapter and all that was computed with it; unknown names are ignored."""

    async def warm(self, prompt: Prompt, mixture: Mixture) -> None:
        """Read the prompt ahead; the newest call wins, an older one returns early without an error."""

    async def score(
        self,
        prompt: Prompt,
        candidates: Sequence[str],
        mixture: Mixture,
        deadline: float,
        end: Ending = "boundary",
    ) -> list[float]:
        """The sum of log-probabilities of each candidate's text (and its end) right after ``prompt.line``.

        ``deadline`` in seconds from now, EngineProblem when it passes. A half typed name (``client.gro``) is taken off
        the line by the caller and full names are scored: its tokens are seldom a prefix of the full name's.
        """

    async def generate(
        self, prompt: Prompt, constraint: CallConstraint, mixture: Mixture, deadline: float
    ) -> Generated:
        """Greedy arguments under a constraint; at the deadline (seconds from now) an unfinished answer."""


def constraint_for(
    parameters: Sequence[Parameter],
    names: Sequence[str] = (),
    given_keywords: Sequence[str] = (),
    given_positional: int = 0,
    typed: str = "",
) -> CallConstraint:
    """The constraint of a signature (``self`` already left out)."""
    positional = tuple(p.name for p in parameters if p.kind in ("positional", "standard"))
    kinds = {p.kind for p in parameters}
    return CallConstraint(
        keywords=tuple(p.name for p in parameters if p.kind in ("standard", "keyword")),
        required=tuple(
            p.name
            for p in parameters
            if p.default is None and p.kind in ("positional", "standard", "keyword")
        ),
        positional=-1 if "vararg" in kinds else len(positional),
        any_keyword="kwarg" in kinds,
        names=tuple(names),
        given_keywords=tuple(given_keywords),
        given_positional=given_positional,
        positional_names=positional,
        typed=typed,
    )
