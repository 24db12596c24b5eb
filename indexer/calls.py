"""What a call gives: functions by their annotations, classes as objects, callable objects by ``__call__``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace

from octod.core.symbols import Member, Parameter, Symbol
from octod.indexer.annotations import (
    UNKNOWN,
    arguments_of,
    class_variables,
    has_placeholder,
    substitute,
    template_of,
    types_of,
)
from octod.indexer.attributes import Bindings, Types, attribute, held_by, union
from octod.indexer.iteration import keyed
from octod.indexer.lookup import ScopeSource, TypeRef, find_member, resolve
from octod.indexer.lore import MODULES, OBJECTS, RESULTS, SAME
from octod.indexer.overloads import Signature, fitting, literals, signatures
from octod.indexer.reading import CALLED
from octod.indexer.solving import accepts, given, solve

__all__ = ["called", "fitting_types", "makers_of"]

_MOST = 8  # alternatives followed
_DEEPEST = 20  # nested calls whose arguments are looked at
_NEW_TYPES = frozenset({"typing.NewType", "typing_extensions.NewType"})
_CASTS = frozenset({"typing.cast", "typing_extensions.cast"})


def called(source: ScopeSource, bindings: Bindings, function: TypeRef, call: ast.Call | None, depth: int = 0) -> Types:
    """What calling ``function`` with the arguments of ``call`` gives; ``pkg.func()`` where its result is unknown."""
    if not function.known:
        return ()
    if not function.instance and (own := bindings.own_call(function, call, depth)) is not None:
        return own
    if function.instance:
        return _of_object(source, bindings, function, call, depth)
    if (special := _special(source, bindings, function, call, depth)) is not None:
        return special
    target = resolve(source, function.qualified)
    if target is None:
        return (TypeRef(function.qualified),) if function.qualified.startswith("builtins.") else ()
    if target.kind == "class":
        return _constructed(source, bindings, replace(function, qualified=target.qualified), call, depth)
    if target.kind == "function" and target.symbol is not None:
        resolved = replace(function, qualified=target.qualified)
        return _returned(source, bindings, resolved, target.symbol, call, depth)
    return ()


def _of_object(source: ScopeSource, bindings: Bindings, function: TypeRef, call: ast.Call | None, depth: int) -> Types:
    if function.qualified == "typing.Callable":
        return tuple(t for t in function.args[:1] if t.qualified)
    if held_by(function) is not None:
        return (function,)  # axes.ravel(): the method stands for its result
    if "ufunc" in function.qualified.lower() and call is not None:
        # a function of arrays gives tables and series back as they are
        for values in (bindings.infer(a, depth) for a in call.args[:2]):
            if any(t.qualified.startswith("pandas.") for t in values):
                return values
    methods = attribute(source, bindings, function, "__call__")
    return union(called(source, bindings, m, call, depth + 1) for m in methods if not m.instance and m != function)


def _special(source: ScopeSource, bindings: Bindings, function: TypeRef, call: ast.Call | None, depth: int) -> Types | None:
    """Functions whose result depends on what is written in the call, not on its type; None for all others."""
    if call is None or not call.args:
        return None
    first, name = call.args[0], function.qualified
    if name in _CASTS:
        return bindings.annotation(first)
    if name in MODULES and isinstance(first, ast.Constant):
        target = resolve(source, str(first.value))
        return (TypeRef(target.qualified, False),) if target is not None and target.kind == "module" else ()
    if name == "builtins.getattr" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
        owners = bindings.infer(first, depth)
        found = union(attribute(source, bindings, o, str(call.args[1].value)) for o in owners[:_MOST])
        return union((found, *(bindings.infer(a, depth) for a in call.args[2:3])))
    if name == "builtins.type" and len(call.args) == 1:
        return tuple(replace(t, instance=False) for t in bindings.infer(first, depth) if t.instance)
    if name in _NEW_TYPES and len(call.args) == 2:
        return tuple(replace(t, instance=False) for t in bindings.annotation(call.args[1]))
    if name == "functools.partial":
        return tuple(TypeRef(name, True, (t,)) for f in bindings.infer(first, depth) for t in bindings.result(f))
    if function.receiver is not None and name.endswith((".get", ".pop", ".setdefault")):
        return keyed(source, bindings, function.receiver, first) or None
    return None


# classes -----------------------------------------------------------------------------------------------------------


def _constructed(source: ScopeSource, bindings: Bindings, function: TypeRef, call: ast.Call | None, depth: int) -> Types:
    qualified = function.qualified
    plain = TypeRef(qualified, True, function.args)
    if call is None or function.args or depth > _DEEPEST or not (call.args or call.keywords):
        return (plain,)
    if not (names := class_variables(source, qualified)):
        return (plain,)
    makers = [
        (m, signature)
        for m in makers_of(source, qualified)
        for signature in fitting_types(source, bindings, m.symbol, m.owner, call, None, depth)
    ]
    for maker, (parameters, returns) in makers:
        solved = solve(source, bindings, parameters, maker.owner, call, 0, depth)
        own = returns if maker.symbol.name == "__new__" and "Self" not in (returns or "Self") else None
        if made := types_of(source, own, maker.owner, plain, solved):
            return made
        if any(n in solved for n in names):
            choices = [solved.get(n, ()) or (UNKNOWN,) for n in names]
            longest = min(max(map(len, choices)), _MOST)
            return tuple(
                TypeRef(qualified, True, tuple(c[min(k, len(c) - 1)] for c in choices)) for k in range(longest)
            )
    return (plain,)


def makers_of(source: ScopeSource, qualified: str) -> list[Member]:
    """``__init__`` and ``__new__``, the nearer one first."""
    found = [m for n in ("__init__", "__new__") if (m := find_member(source, qualified, n)) is not None]
    found = [m for m in found if m.symbol.kind == "function" and m.owner != "builtins.object"]
    return sorted(found, key=lambda m: m.depth)


# functions ---------------------------------------------------------------------------------------------------------


def fitting_types(
    source: ScopeSource, bindings: Bindings, symbol: Symbol, home: str, call: ast.Call | None, receiver: TypeRef | None, depth: int
) -> list[Signature]:  # fmt: skip
    """The overloads that a call may mean, by which arguments are given, literal ones, and the others' types."""
    choices = fitting(signatures(symbol), call, receiver, symbol)
    if len(choices) == 1 or call is None or depth > _DEEPEST:
        return choices
    if all((returns or "").startswith(("NDArray[", "ndarray[")) for _, returns in choices):
        return choices[:1]  # which of them does not matter: arrays all
    skip = 1 if receiver is not None and not receiver.instance and not symbol.static else 0
    said: dict[ast.expr, set[str | None]] = {}
    for parameters, _ in choices:
        for parameter, value in given(parameters, call, skip):
            said.setdefault(value, set()).add(parameter.annotation)
    telling = {value for value, annotations in said.items() if len(annotations) > 1}
    kept = [c for c in choices if _agrees(source, bindings, c[0], home, call, skip, telling, depth)] or choices
    # arguments that one overload names are not for one that takes any number of them
    kept = [c for c in kept if all(p.kind != "vararg" for p, _ in given(c[0], call, skip))] or kept
    if len(kept) > 1 and all(_is_known(bindings, a, depth) for a in (*call.args, *(k.value for k in call.keywords))):
        return kept[:1]  # as a type checker does
    return kept


def _is_known(bindings: Bindings, argument: ast.expr, depth: int) -> bool:
    if isinstance(argument, (ast.Lambda, ast.Starred)):
        return False
    return isinstance(argument, ast.Constant) or any(t.known for t in bindings.infer(argument, depth + 1))


def _agrees(
    source: ScopeSource, bindings: Bindings, parameters: tuple[Parameter, ...], home: str, call: ast.Call, skip: int,
    telling: set[ast.expr], depth: int,
) -> bool:  # fmt: skip
    """Whether the arguments that the overloads differ in (``telling``) may be given for these parameters."""
    for parameter, value in given(parameters, call, skip):
        if value not in telling or not parameter.annotation or isinstance(value, ast.Lambda):
            continue
        wanted = template_of(source, parameter.annotation, home)
        if isinstance(value, ast.Constant):
            if not _literal_fits(source, parameter.annotation, home, value):
                return False
            if value.value is None or value.value is Ellipsis:
                continue
        types = bindings.infer(value, depth + 1) if wanted or parameter.annotation == "None" else ()
        if types and (not wanted or not accepts(source, bindings, wanted, types)):
            return False
    return True


def _literal_fits(source: ScopeSource, annotation: str, home: str, value: ast.Constant) -> bool:
    """Whether an alias of literals (``mode: OpenTextMode``) allows the constant; anything else does."""
    if not annotation.replace(".", "").isidentifier():
        return True
    allowed = literals(source, annotation, home)
    return allowed is None or value.value in allowed


def _returned(
    source: ScopeSource, bindings: Bindings, function: TypeRef, symbol: Symbol, call: ast.Call | None, depth: int
) -> Types:
    home = function.qualified.rpartition(".")[0]
    if function.qualified in SAME and call is not None and call.args:
        return bindings.infer(call.args[0], depth)
    receiver = function.receiver
    values = arguments_of(source, receiver.receiver or receiver, home) if receiver is not None else {}
    self_type = replace(receiver, instance=True) if receiver is not None else None
    skip = 1 if receiver is not None and not receiver.instance and not symbol.static else 0
    found: Types = ()
    for parameters, returns in fitting_types(source, bindings, symbol, home, call, receiver, depth):
        if returns is None:
            continue
        template = template_of(source, returns, home)
        solved = values
        if call is not None and depth <= _DEEPEST and _open(template, self_type, values):
            solved = {**solve(source, bindings, parameters, home, call, skip, depth), **values}
        found += substitute(template, self_type, solved)
    if symbol.asynchronous:
        found = tuple(TypeRef("typing.Coroutine", True, (UNKNOWN, UNKNOWN, t)) for t in found)
    if known := RESULTS.get(function.qualified):
        precise = tuple(t for t in found if not any(a.qualified in ("", OBJECTS) for a in (t, *t.args)))
        if precise and call is not None and not call.args and not call.keywords:
            return precise
        return union((precise, _from_lore(known)))
    if found:
        return tuple(dict.fromkeys(found))[:_MOST]
    guessed = symbol.returns is None or CALLED in symbol.returns
    if function.qualified.startswith("numpy.") and not guessed:
        return (TypeRef(OBJECTS),)  # Any of numpy is an array or a scalar with the same methods
    if guessed or symbol.returns in ("Any", "Incomplete", "object"):
        return (TypeRef(f"{function.qualified}()"),)
    return ()


def _open(template: Types, self_type: TypeRef | None, values: Mapping[str, Types]) -> bool:
    """Whether a result depends on the arguments; what an array's dtype is matters to no one here."""
    left = substitute(template, self_type or TypeRef("-"), values, True)
    return any(has_placeholder(t) for t in left if t.qualified != OBJECTS)


def _from_lore(names: tuple[str, ...]) -> Types:
    """The types that lore.py writes; several are a tuple."""
    made = tuple(TypeRef(OBJECTS, True, (TypeRef(n[1:-1]),)) if n[0] == "[" else TypeRef(n) for n in names)
    return made if len(made) == 1 else (TypeRef("builtins.tuple", True, made),)
