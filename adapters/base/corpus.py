"""From an environment's installed files to token shards with call sites, cached in a work folder.

    work/tokenizer/…          the tokenizer, trained once and never again
    work/manifest.json        distributions used (version, licence, files, bytes) and refused (reason)
    work/train/, work/heldout/
        tokens.npy            uint16, all documents one after the other
        documents.npy         int64 (documents + 1,), where each one begins
        weights.npy           float32 (documents,), how often plain windows come from it
        calls.npy             CALL records, positions in tokens
        signatures.npy        uint16, `signature\\n` texts; spans.npy int64 (signatures + 1,)
        groups.npy            int32 (signatures, 2), the first and last+1 sibling of each signature

The same files in the same order give the same shards.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from octod.adapters.base.calls import Call, FileFacts, Signature, analyse
from octod.adapters.base.sources import Distribution, read_distributions, read_source, standard_library
from octod.adapters.base.tokenizer import save_tokenizer, train_tokenizer
from octod.adapters.prompt import CONTEXT, SIGNATURE_TOKENS, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["CALL", "CorpusConfig", "build_corpus"]

# Libraries people call most; files and calls that use them are preferred.
WIDELY_USED = frozenset(
    [
        "requests",
        "httpx",
        "numpy",
        "pandas",
        "matplotlib",
        "click",
        "flask",
        "rich",
        "pydantic",
        "sqlalchemy",
        "sklearn",
        "scipy",
    ]
)
HELD_OUT = frozenset(
    {"httpie", "flask-login", "flask-restx", "sqlite-utils", "lifelines", "posting", "yellowbrick"}
)

CALL = np.dtype(
    [
        ("document", "i4"),
        ("line", "i4"),  # token of the newline before the line
        ("member", "i4"),  # first token of the member's name
        ("stop", "i4"),  # token of the newline after the call
        ("signature", "i4"),  # -1: unknown
        ("weight", "f4"),
    ]
)


@dataclass(frozen=True, slots=True)
class CorpusConfig:
    """Where the corpus comes from and how much of it is taken. A distribution in two folders counts in the first.

    `bytes_per_distribution` keeps one large distribution from drowning the others: its files with the most calls
    to widely used libraries are taken first.
    """

    site_packages: tuple[Path, ...]
    work: Path
    standard_library: Path | None = None
    standard_library_version: str = ""
    held_out: frozenset[str] = HELD_OUT
    bytes_per_distribution: int = 8_000_000
    tokenizer_bytes: int = 40_000_000
    vocabulary: int = 8192
    workers: int = os.cpu_count() or 1


@dataclass(slots=True)
class _File:
    path: Path
    distribution: Distribution
    text: str
    facts: FileFacts
    shingles: frozenset[int]
    widely: int = 0


@dataclass(slots=True)
class _Table:
    """Every known signature, siblings together, and where to find those of a member of a package."""

    signatures: list[tuple[str, str, Signature]] = field(default_factory=list)  # (package, module, signature)
    groups: list[tuple[int, int]] = field(default_factory=list)
    by_member: dict[tuple[str, str], list[int]] = field(default_factory=dict)


def build_corpus(config: CorpusConfig) -> Tokenizer:
    """Build what is missing in `config.work` and return the tokenizer.

    Raises:
        ValueError: no usable file was found.
    """
    manifest = config.work / "manifest.json"
    if manifest.exists():
        return load_tokenizer(config.work / "tokenizer" / "tokenizer.json")
    config.work.mkdir(parents=True, exist_ok=True)
    # 1. Distributions and files.
    distributions: list[Distribution] = []
    refused: dict[str, str] = {}
    for folder in config.site_packages:
        found, out = read_distributions(folder)
        known = {d.name for d in distributions}
        distributions += [d for d in found if d.name not in known]
        refused |= out
    if config.standard_library is not None:
        distributions.append(standard_library(config.standard_library, config.standard_library_version))
    files, table, dropped = _read(distributions, config)
    if not files:
        folders = ", ".join(map(str, config.site_packages))
        raise ValueError(f"no usable Python file under {folders}; is it a site-packages folder?")
    # 2. The tokenizer, unless one is already there: weights depend on it.
    path = config.work / "tokenizer" / "tokenizer.json"
    if not path.exists():
        learned = train_tokenizer(_sample(files, config.tokenizer_bytes), config.vocabulary)
        save_tokenizer(learned, path.parent, CONTEXT)
    tokenizer = load_tokenizer(path)
    # 3. Shards.
    held = [f for f in files if f.distribution.name in config.held_out]
    kept = [f for f in files if f.distribution.name not in config.held_out]
    for name, part in (("train", kept), ("heldout", held)):
        _write_shard(config.work / name, part, table, tokenizer)
    # 4. The manifest is written last: its presence says the rest is complete.
    rows = []
    for distribution in distributions:
        own = [f for f in files if f.distribution is distribution]
        if own:
            rows.append(
                {
                    "distribution": distribution.name,
                    "version": distribution.version,
                    "licence": distribution.licence,
                    "files": len(own),
                    "bytes": sum(len(f.text.encode()) for f in own),
                    "held_out": distribution.name in config.held_out,
                }
            )
    text = json.dumps({"used": rows, "refused": refused, "files_left_out": dropped}, indent=1)
    temporary = manifest.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(manifest)
    return tokenizer


def _read(
    distributions: Sequence[Distribution], config: CorpusConfig
) -> tuple[list[_File], _Table, dict[str, int]]:
    """Read and analyse all files, drop duplicates, apply the cap per distribution, collect signatures."""
    jobs = [(d, path) for d in distributions for path in (*d.sources, *d.stubs)]
    dropped: Counter[str] = Counter()
    known: set[bytes] = set()
    files: list[_File] = []
    definitions: list[tuple[str, str, Signature]] = []
    results = _analysed([(path, _package(path, d.root)) for d, path in jobs], config.workers)
    for (distribution, path), (text, facts, shingles, reason) in zip(jobs, results, strict=True):
        if facts is None:
            dropped[reason] += 1
            continue
        module = ".".join(path.relative_to(distribution.root).with_suffix("").parts)
        if "test" not in module:
            package = _package(path, distribution.root)
            definitions += [(package, module, signature) for signature in facts.signatures]
        digest = hashlib.sha256(text.encode()).digest()
        if digest in known:
            dropped["duplicate"] += 1
        elif path.suffix == ".py":
            known.add(digest)
            widely = sum(c.origin.split(".")[0].removesuffix("()") in WIDELY_USED for c in facts.calls)
            files.append(_File(path, distribution, text, facts, shingles, widely))
    return _select(files, config, dropped), _table(definitions), dict(dropped)


def _select(files: list[_File], config: CorpusConfig, dropped: Counter[str]) -> list[_File]:
    """Drop near duplicates and what exceeds the cap; files dense in widely used calls come first."""
    seen: set[int] = set()
    spent: Counter[str] = Counter()
    selected = []
    for file in sorted(files, key=lambda f: (f.distribution.name, -f.widely, str(f.path))):
        # A file is a near duplicate when 60 % of its sampled shingles stood in files before it.
        if len(file.shingles) >= 4 and len(file.shingles & seen) > 0.6 * len(file.shingles):
            dropped["near duplicate"] += 1
        elif spent[file.distribution.name] + len(file.text) > config.bytes_per_distribution:
            dropped["over the cap"] += 1
        else:
            seen |= file.shingles
            spent[file.distribution.name] += len(file.text)
            selected.append(file)
    return selected


def _analysed(
    jobs: list[tuple[Path, str]], workers: int
) -> Iterator[tuple[str, FileFacts | None, frozenset[int], str]]:
    if workers <= 1:
        yield from map(_analyse_file, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_analyse_file, jobs, chunksize=64)


def _analyse_file(job: tuple[Path, str]) -> tuple[str, FileFacts | None, frozenset[int], str]:
    path, package = job
    text, reason = read_source(path)
    if reason:
        return "", None, frozenset(), reason
    try:
        facts = analyse(text, package)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "", None, frozenset(), "unparsable"
    return text, facts, _shingles(text), ""


def _shingles(text: str) -> frozenset[int]:
    """Hash every three consecutive non-blank lines and keep one hash in four, whichever file it is in."""
    lines = [line.strip() for line in text.split("\n") if len(line.strip()) > 3]
    hashes = (zlib.crc32("\n".join(lines[i : i + 3]).encode()) for i in range(len(lines) - 2))
    return frozenset(h for h in hashes if h % 4 == 0)


def _package(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0].removesuffix(".py").removesuffix(".pyi")


def _sample(files: Sequence[_File], limit: int) -> Iterator[str]:
    """Yield every n-th file so that about `limit` characters are seen."""
    step = max(1, math.ceil(sum(len(f.text) for f in files) / limit))
    return (file.text for file in files[::step])


def _table(definitions: list[tuple[str, str, Signature]]) -> _Table:
    table = _Table()
    definitions.sort(key=lambda d: (d[1], d[2].owner, d[2].name))
    begin = 0
    for index, (package, module, signature) in enumerate(definitions):
        table.signatures.append((package, module, signature))
        table.by_member.setdefault((package, signature.name), []).append(index)
        last = index + 1 == len(definitions)
        if last or (definitions[index + 1][1], definitions[index + 1][2].owner) != (module, signature.owner):
            table.groups += [(begin, index + 1)] * (index + 1 - begin)
            begin = index + 1
    return table


def _resolve(call: Call, imports: Iterable[str], table: _Table) -> tuple[str, int]:
    """Return the library a call goes to (empty: unknown) and its signature's number, -1 when unknown."""
    if call.origin:
        library = call.origin.split(".")[0].removesuffix("()")
        candidates = table.by_member.get((library, call.name), [])
    else:
        for library in imports:
            candidates = table.by_member.get((library, call.name), [])
            if candidates:
                break
        else:
            return "", -1
    if not candidates:
        return library, -1
    pieces = set(call.origin.replace("()", "").split("."))
    instance = call.origin.endswith("()") or not call.origin
    keywords = set(call.keywords)

    def fitness(number: int) -> float:
        _, module, signature = table.signatures[number]
        return (
            3.0 * (signature.owner in pieces)
            + 1.5 * (bool(signature.owner) == instance)
            + 2.0 * (keywords <= signature.keywords)
            + 1.0 * (signature.open and not keywords <= signature.keywords)
            + 0.5 * len(pieces & set(module.split(".")))
            # `numpy.array` is re-exported from a private module; `numpy.ma.array` would be called by that name.
            - 0.3 * sum(not part.startswith("_") and part not in pieces for part in module.split("."))
            - 0.01 * module.count(".")
        )

    return library, max(candidates, key=fitness)


def _write_shard(folder: Path, files: Sequence[_File], table: _Table, tokenizer: Tokenizer) -> None:
    """Tokenise files and move their calls from characters to tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens: list[np.ndarray] = []
    bounds = [0]
    weights: list[float] = []
    rows: list[tuple[int, int, int, int, int]] = []
    keys: list[tuple[str, str, bool]] = []
    used: dict[int, int] = {}
    for start in range(0, len(files), 256):
        batch = files[start : start + 256]
        encodings = tokenizer.encode_batch([f.text for f in batch], add_special_tokens=False)
        for file, encoding in zip(batch, encodings, strict=True):
            document = len(bounds) - 1
            begins = np.array([span[0] for span in encoding.offsets], dtype=np.int64)
            tokens.append(np.array(encoding.ids, dtype=np.uint16))
            bounds.append(bounds[-1] + len(encoding.ids))
            weights.append(len(encoding.ids) * (1.0 + min(file.widely, 30) / 5))
            # Widely used imports first, so an unknown receiver is tried against them before others.
            imports = sorted(file.facts.imports, key=lambda name: (name not in WIDELY_USED, name))
            for call in file.facts.calls:
                library, signature = _resolve(call, imports, table)
                if library and library != _package(file.path, file.distribution.root):
                    line, member, stop = np.searchsorted(begins, (call.line, call.member, call.stop))
                    if stop - line <= 160:
                        rows.append((document, int(line), int(member), int(stop), signature))
                        keys.append((library, call.name, bool(call.origin)))
    counts = Counter((library, name) for library, name, _ in keys)
    calls = np.zeros(len(rows), dtype=CALL)
    for number, (row, (library, name, sure)) in enumerate(zip(rows, keys, strict=True)):
        # Frequent members are seen more often than rare ones, but not in proportion.
        weight = (
            (4.0 if library in WIDELY_USED else 1.0) * (1.0 if sure else 0.3) * counts[library, name] ** -0.4
        )
        # Each signature is tokenised with its siblings, so groups are copied whole.
        calls[number] = (*row, weight * (1.0 if row[4] >= 0 else 0.5))
        if row[4] >= 0:
            used.setdefault(table.groups[row[4]][0], table.groups[row[4]][1])
    _write_signatures(folder, calls, used, table, tokenizer)
    np.save(folder / "tokens.npy", np.concatenate(tokens) if tokens else np.zeros(0, np.uint16))
    np.save(folder / "documents.npy", np.array(bounds, dtype=np.int64))
    np.save(folder / "weights.npy", np.array(weights, dtype=np.float32))
    np.save(folder / "calls.npy", calls)


def _write_signatures(
    folder: Path, calls: np.ndarray, used: dict[int, int], table: _Table, tokenizer: Tokenizer
) -> None:
    """Write the signatures of the groups that calls refer to, and renumber the calls' references."""
    renumbered: dict[int, int] = {}
    groups: list[tuple[int, int]] = []
    texts: list[str] = []
    for begin, end in sorted(used.items()):
        base = len(texts)
        groups += [(base, base + end - begin)] * (end - begin)
        for number in range(begin, end):
            renumbered[number] = len(texts)
            texts.append(table.signatures[number][2].text)
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    newline = tokenizer.encode("\n", add_special_tokens=False).ids
    pieces = [np.array(e.ids[: SIGNATURE_TOKENS - 1] + newline, dtype=np.uint16) for e in encodings]
    calls["signature"] = [renumbered.get(int(number), -1) for number in calls["signature"]]
    np.save(folder / "signatures.npy", np.concatenate(pieces) if pieces else np.zeros(0, np.uint16))
    np.save(folder / "spans.npy", np.cumsum([0, *(len(p) for p in pieces)]))
    np.save(folder / "groups.npy", np.array(groups, dtype=np.int32).reshape(-1, 2))
