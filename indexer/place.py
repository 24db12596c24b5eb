"""A place in a file where expressions are read: names, annotations and the file's own classes as they are there."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octod.indexer import definitions
from octod.indexer.annotations import named_type, read_annotation, substitute, types_of
from octod.indexer.attributes import Types, attribute
from octod.indexer.calls import called
from octod.indexer.frames import LATER, Use, path_text
from octod.indexer.infer import infer
from octod.indexer.lookup import Target, TypeRef, dotted, resolve

if TYPE_CHECKING:
    from octod.indexer.names import View

__all__ = ["Place"]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place in a file where expressions are read; the file's ``Bindings`` (infer.py) there."""

    view: View
    block: int
    use: Use

    def name(self, name: str) -> Types:
        """What the name is here."""
        return self.view.name(name, self.block, self.use)

    @property
    def calls(self) -> dict[ast.expr, Types]:
        """Results of the file's calls."""
        return self.view.results

    def own_attribute(self, owner: TypeRef, name: str) -> Types | None:
        """The attribute of a class that the file defines."""
        return definitions.own_attribute(self.view, owner, name)

    def own_fields(self, owner: TypeRef) -> list[str] | None:
        """The annotated names of a class that the file defines."""
        parts = self.view.parts(owner.qualified)
        if not parts or parts[0][0].kind != "class":
            return None
        return [n for frame, _ in parts for n, found in frame.bindings.items() if found[0].kind == "annotated"]

    def own_call(self, function: TypeRef, call: ast.Call | None = None, depth: int = 0) -> Types | None:
        """What a function or class of the file gives when called."""
        return definitions.own_call(self.view, self, function, call, depth)

    def result(self, function: TypeRef) -> Types:
        """What calling a function gives when nothing is known of the arguments."""
        return called(self.view.source, self, function, None)

    def order(self, one: TypeRef) -> tuple[str, ...]:
        """The classes that attributes are looked up in."""
        return self.view.order(one.qualified)

    def narrowed(self, node: ast.expr, assigned: bool) -> Types:
        """What a condition says here of an attribute or item, or what was ``assigned`` to it last."""
        text = path_text(node)
        if not text or not (found := self.view.narrowings(text, self.block, self.use)):
            return ()
        if not assigned and any(b.kind not in ("narrow", "narrowed class", "exclude") for _, b in found):
            return ()
        return tuple(dict.fromkeys(t for number, b in found for t in self.view.types(number, b)))

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
        """The place of a comprehension's element or a lambda's body."""
        frame = self.view.table(self.block).nested.get(node)
        return self if frame is None else replace(self, use=Use(frame, LATER, self.use.branch))

    def infer(self, expression: ast.expr, depth: int = 0) -> Types:
        """The types of an expression that stands here."""
        try:
            return infer(self.view.source, self, expression, depth)
        except RecursionError:
            return ()

    def template(self, node: ast.expr) -> Types:
        """The types that an annotation that stands here allows, its type variables left as placeholders."""
        try:
            return read_annotation(self.view.source, node, self._annotated)
        except RecursionError:
            return ()

    def annotation(self, node: ast.expr, self_type: TypeRef | None = None) -> Types:
        """The types that an annotation that stands here allows."""
        return substitute(self.template(node), self_type, None)

    def _annotated(self, name: str) -> Types | None:
        if name.endswith(")"):
            return None
        root, _, rest = name.partition(".")
        if not rest and (found := self._alias(root)) is not None:
            return found
        types = self.name(root)
        for part in rest.split(".") if rest else ():
            types = tuple(t for o in types for t in attribute(self.view.source, self, o, part))
        made: list[TypeRef] = []
        for one in types:
            if one.instance:
                continue
            aliased = types_of(self.view.source, one.qualified, "")
            made += aliased if aliased and not self.view.owns(one.qualified) else [replace(one, instance=True)]
        if not made and (target := self.target(name)) is not None:  # an alias or a special form of another module
            return named_type(self.view.source, target, name)
        return tuple(made) or None

    def _alias(self, name: str) -> Types | None:
        """What a type variable or an alias of the file stands for; None when the name is neither."""
        for number, binding in self.view.bindings(name, self.block, self.use)[:1]:
            if binding.kind == "variable":
                bound = getattr(binding.node, "bound", None)
                return (TypeRef(f"~{name}", True, self.annotation(bound) if bound is not None else ()),)
            value = binding.node.value if isinstance(binding.node, ast.AnnAssign) else binding.node
            if binding.kind not in ("assign", "annotated") or binding.path:
                return None
            place = self.view.place(number, Use(binding.frame, binding.order - 1, binding.branch))
            if isinstance(value, ast.Call):
                return place.variable(name, value)
            if isinstance(value, (ast.Subscript, ast.BinOp)) or (isinstance(value, ast.Constant) and isinstance(value.value, str)):
                return place.template(value)
        return None

    def variable(self, name: str, call: ast.Call) -> Types | None:
        """``X = TypeVar("X", ...)`` or ``NewType("X", T)`` in an annotation."""
        kind = dotted(call.func).rpartition(".")[2]
        if kind == "TypeVar":
            bounds = [k.value for k in call.keywords if k.arg == "bound"] or call.args[1:]
            return (TypeRef(f"~{name}", True, tuple(t for b in bounds for t in self.annotation(b))),)
        if kind == "NewType" and len(call.args) == 2:
            return self.template(call.args[1])
        return () if kind in ("ParamSpec", "TypeVarTuple") else None

    def target(self, name: str) -> Target | None:
        """What a dotted name is in the index when it starts with an import of the file."""
        root, _, rest = name.partition(".")
        for _, binding in self.view.bindings(root, self.block, self.use)[:1]:
            node = binding.node
            if isinstance(node, ast.alias):
                name = node.name if node.asname else root
            elif isinstance(node, ast.ImportFrom):
                name = f"{self.view.absolute(node)}.{next((a.name for a in node.names if (a.asname or a.name) == root), root)}"
            else:
                return None
            return resolve(self.view.source, f"{name}.{rest}" if rest else name)
        return None
