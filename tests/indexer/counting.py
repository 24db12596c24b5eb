"""A stand-in for the usage module: counts how often each file's words follow a dot."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from octod.indexer.store import Index

__all__ = ["VERSION", "calls", "encode", "merge", "mine"]

VERSION = 1


def mine(source: Index, files: list[Path]) -> dict[str, dict[str, int]]:
    """Receiver (a word the index knows as an import name) -> member -> count."""
    found: dict[str, Counter[str]] = {}
    for file in files:
        for receiver, member in re.findall(r"\b(\w+)\.(\w+)\(", file.read_text()):
            if receiver in source.import_names():
                found.setdefault(receiver, Counter())[member] += 1
    return {receiver: dict(counts) for receiver, counts in found.items()}


def encode(usage: dict[str, int]) -> bytes:
    """The counts as JSON."""
    return json.dumps(usage, sort_keys=True).encode()


def merge(parts: list[bytes]) -> bytes:
    """The sum of several counts."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(json.loads(part))
    return encode(dict(total))


def calls(receiver: str, entry: bytes) -> dict[str, int]:
    """Qualified name -> count."""
    return {f"{receiver}.{member}": count for member, count in json.loads(entry).items()}
