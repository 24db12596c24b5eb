"""Modules: from the text of one file to the scopes it defines, by an ``ast`` visitor that never raises and never runs."""

from __future__ import annotations

import ast
import sys
import warnings
from dataclasses import dataclass, field, replace

from octod.core.symbols import LibraryId, Parameter, Scope, Symbol
from octod.indexer.docstrings import cleaned, deprecation
from octod.indexer.extract_class import class_scopes, named_tuple
from octod.indexer.extract_exports import Exports
from octod.indexer.extract_function import add_overload, decorations, function_symbol, parameters_of, settled
from octod.indexer.extract_lazy import lazy_names
from octod.indexer.newer import rewritten
from octod.indexer.reading import BUILTIN_CLASSES, Reading, alternatives, doc_of, dotted, for_checkers

__all__ = ["LARGEST_FILE", "extract_module", "merge_stub"]

LARGEST_FILE = 5_000_000  # bytes; the largest hand-written module seen has 1.3 million
_TYPE_FORMS = {"Union", "Optional", "Annotated", "Callable", "Literal", "Type"}


def extract_module(
    source: str,
    *,
    module: str,
    file: str,
    library: LibraryId,
    is_package: bool,
    is_stub: bool,
    python: tuple[int, int] = sys.version_info[:2],
) -> tuple[list[Scope], list[str]]:
    """The module's scope followed by one for each of its classes, and what kept the file from being read.

    ``python`` is the version that conditions such as ``sys.version_info >= (3, 12)`` are decided for.  Bad input
    gives no scopes and a problem.
    """
    if len(source) > LARGEST_FILE:
        return [], [f"{file}: larger than {LARGEST_FILE:,} characters, passed over"]
    source = source.removeprefix("\ufeff")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in installed code are not ours to report
            try:
                tree = ast.parse(source)
            except SyntaxError:
                tree = ast.parse(rewritten(source))
        lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        reading = Reading(module, lines, is_package, is_stub, python)
        return _Module(reading, file, library).scopes(tree), reading.problems
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError) as error:
        return [], [f"{file}: {type(error).__name__}: {str(error)[:120]}, passed over"]


def merge_stub(stub: list[Scope], source: list[Scope]) -> list[Scope]:
    """The stub's scopes, with docstrings, lines and elided defaults from the source of the same module.

    Names that only the source has stay reachable but are not offered; classes that only the source has are kept.
    """
    by_name = {scope.qualified: scope for scope in source}
    merged: list[Scope] = []
    for scope in stub:
        other = by_name.pop(scope.qualified, None)
        if other is None:
            merged.append(scope)
            continue
        symbols = {name: _filled(symbol, other.symbols.get(name)) for name, symbol in scope.symbols.items()}
        for name, symbol in other.symbols.items():
            if name not in symbols:
                symbols[name] = replace(symbol, public=False)
        merged.append(replace(scope, symbols=symbols, doc=scope.doc or other.doc, file=other.file))
    return [*merged, *by_name.values()]


def _filled(symbol: Symbol, other: Symbol | None) -> Symbol:
    if other is None or symbol.kind == "alias":
        return symbol
    doc, line = symbol.doc or other.doc, other.line
    deprecated = symbol.deprecated or other.deprecated
    if other.kind == "alias":
        return replace(symbol, doc=doc, deprecated=deprecated)
    parameters = symbol.parameters
    if parameters and other.parameters and any(p.default == "..." for p in parameters):
        defaults = {p.name: p.default for p in other.parameters if p.default is not None}
        parameters = tuple(
            replace(p, default=defaults.get(p.name, "...")) if p.default == "..." else p for p in parameters
        )
    return replace(symbol, doc=doc, line=line, parameters=parameters, deprecated=deprecated)


@dataclass(slots=True)
class _Module:
    """One module while it is read."""

    reading: Reading
    file: str
    library: LibraryId
    symbols: dict[str, Symbol] = field(default_factory=dict)
    classes: dict[str, list[Scope]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    fields: dict[str, dict[str, Parameter]] = field(default_factory=dict)
    exports: Exports = field(default_factory=Exports)
    overloaded: set[str] = field(default_factory=set)
    checking: bool = False  # inside ``if TYPE_CHECKING``
    unreal: set[str] = field(default_factory=set)  # imported for type checkers alone

    def scopes(self, tree: ast.Module) -> list[Scope]:
        self._names(tree.body)
        self._block(tree.body, weak=False)
        offered = set(self.symbols)
        for lazy in lazy_names(self.reading, tree.body, self._absolute) if "__getattr__" in self.symbols else ():
            self.symbols.setdefault(lazy.name, lazy)
        text = doc_of(tree.body)
        scopes = [scope for scopes in self.classes.values() for scope in scopes]
        if "__getattr__" in self.symbols or "sys.modules[" in "\n".join(self.reading.lines):
            self.unreal.clear()  # a lazy module: what it imports for type checkers it gives at run time, too
        symbols = {
            name: one if name not in offered or one.public == public else replace(one, public=public)
            for name, s in self.symbols.items()
            for one, public in [(settled(s), self.exports.public(s, self.reading) and name not in self.unreal)]
        }
        module = Scope(
            qualified=self.reading.module,
            kind="module",
            library=self.library,
            file=self.file,
            doc=cleaned(text),
            symbols=symbols,
            stars=tuple(dict.fromkeys(self.stars)),
            dynamic="__getattr__" in symbols,
            deprecated=deprecation(text),
            exports=self.exports.whole(tree.body, self.reading) if self.stars else (),
        )
        return [module, *scopes]

    def _names(self, block: list[ast.stmt]) -> None:
        """First look: what the module's names are, so that types in docstrings can be told from prose."""
        reading = self.reading
        for node in block:
            if isinstance(node, ast.ClassDef):
                reading.defined.add(node.name)
                reading.classes.add(node.name)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                reading.defined.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, target, _ in self._imported(node):
                    reading.imports.setdefault(name, target)
            elif isinstance(node, ast.Assign):
                reading.defined.update(t.id for t in node.targets if isinstance(t, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                reading.defined.add(node.target.id)
            elif blocks := alternatives(reading, node):
                for inner, _ in blocks:
                    self._names(inner)

    def _block(self, block: list[ast.stmt], *, weak: bool) -> None:
        for node in block:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if not (weak and node.name in self.symbols):
                    self._function(node)
            elif isinstance(node, ast.ClassDef):
                if not (weak and node.name in self.symbols):
                    symbol, scopes = class_scopes(
                        self.reading, node, outer=self.reading.module, file=self.file, library=self.library,
                        public=True, known_fields=self.fields,
                    )  # fmt: skip
                    self.symbols[node.name] = symbol
                    self.classes[node.name] = scopes
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node, weak=weak)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._target(target, node.value, node.lineno, weak=weak)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if not (weak and node.target.id in self.symbols):
                    self._annotated(node, node.target.id)
            elif type(node).__name__ == "TypeAlias":  # ``type X = ...``, since Python 3.12
                self._target(node.name, node.value, node.lineno, weak=weak)  # type: ignore[attr-defined]
            elif isinstance(node, ast.AugAssign):
                if dotted(node.target) == "__all__":
                    self.exports.add(node.value, self.reading)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                self.exports.call(node.value, self.reading)
            elif isinstance(node, ast.Delete):
                for deleted in node.targets:
                    if isinstance(deleted, ast.Name):
                        self.symbols.pop(deleted.id, None)
                        self.classes.pop(deleted.id, None)
            elif blocks := alternatives(self.reading, node):
                outer, self.checking = self.checking, self.checking or for_checkers(node)
                for inner, keeps in blocks:
                    self._block(inner, weak=weak or keeps)
                self.checking = outer

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        symbol = function_symbol(self.reading, node, public=not node.name.startswith("_"))
        marks = decorations(node)
        if "overload" in marks:
            earlier = self.symbols.get(node.name) if node.name in self.overloaded else None
            self.symbols[node.name] = add_overload(earlier, symbol)
            self.overloaded.add(node.name)
            return
        if node.name in self.overloaded and (earlier := self.symbols.get(node.name)):
            first = ((earlier.parameters or (), earlier.returns), *earlier.overloads)
            symbol = replace(symbol, overloads=first, returns=earlier.returns or symbol.returns)
            self.overloaded.discard(node.name)
        self.symbols[node.name] = symbol

    def _imported(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, str, bool]]:
        """(bound name, absolute target, written as a re-export) of an import; star imports give none."""
        if isinstance(node, ast.Import):
            return [
                (a.asname, a.name, a.asname == a.name) if a.asname else (top := a.name.split(".", 1)[0], top, False)
                for a in node.names
            ]
        base = self._absolute(node)
        if base is None:
            return []
        return [(a.asname or a.name, f"{base}.{a.name}", a.asname == a.name) for a in node.names if a.name != "*"]

    def _absolute(self, node: ast.ImportFrom) -> str | None:
        """The absolute module that an import names; None when it climbs above the top."""
        if not node.level:
            return node.module
        parts = self.reading.module.split(".")
        climb = node.level - 1 if self.reading.is_package else node.level
        if climb >= len(parts) + (1 if node.module else 0):
            return None
        parts = parts[: len(parts) - climb]
        return ".".join([*parts, node.module] if node.module else parts) or None

    def _import(self, node: ast.Import | ast.ImportFrom, *, weak: bool) -> None:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            if base := self._absolute(node):
                self.stars.append(base)
            return
        for name, target, again in self._imported(node):
            if weak and (first := self.symbols.get(name)) is not None:
                if first.kind == "alias" and first.returns is None and first.target != target:
                    self.symbols[name] = replace(first, returns=target)  # stands in where the first is not installed
                continue
            if again:
                self.exports.again.add(name)
            if target == f"{self.reading.module}.{name}" and name in self.symbols:
                continue  # `from . import x` after x was defined would only point at itself
            self.symbols[name] = Symbol(name, "alias", target=target, line=node.lineno)
            self.classes.pop(name, None)
            (self.unreal.add if self.checking else self.unreal.discard)(name)

    def _target(self, target: ast.expr, value: ast.expr, line: int, *, weak: bool) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
            if dotted(target.elts[-1]) == "__all__" if target.elts else False:
                self._lazy(value)
            for index, element in enumerate(target.elts):
                if isinstance(element, ast.Name):
                    part = parts[index] if len(parts) == len(target.elts) else None
                    self._assigned(element.id, part, line, weak=weak)
        elif isinstance(target, ast.Name):
            if target.id == "__all__":
                self.exports.start()
                self.exports.add(value, self.reading)
            self._assigned(target.id, value, line, weak=weak)

    def _assigned(self, name: str, value: ast.expr | None, line: int, *, weak: bool) -> None:
        if name in self.symbols and (weak or (isinstance(value, ast.Constant) and value.value is None)):
            return
        reading = self.reading
        made = Symbol(name, "attribute", line=line)
        chain = dotted(value) if value is not None else None
        if chain is not None and chain not in ("True", "False", "None", name):
            root, _, rest = chain.partition(".")
            base = reading.imports.get(root) or (f"{reading.module}.{root}" if root in reading.defined else None)
            if base is not None:
                made = Symbol(name, "alias", target=f"{base}.{rest}" if rest else base, line=line)
            elif not rest and root in BUILTIN_CLASSES:
                made = Symbol(name, "alias", target=f"builtins.{root}", line=line)
        elif isinstance(value, ast.Lambda):
            made = Symbol(name, "function", parameters_of(reading, value.args, bound=False), line=line)
        elif isinstance(value, ast.Call):
            made = self._made(name, value, line)
        elif value is not None:
            returns = reading.constructed(value) or self._type_alias(value)
            made = replace(made, returns=returns)
        self.symbols[name] = made

    def _made(self, name: str, call: ast.Call, line: int) -> Symbol:
        """``name = callee(...)``: a type variable, a new type, a named tuple, or an object of a class."""
        reading = self.reading
        callee = (dotted(call.func) or "").rsplit(".", 1)[-1]
        found = named_tuple(reading, name, call, file=self.file, library=self.library, public=True, outer=reading.module)
        if found is not None:
            reading.classes.add(name)
            self.classes[name] = [found[1]]
            return found[0]
        returns = reading.constructed(call)
        if callee == "TypeVar":
            bounds = [k.value for k in call.keywords if k.arg == "bound"]
            bound = reading.annotation(bounds[0]) if bounds else None
            constraints = " | ".join(text for a in call.args[1:] if (text := reading.annotation(a)))
            returns = f"type[{bound}]" if bound else f"TypeVar[{constraints}]" if constraints else "TypeVar"
        elif callee == "NewType" and len(call.args) == 2:
            returns = f"type[{reading.annotation(call.args[1])}]"
        elif callee == "getLogger":
            returns = "logging.Logger"
        return Symbol(name, "attribute", returns=returns, line=line)

    def _type_alias(self, value: ast.expr) -> str | None:
        """``X = Union[A, B]`` or ``X = A | B``: the object is a type, so it reads ``type[A | B]``."""
        if isinstance(value, ast.Subscript):
            head = dotted(value.value) or ""
            if head.rsplit(".", 1)[-1] in _TYPE_FORMS or self.reading.is_class(head):
                text = self.reading.annotation(value)
                return f"type[{text}]" if text else None
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr):
            parts = value
            names = [dotted(parts.right)]
            if any(n and self.reading.is_class(n) for n in names) or names == [None]:
                text = self.reading.annotation(value)
                return f"type[{text}]" if text else None
        return None

    def _annotated(self, node: ast.AnnAssign, name: str) -> None:
        if name == "__all__" and node.value is not None:
            self.exports.start()
            self.exports.add(node.value, self.reading)
        kind = self.reading.annotation(node.annotation)
        if kind and kind.rsplit(".", 1)[-1] == "TypeAlias" and node.value is not None:
            if dotted(node.value):
                self._assigned(name, node.value, node.lineno, weak=False)
                return
            text = self.reading.annotation(node.value)
            kind = f"type[{text}]" if text else None
        elif kind and kind.rsplit(".", 1)[-1].startswith("Final"):
            _, bracket, inner = kind.partition("Final[")
            kind = inner[:-1] if bracket else self.reading.constructed(node.value)
        self.symbols[name] = Symbol(name, "attribute", returns=kind, line=node.lineno)

    def _lazy(self, value: ast.expr) -> None:
        """``__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules, {module: [names]})``."""
        if not isinstance(value, ast.Call) or not (dotted(value.func) or "").endswith("attach"):
            return
        given: dict[str | None, ast.expr] = dict(zip(("package", "submodules", "submod_attrs"), value.args, strict=False))
        given.update({k.arg: k.value for k in value.keywords})
        package, pairs = self.reading.module, given.get("submod_attrs")
        names: list[tuple[str, str]] = []
        for element in getattr(given.get("submodules"), "elts", []):
            if isinstance(element, ast.Constant):
                names.append((str(element.value), f"{package}.{element.value!s}"))
        if isinstance(pairs, ast.Dict):
            for key, listed in zip(pairs.keys, pairs.values, strict=True):
                if isinstance(key, ast.Constant):
                    elements = [e.value for e in getattr(listed, "elts", []) if isinstance(e, ast.Constant)]
                    names += [(str(e), f"{package}.{key.value!s}.{e!s}") for e in elements]
        self.exports.names = (self.exports.names or set()) | {name for name, _ in names}
        for name, target in names:
            self.symbols[name] = Symbol(name, "alias", target=target, line=value.lineno)
