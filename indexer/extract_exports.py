"""What a module offers: ``__all__`` read without running it, and the rules where there is none."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from octod.core.symbols import Symbol
from octod.indexer.reading import Reading, alternatives, dotted

__all__ = ["COMPUTED", "Exports"]

_DUNDERS = {"__version__", "__author__"}
_READERS = {"dir", "frozenset", "len", "list", "print", "set", "sorted", "tuple"}  # leave the list that they are given alone
_LESSEN = {"clear", "copy", "count", "discard", "index", "pop", "remove", "reverse", "sort"}  # add no name to a list

# Modules whose ``__all__`` is made of lists that a function computes: of what their star imports bring they hand on the
# objects of a class, and these names beside them (scipy/stats/distributions.py: the distributions, not their classes).
COMPUTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "scipy.stats.distributions": ("scipy.stats._distn_infrastructure.rv_generic", ("rv_histogram",)),
}


@dataclass(slots=True)
class Exports:
    """``__all__`` as far as it can be read.

    ``names`` is None without ``__all__``; ``modules`` are those whose own ``__all__`` is part of it, ``unknown`` says
    that some of it is made in a way that cannot be read, ``again`` are names imported as themselves (``import x as x``).
    ``before`` is what ``__all__`` held when it was last assigned, ``starts`` how often that was, ``vague`` says that an
    element of a list is no literal.
    """

    names: set[str] | None = None
    modules: set[str] = field(default_factory=set)
    unknown: bool = False
    again: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)
    starts: int = 0
    vague: bool = False

    def start(self) -> None:
        """``__all__ = ...``: what was said before no longer counts."""
        self.before, self.names = self.names or set(), set()
        self.starts += 1

    def add(self, value: ast.expr, reading: Reading) -> None:
        """Add what an expression contributes to ``__all__``."""
        if self.names is None:
            self.names = set()
        if isinstance(value, (ast.List, ast.Tuple, ast.Set)):
            for element in value.elts:
                if isinstance(element, ast.Constant):
                    self.names.add(str(element.value))
                elif isinstance(element, ast.Starred):
                    self.add(element.value, reading)
                elif (name := dotted(element)) and name.endswith(".__name__"):
                    self.names.add(name.removesuffix(".__name__").rsplit(".", 1)[-1])
                else:
                    self.vague = True
        elif isinstance(value, ast.BinOp):
            self.add(value.left, reading)
            self.add(value.right, reading)
        elif isinstance(value, ast.Call) and dotted(value.func) in ("list", "tuple", "sorted", "set") and value.args:
            self.add(value.args[0], reading)
        elif (name := dotted(value)) and name.endswith(".__all__"):
            root, _, rest = name.removesuffix(".__all__").partition(".")
            base = reading.imports.get(root, f"{reading.module}.{root}")
            self.modules.add(f"{base}.{rest}" if rest else base)
        elif dotted(value) == "__all__":
            self.names |= self.before
        else:
            self.unknown = True

    def call(self, call: ast.Call, reading: Reading) -> None:
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="__all__"), attr="extend"), args=[argument]):
                self.add(argument, reading)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="__all__"), attr="append"), args=[argument]):
                self.add(ast.List([argument], ast.Load()), reading)

    def whole(self, body: list[ast.stmt], reading: Reading) -> tuple[str, ...]:
        """All that ``__all__`` can hold, once the module was read; nothing where it may hold more than can be told."""
        if not self.names or self.unknown or self.vague or self.modules or self.starts != 1 or _grows(body, reading):
            return ()
        return tuple(sorted(self.names))

    def public(self, symbol: Symbol, reading: Reading) -> bool:
        """Whether a symbol of the module is offered as its API."""
        name = symbol.name
        if self.names is not None:
            if name in self.names:
                return True
            if symbol.target and symbol.target.rsplit(".", 1)[0] in self.modules:
                return True
            if not self.unknown:
                return False
        if name.startswith("_"):
            return name in _DUNDERS
        if symbol.kind == "alias" and symbol.target is not None and name in reading.imports:
            if name in self.again:
                return True
            package = reading.module.split(".", 1)[0]
            own = symbol.target == package or symbol.target.startswith(f"{package}.")
            return reading.is_package and not reading.is_stub and own
        return symbol.returns not in ("TypeVar", "logging.Logger", "ParamSpec") and not (symbol.returns or "").startswith("TypeVar[")


def _grows(block: list[ast.stmt], reading: Reading) -> bool:
    """Whether something in a block may add to ``__all__`` in a way that ``Exports`` does not follow."""
    return any(_added(node, reading) for node in block)


def _added(node: ast.stmt, reading: Reading) -> bool:
    parts: list[ast.AST] = [node]
    if blocks := alternatives(reading, node):
        if any(_grows(inner, reading) for inner, _ in blocks):
            return True
        parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, (ast.expr, ast.ExceptHandler))]
    match node:
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.AnnAssign(target=ast.Name(id="__all__")):
            parts = [node.value or node]
        case ast.AugAssign(target=ast.Name(id="__all__"), value=value):
            parts = [value]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="__all__"), attr="extend" | "append"), args=arguments)):
            parts = list(arguments)
    return any(_adds(inner) for part in parts for inner in ast.walk(part))


def _adds(node: ast.AST) -> bool:
    """Whether a node may add to ``__all__``, or gives it to something that may."""
    match node:
        case ast.Name(id="__all__", ctx=ast.Store()) | ast.Constant(value="__all__") | ast.alias(name="__all__"):
            return True
        case ast.Assign(value=ast.Name(id="__all__")) | ast.Subscript(value=ast.Name(id="__all__"), ctx=ast.Store()):
            return True
        case ast.Attribute(value=ast.Name(id="__all__"), attr=attribute):
            return attribute not in _LESSEN
        case ast.Call(func=function, args=args):
            return dotted(function) not in _READERS and any(isinstance(a, ast.Name) and a.id == "__all__" for a in args)
    return False
