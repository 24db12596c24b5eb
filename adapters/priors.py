"""Usage counts that come with octod, so that a small environment ranks well at its first start: names and numbers alone.

``bench/make_priors.py`` counts how widely used libraries are called by some hundreds of others and writes ``priors.bin``:

* a magic line, the length of the head, the head: zlib'd JSON with ``names`` (member -> calls of it on any receiver), the
  first receiver of each chunk and where it ends
* the chunks: zlib'd JSON, receiver -> its calls, members, features and keywords; no argument is kept

A chunk is read when a receiver in it is asked for.  These counts only order what the index offers.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from octod.core.errors import OctodError
from octod.indexer.usage import Paired, ReceiverUsage

__all__ = ["Priors", "with_prior", "write"]

_MAGIC = b"octod priors 1\n"
_CHUNK = 48_000  # bytes of JSON in a chunk: half a millisecond to read
_MOST_CHUNKS = 24  # remembered as they are compressed in memory: about 100 kB each
_SHARE = 5  # of the environment's own calls one in so many counts beside the shipped ones: libraries call otherwise than users do


class Priors:
    """The counts in a file that ``write`` made.  Raises OctodError when it is not that."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes()
        start = len(_MAGIC) + 4
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("not a file of counts")
            end = start + int.from_bytes(data[len(_MAGIC) : start], "big")
            head = json.loads(zlib.decompress(data[start:end]))
            self.names: Mapping[str, int] = head["names"]
            self._firsts: list[str] = head["firsts"]
            self._ends: list[int] = head["ends"]
        except (zlib.error, ValueError, KeyError, TypeError) as error:
            raise OctodError(f"{path} cannot be read: {error}", "install octod again") from error
        self._data = data[end:]
        self._chunks: OrderedDict[int, dict[str, Any]] = OrderedDict()

    @classmethod
    def shipped(cls) -> Priors:
        """The file beside this module, opened once."""
        return _shipped()

    def of(self, receiver: str) -> ReceiverUsage | None:
        """How a receiver key (octod.indexer.sites.usage_key) is called by widely used libraries; None when nothing is known."""
        number = bisect_right(self._firsts, receiver) - 1
        if number < 0:
            return None
        chunk = self._chunks.get(number)
        if chunk is None:
            start = self._ends[number - 1] if number else 0
            chunk = self._chunks[number] = json.loads(zlib.decompress(self._data[start : self._ends[number]]))
            if len(self._chunks) > _MOST_CHUNKS:
                self._chunks.popitem(last=False)
        row = chunk.get(receiver)
        return _decoded(row) if row is not None else None


@cache
def _shipped() -> Priors:
    return Priors(Path(__file__).with_name("priors.bin"))


def with_prior(local: ReceiverUsage | None, prior: ReceiverUsage | None) -> ReceiverUsage | None:
    """What is known of a receiver: the shipped counts and a fifth of the environment's own, or either where it is alone.

    What the environment called at all stays called.
    """
    if local is None or prior is None:
        return local or prior
    members = _sum(_share(local.members), prior.members)
    return ReceiverUsage(
        sum(members.values()),
        members,
        _Sums(local.features, prior.features),
        local.arguments,
        {m: _sum(_share(local.keywords.get(m, {})), prior.keywords.get(m, {})) for m in {**prior.keywords, **local.keywords}},
    )


def write(path: Path, usages: Mapping[str, ReceiverUsage], names: Mapping[str, int]) -> int:
    """Write a file of counts; returns its size in bytes.  The argument lists of ``usages`` are left out."""
    firsts: list[str] = []
    ends: list[int] = []
    body = b""
    group: list[str] = []
    size = 0
    rows = [(r, json.dumps(_encoded(u), ensure_ascii=False, separators=(",", ":"))) for r, u in sorted(usages.items())]
    for number, (receiver, row) in enumerate(rows):
        if not group:
            firsts.append(receiver)
        group.append(f"{json.dumps(receiver)}:{row}")
        size += len(row)
        if size > _CHUNK or number + 1 == len(rows):
            body += zlib.compress(("{" + ",".join(group) + "}").encode(), 9)
            ends.append(len(body))
            group, size = [], 0
    head = {"names": dict(names), "firsts": firsts, "ends": ends}
    packed = zlib.compress(json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode(), 9)
    data = _MAGIC + len(packed).to_bytes(4, "big") + packed + body
    path.write_bytes(data)
    return len(data)


def _encoded(usage: ReceiverUsage) -> list[Any]:
    """[calls, members, their counts, feature -> [member number, count, ...], member number -> keyword -> count]."""
    names = list(usage.members)
    number = {name: n for n, name in enumerate(names)}
    features = {f: [v for m, n in by.items() if m in number for v in (number[m], n)] for f, by in usage.features.items()}
    keywords = {number[m]: counts for m, counts in usage.keywords.items() if m in number}
    return [usage.calls, names, list(usage.members.values()), features, keywords]


def _decoded(row: list[Any]) -> ReceiverUsage:
    calls, names, counts, features, keywords = row
    return ReceiverUsage(
        calls,
        dict(zip(names, counts, strict=True)),
        Paired(features, names),
        {},
        {names[int(m)]: counts for m, counts in keywords.items()},
    )


class _Sums(Mapping[str, dict[str, int]]):
    """The environment's table of counts and the shipped one added up, feature by feature as they are asked for."""

    def __init__(self, local: Mapping[str, Mapping[str, int]], prior: Mapping[str, Mapping[str, int]]) -> None:
        self._local, self._prior = local, prior

    def __getitem__(self, feature: str) -> dict[str, int]:
        if feature not in self._local and feature not in self._prior:
            raise KeyError(feature)
        return _sum(_share(self._local.get(feature, {})), self._prior.get(feature, {}))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._local, *self._prior)))

    def __len__(self) -> int:
        return len({*self._local, *self._prior})


def _share(counts: Mapping[str, int]) -> dict[str, int]:
    """What the environment's own counts weigh, at least 1."""
    return {name: -(-count // _SHARE) for name, count in counts.items()}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = dict(one)
    for name, count in other.items():
        total[name] = total.get(name, 0) + count
    return total
