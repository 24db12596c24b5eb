"""What can stand behind a dot: the names of a module, those of its star imports and submodules, and the members of a class."""

from __future__ import annotations

from octod.core.symbols import LibraryId, Member, Scope, Symbol
from octod.indexer.extract_exports import COMPUTED
from octod.indexer.lookup import (
    DEEPEST,
    ScopeSource,
    Target,
    delegated,
    find_name,
    followed,
    mro,
    resolve,
    scope_of,
)
from octod.indexer.sources import MEMBER, layer, lighten, memo_of

__all__ = ["members"]

_NO_LIBRARY = LibraryId("", "", "")


def members(source: ScopeSource, qualified: str, instance: bool) -> tuple[Member, ...]:
    """What can stand after the dot, own names first, without duplicates.

    Of a module: its names, then those of star imports, then submodules.  Of a class, or of an ``instance`` of it:
    attributes in resolution order.  Names that are merely imported are listed with ``public`` False.
    """
    source = layer(source, qualified)
    memo = memo_of(source)
    key = (qualified, instance)
    try:
        return memo.members[key]
    except KeyError:
        before = memo.weight
        target = resolve(source, qualified)
        found: tuple[Member, ...] = ()
        if target is not None and target.kind == "module":
            found = _module_members(source, target)
        elif target is not None and target.kind == "class":
            found = _class_members(source, target.qualified)
        memo.members[key] = found
        memo.members.weight += MEMBER * len(found)
        lighten(source, before)
        return found


def _module_members(source: ScopeSource, target: Target) -> tuple[Member, ...]:
    found: dict[str, Member] = {}
    _collect(source, target.qualified, found, set(), 0, None, True)
    library = target.scope.library if target.scope else _NO_LIBRARY
    for qualified in source.submodules(target.qualified):
        name = qualified.rpartition(".")[2]
        if name not in found:
            symbol = Symbol(name, "module", target=qualified, public=not name.startswith("_"))
            scope = scope_of(source, qualified)
            found[name] = Member(symbol, target.qualified, scope.library if scope else library)
    return tuple(found.values())


def _collect(
    source: ScopeSource, module: str, found: dict[str, Member], seen: set[object], depth: int, wanted: frozenset[str] | None, under: bool
) -> None:
    """Add the names of a module: on the way through star imports those that are ``wanted`` (None: all), ``under`` those with an underscore too."""
    scope = scope_of(source, module)
    if scope is None or depth > DEEPEST:
        return
    if depth:
        under = under and "__all__" in scope.symbols
        given = _given(source, scope)
        wanted = wanted if given is None else given if wanted is None else given & wanted
    if (module, wanted, under) in seen or (module, None, True) in seen:
        return
    seen.add((module, wanted, under))
    for name, symbol in scope.symbols.items():
        if name in found or (wanted is not None and name not in wanted):
            continue
        if depth and (not symbol.public or name == "__all__" or (name.startswith("_") and not under)):
            continue
        found[name] = followed(source, scope, symbol)
    for star in scope.stars:
        target = resolve(source, star)
        if target is not None and target.kind == "module":
            _collect(source, target.qualified, found, seen, depth + 1, wanted, under)


def _given(source: ScopeSource, scope: Scope) -> frozenset[str] | None:
    """The names that a star import takes from the module, None when it may be any."""
    if scope.exports or scope.qualified not in COMPUTED:
        return frozenset(scope.exports) or None
    kind, also = COMPUTED[scope.qualified]
    objects: set[str] = set()
    for star in scope.stars:
        inner = scope_of(source, star)
        for name, symbol in inner.symbols.items() if inner is not None else ():
            made = find_name(source, symbol.returns, star) if symbol.kind == "attribute" and symbol.returns else None
            if made is not None and kind in mro(source, made.qualified):
                objects.add(name)
    return frozenset(objects.union(also, (n for n, s in scope.symbols.items() if s.public))) if objects else None


def _class_members(source: ScopeSource, qualified: str) -> tuple[Member, ...]:
    found: dict[str, Member] = {}
    for depth, owner in enumerate(mro(source, qualified)):
        scope = scope_of(source, owner)
        if scope is None:
            continue
        for name, symbol in scope.symbols.items():
            if name in found:
                continue
            if name.startswith("__") and not name.endswith("__") and depth:
                continue  # a name private to the base
            if symbol.kind == "alias":
                member = followed(source, scope, symbol)
                found[name] = Member(member.symbol, member.owner, member.library, depth)
            else:
                found[name] = Member(symbol, owner, scope.library, depth)
    return tuple((delegated(source, qualified) | found).values())
