"""What names mean at a place of one file: bindings chosen by reading order and branches, inferred when asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from octod.indexer import definitions, parameters
from octod.indexer.annotations import types_of
from octod.indexer.attributes import Types
from octod.indexer.bindings import table_of
from octod.indexer.frames import LATER, STARRED, Binding, Frame, Table, Use, choose, in_try, names_of
from octod.indexer.iteration import as_tuple, elements, entered
from octod.indexer.lookup import ScopeSource, Target, TypeRef, mro, resolve
from octod.indexer.lore import VALUES
from octod.indexer.narrowing import filled, is_empty, narrowed
from octod.indexer.parse import Tree
from octod.indexer.place import Place

__all__ = ["View", "absolute_module"]


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
        self.results: dict[ast.expr, Types] = {}
        self.receivers: dict[ast.expr, Types] = {}  # of calls that the history asked about
        self._blocks: dict[str, list[int]] | None = None
        self._orders: dict[str, tuple[str, ...]] = {}
        self._frames: dict[str, list[tuple[Frame, int]]] = {}
        self.depth = 0
        self._lines: dict[int, list[str]] = {}

    def clear(self) -> None:
        """Take the file's tables apart; neither they nor the view can be used afterwards."""
        for block in self.tree.blocks:
            table_of(block).clear()
        self._types.clear()
        self.calls.clear()
        self.results.clear()
        self.receivers.clear()
        self._frames.clear()

    def lines(self, block: int) -> list[str]:
        """The lines of a block's text as it was parsed."""
        if block not in self._lines:
            self._lines[block] = self.tree.blocks[block].parsed.text.removeprefix("\0").split("\n")
        return self._lines[block]

    def table(self, block: int) -> Table:
        """The table of a block; most are never asked for."""
        return table_of(self.tree.blocks[block])

    def binding_blocks(self, name: str, last: int) -> Iterator[int]:
        """The blocks up to ``last`` that may bind the name in the module, the last first."""
        if self._blocks is None:
            self._blocks = {}
            for number, block in enumerate(self.tree.blocks):
                for each in names_of(block):
                    self._blocks.setdefault(each, []).append(number)
        return (n for n in reversed(self._blocks.get(name, ())) if n <= last)

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
        for number in self.binding_blocks(name.partition(".")[0], self.last):
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
        bound = self.bindings(name, block, use)
        if len(bound) > 1 and all(b.kind in ("import", "from") and in_try(b) for _, b in bound):
            bound.reverse()  # ``except ImportError`` stands in for what is tried first
        for number, binding in bound:
            found += self.types(number, binding)
        if bound:
            return tuple(dict.fromkeys(found))
        for module in self.starred(block if use.frame.kind == "module" else self.last):
            if (target := resolve(self.source, f"{module}.{name}")) is not None:
                return self.value(target)
        target = resolve(self.source, f"builtins.{name}")
        return self.value(target) if target is not None else ()

    def starred(self, last: int) -> Iterator[str]:
        """The modules that the blocks up to ``last`` import with a star, the last first."""
        for number in self.binding_blocks("*", last):
            for star in reversed(self.table(number).module.stars):
                if module := self.absolute(star):
                    yield module

    def bindings(self, name: str, block: int, use: Use) -> list[tuple[int, Binding]]:
        """(block, binding) of those that may have made the name what it is at the use, the nearest first."""
        frame: Frame | None = use.frame
        order, branch, later = use.order, use.branch, False
        start = frame
        while frame is not None and frame.kind != "module":
            if frame.kind != "class" or frame is start:
                found = frame.bindings.get(name)
                if not found and frame.kind == "class" and self.tree.blocks[block].part:  # of a large class
                    parts = [(n, b) for f, n in self.parts(f"{self.module}.{frame.name}") for b in f.bindings.get(name, ())[-1:]]
                    if parts:
                        return parts[-1:]
                if found:
                    chosen = choose(found, LATER if frame.kind == "comprehension" else order, branch)[0]
                    if chosen:
                        return [(block, b) for b in chosen]
            if frame.kind == "function":
                order, branch, later = LATER, None, True
            else:
                order = frame.order if frame.kind == "comprehension" else min(order, frame.order)
                order, branch = (LATER, None) if later else (order, frame.branch)
            frame = frame.parent
        chosen_all: list[tuple[int, Binding]] = []
        for number in self._and_current(name, self.last if later else block, block):
            found = self.table(number).module.bindings.get(name)
            if not found:
                continue
            inside = number == block and not later
            chosen, definite = choose(found, order if inside else LATER, branch if inside else None)
            chosen_all += [(number, b) for b in chosen]
            if definite:
                break
        return chosen_all

    def _and_current(self, name: str, last: int, block: int) -> Iterator[int]:
        """Like ``binding_blocks`` with the block of the use, which may bind more than it seems to (it is mended)."""
        seen = False
        for number in self.binding_blocks(name, last):
            if not seen and number <= block:
                seen = True
                if number != block:
                    yield block
            yield number
        if not seen:
            yield block

    def narrowings(self, text: str, block: int, use: Use) -> list[tuple[int, Binding]]:
        """The bindings of an attribute or item that may hold at a use: those of the same function that nothing undid."""
        frame, order, branch = use.frame, use.order, use.branch
        root = text.partition(".")[0].partition("[")[0]
        while frame.kind in ("comprehension", "lambda") and frame.parent is not None:
            if chosen := choose(frame.bindings.get(text, []), LATER, branch)[0]:
                return [(block, b) for b in chosen]
            order = frame.order if frame.kind == "comprehension" else min(order, frame.order)
            frame, branch = frame.parent, frame.branch
        chosen, definite = choose(frame.bindings.get(text, []), order, branch)
        undone = max((b.order for b in frame.bindings.get(root, ()) if b.order <= order), default=-1)
        found = [(block, b) for b in chosen if b.order > undone]
        if frame.kind != "module" or definite or undone >= 0:
            return found
        last = next(iter(self.binding_blocks(root, block - 1)), -1)
        for number in self.binding_blocks(text, block - 1):
            if number < last:
                break
            more, definite = choose(self.table(number).module.bindings.get(text, []), LATER, None)
            found += [(number, b) for b in more]
            if definite:
                break
        return found

    def order(self, qualified: str) -> tuple[str, ...]:
        """The classes that attributes of a class are looked up in, in order; the file's own included."""
        known = self._orders.get(qualified)
        if known is None:
            self._orders[qualified] = (qualified,)
            parts = self.parts(qualified)
            if not parts or parts[0][0].kind != "class":
                known = mro(self.source, qualified)
            else:
                bases = self.class_bases(*parts[0])
                known = tuple(dict.fromkeys((qualified, *(c for b in bases for c in self.order(b.qualified)))))
            self._orders[qualified] = known
        return known

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
            types = self._unpacked(place, place.infer(node), binding.path, node)
            return filled(self, place, block, binding, types) if not binding.path and is_empty(node) else types
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
            return parameters.of_function(self, block, binding.frame, node)
        if kind == "lambda":
            return parameters.of_lambda(self, place, binding)
        if kind in ("except", "narrow", "narrowed class", "exclude"):
            assert isinstance(node, ast.expr)
            return narrowed(self, place, binding, node)
        if kind == "class" and binding.inner is not None:
            return (TypeRef(f"{self.module}.{binding.inner.name}", False),)
        if kind == "def" and binding.inner is not None:
            return definitions.decorated(self, place, binding)
        return ()

    def _unpacked(self, place: Place, types: Types, path: tuple[int, ...], node: ast.expr | None) -> Types:
        """The part of a value that ``path`` leads to."""
        for index in path:
            parts = node.elts if isinstance(node, (ast.Tuple, ast.List)) else []
            if -len(parts) <= index < len(parts) and not any(isinstance(e, ast.Starred) for e in parts):
                node = parts[index]
                types = place.infer(node)
                continue
            node = None
            found: list[TypeRef] = []
            for one in types:
                whole = as_tuple(self.source, place, one)
                fixed = whole.args if whole is not None and "..." not in [a.qualified for a in whole.args] else None
                if index >= STARRED:
                    rest = elements(self.source, (one,), place)
                    if fixed is not None:
                        rest = tuple(a for a in fixed[index - STARRED :] if a.qualified)
                    found += [TypeRef("builtins.list", True, (r,)) for r in rest] or [TypeRef("builtins.list")]
                elif fixed is not None:
                    if -len(fixed) <= index < len(fixed) and fixed[index].qualified:
                        found.append(fixed[index])
                else:
                    found += elements(self.source, (one,), place)
            types = tuple(dict.fromkeys(found))
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
        if value := VALUES.get(target.qualified):
            return types_of(self.source, value, "")
        return types_of(self.source, target.symbol.returns, target.qualified.rpartition(".")[0])

    def class_bases(self, frame: Frame, block: int) -> Types:
        """The classes that a class of the file derives from."""
        return definitions.class_bases(self, frame, block)

    # what is in scope --------------------------------------------------------------------------------------------
    def visible(self, block: int, use: Use) -> Iterator[str]:
        """The names bound before the use, the nearest first; inside functions those of the module bound later are last."""
        frame: Frame | None = use.frame
        order, start = use.order, use.frame
        seen: set[str] = set()
        while frame is not None and frame.kind != "module":
            if frame.kind != "class" or frame is start:
                last = {n: max((b.order for b in bs if b.order <= order), default=-1) for n, bs in frame.bindings.items()}
                for name in sorted((n for n, o in last.items() if o >= 0 and n not in seen and n.isidentifier()), key=lambda n: -last[n]):
                    seen.add(name)
                    yield name
            order = LATER if frame.kind == "function" else order
            frame = frame.parent
        for number in (*range(block, -1, -1), *range(block + 1, self.last + 1 if use.frame.kind != "module" else 0)):
            names: Iterable[str] = names_of(self.tree.blocks[number])
            if number == block or len(names_of(self.tree.blocks[number])) > 1:
                bound = self.table(number).module.bindings
                here = number == block and use.frame.kind == "module"
                names = [n for n, bindings in reversed(bound.items()) if not here or bindings[0].order <= order]
            for name in names:
                if name not in seen and name.isidentifier():
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
