"""One sample from one call site: where the prompt ends, what completes it, and which signatures it is shown.

At serving the index shows the receiver's likeliest members before the dot's completion and the called function's
signature before its arguments. In training some contexts are missing and some show siblings only (hard negatives), so the
model learns to trust a right one and to survive a missing one.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from octod.adapters.prompt import Prompt
from octod.adapters.signatures import render_signature
from octod.core.symbols import CallSite, Member
from octod.indexer.lookup import ScopeSource

__all__ = ["LONGEST_ARGUMENTS", "Context", "Found", "Plan", "Sample", "Tools", "argument_list"]

Kind = Literal["member", "arguments", "intent"]
BEFORE = 8192  # characters of file text in a sample; the prompt reads the last few hundred tokens of it
AFTER = 400
LONGEST_ARGUMENTS = 240  # characters; a completion holds 48 tokens


@dataclass(frozen=True, slots=True)
class Tools:
    """The analysers a data set is made with; ``standard()`` are the indexer's."""

    call_sites: Callable[[ScopeSource, str, str], tuple[list[CallSite], list[str]]]
    members: Callable[[ScopeSource, str, bool], tuple[Member, ...]]

    @classmethod
    def standard(cls) -> Tools:
        """The indexer's own."""
        from octod.indexer import scope
        from octod.indexer.members import members

        return cls(scope.call_sites, members)


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion to learn: ``completion`` follows ``prompt.line``.

    ``member``: the prompt ends after the receiver's dot, the completion is ``name(arguments)``. ``arguments``: the
    prompt ends after the bracket, the completion is ``arguments)``. ``source`` and ``file`` are its provenance.
    """

    prompt: Prompt
    completion: str
    kind: Kind
    file: str
    source: str
    receiver: str
    instance: bool
    member: str

    @property
    def qualified(self) -> str:
        """Receiver and member, the unit that is held out by function."""
        return f"{self.receiver}.{self.member}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How samples are made; shares are of 1."""

    seed: int = 0
    missing: float = 0.2  # samples without any signature
    wrong: float = 0.1  # samples whose signatures are those of siblings only (hard negatives)
    suffix: float = 0.5  # samples that see the text after the call
    arguments: float = 0.6  # call sites that also give an arguments sample
    per_file: int = 80  # call sites taken from one file
    per_function: int = 60  # and of one function
    held_files: float = 0.1
    held_functions: float = 0.05
    evaluation: int = 400  # samples of each kind kept for the evaluation, at most
    synthesised: int = 1000  # synthesised calls, at most
    seconds: float = 120.0  # time for reading and parsing


@dataclass(frozen=True, slots=True)
class Found:
    """A call site with its file's text, name and source."""

    site: CallSite
    text: str
    file: str
    source: str

    @property
    def qualified(self) -> str:
        """The unit that is held out by function."""
        return f"{self.site.receiver}.{self.site.member}"


class Context:
    """Signatures for a call site, as the index gives them at the cursor: the receiver's likeliest members."""

    def __init__(self, index: ScopeSource, tools: Tools, found: Sequence[Found]) -> None:
        self._index = index
        self._tools = tools
        self._usage: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
        self._members: dict[tuple[str, bool], dict[str, Member]] = {}
        for item in found:
            self._usage[item.site.receiver, item.site.instance][item.site.member] += 1

    def members(self, receiver: str, instance: bool) -> dict[str, Member]:
        """Name -> member, in resolution order."""
        key = (receiver, instance)
        if key not in self._members:
            offered = self._tools.members(self._index, receiver, instance)
            self._members[key] = {m.symbol.name: m for m in reversed(offered)}
        return self._members[key]

    def offered(self, samples: Iterable[Sample]) -> dict[tuple[str, bool], tuple[str, ...]]:
        """What each receiver of the samples offers, the candidates of the evaluation."""
        keys = sorted({(s.receiver, s.instance) for s in samples})
        return {key: tuple(sorted(n for n in self.members(*key) if not n.startswith("_"))) for key in keys}

    def honest(self, item: Found, arguments: str | None) -> list[Sample]:
        """The samples of a call site with exactly the context that the index would give."""
        likely = self.likely(item.site.receiver, item.site.instance)
        made = [_member_sample(item, arguments, self.lines(item.site, likely[:5]), suffix=True)]
        if arguments is not None:
            made.append(
                _arguments_sample(item, arguments, self.lines(item.site, [item.site.member]), suffix=True)
            )
        return made

    def varied(self, item: Found, arguments: str | None, plan: Plan, rng: random.Random) -> list[Sample]:
        """The samples of a call site, some with no context and some with a wrong one."""
        site = item.site
        names = self.pick(site.receiver, site.instance, site.member, True, plan, rng)
        made = [_member_sample(item, arguments, self.lines(site, names), suffix=rng.random() < plan.suffix)]
        if arguments is not None and rng.random() < plan.arguments:
            names = self.pick(site.receiver, site.instance, site.member, False, plan, rng)
            made.append(
                _arguments_sample(item, arguments, self.lines(site, names), suffix=rng.random() < plan.suffix)
            )
        return made

    def pick(
        self, receiver: str, instance: bool, member: str, choosing: bool, plan: Plan, rng: random.Random
    ) -> list[str]:
        """Names whose signatures are shown: right ones, wrong ones (siblings only), or none."""
        dice = rng.random()
        if dice < plan.missing:
            return []
        siblings = [name for name in self.likely(receiver, instance) if name != member]
        if dice < plan.missing + plan.wrong:
            pool = siblings[:30]
            return rng.sample(pool, min(len(pool), 5 if choosing else 1))
        if not choosing:
            return [member]
        return self.likely(receiver, instance)[:5]

    def likely(self, receiver: str, instance: bool) -> list[str]:
        """The receiver's members, the most used first."""
        usage = self._usage.get((receiver, instance), Counter())
        public = [name for name in self.members(receiver, instance) if not name.startswith("_")]
        return sorted(public, key=lambda name: (-usage[name], name))

    def lines(self, site: CallSite, names: Sequence[str]) -> tuple[str, ...]:
        """The signature lines of members."""
        known = self.members(site.receiver, site.instance)
        return tuple(render_signature(known[n], instance=site.instance) for n in names if n in known)


def _member_sample(item: Found, arguments: str | None, lines: tuple[str, ...], *, suffix: bool) -> Sample:
    completion = f"{item.site.member}(" + (f"{arguments})" if arguments is not None else "")
    return _sample(item, item.site.dot, completion, "member", lines, suffix)


def _arguments_sample(item: Found, arguments: str, lines: tuple[str, ...], *, suffix: bool) -> Sample:
    return _sample(item, item.site.open, f"{arguments})", "arguments", lines, suffix)


def _sample(
    item: Found, cursor: int, completion: str, kind: Kind, lines: tuple[str, ...], suffix: bool
) -> Sample:
    text, site = item.text, item.site
    begin = text.rfind("\n", 0, cursor) + 1
    start = max(0, begin - BEFORE)
    if start:
        start = text.find("\n", start, begin) + 1 or start
    after = text[site.close + 1 : site.close + 1 + AFTER] if suffix else ""
    prompt = Prompt(text[start:begin], lines, text[begin:cursor], after)
    return Sample(prompt, completion, kind, item.file, item.source, site.receiver, site.instance, site.member)


def argument_list(item: Found) -> str | None:
    """The argument list on one line, or None when it is long or cannot be joined safely."""
    text = item.text[item.site.open : item.site.close]
    if "\n" in text:
        if "#" in text or '"""' in text or "'''" in text or "\\\n" in text:
            return None
        text = re.sub(r"\s*\n\s*", " ", text).strip().removesuffix(",")
    return text.strip() if len(text) <= LONGEST_ARGUMENTS else None
