"""Which installed distributions and files may teach the base model: licences, exclusions and unfit files.

Everything is read as text. Nothing of the corpus is imported or executed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.resources import files
from pathlib import Path

__all__ = [
    "Distribution",
    "excluded_names",
    "normalise",
    "permissive_licence",
    "read_distributions",
    "read_source",
    "standard_library",
]

UNSEEN = "networkx"
MAX_BYTES = 200_000
MAX_STUB_BYTES = 1_000_000  # stubs give signatures only, and numpy's main stub has 250 kB
MAX_LINE = 1_000  # longer lines are data or generated code

_PERMISSIVE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|PSF|Python Software Foundation|Python-2\.0|ISC|Unlicense|HPND|Zlib|CC0)\b",
    re.IGNORECASE,
)
_RESTRICTED = re.compile(r"GPL|MPL|Mozilla|EUPL|CDDL|EPL|Proprietary|Commercial", re.IGNORECASE)
_GENERATED = re.compile(r"generated (by|from)|auto-?generated|do not edit", re.IGNORECASE)
_VENDORED = re.compile(r"(^|/)(_?vendor(ed)?|_?extern(al|s)?|third_?party|site-packages)(/|$)")


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution: `sources` are its `.py` files, `stubs` its `.pyi` files, both sorted."""

    name: str
    version: str
    licence: str
    sources: tuple[Path, ...]
    stubs: tuple[Path, ...]
    root: Path


def excluded_names() -> frozenset[str]:
    """Return the normalised names in `excluded.txt`."""
    text = files(__package__).joinpath("excluded.txt").read_text(encoding="utf-8")
    return frozenset(normalise(line) for line in text.splitlines() if line and not line.startswith("#"))


def normalise(name: str) -> str:
    """Normalise a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def permissive_licence(metadata: str) -> str | None:
    """Return a short name of the licence that METADATA declares, None when not permissive or not declared."""
    headers = HeaderParser().parsestr(metadata)
    expression = str(headers.get("License-Expression") or "")
    if expression:
        # `A AND B` binds to both; of `A OR B` one may be chosen.
        for choice in expression.split(" OR "):
            parts = re.split(r" AND | WITH ", choice.strip("() "))
            if all(_PERMISSIVE.search(part) and not _RESTRICTED.search(part) for part in parts):
                return choice.strip("() ")
        return None
    classifiers = [str(c) for c in headers.get_all("Classifier") or [] if str(c).startswith("License ::")]
    # Beyond its first characters the field may quote notices of bundled binaries; a classifier is the author's word.
    field = " ".join(str(headers.get("License") or "").split())[:80]
    named = [c.rsplit("::", 1)[1].strip() for c in classifiers]
    if any(_RESTRICTED.search(text) for text in (*named, field)):
        return None
    for text in (*named, field):
        if match := _PERMISSIVE.search(text):
            return text if len(text) <= 50 else match.group()  # some fields hold the licence's whole text
    return None


def read_distributions(site_packages: Path) -> tuple[list[Distribution], dict[str, str]]:
    """Return the usable distributions of a site-packages folder, sorted, and the reason for each one refused."""
    excluded = excluded_names()
    usable: list[Distribution] = []
    refused: dict[str, str] = {}
    for info in sorted(site_packages.glob("*.dist-info")):
        metadata = _text(info / "METADATA")
        headers = HeaderParser().parsestr(metadata)
        name = normalise(str(headers.get("Name") or info.name.split("-")[0]))
        licence = permissive_licence(metadata)
        if name in excluded:
            refused[name] = "excluded by name"
        elif licence is None:
            refused[name] = "licence not permissive or not declared"
        else:
            paths = sorted(_recorded(info))
            usable.append(
                Distribution(
                    name=name,
                    version=str(headers.get("Version") or ""),
                    licence=licence,
                    sources=tuple(site_packages / p for p in paths if p.endswith(".py")),
                    stubs=tuple(site_packages / p for p in paths if p.endswith(".pyi")),
                    root=site_packages,
                )
            )
    return usable, refused


def standard_library(folder: Path, version: str) -> Distribution:
    """Return Python's own library as a distribution, without its test suites."""
    skipped = {"test", "tests", "idlelib", "lib2to3", "site-packages", "ensurepip", "idle_test", "turtledemo"}
    sources = tuple(
        path
        for path in sorted(folder.rglob("*.py"))
        if not skipped & set(path.relative_to(folder).parts[:-1])
    )
    return Distribution("python", version, "PSF-2.0", sources, (), folder)


def read_source(path: Path) -> tuple[str, str]:
    """Return a file's text, line ends normalised, and a reason to leave it out (empty when it is fit)."""
    if _VENDORED.search(path.parent.as_posix().rsplit("site-packages/", 1)[-1]):
        return "", "vendored"
    try:
        data = path.read_bytes()
    except OSError:
        return "", "unreadable"
    limit = MAX_STUB_BYTES if path.suffix == ".pyi" else MAX_BYTES
    if not 100 <= len(data) <= limit:
        return "", "too large" if len(data) > limit else "too small"
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return "", "undecodable"
    if UNSEEN in text.lower():
        return "", f"mentions {UNSEEN}"
    if _GENERATED.search(text[:2000]) or max(map(len, text.split("\n"))) > MAX_LINE:
        return "", "generated"
    return text, ""


def _recorded(info: Path) -> Iterator[str]:
    """Yield the paths in RECORD that stay inside site-packages."""
    for row in csv.reader(_text(info / "RECORD").splitlines()):
        if row and ".." not in row[0] and not row[0].startswith("/"):
            yield row[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
