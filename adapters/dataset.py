"""Training samples for one library: real call sites of an environment and of repositories, then synthesised calls.

Files are read and parsed, never imported (promise P1). Every sample says where it comes from. What is kept apart for the
evaluation is whole files and whole functions, never single lines of a file that is trained on.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from octod.adapters.prompt import Prompt
from octod.adapters.samples import (
    LONGEST_ARGUMENTS,
    Context,
    Found,
    Plan,
    Sample,
    Tools,
    argument_list,
)
from octod.adapters.signatures import render_signature, required_arguments
from octod.core.symbols import LibraryId, Member
from octod.indexer.lookup import ScopeSource

__all__ = ["DataSet", "Plan", "Sample", "Source", "Tools", "build", "files_that_mention"]

LARGEST_FILE = 1_000_000  # bytes; larger ones are data or generated
SPARSE = 400  # samples; below that a library counts as little used


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one distribution or repository that may be read, with the licence it declares."""

    name: str
    files: tuple[Path, ...]
    licence: str = ""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Samples to train on and samples kept apart: from other files, other functions, other sources.

    ``members`` says what each receiver of the samples kept apart offers.
    """

    train: tuple[Sample, ...]
    evaluation: tuple[Sample, ...] = ()
    new_functions: tuple[Sample, ...] = ()
    other_sources: tuple[Sample, ...] = ()
    members: Mapping[tuple[str, bool], tuple[str, ...]] = field(default_factory=dict)
    sites: int = 0
    problems: tuple[str, ...] = ()

    def kinds(self) -> dict[str, int]:
        """Kind of training sample -> count."""
        return dict(sorted(Counter(s.kind for s in self.train).items()))

    def sources(self) -> dict[str, int]:
        """Source -> training samples from it, the largest first."""
        return dict(Counter(s.source for s in self.train).most_common())


def build(
    index: ScopeSource,
    library: LibraryId,
    import_names: Sequence[str],
    sources: Sequence[Source],
    *,
    plan: Plan | None = None,
    tools: Tools | None = None,
    measured: Sequence[Source] = (),
    exclude: Sequence[Path] = (),
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> DataSet:
    """Make the data set of a library; the same files, index and seed give the same samples.

    Files of ``measured`` give ``other_sources`` and nothing else, files under ``exclude`` are not read.
    ``progress`` gets (files done, files in all).
    """
    plan = plan or Plan()
    tools = tools or Tools.standard()
    found, aliases, problems = _mine(
        index, library, import_names, sources, plan, tools, exclude, progress, clock
    )
    elsewhere: list[Found] = []
    if measured:
        elsewhere, _, more = _mine(index, library, import_names, measured, plan, tools, (), None, clock)
        problems += more
    held_files, held_functions = _hold_out(found, plan)
    # The context's order comes from the samples trained on alone: the evaluation must not know its own counts.
    context = Context(index, tools, [item for item in found if item.file not in held_files])
    train: list[Sample] = []
    evaluation: list[Sample] = []
    new: list[Sample] = []
    other: list[Sample] = []
    rng = random.Random(plan.seed)
    seen: set[tuple[str, str, str | None]] = set()
    for item in found:
        arguments = argument_list(item)
        if _met(item, arguments, seen):
            continue
        if item.site.receiver.endswith("()") and (item.qualified in held_functions or item.file in held_files):
            continue  # an object of unknown type has no menu that could be measured
        if item.qualified in held_functions:
            new += context.honest(item, arguments)
        elif item.file in held_files:
            evaluation += context.honest(item, arguments)
        else:
            train += context.varied(item, arguments, plan, rng)
    for item in elsewhere:
        arguments = argument_list(item)
        if not _met(item, arguments, seen) and not item.site.receiver.endswith("()"):
            other += context.honest(item, arguments)
    # Few real sites: synthesised calls stand in for them; many: they only cover what nobody calls.
    room = plan.synthesised if len(train) < SPARSE else min(plan.synthesised, len(train) // 4)
    train += _synthesise(import_names, aliases, held_functions, room, context, plan, rng)
    rng.shuffle(train)
    return DataSet(
        train=tuple(train),
        evaluation=_spread(evaluation, plan),
        new_functions=_spread(new, plan),
        other_sources=_spread(other, plan),
        members=context.offered(evaluation + new + other),
        sites=len(found),
        problems=tuple(problems),
    )


def files_that_mention(
    files: Iterable[Path], names: Sequence[str], exclude: Sequence[Path] = ()
) -> list[Path]:
    """The Python files whose text contains one of the import names; a plain search, before any parsing."""
    needles = [name.encode() for name in names]
    apart = [str(path.absolute()).rstrip("/") for path in exclude]
    mentioned = []
    for path in files:
        where = str(path.absolute())
        if path.suffix != ".py" or any(where == a or where.startswith(a + "/") for a in apart):
            continue
        try:
            if path.stat().st_size > LARGEST_FILE:
                continue
            data = path.read_bytes()
        except OSError:
            continue  # unreadable or gone: the index reports it, here it is only one file less
        if any(needle in data for needle in needles):
            mentioned.append(path)
    return mentioned


def _met(item: Found, arguments: str | None, seen: set[tuple[str, str, str | None]]) -> bool:
    """Whether the same lines were met before: copied into another file they teach nothing and measure nothing."""
    key = (item.text[max(0, item.site.start - 200) : item.site.start], item.site.member, arguments)
    known = key in seen
    seen.add(key)
    return known


def _mine(
    index: ScopeSource,
    library: LibraryId,
    import_names: Sequence[str],
    sources: Sequence[Source],
    plan: Plan,
    tools: Tools,
    exclude: Sequence[Path],
    progress: Callable[[int, int], None] | None,
    clock: Callable[[], float],
) -> tuple[list[Found], Counter[str], list[str]]:
    """Call sites of the library, its usual import aliases, and problems."""
    deadline = clock() + plan.seconds
    jobs = [
        (source.name, path)
        for source in sources
        for path in files_that_mention(source.files, import_names, exclude)
    ]
    # In an order of its own for each seed, so a mining that runs out of time is still an even sample.
    jobs.sort(key=lambda job: _share(plan.seed, "order", str(job[1])))
    found: list[Found] = []
    aliases: Counter[str] = Counter()
    problems: list[str] = []
    functions: Counter[str] = Counter()
    alias = re.compile(rf"^\s*import {re.escape(import_names[0])} as (\w+)\s*$", re.MULTILINE)
    for done, (source, path) in enumerate(jobs):
        if progress is not None:
            progress(done, len(jobs))
        if clock() > deadline:
            problems.append(f"time ran out after {done} of {len(jobs)} files that mention {import_names[0]}")
            break
        try:
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: {error}")
            continue
        aliases.update(alias.findall(text))
        sites, troubles = tools.call_sites(index, text, str(path))
        problems += troubles
        own = [
            s for s in sites if s.library == library.distribution or s.receiver.split(".")[0] in import_names
        ]
        own = [s for s in own if s.close - s.open <= 4 * LONGEST_ARGUMENTS and not s.member.startswith("_")]
        if len(own) > plan.per_file:
            own.sort(key=lambda s: _share(plan.seed, "site", f"{path}:{s.dot}"))
            own = sorted(own[: plan.per_file], key=lambda s: s.dot)
        for site in own:
            item = Found(site, text, str(path), source)
            if functions[item.qualified] < plan.per_function:
                functions[item.qualified] += 1
                found.append(item)
    if progress is not None:
        progress(len(jobs), len(jobs))
    return found, aliases, problems


def _hold_out(found: Sequence[Found], plan: Plan) -> tuple[set[str], set[str]]:
    """The files and the functions that are kept apart, by hash, so they stay apart when samples are added."""
    per_file = Counter(item.file for item in found)
    files = {file for file in per_file if _share(plan.seed, "file", file) < plan.held_files}
    ordered = sorted(per_file, key=lambda file: _share(plan.seed, "file", file))
    # Few files: at least one is kept apart, and at most a third of the sites.
    for file in ordered[: len(ordered) // 2]:
        if sum(per_file[f] for f in files) >= 0.05 * len(found):
            break
        files.add(file)
    while len(files) > 1 and sum(per_file[f] for f in files) > len(found) / 3:
        files.discard(max(files, key=lambda f: (per_file[f], f)))
    functions = {
        i.qualified for i in found if _share(plan.seed, "function", i.qualified) < plan.held_functions
    }
    # The most used functions are what an adapter is for; they are never held out.
    common = {name for name, _ in Counter(item.qualified for item in found).most_common(20)}
    return files, functions - common


def _spread(samples: list[Sample], plan: Plan) -> tuple[Sample, ...]:
    """At most ``plan.evaluation`` of each kind, an even choice."""
    kept: list[Sample] = []
    for kind in ("member", "arguments"):
        own = [s for s in samples if s.kind == kind]
        own.sort(
            key=lambda s: _share(
                plan.seed, kind, f"{s.file}{len(s.prompt.before)}{s.prompt.line}{s.completion}"
            )
        )
        kept += own[: plan.evaluation]
    return tuple(kept)


def _synthesise(
    import_names: Sequence[str],
    aliases: Counter[str],
    held: set[str],
    room: int,
    context: Context,
    plan: Plan,
    rng: random.Random,
) -> list[Sample]:
    """Calls made from signatures: each binds its required parameters to variables of the same name."""
    root = import_names[0]
    common = aliases.most_common(1)
    alias = common[0][0] if common else root
    header = f"import {root} as {alias}\n\n" if alias != root else f"import {root}\n\n"
    made: list[Sample] = []

    def add(before: str, line: str, receiver: str, instance: bool, name: str, member: Member) -> None:
        parameters = member.symbol.parameters
        if (
            parameters is None
            or name.startswith("_")
            or not member.symbol.public
            or f"{receiver}.{name}" in held
        ):
            return
        arguments = required_arguments(parameters)
        if len(arguments) > LONGEST_ARGUMENTS:
            return
        names = context.pick(receiver, instance, name, True, plan, rng)
        known = context.members(receiver, instance)
        lines = tuple(render_signature(known[n], instance=instance) for n in names if n in known)
        prompt = Prompt(before, lines, line)
        made.append(
            Sample(prompt, f"{name}({arguments})", "member", "", "synthesised", receiver, instance, name)
        )

    for name, member in context.members(root, False).items():
        if member.symbol.kind in ("function", "class"):
            add(header, f"result = {alias}.", root, False, name, member)
        if member.symbol.kind == "class" and member.symbol.public:
            variable = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
            built = f"{variable} = {alias}.{name}({required_arguments(member.symbol.parameters or ())})\n"
            qualified = member.qualified
            for method, found in context.members(qualified, True).items():
                if found.symbol.kind == "function" and found.library == member.library:
                    add(header + built, f"{variable}.", qualified, True, method, found)
    rng.shuffle(made)
    # A variable may bear the name of a keyword only where the signature was wrong: such calls would not parse.
    return list(itertools.islice(filter(_parses, made), room))


def _parses(sample: Sample) -> bool:
    try:
        ast.parse(sample.prompt.before + sample.prompt.line + sample.completion)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _share(seed: int, purpose: str, text: str) -> float:
    """A number in [0, 1) that depends on the arguments only."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{text}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
