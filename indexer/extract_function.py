"""Functions: from a ``def`` to a Symbol with its parameters, its return type and what its decorators make of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from octod.core.symbols import Parameter, Symbol
from octod.indexer.docstrings import cleaned, deprecation, return_type
from octod.indexer.reading import CALLED, LONGEST_TYPE, Reading, doc_of, dotted, literal_type

__all__ = ["add_overload", "decorations", "function_symbol", "narrower", "own_call", "parameters_of", "settled", "statements"]

MOST_OVERLOADS = 50
_LONGEST_TUPLE = 6
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

# Statements that hold no others, or none of the function's own.
_WITHOUT_BLOCKS = {
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Expr, ast.Assign, ast.Return, ast.AnnAssign, ast.AugAssign,
    ast.Raise, ast.Import, ast.ImportFrom, ast.Assert, ast.Delete, ast.Pass,
}  # fmt: skip
_PROPERTIES = {"property", "cached_property", "abstractproperty", "hybrid_property", "reify", "lazy_property"}
_PROPERTIES |= {"cache_readonly", "memoized_property", "lazyproperty", "classproperty", "hybridproperty", "_builtins_property"}
_DEPRECATORS = {"deprecated", "deprecate", "deprecated_api", "deprecated_function"}
_LITERAL = re.compile(r"\"[^\"]*\"|'[^']*'|[\w.]+")
_ITERATORS = re.compile(r"^(?:[\w.]+\.)?(Async)?(?:Iterator|Generator|Iterable)\[(.+)\]$")


def decorations(node: FunctionNode | ast.ClassDef) -> dict[str, ast.expr]:
    """The last part of each decorator's name, with its expression: ``@functools.cache`` gives ``cache``."""
    found: dict[str, ast.expr] = {}
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = dotted(called)
        if name is not None:
            found[name.rsplit(".", 1)[-1]] = decorator
    return found


def parameters_of(reading: Reading, arguments: ast.arguments, *, bound: bool) -> tuple[Parameter, ...]:
    """The parameters in order; ``bound`` leaves out the first positional one (``self`` or ``cls``)."""
    found: list[Parameter] = []
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    defaults += arguments.defaults
    for index, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        if index == 0 and bound:
            continue
        # Before PEP 570, stubs wrote positional-only parameters with two underscores.
        early = index < len(arguments.posonlyargs) or (reading.is_stub and argument.arg.startswith("__"))
        kind = "positional" if early else "standard"
        found.append(
            Parameter(argument.arg, kind, reading.default(default), reading.annotation(argument.annotation))  # type: ignore[arg-type]  # mypy widens the literal
        )
    if arguments.vararg is not None:
        found.append(Parameter(arguments.vararg.arg, "vararg", None, reading.annotation(arguments.vararg.annotation)))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(
            Parameter(argument.arg, "keyword", reading.default(default), reading.annotation(argument.annotation))
        )
    if arguments.kwarg is not None:
        found.append(Parameter(arguments.kwarg.arg, "kwarg", None, reading.annotation(arguments.kwarg.annotation)))
    return tuple(found)


def function_symbol(
    reading: Reading, node: FunctionNode, *, public: bool, owner: str = "", attributes: dict[str, str] | None = None
) -> Symbol:
    """The symbol of a function, or of a method of the class named ``owner`` whose ``self`` attributes are given."""
    marks = decorations(node)
    static = bool(owner) and ("staticmethod" in marks or "classmethod" in marks)
    bound = bool(owner) and "staticmethod" not in marks
    doc = doc_of(node.body)
    is_property = bool(owner) and not _PROPERTIES.isdisjoint(marks)
    returns = reading.annotation(node.returns)
    if returns is not None:
        returns = _own_type(reading, node, returns) if bound else returns
    else:
        returns = return_type(doc, reading.bound)
        if returns == "Self" and not owner:
            returns = None
        if returns is None and not reading.is_stub:
            returns = _inferred(reading, node, owner, attributes or {})
    asynchronous = isinstance(node, ast.AsyncFunctionDef)
    if returns and ("contextmanager" in marks or "asynccontextmanager" in marks):
        returns = _managed(returns, is_async="asynccontextmanager" in marks)
        asynchronous = False
    elif asynchronous and returns and _yields(node):
        asynchronous = False
    parameters = None if is_property else parameters_of(reading, node.args, bound=bound)
    return Symbol(
        name=node.name,
        kind="property" if is_property else "function",
        parameters=parameters,
        returns=returns,
        doc=cleaned(doc) if public or not node.name.startswith("_") else "",
        deprecated=_deprecated(marks) or deprecation(doc),
        line=node.lineno,
        static=static,
        asynchronous=asynchronous,
        public=public,
    )


def add_overload(earlier: Symbol | None, overload: Symbol) -> Symbol:
    """``earlier`` with one more overload; the first one gives the signature until an implementation does."""
    if earlier is None or earlier.kind != "function":
        return overload
    if len(earlier.overloads) >= MOST_OVERLOADS - 1:
        return earlier
    one = (overload.parameters or (), overload.returns)
    return replace(earlier, overloads=(*earlier.overloads, one), doc=earlier.doc or overload.doc)


def settled(symbol: Symbol) -> Symbol:
    """An overloaded function with that overload first that the plainest call means: the one that requires least.

    ``read_csv(path)`` is the overload with ``iterator: Literal[False] = ...``, not the one that needs ``Literal[True]``.
    """
    if not symbol.overloads:
        return symbol
    # With an implementation its own parameters come first and the overloads hold all there are.
    implemented = symbol.overloads[0][1] == symbol.returns and symbol.overloads[0][0] != symbol.parameters
    implemented = implemented and not narrower(symbol.parameters or (), symbol.overloads)
    every = list(symbol.overloads) if implemented else [(symbol.parameters or (), symbol.returns), *symbol.overloads]
    best = min(range(len(every)), key=lambda number: sum(map(_required, every[number][0])))
    every.insert(0, every.pop(best))
    if implemented:
        return replace(symbol, returns=every[0][1], overloads=tuple(every))
    return replace(symbol, parameters=every[0][0], returns=every[0][1], overloads=tuple(every[1:]))


def narrower(parameters: tuple[Parameter, ...], overloads: tuple[tuple[tuple[Parameter, ...], str | None], ...]) -> bool:
    """Whether a parameter takes fewer literals than in one of the overloads: then this is no implementation of them."""
    for parameter in parameters:
        own = parameter.annotation or ""
        if own.startswith("Literal["):
            mine = set(_LITERAL.findall(own))
            for other, _ in overloads:
                if not mine.issuperset(w for p in other if p.name == parameter.name for w in _LITERAL.findall(p.annotation or own)):
                    return True
    return False


def _required(parameter: Parameter) -> bool:
    return parameter.default is None and parameter.kind not in ("vararg", "kwarg")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement of a function's own body, nested blocks included, nested functions and classes left out."""
    stack = [iter(body)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            continue
        yield node
        if type(node) in _WITHOUT_BLOCKS:
            continue
        for name in ("finalbody", "orelse", "body"):
            if block := getattr(node, name, None):
                stack.append(iter(block))
        for handler in getattr(node, "handlers", ()):
            stack.append(iter(handler.body))
        for case in getattr(node, "cases", ()):
            stack.append(iter(case.body))


def _own_type(reading: Reading, node: FunctionNode, returns: str) -> str:
    """``Self`` where the return type is the type variable that annotates ``self`` (or ``type[T]`` on ``cls``)."""
    positional = [*node.args.posonlyargs, *node.args.args]
    if not positional or positional[0].annotation is None:
        return returns
    own = reading.annotation(positional[0].annotation) or ""
    own = own.removeprefix("type[").removeprefix("Type[").rstrip("]") if own.lower().startswith("type[") else own
    if own.isidentifier() and own not in reading.classes and not reading.imports.get(own, "").startswith("builtins"):
        return re.sub(rf"\b{own}\b", "Self", returns)
    return returns


def _managed(returns: str, *, is_async: bool) -> str:
    """What a function decorated with ``contextmanager`` returns: a context manager over the yielded type."""
    match = _ITERATORS.match(returns)
    inner = match[2] if match else "Any"
    if match and "Generator" in returns.split("[", 1)[0]:
        inner = _first(inner)
    kind = "AbstractAsyncContextManager" if is_async else "AbstractContextManager"
    return f"contextlib.{kind}[{inner}]"


def _first(text: str) -> str:
    """The first of comma-separated type arguments."""
    depth = 0
    for index, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            return text[:index]
    return text


def _deprecated(marks: dict[str, ast.expr]) -> str | None:
    """The message of a ``@deprecated("...")`` decorator (PEP 702 and its older look-alikes)."""
    for name in _DEPRECATORS & marks.keys():
        decorator = marks[name]
        if isinstance(decorator, ast.Call):
            for argument in [*decorator.args, *(k.value for k in decorator.keywords)]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    return " ".join(argument.value.split())[:200] or "deprecated"
        return "deprecated"
    return None


def _yields(node: FunctionNode) -> bool:
    for statement in statements(node.body):
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Await):
            value = value.value
        if isinstance(value, (ast.Yield, ast.YieldFrom)):
            return True
    return False


def _inferred(reading: Reading, node: FunctionNode, owner: str, attributes: dict[str, str]) -> str | None:
    """The one type that every ``return`` plainly has, None aside; None when they differ or are not plain."""
    known: dict[str, str | None] = {}
    positional = [*node.args.posonlyargs, *node.args.args]
    receiver = positional[0].arg if owner and positional else ""
    for argument in [*positional, *node.args.kwonlyargs]:
        known[argument.arg] = reading.annotation(argument.annotation)
    choices = _choices(reading, node, known)
    found: set[str | None] = set()
    yielded: set[str | None] = set()
    for statement in statements(node.body):
        if isinstance(statement, ast.Return):
            if statement.value is None or (isinstance(v := statement.value, ast.Constant) and v.value is None):
                continue
            found.add(_value_type(reading, statement.value, known, receiver, owner, attributes))
            if None in found or len(found) > 3:
                return None
        elif isinstance(statement, ast.Assign):
            kind = _value_type(reading, statement.value, known, receiver, owner, attributes)
            if isinstance(statement.value, (ast.Yield, ast.YieldFrom)):
                yielded.add(_yielded(reading, statement.value, known, receiver, owner, attributes))
            if (other := dotted(statement.value)) and reading.bound(root := other.partition(".")[0]) and root not in known:
                called = reading.constructed(ast.Call(statement.value, [], []))
                known.update({f"{name}()": called for t in statement.targets for name in _names(t)})  # another name for it
            if _head(statement.value) in choices:
                continue  # the caller's choice: without it the name is what else it is given here
            for target in statement.targets:
                for name in _names(target):
                    # A name that was given two types has none.
                    plain = kind if isinstance(target, ast.Name) else None
                    known[name] = plain if known.get(name, plain) == plain else None
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            known[statement.target.id] = reading.annotation(statement.annotation)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, (ast.Yield, ast.YieldFrom)):
            yielded.add(_yielded(reading, statement.value, known, receiver, owner, attributes))
        elif isinstance(statement, (ast.For, ast.AsyncFor)):
            known.update(dict.fromkeys(_names(statement.target)))
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            known.update(dict.fromkeys(n for i in statement.items if i.optional_vars for n in _names(i.optional_vars)))
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            known[statement.name] = None
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            known.update(dict.fromkeys((a.asname or a.name).partition(".")[0] for a in statement.names))
    if yielded:
        iterator = "typing.AsyncIterator" if isinstance(node, ast.AsyncFunctionDef) else "typing.Iterator"
        return f"{iterator}[{yielded.pop()}]" if None not in yielded and len(yielded) == 1 else None
    kinds = sorted(kind for kind in found if kind)
    return " | ".join(kinds) if kinds else None


def _choices(reading: Reading, node: FunctionNode, known: dict[str, str | None]) -> set[str]:
    """The parameters by which a caller may choose what is made: those that are None unless given.

    A parameter whose default is a class makes objects of it when it is called: noted in ``known`` as ``name()``.
    """
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(reversed(positional), reversed(arguments.defaults), strict=False), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    found: set[str] = set()
    for argument, default in pairs:
        if argument.annotation is not None or default is None:
            continue
        if isinstance(default, ast.Constant) and default.value is None:
            found.add(argument.arg)
        elif (name := dotted(default)) and reading.is_class(name) and reading.bound(name.partition(".")[0]):
            known[f"{argument.arg}()"] = name
    return found


def _head(value: ast.expr) -> str:
    """The name in ``name`` and in ``name(...)``."""
    value = value.func if isinstance(value, ast.Call) else value
    return value.id if isinstance(value, ast.Name) else ""


def _yielded(
    reading: Reading, value: ast.Yield | ast.YieldFrom, known: dict[str, str | None], receiver: str, owner: str, attributes: dict[str, str]
) -> str | None:  # fmt: skip
    if isinstance(value, ast.YieldFrom) or value.value is None:
        return None
    return _value_type(reading, value.value, known, receiver, owner, attributes)


def own_call(value: ast.expr, receiver: str) -> str | None:
    """``self.method(...)`` or ``self.part.method(...)`` as the text that stands for what it gives; None for anything else."""
    if not isinstance(value, ast.Call) or not receiver:
        return None
    match value.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=attr) if not attr.startswith("__"):
            return f"super.{attr}{CALLED}"
    parts = (dotted(value.func) or "").split(".")
    if len(parts) not in (2, 3) or parts[0] != receiver or parts[-1].startswith("__"):
        return None
    return f"self.{'.'.join(parts[1:])}{CALLED}"


def _names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _names(element)
    elif isinstance(target, ast.Starred):
        yield from _names(target.value)


def _value_type(
    reading: Reading, value: ast.expr, known: dict[str, str | None], receiver: str, owner: str, attributes: dict[str, str]
) -> str | None:
    if isinstance(value, ast.Name):
        if receiver and value.id == receiver and receiver in ("self", "cls"):
            return "Self" if receiver == "self" else "type[Self]"
        if value.id not in known and value.id in reading.classes:
            return f"type[{value.id}]"
        return known.get(value.id)
    if isinstance(value, ast.Call):
        called = value.func
        if isinstance(called, ast.Call) and dotted(called.func) == "type":
            return "Self" if called.args and dotted(called.args[0]) == receiver and receiver else None
        name = dotted(called)
        if name is None:
            return own_call(value, receiver)
        if receiver and name in (f"{receiver}.__class__", "cls" if receiver == "cls" else ""):
            return "Self"
        if receiver in ("self", "cls") and (own := own_call(value, receiver)):
            return own
        if name.split(".", 1)[0] in known:
            return known.get(f"{name}()")  # a local name hides the module's
    if isinstance(value, ast.Attribute) and receiver and isinstance(value.value, ast.Name):
        return attributes.get(value.attr) if value.value.id == receiver else None
    if isinstance(value, ast.Await):
        inner = _value_type(reading, value.value, known, receiver, owner, attributes) if isinstance(value.value, ast.Call) else None
        return f"await {inner}" if inner and inner.endswith(CALLED) else None
    if isinstance(value, ast.Tuple) and 2 <= len(value.elts) <= _LONGEST_TUPLE:
        parts = [_value_type(reading, v, known, receiver, owner, attributes) for v in value.elts]
        text = f"tuple[{', '.join(p or 'Any' for p in parts)}]"
        return text if any(parts) and len(text) <= LONGEST_TYPE else "tuple"
    if isinstance(value, ast.IfExp):
        sides = [v for v in (value.body, value.orelse) if not (isinstance(v, ast.Constant) and v.value is None)]
        both = sorted({_value_type(reading, v, known, receiver, owner, attributes) or "" for v in sides})
        return " | ".join(both) or None if "" not in both else None
    return reading.constructed(value) or literal_type(value)
