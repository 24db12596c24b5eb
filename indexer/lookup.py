"""Names through the index: aliases, re-exports, star imports, submodules and inheritance followed to what they mean."""

from __future__ import annotations

import ast
from dataclasses import replace

from octod.core.symbols import Member, Scope, Symbol
from octod.indexer.lore import ABSTRACT, DELEGATES, STAND_FOR
from octod.indexer.parents import linear, plain_name, written
from octod.indexer.reading import dotted as plainly_dotted
from octod.indexer.sources import (
    LayeredSource,
    ScopeSource,
    Target,
    TypeRef,
    layer,
    memo_of,
    refresh,
    scope_of,
)

__all__ = [
    "DEEPEST", "LayeredSource", "ScopeSource", "Target", "TypeRef", "bases", "delegated", "dotted", "find_member", "find_name", "followed",
    "memo_of", "mro", "refresh", "resolve", "scope_of",
]  # fmt: skip

DEEPEST = 24  # aliases, stars and parents followed for one name
_SKIPPED_BASES = frozenset({"typing.Generic", "typing._Generic", "typing.Protocol", "typing_extensions.Protocol"})


# names -------------------------------------------------------------------------------------------------------------


def resolve(source: ScopeSource, qualified: str) -> Target | None:
    """What the absolute dotted name means, None when the index does not have it."""
    return _resolve(source, qualified, 0)


def _resolve(source: ScopeSource, qualified: str, depth: int) -> Target | None:
    source = layer(source, qualified)
    memo = memo_of(source)
    targets, nowhere = memo.targets, memo.nowhere
    try:
        return targets[qualified]
    except KeyError:
        pass
    # not found with more steps left: packages of many star imports would be searched along every path
    if depth > DEEPEST or not qualified or depth >= nowhere.get(qualified, DEEPEST + 1):
        return None
    if depth == 0:
        targets[qualified] = None  # a cycle ends here
        nowhere.clear()
    found = _look(source, qualified, depth)
    if depth == 0 or found is not None:
        targets[qualified] = found
    if depth == 0:
        nowhere.clear()
    elif found is None:
        nowhere[qualified] = depth
    return found


def _look(source: ScopeSource, qualified: str, depth: int) -> Target | None:
    parent, dot, name = qualified.rpartition(".")
    outer_scope = scope_of(source, parent) if dot else None
    symbol = outer_scope.symbols.get(name) if outer_scope is not None else None
    if outer_scope is not None and symbol is not None and symbol.kind in ("function", "property", "attribute"):
        if symbol.kind == "attribute" and outer_scope.kind == "module" and (stood_for := _stood_for(source, symbol, qualified)):
            return stood_for
        return Target(symbol.kind, qualified, symbol, None)
    scope = scope_of(source, qualified) if outer_scope is None or outer_scope.kind == "module" or symbol is not None else None
    if scope is not None:
        if scope.kind == "class":
            return Target("class", qualified, symbol, scope)
        # A name in the package hides the submodule of the same name, when it is a class or function.
        if symbol is not None and symbol.kind == "alias" and symbol.target != qualified:
            found = _resolve(source, symbol.target or "", depth + 1)
            if found is not None and found.kind in ("class", "function"):
                return found
        return Target("module", qualified, None, scope)
    if not dot:
        return Target("module", qualified, None, None) if source.submodules(qualified) else None
    # the package itself may be hidden: ``from .simplify import simplify`` puts a function in the place of its module
    if outer_scope is not None and outer_scope.kind == "module" and symbol is not None and symbol.kind == "alias":
        found = _of_symbol(source, parent, symbol, depth)
        if found is not None:
            return found
    outer_target = _resolve(source, parent, depth + 1)
    if outer_target is None:
        return Target("module", qualified, None, None) if source.submodules(qualified) else None
    if outer_target.kind == "module":
        return _in_module(source, outer_target, name, qualified, depth)
    if outer_target.kind == "class":
        found_member = find_member(source, outer_target.qualified, name)
        if found_member is None:
            return None
        return _of_symbol(source, found_member.owner, found_member.symbol, depth)
    if outer_target.kind == "attribute" and outer_target.symbol is not None and outer_target.symbol.returns:
        # ``randn = _rand.randn``: a method of an object of the module
        home = outer_target.qualified.rpartition(".")[0]
        made = find_name(source, plain_name(outer_target.symbol.returns), home)
        if made is not None and made.kind == "class":
            return _resolve(source, f"{made.qualified}.{name}", depth + 1)
    return None


def _stood_for(source: ScopeSource, symbol: Symbol, qualified: str) -> Target | None:
    """The module that a variable of its package's stands for until it is loaded: ``sklearn = LazyLoader("mlflow.sklearn", ...)``."""
    scope = scope_of(source, qualified) if symbol.returns else None
    if scope is None or scope.kind != "module":
        return None
    made = find_name(source, plain_name(symbol.returns or ""), qualified.rpartition(".")[0])
    if made is None or made.kind != "class" or made.qualified.startswith(f"{qualified}."):
        return None
    member = find_member(source, made.qualified, "__getattr__")
    return Target("module", qualified, None, scope) if member is not None else None


def _in_module(source: ScopeSource, module: Target, name: str, qualified: str, depth: int) -> Target | None:
    scope = module.scope
    canonical = f"{module.qualified}.{name}"
    if scope is not None:
        symbol = scope.symbols.get(name)
        if symbol is not None:
            found = _of_symbol(source, module.qualified, symbol, depth)
            if found is not None:
                return found
        if canonical != qualified and (found := _resolve(source, canonical, depth + 1)) is not None:
            return found
        for star in scope.stars:
            if star != module.qualified and not _withheld(source, star, name):
                found = _resolve(source, f"{star}.{name}", depth + 1)
                if found is not None:
                    return found
    if source.submodules(canonical):
        return Target("module", canonical, None, None)
    if scope is not None and (symbol := scope.symbols.get(name)) is not None:
        # an alias into what is not installed or compiled; a module for several versions hands on abstract classes
        known = ABSTRACT.get((symbol.target or "").rpartition(".")[2])
        found = _resolve(source, known, depth + 1) if known is not None else None
        return found or Target("attribute", canonical, symbol, None)
    return None


def _withheld(source: ScopeSource, module: str, name: str) -> bool:
    """Whether ``__all__``, or without it an underscore, keeps a name of the module out of star imports."""
    scope = scope_of(source, module)
    if scope is not None and scope.exports:
        return name not in scope.exports
    symbol = scope.symbols.get(name) if scope is not None and "__all__" in scope.symbols else None
    return name.startswith("_") if symbol is None else not symbol.public


def _of_symbol(source: ScopeSource, owner: str, symbol: Symbol, depth: int) -> Target | None:
    qualified = f"{owner}.{symbol.name}"
    if symbol.kind == "alias":
        if not symbol.target or symbol.target == qualified:
            return None
        # ``returns`` stands in where the target is not installed (``except ImportError``)
        return _resolve(source, symbol.target, depth + 1) or (_resolve(source, symbol.returns, depth + 1) if symbol.returns else None)
    if symbol.kind in ("class", "module"):
        scope = scope_of(source, qualified)
        return Target(symbol.kind, qualified, symbol, scope)
    return Target(symbol.kind, qualified, symbol, None)


def find_name(source: ScopeSource, name: str, scope_qualified: str) -> Target | None:
    """What the dotted ``name`` means when it is written inside the module or class ``scope_qualified``."""
    memo = memo_of(layer(source, scope_qualified)).other
    key = ("name", name, scope_qualified)
    try:
        found = memo[key]
    except KeyError:
        found = memo[key] = _find_name(source, name, scope_qualified)
    assert found is None or isinstance(found, Target)
    return found


def _find_name(source: ScopeSource, name: str, scope_qualified: str) -> Target | None:
    root = name.partition(".")[0]
    place = scope_qualified
    while place:
        scope = scope_of(source, place)
        if scope is not None:
            symbol = scope.symbols.get(root)
            if scope.kind == "module":
                found = resolve(source, f"{place}.{name}") if symbol is not None or scope.stars else None
                # a submodule is no name in its package unless imported, so only symbols and stars count
                if found is not None:
                    return found
                break
            if symbol is not None and symbol.kind in ("class", "alias"):
                found = resolve(source, f"{place}.{name}")
                if found is not None:
                    return found
            if place.rpartition(".")[2] == root:
                return resolve(source, place + name[len(root) :])
        place = place.rpartition(".")[0]
    return resolve(source, f"builtins.{name}") or resolve(source, name)


# classes -----------------------------------------------------------------------------------------------------------


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for an expression of names and attributes, else the empty string."""
    return plainly_dotted(node) or ""


def bases(source: ScopeSource, class_qualified: str) -> tuple[tuple[str, ast.expr], ...]:
    """(canonical name, expression as written) of the class's bases that the index knows."""
    source = layer(source, class_qualified)
    memo = memo_of(source).other
    key = ("bases", class_qualified)
    try:
        known = memo[key]
    except KeyError:
        known = memo[key] = _bases(source, class_qualified)
    assert isinstance(known, tuple)
    return known


def _bases(source: ScopeSource, class_qualified: str) -> tuple[tuple[str, ast.expr], ...]:
    scope = scope_of(source, class_qualified)
    if scope is None:
        return ()
    outer = class_qualified.rpartition(".")[0]
    found: list[tuple[str, ast.expr]] = []
    for name, part in written(scope.bases):
        target = resolve(source, name) if class_qualified in getattr(source, "own", ()) else None
        target = target or find_name(source, name, outer)
        if target is not None and target.qualified in STAND_FOR:
            found.append((STAND_FOR[target.qualified], part))
        elif target is not None and target.kind == "class" and target.qualified != class_qualified:
            found.append((target.qualified, part))
        elif target is not None and target.symbol is not None and target.symbol.returns and target.qualified not in _SKIPPED_BASES:
            # ``Base = make_base()`` or ``X = Generic[T]``: the class that the value is
            inner = find_name(source, plain_name(target.symbol.returns), target.qualified.rpartition(".")[0])
            if inner is not None and inner.kind == "class" and inner.qualified != class_qualified:
                found.append((inner.qualified, part))
    return tuple(found)


def mro(source: ScopeSource, class_qualified: str) -> tuple[str, ...]:
    """The class and what it derives from in the order of attribute lookup (C3, with repair where C3 has no answer)."""
    source = layer(source, class_qualified)
    orders = memo_of(source).orders
    try:
        return orders[class_qualified]
    except KeyError:
        orders[class_qualified] = (class_qualified,)  # a cycle ends here
        orders[class_qualified] = known = _mro(source, class_qualified)
        return known


def _mro(source: ScopeSource, class_qualified: str) -> tuple[str, ...]:
    parents = [b for b, _ in bases(source, class_qualified) if b not in _SKIPPED_BASES]
    parents = list(dict.fromkeys(parents))
    sequences = [[c for c in mro(source, p) if c != "builtins.object"] for p in parents]
    sequences.append(list(parents))
    return linear(class_qualified, sequences)


def find_member(source: ScopeSource, class_qualified: str, name: str) -> Member | None:
    """The class's attribute of that name, inherited or its own."""
    for depth, owner in enumerate(mro(source, class_qualified)):
        scope = scope_of(source, owner)
        if scope is not None and (symbol := scope.symbols.get(name)) is not None:
            return Member(symbol, owner, scope.library, depth)
    return delegated(source, class_qualified).get(name)


def delegated(source: ScopeSource, class_qualified: str) -> dict[str, Member]:
    """Members that a decorator copies from another class."""
    found: dict[str, Member] = {}
    for owner in mro(source, class_qualified):
        for other, names, returns in DELEGATES.get(owner, ()):
            if not names and (scope := scope_of(source, other)) is not None:  # a module, all of it
                found |= {name: followed(source, scope, symbol) for name, symbol in scope.symbols.items() if symbol.public}
            for name in names:
                if (member := find_member(source, other, name)) is not None:
                    found.setdefault(name, replace(member, symbol=replace(member.symbol, returns=returns)))
    return found


def followed(source: ScopeSource, scope: Scope, symbol: Symbol) -> Member:
    """The member as it is defined, under the name that it has here."""
    if symbol.kind != "alias":
        return Member(symbol, scope.qualified, scope.library)
    target = resolve(source, f"{scope.qualified}.{symbol.name}")
    if target is None or target.kind == "attribute" and target.symbol is not None and target.symbol.kind == "alias":
        return Member(replace(symbol, kind="attribute"), scope.qualified, scope.library)
    owner, _, name = target.qualified.rpartition(".")
    if target.kind == "module":
        made = Symbol(symbol.name, "module", target=target.qualified, public=symbol.public, line=symbol.line)
        library = target.scope.library if target.scope else scope.library
        return Member(made, scope.qualified, library)
    home = scope_of(source, owner)
    library = home.library if home else scope.library
    known = target.symbol or Symbol(name, target.kind)
    if known.name == symbol.name and known.public == symbol.public:
        return Member(known, owner, library)
    made = replace(known, name=symbol.name, public=symbol.public)
    if name != symbol.name:  # another name for it: keep where it leads
        return Member(replace(made, target=target.qualified), scope.qualified, library)
    return Member(made, owner, library)
