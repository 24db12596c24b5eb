"""What a module offers: ``__all__`` read without running it, and the rules where there is none."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field

from octod.core.symbols import Scope, Symbol
from octod.indexer.reading import Reading, dotted

__all__ = ["Exports", "unneeded_imports"]

_WORD = re.compile(r"[A-Za-z_]\w*")
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
        return symbol.returns not in ("TypeVar", "logging.Logger", "ParamSpec")


def unneeded_imports(
    reading: Reading, exports: Exports, symbols: dict[str, Symbol], scopes: list[Scope]
) -> list[str]:
    """Names imported from the standard library that nothing here shows: a third of all symbols are such."""
    if reading.is_package or reading.is_stub:
        return []
    exported = exports.names or set()
    imported = [s for s in symbols.values() if s.kind == "alias" and s.target and s.name not in exported]
    candidates = {s.name for s in imported if (s.target or "").split(".", 1)[0] in sys.stdlib_module_names}
    if not candidates:
        return []
    own = reading.module.split(".", 1)[0]
    if own in sys.stdlib_module_names:
        return []
    shown: set[str] = set()
    for each in (symbols, *(scope.symbols for scope in scopes)):
        for symbol in each.values():
            for parameters, returns in ((symbol.parameters or (), symbol.returns), *symbol.overloads):
                shown.update(_WORD.findall(returns or ""))
                for parameter in parameters:
                    if parameter.annotation:
                        shown.update(_WORD.findall(parameter.annotation))
            if symbol.target and symbol.name not in candidates:
                shown.add(symbol.target.split(".", 1)[0])
    for scope in scopes:
        for base in scope.bases:
            shown.update(_WORD.findall(base))
    return sorted(candidates - shown)
