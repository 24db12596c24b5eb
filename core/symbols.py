"""What the index knows of a library: scopes (modules and classes) and the symbols in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CallSite", "LibraryId", "Member", "Parameter", "ParameterKind", "Scope", "Symbol", "SymbolKind"]

SymbolKind = Literal["module", "class", "function", "property", "attribute", "alias"]
ParameterKind = Literal["positional", "standard", "vararg", "keyword", "kwarg"]


@dataclass(frozen=True, slots=True)
class LibraryId:
    """An installed distribution: normalised name, version, sha256 of its RECORD (empty for the standard library)."""

    distribution: str
    version: str
    record: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as written: default and annotation are source text, or None where absent."""

    name: str
    kind: ParameterKind = "standard"
    default: str | None = None
    annotation: str | None = None

    def __str__(self) -> str:
        star = {"vararg": "*", "kwarg": "**"}.get(self.kind, "")
        return f"{star}{self.name}" + (f"={self.default}" if self.default is not None else "")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One name in a scope.

    ``parameters`` holds the signature of a function (with ``self`` or ``cls`` left out) and of a class (its
    constructor's, when the class itself defines one); None where there is no signature.  ``returns`` is the
    annotation's source text of a function or property, or of an attribute its annotation or the source of a
    constructor call (``requests.Session()`` gives ``requests.Session``), to be read in the scope that defines it;
    ``overloads`` holds further (parameters, returns) of an overloaded function.  ``target`` is the absolute
    qualified name an alias stands for (``import numpy as np``: ``numpy``).
    """

    name: str
    kind: SymbolKind
    parameters: tuple[Parameter, ...] | None = None
    returns: str | None = None
    target: str | None = None
    doc: str = ""
    deprecated: str | None = None
    line: int = 0
    static: bool = False  # staticmethod or classmethod: bound the same on class and instance
    asynchronous: bool = False
    public: bool = True  # offered as API: by __all__, else by name and not merely imported
    overloads: tuple[tuple[tuple[Parameter, ...], str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """A module or a class: its symbols by name, and for a class its bases (source text, as written)."""

    qualified: str
    kind: Literal["module", "class"]
    library: LibraryId
    file: str
    doc: str = ""
    bases: tuple[str, ...] = ()
    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    stars: tuple[str, ...] = ()  # absolute modules of ``from x import *`` that could not be expanded in place
    dynamic: bool = False  # has a module-level __getattr__ or a class-level one: unknown is not invalid
    deprecated: str | None = None
    exports: tuple[str, ...] = ()  # with ``stars``: all names in ``__all__``; empty where not every one is known


@dataclass(frozen=True, slots=True)
class Member:
    """A symbol as offered on a receiver: ``owner`` is the scope that defines it, ``depth`` its place in the MRO."""

    symbol: Symbol
    owner: str
    library: LibraryId
    depth: int = 0

    @property
    def qualified(self) -> str:
        """Dotted name of where the member is defined."""
        return f"{self.owner}.{self.symbol.name}"


@dataclass(frozen=True, slots=True)
class CallSite:
    """``receiver.member(arguments)`` in a file whose receiver is known.

    ``receiver`` is the canonical qualified name of the module or class; ``instance`` says that the receiver is an
    object of that class.  Offsets are code points into the file's text: ``start`` of the receiver expression,
    ``dot`` just after the dot, ``open`` just after the bracket, ``close`` before the closing bracket.
    ``features`` are what surrounds the call, as short strings (``assign:fig``, ``enclosing:plt.show``, ...).
    """

    receiver: str
    instance: bool
    member: str
    library: str
    start: int
    dot: int
    open: int
    close: int
    positional: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...]
    features: tuple[str, ...] = ()
