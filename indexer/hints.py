"""Hints of libraries at what replaces what: deprecation texts, tables of removed names, renamed keywords.

All of it is read from sources as text: what a library would warn of when it runs is in its files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Hints", "deprecation_hints", "removal_notes", "successors_in"]

# Files without any of these hold no hints; parsing the others is what costs.
_WORTH_READING = re.compile(r"DeprecationWarning|FutureWarning|[Dd]eprecat\w*\(|rename_parameter|moved_20")
_WORTH_NOTES = re.compile(r"^[ \t]*def __getattr__\(|^\w*(?:removed|moved|renamed|expired|redirect)\w*(?::[^=\n]*)? ?= ?\{", re.IGNORECASE | re.MULTILINE)
_TABLE = re.compile(r"removed|moved|renamed|expired|former|deprecated|redirect", re.IGNORECASE)
_DECORATOR = re.compile(r"deprecat|rename|moved|legacy|supersede", re.IGNORECASE)

_BEFORE = (
    r"(?:\b(?:use|using|favou?r of|replaced (?:by|with)|renamed(?: to| as)?|moved to|superseded by|name for|alias (?:of|for)"
    r"|prefer|switch to|call|see|synonym for|equivalent to|available (?:as|from|in|under|at)|performed (?:by|via)))"
)
_NAME = re.compile(
    _BEFORE + r"(?:\s+(?:the|of|new|instead|function|method|class|by|to|it|as))*\s+(?::[a-z]+(?::[a-z]+)*:)?[`'\"(]*~?\.?"
    # not the beginning of a longer expression: ``np.dtype(obj).type``, ``Series[key]``, ``set_option("x", True)``
    r"([A-Za-z_]\w*(?:[.:]\w+)*)(?![\w/\[]|[.:]\w|\([^()]*\)\.|\([\"'])",
    re.IGNORECASE,
)
_EITHER = re.compile(r"\b[A-Z]\w*/[A-Z]\w*\.(\w+)")  # DataFrame/Series.shift
_WORDS = frozenset({"a", "an", "the", "it", "this", "that", "instead", "one", "of", "with", "for", "and", "or", "to", "in"})


@dataclass(slots=True)
class Hints:
    """What sources say: ``texts`` by the qualified name of what is deprecated, ``renames`` of keywords by function,
    ``same`` the name of the function that another one only passes its arguments on to."""

    texts: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    renames: dict[str, dict[str, str]] = field(default_factory=dict)


def successors_in(text: str) -> list[str]:
    """The names that a deprecation text may mean as the replacement, in reading order; they need not exist.

    ``Use `np.float64` instead`` gives ``np.float64``; ``pkg.mod:name`` counts as ``pkg.mod.name``.
    """
    found = [match[1].replace(":", ".").strip(".") for match in _NAME.finditer(_EITHER.sub(r"\1", text))]
    return [name for name in dict.fromkeys(found) if name.lower() not in _WORDS]


def removal_notes(module: str, text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a module says of names that it does not define, by path: of those that are gone (tables of removed names,
    ``__getattr__`` that raises), and of those that its ``__getattr__`` still gives with a warning.

    ``{"float_": "Use `np.float64` instead."}``, ``{"pkg.a:name": "pkg.b:name"}``, ``if name == "x": warn("...")``.
    """
    if not _WORTH_NOTES.search(text) or (tree := _parsed(text)) is None:
        return {}, {}
    found: dict[str, str] = {}
    served: dict[str, str] = {}
    # A table in ``numpy._expired_attrs`` speaks of ``numpy``.
    above = module
    while above.rpartition(".")[2].startswith("_"):
        above = above.rpartition(".")[0]
    for node in _statements(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(
                target=ast.Name(id=name), value=ast.expr() as value
            ) if _TABLE.search(name):
                for key, said in _table(value):
                    path = key.replace(":", ".") if ":" in key or key.startswith(f"{above}.") else f"{above}.{key}"
                    if all(part.isidentifier() for part in path.split(".")):
                        found.setdefault(path, said)
            case ast.FunctionDef(name="__getattr__"):
                for name, said, given in _branches(node):
                    (served if given else found).setdefault(f"{module}.{name}", said)
    return found, served


def _table(node: ast.expr) -> Iterator[tuple[str, str]]:
    """(name, what is said of it) of a literal dictionary or set."""
    match node:
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                said = " ".join(_strings(value))
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, said if " " in said or not said else f"renamed to {said}"
        case ast.Set(elts=elements):
            yield from ((e.value, "") for e in elements if isinstance(e, ast.Constant) and isinstance(e.value, str))


def _branches(function: ast.FunctionDef) -> Iterator[tuple[str, str, bool]]:
    """``if name == "x": ... warn("...")`` of a module's ``__getattr__``, and whether it gives something then."""
    for node in ast.walk(function):
        match node:
            case ast.If(test=ast.Compare(left=ast.Name(), ops=[ast.Eq()], comparators=[ast.Constant(value=str(name))])):
                said = [t for inner in node.body for call in _warnings(inner) for t in _strings(call)]
                if said and name.isidentifier() and not name.startswith("__"):
                    given = any(isinstance(n, ast.Return) and n.value is not None for b in node.body for n in ast.walk(b))
                    yield name, " ".join(said), given


def deprecation_hints(modules: Iterable[tuple[str, str]]) -> Hints:
    """What (module, source) pairs say of their own functions and classes: warnings that always come when they are
    called, decorators, renamed keywords."""
    hints = Hints()
    for module, text in modules:
        if _WORTH_READING.search(text) and (tree := _parsed(text)) is not None:
            _visit(tree.body, module, hints)
    return hints


def _visit(body: Iterable[ast.stmt], scope: str, hints: Hints) -> None:
    for node in body:
        if isinstance(node, ast.ClassDef):
            _decorated(node, f"{scope}.{node.name}", (), hints)
            _visit(node.body, f"{scope}.{node.name}", hints)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            _decorated(node, f"{scope}.{node.name}", names, hints)
            _warned(node, f"{scope}.{node.name}", names, hints)
            if other := _passed_on(node):
                hints.same[f"{scope}.{node.name}"] = other
        elif isinstance(node, ast.If | ast.Try):
            _visit(node.body, scope, hints)


def _decorated(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, qualified: str, names: Sequence[str], hints: Hints
) -> None:
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call) or not _DECORATOR.search(name := _last_name(decorator.func)):
            continue
        given = [*decorator.args, *(k.value for k in decorator.keywords)]
        said = [t for argument in given for t in _strings(argument)]
        words = [a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str) and a.value.isidentifier()]
        if len(words) >= 2 and words[-1] in names and words[-2] not in names:
            hints.renames.setdefault(qualified, {})[words[-2]] = words[-1]
        elif "param" not in name and (text := " ".join(t for t in said if " " in t or "`" in t)):
            hints.texts.setdefault(qualified, text)


def _warned(node: ast.FunctionDef | ast.AsyncFunctionDef, qualified: str, names: list[str], hints: Hints) -> None:
    for statement in node.body:
        if isinstance(statement, ast.If):
            asked = {n.id for n in ast.walk(statement.test) if isinstance(n, ast.Name)} & set(names)
            for call in (c for inner in statement.body for c in _warnings(inner)):
                for new in successors_in(" ".join(_strings(call))):
                    if new in names and new not in asked and len(asked) == 1:
                        hints.renames.setdefault(qualified, {}).setdefault(asked.pop(), new)
        elif isinstance(statement, ast.Expr):
            for call in _warnings(statement):
                hints.texts.setdefault(qualified, " ".join(_strings(call)))


def _passed_on(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """``other`` of a function whose whole body is ``return other(...)`` or ``return self.other(...)`` with exactly its
    own parameters; empty for any other."""
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and (isinstance(s.value, ast.Constant) or any(_warnings(s))))]
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    own = {a.arg for a in every if a is not None} - {"self", "cls"}
    match body:
        case [ast.Return(value=ast.Call(func=function, args=args, keywords=keywords))]:
            values = [a.value if isinstance(a, ast.Starred) else a for a in args] + [k.value for k in keywords]
            passed = {v.id for v in values if isinstance(v, ast.Name)}
            renamed = any(k.arg is not None and isinstance(k.value, ast.Name) and k.value.id != k.arg for k in keywords)
            if len(passed) != len(values) or passed != own or renamed or not own:
                return ""
            match function:
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) | ast.Name(id=name):
                    return "" if name.startswith("_") or name == node.name else name
    return ""


def _warnings(node: ast.stmt) -> Iterator[ast.Call]:
    """Calls of ``warn(...)`` and the like with a text, in a statement."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and re.search(r"warn|deprecat", _last_name(inner.func), re.IGNORECASE) and any(_strings(inner)):
            yield inner


def _strings(node: ast.AST) -> list[str]:
    """The texts in an expression, parts of f-strings included."""
    found = [n.value.strip() for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [" ".join(text.split()) for text in found if text]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, those under ``if`` and ``try`` too."""
    left = list(tree.body)
    while left:
        node = left.pop(0)
        yield node
        if isinstance(node, ast.If | ast.Try):
            left += [*node.body, *node.orelse]


def _parsed(text: str) -> ast.Module | None:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
