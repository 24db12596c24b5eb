"""The names that may stand at a cursor without a dot: locals, parameters, imports, module names, builtins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from octod.indexer.attributes import Types
from octod.indexer.frames import Binding, Frame
from octod.indexer.lookup import ScopeSource, resolve
from octod.indexer.members import members
from octod.indexer.names import View
from octod.indexer.parse import Cursor
from octod.indexer.place import Place
from octod.indexer.scope import view_of

__all__ = ["VisibleKind", "VisibleName", "visible_at"]

VisibleKind = Literal["parameter", "variable", "function", "class", "module"]

_KINDS: dict[str, VisibleKind] = {
    "parameter": "parameter", "def": "function", "class": "class", "import": "module",
}  # fmt: skip
_MOST = 4_000
_INFERRED = 40  # names whose types are inferred; those further away cost more than they tell


@dataclass(frozen=True, slots=True)
class VisibleName:
    """A name in scope.

    ``where`` is ``local`` (the cursor's own function, lambda, comprehension or class body), ``enclosing`` (functions around it),
    ``module``, ``star`` (a star import) or ``builtin``.  ``types`` are those of the nearest names that are values
    (empty: unknown or not asked); ``qualified`` is where an imported name leads, empty for the file's own.
    """

    name: str
    kind: VisibleKind
    where: Literal["local", "enclosing", "module", "star", "builtin"]
    types: Types = ()
    qualified: str = ""


def visible_at(
    source: ScopeSource, cursor: Cursor, module: str = "", package: bool = False, *, inferred: int = _INFERRED
) -> tuple[VisibleName, ...]:
    """Every name in scope at the cursor, the nearest first, each once; builtins are last.  Never raises for the text.

    The types of at most ``inferred`` names are inferred.
    """
    view = view_of(source, cursor.tree, module, package)
    place = view.cursor()
    found: dict[str, VisibleName] = {}
    if place is not None:
        for name in view.visible(place.block, place.use):
            if bindings := view.bindings(name, place.block, place.use):
                found[name] = _of_file(view, place, name, bindings[0][1], inferred > 0)
                inferred -= not found[name].qualified and found[name].kind in ("variable", "parameter")
            if len(found) >= _MOST:
                break
        for star in view.starred(place.block if place.use.frame.kind == "module" else view.last):
            _add_members(view.source, star, "star", found)
    _add_members(view.source, "builtins", "builtin", found)
    return tuple(found.values())


def _of_file(view: View, place: Place, name: str, binding: Binding, infer: bool) -> VisibleName:
    where = _where(binding.frame, place.use.frame)
    kind = _KINDS.get(binding.kind, "variable")
    if binding.kind in ("import", "from"):
        types = view.types(place.block, binding)
        target = resolve(view.source, types[0].qualified) if types and not types[0].instance else None
        if target is not None and target.kind in ("module", "class", "function"):
            return VisibleName(name, target.kind, where, (), target.qualified)
        return VisibleName(name, kind, where, types)
    if kind in ("variable", "parameter") and infer:
        return VisibleName(name, kind, where, tuple(t for t in place.name(name) if t.known))
    return VisibleName(name, kind, where)


def _where(frame: Frame, here: Frame) -> Literal["local", "enclosing", "module"]:
    if frame.kind == "module":
        return "module"
    around: Frame | None = here
    while around is not None and around is not frame:
        if around.kind in ("function", "class"):
            return "enclosing"
        around = around.parent
    return "local"


def _add_members(source: ScopeSource, module: str, where: Literal["star", "builtin"], found: dict[str, VisibleName]) -> None:
    for member in members(source, module, False):
        symbol = member.symbol
        if symbol.name in found or symbol.name.startswith("_") or not symbol.public or (where == "star" and len(found) >= _MOST):
            continue
        kind: VisibleKind = symbol.kind if symbol.kind in ("function", "class", "module") else "variable"
        found[symbol.name] = VisibleName(symbol.name, kind, where, (), member.qualified)
