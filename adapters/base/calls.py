"""Call sites and signatures of one file, from its syntax tree.

Two results per file: where `receiver.member(...)` is called, with what is known about the receiver, and which
public functions and classes the file defines. Receivers are followed through imports, assignments, `with`,
annotations and chained calls, without regard to order or scope: this labels training data, it does not answer
a user.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

__all__ = ["Call", "FileFacts", "Signature", "analyse", "render_signature"]

_BUILTIN_MEMBERS = frozenset(
    name for kind in (str, bytes, list, dict, set, tuple, int, float) for name in dir(kind)
)
_DEFAULT_CHARACTERS = 16
_ACCESSORS = frozenset({"property", "cached_property", "setter", "getter", "deleter", "hybrid_property"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call site; the positions are character offsets into the file's text.

    `line` is the newline before the physical line of the member, `member` the member's first character, `stop`
    the newline (or end of text) after the call. `origin` is where the receiver comes from, such as
    `pandas.read_csv()`; empty when unknown.
    """

    line: int
    member: int
    stop: int
    name: str
    origin: str
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A definition: `text` as shown to the model, `owner` the class (empty at module level)."""

    name: str
    owner: str
    text: str
    keywords: frozenset[str]
    open: bool  # accepts **kwargs


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file calls, defines and imports (top-level names)."""

    calls: tuple[Call, ...]
    signatures: tuple[Signature, ...]
    imports: frozenset[str]


def analyse(text: str, package: str) -> FileFacts:
    """Analyse one file of the top-level package `package`.

    Raises:
        SyntaxError, ValueError, RecursionError: when the text is no Python this interpreter can parse.
    """
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    names, imports = _names(nodes)
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    lines = text.split("\n")
    calls: list[Call] = []
    for node in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        func = node.func
        row, end = func.end_lineno or 0, node.end_lineno or 0
        if row < 2 or end > len(lines):
            continue
        if isinstance(func.value, ast.Name) and func.value.id in {"self", "cls"}:
            continue
        origin = _origin(func.value, names)
        if not origin and func.attr in _BUILTIN_MEMBERS:
            continue
        # Columns of `ast` are UTF-8 bytes.
        column = len(lines[row - 1].encode()[: func.end_col_offset].decode(errors="replace")) - len(func.attr)
        calls.append(
            Call(
                line=starts[row - 1] - 1,
                member=starts[row - 1] + column,
                stop=starts[end] - 1,
                name=func.attr,
                origin=origin,
                keywords=tuple(k.arg for k in node.keywords if k.arg),
            )
        )
    return FileFacts(tuple(calls), tuple(_signatures(tree, package)), imports)


def render_signature(name: str, arguments: ast.arguments, *, method: bool) -> str:
    """Render `name(url, *, params=None)`: no annotations, and no first parameter for a method."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    defaults += arguments.defaults
    parts = [_parameter(arg, default) for arg, default in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if method and positional:
        del parts[0]
        if parts and parts[0] == "/":
            del parts[0]
    if arguments.vararg:
        parts.append("*" + arguments.vararg.arg)
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_parameter(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        parts.append("**" + arguments.kwarg.arg)
    return f"{name}({', '.join(parts)})"


def _names(nodes: list[ast.AST]) -> tuple[dict[str, str], frozenset[str]]:
    """Return where each name of the file comes from, and the top-level packages it imports."""
    names: dict[str, str] = {}
    imports: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                imports.add(top)
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module.split(".")[0])
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            _bind(names, node.targets[0], _origin(node.value, names))
        elif isinstance(node, ast.AnnAssign):
            origin = _origin(node.annotation, names)
            _bind(names, node.target, origin + "()" if origin else "")
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            _bind(names, node.optional_vars, _origin(node.context_expr, names))
        elif isinstance(node, ast.arg) and node.annotation is not None:
            origin = _origin(node.annotation, names)
            if origin:
                names.setdefault(node.arg, origin + "()")
    return names, frozenset(imports)


def _bind(names: dict[str, str], target: ast.expr, origin: str) -> None:
    # Only calls make instances: `x = np.pi` says nothing about x's members.
    if not origin.endswith("()"):
        return
    if isinstance(target, ast.Name):
        names.setdefault(target.id, origin)
    elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        names.setdefault(f"{target.value.id}.{target.attr}", origin)
    elif isinstance(target, ast.Tuple):  # fig, ax = plt.subplots()
        for element in target.elts:
            if isinstance(element, ast.Name):
                names.setdefault(element.id, origin)


def _origin(node: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted origin of an expression, `()` after each call, or an empty string."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in names:
            return names[f"{node.value.id}.{node.attr}"]
        base = _origin(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    if isinstance(node, ast.Call):
        base = _origin(node.func, names)
        return base + "()" if base else ""
    if isinstance(node, ast.Await):
        return _origin(node.value, names)
    if isinstance(node, ast.Subscript):
        base = _origin(node.value, names)
        return base if base.endswith("()") else ""
    return ""


def _signatures(tree: ast.Module, package: str) -> list[Signature]:
    found: list[Signature] = []
    for node in _definitions(tree.body):
        if isinstance(node, ast.ClassDef):
            methods = [m for m in _definitions(node.body) if not isinstance(m, ast.ClassDef)]
            for method in methods:
                decorators = {_decorator(d) for d in method.decorator_list}
                if method.name == "__init__":
                    found.append(_signature(method, "", f"{package}.{node.name}", node.name, bound=True))
                elif not method.name.startswith("_") and not decorators & _ACCESSORS:
                    bound = "staticmethod" not in decorators
                    shown = f"{node.name}.{method.name}"
                    found.append(_signature(method, node.name, shown, method.name, bound=bound))
        elif not node.name.startswith("_"):
            found.append(_signature(node, "", f"{package}.{node.name}", node.name, bound=False))
    # Of overloads the last one is kept, the most general by custom.
    return list({(s.owner, s.name): s for s in found}.values())


def _definitions(body: list[ast.stmt]) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Return the definitions of a body, those under `if` and `try` included."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node)
        elif isinstance(node, ast.If | ast.Try):
            found += _definitions([*node.body, *node.orelse])
    return found


def _signature(
    node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str, shown: str, name: str, *, bound: bool
) -> Signature:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    text = render_signature(shown, arguments, method=bound)
    return Signature(name, owner, text, frozenset(a.arg for a in every), arguments.kwarg is not None)


def _decorator(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return argument.arg
    text = ast.unparse(default)
    return f"{argument.arg}={text if len(text) <= _DEFAULT_CHARACTERS else '...'}"
