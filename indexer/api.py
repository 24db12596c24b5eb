"""The public API of one version of a library, by the paths that its users write: small enough to be kept.

A thing that is public under several paths stands under the best one (exported by a package rather than found in a
module, then the shortest); the others, and the place of its definition, are aliases of it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from octod.core.symbols import LibraryId, Parameter, ParameterKind, Scope, Symbol, SymbolKind
from octod.indexer.lookup import (
    ScopeSource,
    Target,
    find_member,
    find_name,
    mro,
    refresh,
    resolve,
    scope_of,
)
from octod.indexer.members import members
from octod.indexer.reading import METACLASS

__all__ = ["Api", "Entry", "IndexSurface", "Surface", "api_of", "decode_api", "encode_api"]

_KINDS: tuple[SymbolKind, ...] = ("module", "class", "function", "property", "attribute", "alias")
_PARAMETERS: tuple[ParameterKind, ...] = ("positional", "standard", "vararg", "keyword", "kwarg")
_LONGEST_DEFAULT = 60  # characters of a default that are compared
# Packages that by convention are not for users, although no underscore says so.
_INNER = frozenset({"core", "internals", "internal", "compat", "vendor", "vendored", "deprecated"})
_MOST_ENTRIES = 100_000  # of one library; the largest seen has 40,000


@dataclass(frozen=True, slots=True)
class Entry:
    """One public name.

    ``parameters`` are those of a call (of a class: its constructor's), overloads united.  Of a class, ``owners`` are
    the public classes that it inherits from in the order of lookup and ``externals`` the names of bases of other
    libraries.  ``renames`` are keywords that it took under an older name.  ``front`` says that a package or an ``__all__`` exports it; ``definition`` is where it is made.
    """

    kind: SymbolKind
    parameters: tuple[Parameter, ...] | None = None
    deprecated: str | None = None
    owners: tuple[str, ...] = ()
    externals: tuple[str, ...] = ()
    dynamic: bool = False
    front: bool = False
    definition: str = ""
    renames: tuple[tuple[str, str], ...] = ()
    same: str = ""


class Surface(Protocol):
    """What can be asked of a library's API, be it remembered or installed."""

    def canonical(self, path: str) -> str | None:
        """The best public path for what ``path`` means, None where it means nothing."""

    def entry(self, path: str) -> Entry | None:
        """What a public path means, inherited members included."""

    def names(self, owner: str) -> Mapping[str, Entry]:
        """The public names of a module or class, inherited ones included."""


@dataclass(slots=True, eq=False)
class Api:
    """The public API of ``library``: entries by canonical path, what else leads to them, and what the library itself
    says of names that are gone (``notes``, by path).  ``hinted``: its sources were asked for hints."""

    library: LibraryId
    entries: Mapping[str, Entry]
    aliases: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
    hinted: bool = False
    _children: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def canonical(self, path: str) -> str | None:
        """The path under which an entry stands, None where there is none."""
        if path in self.entries:
            return path
        if path in self.aliases:
            return self.aliases[path]
        head, dot, name = path.rpartition(".")
        owner = self.canonical(head) if dot else None
        if owner is None:
            return None
        if owner != head and f"{owner}.{name}" in self.entries:
            return f"{owner}.{name}"
        return next((f"{o}.{name}" for o in self.entries[owner].owners if f"{o}.{name}" in self.entries), None)

    def entry(self, path: str) -> Entry | None:
        """What a public path means, inherited members included."""
        canonical = self.canonical(path)
        return None if canonical is None else self.entries[canonical]

    def names(self, owner: str) -> Mapping[str, Entry]:
        """The public names of a module or class, inherited ones included."""
        if not self._children:
            for path, entry in self.entries.items():
                parent, _, name = path.rpartition(".")
                self._children.setdefault(parent, {})[name] = entry
            for path, target in self.aliases.items():
                parent, _, name = path.rpartition(".")
                if parent in self.entries:
                    self._children.setdefault(parent, {}).setdefault(name, self.entries[target])
        canonical = self.canonical(owner)
        if canonical is None:
            return {}
        found: dict[str, Entry] = {}
        for place in (canonical, *self.entries[canonical].owners):
            for name, entry in self._children.get(place, {}).items():
                found.setdefault(name, entry)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class IndexSurface:
    """What is installed now, asked for through the index."""

    source: ScopeSource

    def canonical(self, path: str) -> str | None:
        """The path itself: the index has no list of public ones."""
        return path if resolve(self.source, path) is not None else None

    def entry(self, path: str) -> Entry | None:
        """What a path means in the index."""
        target = resolve(self.source, path)
        return None if target is None else _entry(self.source, target, target.qualified)

    def names(self, owner: str) -> Mapping[str, Entry]:
        """The public names of a module or class in the index."""
        found = {}
        for member in members(self.source, owner, True):
            symbol = member.symbol
            if symbol.public and not symbol.name.startswith("_"):
                found[symbol.name] = Entry(symbol.kind, _called(symbol), symbol.deprecated, definition=member.qualified)
        return found


# making it ---------------------------------------------------------------------------------------------------------


def api_of(source: ScopeSource, library: LibraryId, tops: Iterable[str]) -> Api:
    """The public API of a library whose scopes are in ``source``; ``tops`` are its top-level import names."""
    refresh(source)
    return _Walk(source, library, frozenset(t for t in tops if not t.startswith("_"))).api()


class _Walk:
    """One walk over the public modules of a library."""

    def __init__(self, source: ScopeSource, library: LibraryId, tops: frozenset[str]) -> None:
        self.source, self.library, self.tops = source, library, tops
        self.targets: dict[str, Target] = {}  # by definition
        self.paths: dict[str, list[tuple[bool, str]]] = {}  # definition -> (front, path)
        self.entries: dict[str, Entry] = {}
        self.aliases: dict[str, str] = {}
        self.lines: dict[str, dict[int, str]] = {}  # class -> line -> the first name of the function there
        self.best: dict[str, str] = {}  # definition -> canonical path

    def api(self) -> Api:
        left, seen = sorted(self.tops, reverse=True), set[str]()
        while left and len(self.paths) < _MOST_ENTRIES:
            module = left.pop()
            if module in seen:
                continue
            seen.add(module)
            left += self._module(module)
        for definition, paths in self.paths.items():
            paths.sort(key=lambda p: (not p[0], p[1].count("."), len(p[1]), p[1]))
            self.best[definition] = paths[0][1]
            self.aliases |= {path: paths[0][1] for _, path in paths[1:]}
            self.aliases.setdefault(definition, paths[0][1])
        for definition, target in self.targets.items():
            front, path = self.paths[definition][0]
            if target.kind == "class" and self._own(definition):
                self._class(path, target, front)
            else:
                self.entries[path] = _entry(self.source, target, definition, front)
        aliases = {a: p for a, p in self.aliases.items() if a not in self.entries and p in self.entries}
        return Api(self.library, self.entries, aliases)

    def _own(self, qualified: str) -> bool:
        return qualified.partition(".")[0] in self.tops

    def _module(self, module: str) -> Iterator[str]:
        """Note the public names of a module; gives its public submodules."""
        target = resolve(self.source, module)
        if target is None or target.kind != "module":
            return
        scope = target.scope
        self._note(module, target, _INNER.isdisjoint(module.split(".")))
        package = "." not in module or bool(self.source.submodules(module))
        inner = not _INNER.isdisjoint(module.split("."))
        front = not inner and (package or (scope is not None and "__all__" in scope.symbols))
        for member in members(self.source, module, False):
            symbol = member.symbol
            path = f"{module}.{symbol.name}"
            if symbol.name.startswith("_") or not symbol.public:
                continue
            if symbol.kind == "module":
                if symbol.target == path:
                    yield path
                elif symbol.target and self._own(symbol.target) and not _private(symbol.target):
                    self.aliases.setdefault(path, symbol.target)
                continue
            found = resolve(self.source, path)
            if found is not None and found.kind != "module":
                self._note(path, found, front)

    def _note(self, path: str, target: Target, front: bool) -> None:
        # what another library defines is part of this API too, as far as that it is there
        definition = target.qualified if self._own(target.qualified) else path
        self.targets.setdefault(definition, target)
        self.paths.setdefault(definition, []).append((front, path))

    def _class(self, path: str, target: Target, front: bool) -> None:
        """A class with the members that it and its private bases define."""
        order = mro(self.source, target.qualified)
        # What users see of a class that only an inner module has are the members of those that derive from it.
        public = [o for o in order[1:] if o in self.best and self.best[o] != path and (not front or self.paths[o][0][0])]
        owners = [self.best[o] for o in public]
        entry = _entry(self.source, target, target.qualified, front)
        self.entries[path] = Entry(
            "class", entry.parameters, entry.deprecated, tuple(owners), self._externals(order), entry.dynamic, front,
            target.qualified,
        )  # fmt: skip
        covered = {c for o in public for c in mro(self.source, o)}
        for member in members(self.source, target.qualified, True):
            symbol, owner = member.symbol, order[member.depth] if member.depth < len(order) else member.owner
            if symbol.name.startswith("_") or not self._own(owner) or owner in covered:
                continue
            inner = f"{path}.{symbol.name}"
            if symbol.kind == "class" and (known := self.best.get(member.qualified)) is not None:
                self.aliases.setdefault(inner, known)
                continue
            # An inherited class, or another one's name, is told where it is written.
            if symbol.kind == "class" and member.qualified == f"{target.qualified}.{symbol.name}":
                found = resolve(self.source, member.qualified)
                if found is not None and found.kind == "class" and found.qualified == member.qualified:
                    self._class(inner, found, front)
                    continue
            first = self._first_name(owner, symbol)
            self.entries[inner] = Entry(
                symbol.kind, _called(symbol), symbol.deprecated, front=front, definition=member.qualified,
                same=first if first != symbol.name else "",
            )  # fmt: skip

    def _first_name(self, owner: str, symbol: Symbol) -> str:
        """``ffill`` for ``pad = ffill`` in a class body: two names of one function are told by its line."""
        if owner not in self.lines:
            scope = scope_of(self.source, owner)
            functions = [s for s in scope.symbols.values() if s.kind == "function" and s.line] if scope is not None else []
            self.lines[owner] = {s.line: s.name for s in reversed(functions)}
        return self.lines[owner].get(symbol.line, symbol.name) if symbol.kind == "function" else symbol.name

    def _externals(self, order: Iterable[str]) -> tuple[str, ...]:
        """The last names of direct bases that other libraries define, or that are not known."""
        found: set[str] = set()
        for owner in order:
            scope = scope_of(self.source, owner) if self._own(owner) else None
            for text in scope.bases if scope is not None else ():
                if text.startswith(METACLASS):
                    continue
                name = text.partition("[")[0].strip()
                target = find_name(self.source, name, owner.rpartition(".")[0]) if _is_dotted(name) else None
                if target is None or target.kind != "class" or not self._own(target.qualified):
                    found.add(name.rpartition(".")[2])
        return tuple(sorted(found - {"object", "Generic", "Protocol", "ABC"}))


def _private(path: str) -> bool:
    return any(part.startswith("_") for part in path.split("."))


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _entry(source: ScopeSource, target: Target, definition: str, front: bool = False) -> Entry:
    symbol, scope = target.symbol, target.scope
    deprecated = (symbol.deprecated if symbol is not None else None) or (scope.deprecated if scope is not None else None)
    parameters = _called(symbol) if symbol is not None else None
    if target.kind == "class" and parameters is None and scope is not None:
        parameters = _constructor(source, scope)
    dynamic = scope is not None and scope.dynamic
    return Entry(target.kind, parameters, deprecated, dynamic=dynamic, front=front, definition=definition)


def _constructor(source: ScopeSource, scope: Scope) -> tuple[Parameter, ...] | None:
    """The parameters of an inherited constructor."""
    for name in ("__init__", "__new__"):
        member = find_member(source, scope.qualified, name)
        if member is not None and member.owner != "builtins.object":
            return _called(member.symbol)
    return None


def _called(symbol: Symbol) -> tuple[Parameter, ...] | None:
    """The parameters of a call, those of overloads united: required is what every one of them requires."""
    if symbol.parameters is None:
        return None
    lists = [symbol.parameters, *(parameters for parameters, _ in symbol.overloads)]
    if len(lists) == 1:
        return tuple(_short(p) for p in symbol.parameters)
    united: dict[str, Parameter] = {}
    for parameters in lists:
        for parameter in parameters:
            known = united.get(parameter.name)
            if known is None or known.default is None and parameter.default is not None:
                united[parameter.name] = _short(parameter)
    for name, parameter in united.items():
        if parameter.default is None and any(all(p.name != name for p in one) for one in lists):
            united[name] = Parameter(name, parameter.kind, "...")
    order = {"positional": 0, "standard": 0, "vararg": 1, "keyword": 2, "kwarg": 3}
    return tuple(sorted(united.values(), key=lambda p: order[p.kind]))


def _short(parameter: Parameter) -> Parameter:
    default = parameter.default
    if default is not None and len(default) > _LONGEST_DEFAULT:
        default = "..."
    return Parameter(parameter.name, parameter.kind, default)


# keeping it --------------------------------------------------------------------------------------------------------


def encode_api(api: Api) -> bytes:
    """The API as bytes that ``decode_api`` reads."""
    entries = {path: _packed(entry) for path, entry in api.entries.items()}
    data = [[api.library.distribution, api.library.version, api.library.record], entries, dict(api.aliases), dict(api.notes), api.hinted]
    return zlib.compress(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"), 6)


def decode_api(data: bytes, largest: int = 1 << 28) -> Api:
    """The API in bytes; raises ValueError for what is damaged or would be larger than ``largest`` bytes."""
    try:
        machine = zlib.decompressobj()
        text = machine.decompress(data, largest)
        if not machine.eof:
            raise ValueError("cut off, or too large")
        library, entries, aliases, notes, hinted = json.loads(text)
        return Api(LibraryId(*library), {path: _unpacked(row) for path, row in entries.items()}, aliases, notes, hinted)
    except (zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a kept API: {error}") from error


def _packed(entry: Entry) -> list[Any]:
    parameters = entry.parameters
    rows = None if parameters is None else [
        [p.name, _PARAMETERS.index(p.kind), *([p.default] if p.default is not None else [])] for p in parameters
    ]  # fmt: skip
    flags = entry.dynamic | entry.front << 1
    row = [_KINDS.index(entry.kind), rows, entry.deprecated, flags, entry.definition, entry.owners, entry.externals,
           entry.renames, entry.same]  # fmt: skip
    while len(row) > 1 and (row[-1] is None or row[-1] in (0, "", ())):
        row.pop()
    return row


def _unpacked(row: list[Any]) -> Entry:
    kind, rows, deprecated, flags, definition, owners, externals, renames, same = row + [None] * (9 - len(row))
    parameters = None if rows is None else tuple(
        Parameter(r[0], _PARAMETERS[r[1]], r[2] if len(r) > 2 else None) for r in rows
    )  # fmt: skip
    flags = flags or 0
    return Entry(
        _KINDS[kind], parameters, deprecated, tuple(owners or ()), tuple(externals or ()), bool(flags & 1),
        bool(flags & 2), definition or "", tuple((old, new) for old, new in renames or ()), same or "",
    )  # fmt: skip
