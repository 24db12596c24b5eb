"""How a scope is stored: its symbols as JSON arrays with trailing defaults cut off, and the words that search reads.

Docstrings are not kept: ``documentation.py`` reads them in the installed files when somebody asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from octod.core.symbols import LibraryId, Parameter, ParameterKind, Scope, Symbol, SymbolKind
from octod.indexer.bundles import Damaged
from octod.indexer.words import described, searchable

__all__ = ["Row", "StoredSymbols", "decode_scope", "encode_scope", "symbols_of", "weight_of"]

_KINDS: tuple[SymbolKind, ...] = ("module", "class", "function", "property", "attribute", "alias")
_PARAMETERS: tuple[ParameterKind, ...] = ("positional", "standard", "vararg", "keyword", "kwarg")


@dataclass(frozen=True, slots=True)
class Row:
    """A scope ready to be packed; ``words`` are those of the docstrings of its own and of its searchable symbols."""

    qualified: str
    kind: Literal["module", "class"]
    file: str
    data: bytes
    words: list[str]
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
    head = [symbols, grouped, list(scope.bases), list(scope.stars), int(scope.dynamic), scope.deprecated, " ".join(scope.exports) or None]
    return Row(
        qualified=scope.qualified,
        kind=scope.kind,
        file=scope.file,
        data=json.dumps(_cut_empty(head), separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"),
        words=described(scope, searchable(ordered)),
        symbols=len(scope.symbols),
    )


def symbols_of(data: bytes) -> dict[str, tuple[SymbolKind, str, bool]]:
    """Of a row's symbols, in their order: name -> kind, target, whether it is public.  Raises Damaged on damaged bytes."""
    try:
        symbols, aliases = (json.loads(data) + [None, None])[:2]
        found: dict[str, tuple[SymbolKind, str, bool]] = {}
        for one in symbols or ():
            found[one[0]] = _KINDS[one[1]], (one[6] if len(one) > 6 else None) or "", bool(one[3] & 4)
        for parent, names in (aliases or {}).items():
            for name in names.split(" "):
                bound, _, last = name.lstrip("+").partition("=")
                found[bound] = "alias", f"{parent}.{last or bound}" if parent else last or bound, name[0] == "+"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Damaged(f"damaged row ({error})") from error
    return found


def decode_scope(
    qualified: str, kind: Literal["module", "class"], library: LibraryId, file: str, data: bytes
) -> Scope:
    """The scope of a row, without docstrings.  Raises Damaged on damaged bytes."""
    try:
        symbols, aliases, bases, stars, dynamic, deprecated, exports = (json.loads(data) + [None] * 7)[:7]
        return Scope(
            qualified=qualified,
            kind=kind,
            library=library,
            file=file,
            bases=tuple(bases or ()),
            symbols=StoredSymbols(symbols or [], aliases or {}, len(data)),
            stars=tuple(stars or ()),
            dynamic=bool(dynamic),
            deprecated=deprecated,
            exports=tuple((exports or "").split()),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Damaged(f"{qualified}: damaged row ({error})") from error


def weight_of(scope: Scope | None) -> int:
    """About how many bytes a scope takes in memory once all its symbols are made; None is a name that was not found."""
    if scope is None:
        return 300
    symbols = scope.symbols
    # both measured on the scopes of 150 libraries
    return 2_500 + (13 * symbols.size if isinstance(symbols, StoredSymbols) else 1_200 * len(symbols))


class StoredSymbols(Mapping[str, Symbol]):
    """A scope's symbols, each made when it is first asked for: most questions are about one of hundreds.

    ``size`` is how many bytes they took where they were stored.
    """

    __slots__ = ("_made", "_packed", "size")

    def __init__(self, packed: list[list[Any]], aliases: dict[str, str], size: int) -> None:
        self.size = size
        self._packed: dict[str, Any] = {one[0]: one for one in packed}
        for parent, names in aliases.items():
            for name in names.split(" "):
                bound, _, last = name.lstrip("+").partition("=")
                last = last or bound
                self._packed[bound] = (f"{parent}.{last}" if parent else last, name[0] == "+")
        self._made: dict[str, Symbol] = {}

    def __getitem__(self, name: str) -> Symbol:
        try:
            return self._made[name]
        except KeyError:
            packed = self._packed[name]
        if isinstance(packed, tuple):
            made = Symbol(name, "alias", target=packed[0], public=packed[1])
        else:
            made = _unpacked(packed)
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
    return symbol.kind == "alias" and bool(symbol.target) and not symbol.deprecated and not symbol.returns


def _cut_empty(values: list[Any]) -> list[Any]:
    while values and not values[-1] and values[-1] != "":
        values.pop()
    return values


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


def _unpacked(packed: list[Any]) -> Symbol:
    name, kind, line, flags, parameters, returns, target, deprecated, overloads = packed + [None] * (9 - len(packed))
    return Symbol(
        name,
        _KINDS[kind],
        _parameters(parameters),
        returns,
        target,
        "",
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
