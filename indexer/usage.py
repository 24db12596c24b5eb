"""How libraries are used: call sites counted by receiver, with what surrounds them and the arguments that were given.

Counts are kept per source (an installed distribution or the user's project) and merged by receiver.  They are data for
ranking; nothing here says that a name exists.
"""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from octod.core.errors import IndexProblem
from octod.indexer.lookup import ScopeSource, refresh
from octod.indexer.names import View
from octod.indexer.parse import parse_file
from octod.indexer.sites import argument_text, module_of, resolved_calls, usage_key

if TYPE_CHECKING:
    from octod.indexer.store import Index

__all__ = [
    "PROJECT", "VERSION", "Paired", "ReceiverUsage", "calls", "decode", "encode", "merge", "mine", "project_key", "project_name", "usage_of",
]  # fmt: skip

PROJECT = "project:"  # what libraries and usage sources of the user's own repositories are called
VERSION = 2  # of what is counted and how it is written; another one is mined again
LARGEST_FILE = 400_000  # bytes; what is larger is generated, or repeats itself
LONGEST_ARGUMENTS = 60  # characters; two thirds of real argument lists are under 30
MOST_ARGUMENTS = 8  # argument lists kept of a member
MOST_KEYWORDS = 24
MOST_MEMBERS = 800
MOST_FEATURES = 1_500
MOST_PAIRS = 8_000  # (feature, member) counts of a receiver: 3 to 4 ms to load
MOST_OF_ONE = 30  # members kept of a feature
_FEW = 40  # calls of a receiver below which counts of one are worth keeping
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)

Counts = dict[str, int]


@dataclass(slots=True)
class ReceiverUsage:
    """What was seen of one receiver: ``calls`` in all, by ``members``, by what surrounds them (feature -> member -> count),
    the ``arguments`` given (member -> source of the list -> count) and the ``keywords`` used (member -> name -> count)."""

    calls: int = 0
    members: Counts = field(default_factory=dict)
    features: Mapping[str, Counts] = field(default_factory=dict)
    arguments: dict[str, Counts] = field(default_factory=dict)
    keywords: dict[str, Counts] = field(default_factory=dict)


class Paired(Mapping[str, Counts]):
    """Feature -> member -> count, each made when it is asked for: a menu asks for twenty out of a thousand.

    ``flat`` has by feature the members' numbers and counts in turn, ``names`` the members.
    """

    __slots__ = ("_flat", "_names")

    def __init__(self, flat: Mapping[str, list[int]], names: Sequence[str]) -> None:
        self._flat, self._names = flat, names

    def __getitem__(self, feature: str) -> Counts:
        flat = self._flat[feature]
        try:
            return {self._names[m]: n for m, n in zip(flat[::2], flat[1::2], strict=True)}
        except (IndexError, TypeError, ValueError):
            return {}  # nobody wrote that: it says nothing

    def __iter__(self) -> Iterator[str]:
        return iter(self._flat)

    def __len__(self) -> int:
        return len(self._flat)


def mine(source: ScopeSource, files: Iterable[Path]) -> dict[str, ReceiverUsage]:
    """The usage in files, by receiver key; files that cannot be read or import nothing indexed are passed over."""
    from octod.indexer.work import read_source

    refresh(source)
    libraries = {n for n, ids in source.import_names().items() if any(i.distribution != "stdlib" for i in ids)}
    found: dict[str, ReceiverUsage] = {}
    collecting = gc.isenabled()
    gc.disable()  # trees are taken apart by hand: looking for garbage costs a third of the time
    try:
        for path in files:
            text, _ = read_source(path, LARGEST_FILE)
            if text is None or not any(i[1] in libraries for i in _IMPORT.finditer(text)):
                continue
            tree, _ = parse_file(text)
            if tree is None:
                continue
            refresh(source)
            module, package = module_of(str(path))
            view = View(source, tree, module, package)
            _count(view, found)
            view.clear()
    finally:
        if collecting:
            gc.enable()
    return found


def _count(view: View, found: dict[str, ReceiverUsage]) -> None:
    """Add a file's calls."""
    lines = view.tree.blocks[0].parsed.text.split("\n")
    for resolved in resolved_calls(view):
        key = usage_key(resolved.owner)
        if key == "builtins.super()":
            continue  # its own class cannot be told here
        usage = found.get(key)
        if usage is None:
            usage = found[key] = ReceiverUsage()
        member = resolved.member
        usage.calls += 1
        usage.members[member] = usage.members.get(member, 0) + 1
        features = usage.features
        assert isinstance(features, dict)  # what is mined is counted in dicts
        for feature in resolved.features:
            by_member = features.get(feature)
            if by_member is None:
                by_member = features[feature] = {}
            by_member[member] = by_member.get(member, 0) + 1
        node = resolved.call.node
        if node is None:
            continue
        arguments = argument_text(lines, node, LONGEST_ARGUMENTS)
        if arguments is not None:
            lists = usage.arguments.setdefault(member, {})
            lists[arguments] = lists.get(arguments, 0) + 1
        if node.keywords:
            names = usage.keywords.setdefault(member, {})
            for keyword in node.keywords:
                if keyword.arg:
                    names[keyword.arg] = names.get(keyword.arg, 0) + 1


def encode(usage: ReceiverUsage) -> bytes:
    """The usage as JSON, pruned: counts of one are kept only of receivers with few calls."""
    members = dict(_top(usage.members, MOST_MEMBERS))
    names = list(members)
    number = {name: i for i, name in enumerate(names)}
    least = 1 if usage.calls <= _FEW else 2
    data = {
        "c": usage.calls,
        "m": names,
        "n": list(members.values()),
        "f": _features(usage.features, number, least),
        "a": _lists(usage.arguments, number, MOST_ARGUMENTS, usage.members),
        "k": _lists(usage.keywords, number, MOST_KEYWORDS, {}),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _features(features: Mapping[str, Counts], number: Mapping[str, int], least: int) -> dict[str, list[int]]:
    """Feature -> [member number, count, ...], the most frequent features and pairs only."""
    kept: list[tuple[int, str, list[tuple[str, int]]]] = []
    for feature, by_member in features.items():
        pairs = [(m, n) for m, n in by_member.items() if n >= least and m in number]
        if pairs:
            kept.append((sum(n for _, n in pairs), feature, pairs))
    kept.sort(key=lambda k: (-k[0], k[1]))
    found: dict[str, list[int]] = {}
    room = MOST_PAIRS
    for _, feature, pairs in kept[:MOST_FEATURES]:
        if room <= 0:
            break
        flat: list[int] = []
        for member, count in sorted(pairs, key=lambda p: -p[1])[:MOST_OF_ONE]:
            flat += (number[member], count)
        found[feature] = flat
        room -= len(flat) // 2
    return found


def _lists(
    counted: Mapping[str, Counts], number: Mapping[str, int], most: int, calls: Mapping[str, int]
) -> dict[int, dict[str, int]]:
    """Member number -> its most frequent texts; of a member called often only those seen again."""
    found: dict[int, dict[str, int]] = {}
    for member, counts in counted.items():
        if member not in number:
            continue
        least = 2 if calls.get(member, 0) > MOST_ARGUMENTS else 1
        kept = {t: n for t, n in _top(counts, most) if n >= least}
        if kept:
            found[number[member]] = kept
    return found


def _top(counts: Counts, most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:most]


def decode(data: bytes) -> ReceiverUsage:
    """The usage that ``encode`` wrote.  Raises IndexProblem when the bytes are not that."""
    try:
        read = json.loads(data)
        names: list[str] = read["m"]
        return ReceiverUsage(
            calls=int(read["c"]),
            members=dict(zip(names, read["n"], strict=True)),
            features=Paired(dict(read["f"]), names),
            arguments={names[int(m)]: counts for m, counts in read["a"].items()},
            keywords={names[int(m)]: counts for m, counts in read["k"].items()},
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise IndexProblem(f"usage in the index cannot be read: {error}", "rebuild it: octod index --force") from error


def usage_of(index: Index, receiver: str) -> ReceiverUsage | None:
    """How a receiver is used, None where no call of it was seen; an index whose counts cannot be read is marked as damaged."""
    data = index.usage(receiver)
    try:
        return decode(data) if data else None
    except IndexProblem:
        index.damaged = True  # the workspace builds it again
        return None


def project_name(root: Path) -> str:
    """The library name of a repository: its folder's name, with six digits that tell folders of one name apart."""
    return f"{PROJECT}{root.name}-{sha256(os.fsencode(root)).hexdigest()[:6]}"


def project_key(project: str, receiver: str) -> str:
    """The key that a receiver's usage in one project alone has, beside its usage everywhere."""
    return f"{project} {receiver}"


def merge(parts: list[bytes]) -> bytes:
    """The sum of encoded usages, pruned again; parts that cannot be read count as nothing."""
    if len(parts) == 1:
        return parts[0]
    features: dict[str, Counts] = {}
    total = ReceiverUsage(features=features)
    for part in parts:
        try:
            one = decode(part)
        except IndexProblem:
            continue  # derived data: the next build writes it anew
        total.calls += one.calls
        _add(total.members, one.members)
        for into, more in ((features, one.features), (total.arguments, one.arguments), (total.keywords, one.keywords)):
            for key, counts in more.items():
                _add(into.setdefault(key, {}), counts)
    return encode(total)


def calls(receiver: str, entry: bytes) -> Counts:
    """How often each member is called, by qualified name."""
    try:
        read = json.loads(entry)
        return {f"{receiver.removesuffix('()')}.{m}": n for m, n in zip(read["m"], read["n"], strict=True)}
    except (ValueError, KeyError, TypeError):
        return {}


def _add(into: Counts, more: Mapping[str, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count
