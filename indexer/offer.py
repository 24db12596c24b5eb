"""Which of a receiver's members are offered: those that are there when the program runs.

Stubs and ``if TYPE_CHECKING`` blocks import names for type checkers alone, and stubs declare type variables and special
methods that the running class lacks.  Whatever may not exist is left out; the resolver still knows it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

from octod.core.symbols import Member
from octod.indexer.attributes import metaclass
from octod.indexer.lookup import ScopeSource, find_member, memo_of, mro
from octod.indexer.members import members

__all__ = ["offered"]

# Special methods that every object, or every container that a stub gives them to, has at run time.
_SPECIAL = frozenset(
    ["__init__", "__new__", "__class__", "__doc__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__next__", "__len__", "__getitem__", "__setitem__", "__contains__", "__version__", "__dict__", "__module__", "__traceback__", "__cause__", "__context__", "__members__"]
)
# What every class has of its metaclass, and every module of its type.
_OF_CLASSES = ("__name__", "__qualname__", "__bases__", "__mro__", "__subclasses__", "mro")
_PLAIN = ("builtins.type", "builtins.object")
_OF_MODULES = ("__name__", "__doc__", "__dict__", "__package__", "__spec__", "__file__")
_VARIABLES = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})

# numpy's stubs list the extended precision types of every platform; 64-bit ones have no 96-bit float, and none has the others.
_OTHER_PLATFORMS = frozenset(
    ["uint128", "uint256", "int128", "int256", "float80", "float256", "complex160", "complex512"]
    + (["float96", "complex192"] if sys.maxsize > 2**32 else ["float128", "complex256"])
)


def offered(source: ScopeSource, qualified: str, instance: bool) -> tuple[Member, ...]:
    """The members of a module or class that are offered, as ``members.members`` orders them; remembered likewise."""
    everything = members(source, qualified, instance)
    memo = memo_of(source).other
    key = ("offered", qualified, instance)
    found: tuple[Member, ...]
    with suppress(KeyError):
        of, found = memo[key]
        if of is everything:
            return found
    found = tuple(_present(source, qualified, instance, everything))
    memo[key] = everything, found
    return found


def _present(source: ScopeSource, qualified: str, instance: bool, everything: Iterable[Member]) -> Iterator[Member]:
    receiver = source.scope(qualified)
    module = receiver is None or receiver.kind == "module"
    stubs: dict[str, bool] = {}
    for member in everything:
        symbol = member.symbol
        name = symbol.name
        if not symbol.public and (symbol.target is not None or (module and member.owner != qualified)):
            continue  # merely imported
        if name.startswith("_"):
            if (name.startswith("__") and not name.endswith("__")) or (symbol.returns or "").partition("[")[0] in _VARIABLES:
                continue  # spelled otherwise at run time (mangled), or a type variable
            owner = member.owner
            if owner not in stubs:
                scope = source.scope(owner)
                stubs[owner] = scope is not None and _has_stub(scope.file)
            if name.startswith("__") and name.endswith("__"):
                if name not in _SPECIAL and (stubs[owner] or name in ("__slots__", "__annotations__")):
                    continue
            elif stubs[owner] and owner != "typing.NamedTuple":  # _replace, _asdict
                continue
        if name in _OTHER_PLATFORMS and member.owner.startswith("numpy"):
            continue
        yield member
    if receiver is not None and not instance:
        have = {m.symbol.name for m in everything}
        if not module and (meta := metaclass(source, mro(source, qualified))) is not None:
            own = [m for m in members(source, meta, True) if m.symbol.name not in have and m.owner not in _PLAIN]
            yield from _present(source, meta, True, [m for m in own if not m.symbol.name.startswith("__") or m.symbol.name == "__members__"])
        kind = "types.ModuleType" if module else "builtins.type"
        for name in _OF_MODULES if module else _OF_CLASSES:
            found = find_member(source, kind, name)
            if found is not None and name not in have and not (name == "__file__" and qualified in sys.builtin_module_names):
                yield found


def _has_stub(file: str) -> bool:
    return file.endswith(".pyi") or os.path.exists(f"{file}i")
