"""How a scope is stored: one compact row with its symbols, another blob with its docstrings, and what search reads.

Symbols are JSON arrays with trailing defaults cut off, deflated with a preset dictionary: small classes would
otherwise not shrink at all.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from octod.core.symbols import LibraryId, Parameter, ParameterKind, Scope, Symbol, SymbolKind
from octod.indexer.docstrings import summary

__all__ = [
    "MOST_SYMBOLS",
    "NAME_MARK",
    "Row",
    "SearchText",
    "StoredSymbols",
    "decode_row",
    "encode_scope",
    "name_words",
    "search_texts",
]

NAME_MARK = "zq"  # begins no English word
MOST_SYMBOLS = 4_096  # of one scope that search can tell apart
_LEVEL = 4  # of zlib: 3 is 2 % larger, 6 takes twice as long

_KINDS: tuple[SymbolKind, ...] = ("module", "class", "function", "property", "attribute", "alias")
_PARAMETERS: tuple[ParameterKind, ...] = ("positional", "standard", "vararg", "keyword", "kwarg")
_DICTIONARY = (
    b'"__getattr__","__setattr__","__enter__","__exit__","Iterator[","bytes","Callable[","object","Literal[",'
    b'"__getitem__","__len__","__iter__","__contains__","list[str]","dict[str, Any]","typing.","Sequence[",'
    b'["other",1,null],["key",1,null],["value",1,null],["data",1,null],["index",1,null],["path",1,null],["kwargs",4,null,"Any"],["args",2],'
    b'["name",1,null,"str"],["axis",1,"None"],["X",1],["y",1,"None"]],"Self",null,null,"str | None","int | None","float","bool",'
    b'[["self"]],"None",null,null],"__init__",2,[["__repr__",2,[],"str",null,null,0,1],["__eq__",2,[["other",1,null,"object"]],"bool"'
)


@dataclass(frozen=True, slots=True)
class SearchText:
    """What full-text search reads of one symbol: ``ordinal`` is its place in the scope."""

    ordinal: int
    name: str
    path: str
    doc: str


@dataclass(frozen=True, slots=True)
class Row:
    """A scope ready to be written; ``file`` is kept apart because many scopes share it."""

    qualified: str
    kind: Literal["module", "class"]
    file: str
    data: bytes
    docs: bytes
    search: tuple[SearchText, ...]
    symbols: int


def encode_scope(scope: Scope) -> Row:
    """The row of a scope; its library is the row's owner and not part of it."""
    ordered = _ordered(scope)
    symbols = [_packed(symbol) for symbol in ordered if not _is_plain_alias(symbol)]
    aliases: dict[str, list[str]] = {}
    for symbol in ordered:
        if _is_plain_alias(symbol):
            parent, _, last = (symbol.target or "").rpartition(".")
            name = last if symbol.name == last else f"{symbol.name}={last}"
            aliases.setdefault(parent, []).append(f"+{name}" if symbol.public else name)
    grouped = {parent: " ".join(names) for parent, names in aliases.items()}
    head = [symbols, grouped, list(scope.bases), list(scope.stars), int(scope.dynamic), scope.deprecated]
    documented = {s.name: s.doc for s in scope.symbols.values() if s.doc}
    if scope.doc:
        documented[""] = scope.doc
    return Row(
        qualified=scope.qualified,
        kind=scope.kind,
        file=scope.file,
        data=_deflated(head),
        docs=_deflated(documented) if documented else b"",
        search=search_texts(scope),
        symbols=len(scope.symbols),
    )


def decode_row(
    qualified: str, kind: Literal["module", "class"], library: LibraryId, file: str, data: bytes, docs: bytes
) -> Scope:
    """The scope of a row; empty ``docs`` gives one without docstrings.  Raises ValueError on damaged bytes."""
    try:
        symbols, aliases, bases, stars, dynamic, deprecated = _inflated(data)
        documented = _inflated(docs) if docs else {}
        return Scope(
            qualified=qualified,
            kind=kind,
            library=library,
            file=file,
            doc=documented.get("", ""),
            bases=tuple(bases),
            symbols=StoredSymbols(symbols, aliases, documented),
            stars=tuple(stars),
            dynamic=bool(dynamic),
            deprecated=deprecated,
        )
    except (zlib.error, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"{qualified}: damaged row ({error})") from error


class StoredSymbols(Mapping[str, Symbol]):
    """A scope's symbols, each made when it is first asked for: most questions are about one of hundreds."""

    __slots__ = ("_docs", "_made", "_packed")

    def __init__(self, packed: list[list[Any]], aliases: dict[str, str], docs: dict[str, str]) -> None:
        self._packed: dict[str, Any] = {one[0]: one for one in packed}
        for parent, names in aliases.items():
            for name in names.split(" "):
                bound, _, last = name.lstrip("+").partition("=")
                last = last or bound
                self._packed[bound] = (f"{parent}.{last}" if parent else last, name[0] == "+")
        self._docs = docs
        self._made: dict[str, Symbol] = {}

    def __getitem__(self, name: str) -> Symbol:
        try:
            return self._made[name]
        except KeyError:
            packed = self._packed[name]
        if isinstance(packed, tuple):
            made = Symbol(name, "alias", target=packed[0], public=packed[1])
        else:
            made = _unpacked(packed, self._docs.get(name, ""))
        self._made[name] = made
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    def __repr__(self) -> str:
        return repr(dict(self))


def _ordered(scope: Scope) -> list[Symbol]:
    """The symbols in the order of a stored row: aliases last, those of one module together."""
    parents: dict[str, int] = {}
    plain = [s for s in scope.symbols.values() if not _is_plain_alias(s)]
    aliases = [s for s in scope.symbols.values() if _is_plain_alias(s)]
    for alias in aliases:
        parents.setdefault((alias.target or "").rpartition(".")[0], len(parents))
    return plain + sorted(aliases, key=lambda s: parents[(s.target or "").rpartition(".")[0]])


def _is_plain_alias(symbol: Symbol) -> bool:
    return symbol.kind == "alias" and bool(symbol.target) and not symbol.doc and not symbol.deprecated


def search_texts(scope: Scope) -> tuple[SearchText, ...]:
    """What of a scope can be searched: public functions, classes and properties on a path without private parts."""
    if any(part.startswith("_") for part in scope.qualified.split(".")):
        return ()
    found = []
    for ordinal, symbol in enumerate(_ordered(scope)):
        if not symbol.public or ordinal >= MOST_SYMBOLS or symbol.kind == "attribute":
            continue
        found.append(SearchText(ordinal, _words(symbol.name), scope.qualified, summary(symbol.doc)))
    return tuple(found)


def name_words(name: str) -> list[str]:
    """The words of a name in lower case: ``DataFrame`` gives data and frame, ``read_csv`` read and csv."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+", name)] or [name.lower()]


def _words(name: str) -> str:
    """A name as search reads it: itself, its words, and each again with a mark that says it is of a name.

    The marks do what a column filter would, at a third of the space.
    """
    words = name_words(name)
    whole = "".join(words)
    marked = [NAME_MARK + word for word in dict.fromkeys([whole, *words])]
    return " ".join([name, *(words if len(words) > 1 and "_" not in name else ()), *marked])


def _deflated(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    deflate = zlib.compressobj(_LEVEL, zdict=_DICTIONARY)
    return deflate.compress(text) + deflate.flush()


def _inflated(data: bytes) -> Any:
    inflate = zlib.decompressobj(zdict=_DICTIONARY)
    return json.loads(inflate.decompress(data) + inflate.flush())


def _signature(parameters: tuple[Parameter, ...] | None) -> list[list[Any]] | None:
    if parameters is None:
        return None
    return [_cut([p.name, _PARAMETERS.index(p.kind), p.default, p.annotation]) for p in parameters]


def _cut(values: list[Any]) -> list[Any]:
    while values and values[-1] is None:
        values.pop()
    return values


def _packed(symbol: Symbol) -> list[Any]:
    flags = symbol.static | symbol.asynchronous << 1 | symbol.public << 2
    overloads = [[_signature(parameters), returns] for parameters, returns in symbol.overloads] or None
    return _cut(
        [
            symbol.name, _KINDS.index(symbol.kind), symbol.line, flags, _signature(symbol.parameters), symbol.returns,
            symbol.target, symbol.deprecated, overloads,
        ]
    )  # fmt: skip


def _unpacked(packed: list[Any], doc: str) -> Symbol:
    name, kind, line, flags, parameters, returns, target, deprecated, overloads = packed + [None] * (9 - len(packed))
    return Symbol(
        name,
        _KINDS[kind],
        _parameters(parameters),
        returns,
        target,
        doc,
        deprecated,
        line,
        bool(flags & 1),
        bool(flags & 2),
        bool(flags & 4),
        tuple([(_parameters(p) or (), r) for p, r in overloads]) if overloads else (),
    )


def _parameters(packed: list[list[Any]] | None) -> tuple[Parameter, ...] | None:
    if packed is None:
        return None
    return tuple([Parameter(p[0], _PARAMETERS[p[1]] if len(p) > 1 else "positional", *p[2:]) for p in packed])
