"""What names mean at a place of one file: bindings chosen by reading order and branches, inferred when asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from octod.indexer import definitions
from octod.indexer.annotations import read_annotation, substitute, types_of
from octod.indexer.attributes import Types, attribute
from octod.indexer.bindings import table_of
from octod.indexer.frames import LATER, Binding, Frame, Table, Use, choose, names_of
from octod.indexer.infer import elements, entered, infer
from octod.indexer.lookup import ScopeSource, Target, TypeRef, resolve
from octod.indexer.parse import Tree

__all__ = ["Place", "View"]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place in a file where expressions are read; the file's ``Bindings`` (infer.py) there."""

    view: View
    block: int
    use: Use

    def name(self, name: str) -> Types:
        """What the name is here."""
        return self.view.name(name, self.block, self.use)

    def own_attribute(self, owner: TypeRef, name: str) -> Types | None:
        """The attribute of a class that the file defines."""
        return self.view.own_attribute(owner, name)

    def own_call(self, function: TypeRef) -> Types | None:
        """What a function or class of the file gives when called."""
        return self.view.own_call(function)

    def above(self) -> Types:
        """What ``super()`` gives the attributes of: objects of the bases of the class around."""
        frame = self.use.frame
        while frame.parent is not None and frame.kind != "class":
            frame = frame.parent
        if frame.kind != "class":
            return ()
        parts = self.view.parts(f"{self.view.module}.{frame.name}") or [(frame, self.block)]
        return tuple(replace(b, instance=True) for b in self.view.class_bases(*parts[0]))

    def inside(self, node: ast.expr) -> Place:
        """The place of a comprehension's element."""
        frame = self.view.table(self.block).nested.get(node)
        return self if frame is None else replace(self, use=Use(frame, LATER, self.use.branch))

    def infer(self, expression: ast.expr) -> Types:
        """The types of an expression that stands here."""
        try:
            return infer(self.view.source, self, expression)
        except RecursionError:
            return ()

    def annotation(self, node: ast.expr, self_type: TypeRef | None = None) -> Types:
        """The types that an annotation that stands here allows."""
        try:
            found = read_annotation(self.view.source, node, self._annotated)
        except RecursionError:
            return ()
        return substitute(found, self_type, None)

    def _annotated(self, name: str) -> Types | None:
        root, _, rest = name.partition(".")
        types = self.name(root)
        for part in rest.split(".") if rest else ():
            types = tuple(t for o in types for t in attribute(self.view.source, self, o, part))
        found: list[TypeRef] = []
        for one in types:
            if one.instance:
                continue
            aliased = types_of(self.view.source, one.qualified, "")
            found += aliased if aliased and not self.view.owns(one.qualified) else [replace(one, instance=True)]
        return tuple(found) or None


class View:
    """One file's tree read against an index; everything inferred is remembered for the life of the tree."""

    def __init__(self, source: ScopeSource, tree: Tree, module: str = "", package: bool = False) -> None:
        self.source = source
        self.tree = tree
        self.module = module or "__main__"
        self.package = package
        self.last = len(tree.blocks) - 1
        self._types: dict[Binding, Types] = {}
        self.calls: dict[Frame, Types] = {}
        self._frames: dict[str, list[tuple[Frame, int]]] = {}
        self.depth = 0
        self._lines: dict[int, list[str]] = {}

    def clear(self) -> None:
        """Take the file's tables apart; neither they nor the view can be used afterwards."""
        for block in self.tree.blocks:
            table_of(block).clear()
        self._types.clear()
        self.calls.clear()
        self._frames.clear()

    def lines(self, block: int) -> list[str]:
        """The lines of a block's text as it was parsed."""
        if block not in self._lines:
            self._lines[block] = self.tree.blocks[block].parsed.text.removeprefix("\0").split("\n")
        return self._lines[block]

    def table(self, block: int) -> Table:
        """The table of a block; most are never asked for."""
        return table_of(self.tree.blocks[block])

    def binds(self, block: int, name: str) -> bool:
        """Whether a block may bind the name in the module."""
        return name in names_of(self.tree.blocks[block])

    # places ------------------------------------------------------------------------------------------------------
    def place(self, block: int, use: Use) -> Place:
        """The place of a use in a block."""
        return Place(self, block, use)

    def cursor(self) -> Place | None:
        """The cursor's place; the end of the module where the cursor's statement was lost."""
        current = self.tree.current
        if not 0 <= current <= self.last:
            return None
        table = self.table(current)
        use = table.cursor.use if table.cursor is not None else Use(table.module, LATER, None)
        return Place(self, current, use)

    def owns(self, qualified: str) -> bool:
        """Whether the file defines that class or function."""
        return bool(self.parts(qualified))

    def parts(self, qualified: str) -> list[tuple[Frame, int]]:
        """The frames and blocks of a qualified name of this file; more than one for a large class."""
        prefix = self.module + "."
        if not qualified.startswith(prefix):
            return []
        name = qualified[len(prefix) :]
        if name not in self._frames:
            self._frames[name] = self._parts(name)
        return self._frames[name]

    def _parts(self, name: str) -> list[tuple[Frame, int]]:
        found: list[tuple[Frame, int]] = []
        for number in range(self.last, -1, -1):
            if not self.binds(number, name.partition(".")[0]):
                continue
            table = self.table(number)
            frame = table.frames.get(name)
            whole = frame is None or frame.parent is not table.module or not self.tree.blocks[number].part
            if frame is not None:
                found.append((frame, number))
            if found and whole:
                break
        return found[::-1]

    # names -------------------------------------------------------------------------------------------------------
    def name(self, name: str, block: int, use: Use) -> Types:
        """What the name is at a place: the file's bindings, star imports, builtins."""
        found: list[TypeRef] = []
        bound = False
        for number, binding in self.bindings(name, block, use):
            bound = True
            found += self.types(number, binding)
        if bound:
            return tuple(dict.fromkeys(found))
        for number in range(block if use.frame.kind == "module" else self.last, -1, -1):
            if not self.binds(number, "*"):
                continue
            for star in reversed(self.table(number).module.stars):
                module = self.absolute(star)
                if module and (target := resolve(self.source, f"{module}.{name}")) is not None:
                    return self.value(target)
        target = resolve(self.source, f"builtins.{name}")
        return self.value(target) if target is not None else ()

    def bindings(self, name: str, block: int, use: Use) -> list[tuple[int, Binding]]:
        """(block, binding) of those that may have made the name what it is at the use, the nearest first."""
        frame: Frame | None = use.frame
        order, branch, later = use.order, use.branch, False
        start = frame
        while frame is not None and frame.kind != "module":
            if frame.kind != "class" or frame is start:
                found = frame.bindings.get(name)
                if found:
                    chosen = choose(found, LATER if frame.kind == "comprehension" else order, branch)[0]
                    if chosen:
                        return [(block, b) for b in chosen]
            if frame.kind == "function":
                order, branch, later = LATER, None, True
            else:
                order, branch = min(order, frame.order) if not later else LATER, frame.branch if not later else None
            frame = frame.parent
        chosen_all: list[tuple[int, Binding]] = []
        for number in range(self.last if later else block, -1, -1):
            if number != block and not self.binds(number, name):
                continue
            found = self.table(number).module.bindings.get(name)
            if not found:
                continue
            inside = number == block and not later
            chosen, definite = choose(found, order if inside else LATER, branch if inside else None)
            chosen_all += [(number, b) for b in chosen]
            if definite:
                break
        return chosen_all

    def types(self, block: int, binding: Binding) -> Types:
        """What a binding binds its name to."""
        known = self._types.get(binding)
        if known is None:
            self._types[binding] = ()  # a name defined by itself ends here
            known = self._types[binding] = self._bound(block, binding)
        return known

    def _bound(self, block: int, binding: Binding) -> Types:
        node, kind = binding.node, binding.kind
        if kind == "import":
            assert isinstance(node, ast.alias)
            name = node.name if node.asname else node.name.split(".")[0]
            target = resolve(self.source, name)
            return (TypeRef(target.qualified, False),) if target is not None else ()
        if kind == "from":
            assert isinstance(node, ast.ImportFrom)
            return self._imported(node, binding.name)
        if kind == "none":
            return ()
        place = Place(self, block, Use(binding.frame, binding.order - 1, binding.branch))
        if kind == "assign":
            assert isinstance(node, ast.expr)
            return self._unpacked(place, place.infer(node), binding.path, node)
        if kind == "annotated":
            assert isinstance(node, ast.AnnAssign)
            return place.annotation(node.annotation) or (place.infer(node.value) if node.value else ())
        if kind == "iterate":
            assert isinstance(node, ast.expr)
            inside = elements(self.source, place.infer(node), place)
            return self._unpacked(place, inside, binding.path, None)
        if kind == "enter":
            assert isinstance(node, ast.expr)
            return self._unpacked(place, entered(self.source, place.infer(node), place), binding.path, None)
        if kind == "parameter":
            assert isinstance(node, ast.arg)
            return definitions.parameter(self, block, binding.frame, node)
        if kind in ("except", "narrow"):
            assert isinstance(node, ast.expr)
            nodes = node.elts if isinstance(node, ast.Tuple) else [node]
            return tuple(dict.fromkeys(t for n in nodes for t in place.annotation(n)))
        if kind == "class" and binding.inner is not None:
            return (TypeRef(f"{self.module}.{binding.inner.name}", False),)
        if kind == "def" and binding.inner is not None:
            return definitions.decorated(self, place, binding)
        return ()

    def _unpacked(self, place: Place, types: Types, path: tuple[int, ...], node: ast.expr | None) -> Types:
        """The part of a value that ``path`` leads to."""
        for number, index in enumerate(path):
            if isinstance(node, (ast.Tuple, ast.List)) and index < len(node.elts):
                node = node.elts[index]
                types = place.infer(node)
                continue
            node = None
            parts: list[TypeRef] = []
            for one in types:
                fixed = one.qualified == "builtins.tuple" and "..." not in [a.qualified for a in one.args]
                if fixed and index < len(one.args):
                    parts += [one.args[index]] if one.args[index].qualified else []
                elif not fixed:
                    parts += elements(self.source, (one,), place)
                    if one.qualified == "numpy.ndarray" and number == 0:
                        parts += []  # what an array holds is not known
            types = tuple(dict.fromkeys(parts))
        return types

    # imports -----------------------------------------------------------------------------------------------------
    def absolute(self, node: ast.ImportFrom) -> str:
        """The absolute module of a ``from`` import, empty when that is unknown."""
        return absolute_module(node.module or "", node.level, self.module, self.package)

    def _imported(self, node: ast.ImportFrom, bound: str) -> Types:
        module = self.absolute(node)
        name = next((a.name for a in node.names if (a.asname or a.name) == bound), bound)
        target = resolve(self.source, f"{module}.{name}") if module else None
        return self.value(target) if target is not None else ()

    def value(self, target: Target) -> Types:
        """What a name of the index is as a value."""
        if target.kind in ("module", "class", "function"):
            return (TypeRef(target.qualified, False),)
        if target.symbol is None:
            return ()
        return types_of(self.source, target.symbol.returns, target.qualified.rpartition(".")[0])

    # functions and classes of the file ---------------------------------------------------------------------------
    def own_call(self, function: TypeRef) -> Types | None:
        """What calling a function or class of the file gives; None when it is not the file's."""
        return definitions.own_call(self, function)

    def own_attribute(self, owner: TypeRef, name: str) -> Types | None:
        """The attribute of a class of the file, inherited ones included; None when it is not the file's class."""
        return definitions.own_attribute(self, owner, name)

    def class_bases(self, frame: Frame, block: int) -> Types:
        """The classes that a class of the file derives from."""
        return definitions.class_bases(self, frame, block)

    # what is in scope --------------------------------------------------------------------------------------------
    def visible(self, block: int, use: Use) -> Iterator[str]:
        """The names bound before the use, the nearest first."""
        frame: Frame | None = use.frame
        order, start = use.order, use.frame
        seen: set[str] = set()
        while frame is not None and frame.kind != "module":
            if frame.kind != "class" or frame is start:
                last = {n: max((b.order for b in bs if b.order <= order), default=-1) for n, bs in frame.bindings.items()}
                for name in sorted((n for n, o in last.items() if o >= 0 and n not in seen), key=lambda n: -last[n]):
                    seen.add(name)
                    yield name
            order = LATER if frame.kind == "function" else order
            frame = frame.parent
        for number in range(block, -1, -1):
            for name, bindings in reversed(self.table(number).module.bindings.items()):
                if name not in seen and (number != block or bindings[0].order <= order):
                    seen.add(name)
                    yield name


def absolute_module(module: str, level: int, here: str, package: bool) -> str:
    """The absolute name of a module imported with ``level`` dots in the module ``here``; empty when that is unknown."""
    if not level:
        return module
    if here == "__main__":
        return ""
    parts = here.split(".")
    climb = level - 1 if package else level
    if climb >= len(parts) + (1 if module else 0):
        return ""
    kept = parts[: len(parts) - climb]
    return ".".join([*kept, module] if module else kept)
