"""What a module offers: ``__all__`` read without running it, and the rules where there is none."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from octod.core.symbols import Symbol
from octod.indexer.reading import Reading, dotted

__all__ = ["Exports"]

_DUNDERS = {"__version__", "__author__"}


@dataclass(slots=True)
class Exports:
    """``__all__`` as far as it can be read.

    ``names`` is None without ``__all__``; ``modules`` are those whose own ``__all__`` is part of it, ``unknown`` says
    that some of it is made in a way that cannot be read, ``again`` are names imported as themselves (``import x as x``).
    """

    names: set[str] | None = None
    modules: set[str] = field(default_factory=set)
    unknown: bool = False
    again: set[str] = field(default_factory=set)

    def start(self) -> None:
        """``__all__ = ...``: what was said before no longer counts."""
        self.names = set()

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
        elif isinstance(value, ast.BinOp):
            self.add(value.left, reading)
            self.add(value.right, reading)
        elif isinstance(value, ast.Call) and dotted(value.func) in ("list", "tuple", "sorted", "set") and value.args:
            self.add(value.args[0], reading)
        elif (name := dotted(value)) and name.endswith(".__all__"):
            root, _, rest = name.removesuffix(".__all__").partition(".")
            base = reading.imports.get(root, f"{reading.module}.{root}")
            self.modules.add(f"{base}.{rest}" if rest else base)
        elif dotted(value) != "__all__":
            self.unknown = True

    def call(self, call: ast.Call, reading: Reading) -> None:
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="__all__"), attr="extend"), args=[argument]):
                self.add(argument, reading)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="__all__"), attr="append"), args=[argument]):
                self.add(ast.List([argument], ast.Load()), reading)

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
