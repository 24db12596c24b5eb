"""Annotations read as types: from source text, in the scope where it is written, to ``TypeRef`` values."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace

from octod.core.symbols import Symbol
from octod.indexer.lookup import (
    ScopeSource,
    Target,
    TypeRef,
    bases,
    dotted,
    find_member,
    find_name,
    memo_of,
    mro,
    resolve,
    scope_of,
)
from octod.indexer.parse import parse_expression
from octod.indexer.placeholders import (
    UNKNOWN,
    Variables,
    free_variables,
    has_placeholder,
    products,
    substitute,
    union_of,
    weight,
)
from octod.indexer.reading import CALLED

__all__ = [
    "UNKNOWN",
    "arguments_of",
    "class_variables",
    "has_placeholder",
    "named_type",
    "read_annotation",
    "substitute",
    "template_of",
    "types_of",
]

NameLookup = Callable[[str], "tuple[TypeRef, ...] | None"]

ELLIPSIS = TypeRef("...")
_SELF = TypeRef("~Self")
# How type variables are named; an alias of a type that is named so reads the same, by its bound.
_VARIABLE = re.compile(r"^_?[A-Z]$|^_\w*T\d?(?:_co|_contra)?$|^\w*T(?:_co|_contra)?$|^T[A-Z_]\w*$|^_[A-Z]{1,2}\d?$")
_MOST = 12  # alternatives kept of a union
_DEEPEST = 10
_HEAVIEST = 30  # types in one that a chain of functions has put together
_LONGEST_CHAIN = 30  # functions that give what another function gives

_BUILTINS = frozenset({
    "int", "float", "str", "bool", "bytes", "list", "dict", "set", "tuple", "frozenset", "complex",
    "bytearray", "memoryview", "object", "type", "range", "slice", "property", "super", "enumerate", "zip",
    "map", "filter", "reversed",
})  # fmt: skip
_GENERIC_NAMES = {
    "List": "builtins.list", "Dict": "builtins.dict", "Set": "builtins.set", "FrozenSet": "builtins.frozenset",
    "Tuple": "builtins.tuple", "Type": "builtins.type", "Text": "builtins.str", "AnyStr": "builtins.str",
    "DefaultDict": "collections.defaultdict", "OrderedDict": "collections.OrderedDict", "Deque": "collections.deque",
    "Counter": "collections.Counter", "ChainMap": "collections.ChainMap", "LiteralString": "builtins.str",
}  # fmt: skip
_TYPING = ("typing.", "typing_extensions.", "t.", "_t.", "tp.", "te.")
_TRANSPARENT = frozenset({
    "Optional", "Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly", "InitVar",
    "Unpack", "TypeGuard", "TypeIs",
})  # fmt: skip
_WAITING = ("typing.Coroutine", "typing.Awaitable")
_NOTHING = frozenset({
    "None", "Any", "NoReturn", "Never", "Ellipsis", "Incomplete", "TypeAlias", "ParamSpec", "Unused",
})  # fmt: skip


def types_of(
    source: ScopeSource,
    annotation_text: str | None,
    scope_qualified: str,
    self_type: TypeRef | None = None,
    variables: Variables | None = None,
) -> tuple[TypeRef, ...]:
    """The types that an annotation written in ``scope_qualified`` allows; None and Any give nothing.

    ``self_type`` is what ``Self`` stands for, ``variables`` what type variables stand for; without a value a variable
    is its bound.
    """
    if not annotation_text:
        return ()
    return substitute(template_of(source, annotation_text, scope_qualified), self_type, variables)


def template_of(source: ScopeSource, annotation_text: str, scope_qualified: str) -> tuple[TypeRef, ...]:
    """The types of an annotation with its type variables and ``Self`` left as placeholders (``~T``)."""
    memo = memo_of(source).other
    key = ("types", scope_qualified, annotation_text)
    try:
        template = memo[key]
    except KeyError:
        memo[key] = ()  # an alias that leads to itself
        node = parse_expression(annotation_text)
        template = ()
        if node is not None:

            def named(name: str) -> tuple[TypeRef, ...] | None:
                return _named(source, name, scope_qualified)

            template = read_annotation(source, node, named)
        memo[key] = template
    assert isinstance(template, tuple)
    return template


def read_annotation(source: ScopeSource, node: ast.expr, named: NameLookup, depth: int = 0) -> tuple[TypeRef, ...]:
    """The types of an annotation's expression; ``named`` says what a dotted name in it stands for.

    ``Self`` and type variables come back as placeholders, for ``substitute``.
    """
    if depth > _DEEPEST:
        return ()
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            inner = parse_expression(node.value)
            return read_annotation(source, inner, named, depth + 1) if inner is not None else ()
        return ()
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = dotted(node)
        if not name or name in _NOTHING:
            return ()
        last = name.rpartition(".")[2]
        if last == "Self" and (last == name or name.startswith(_TYPING)):
            return (_SELF,)
        if last in _NOTHING and name.startswith(_TYPING):
            return ()
        found = named(name)
        if found is not None:
            return found
        return (TypeRef(_GENERIC_NAMES[last]),) if last in _GENERIC_NAMES else ()
    if isinstance(node, ast.BinOp):
        if not isinstance(node.op, ast.BitOr):
            return ()
        left = read_annotation(source, node.left, named, depth + 1)
        return union_of(left, read_annotation(source, node.right, named, depth + 1))
    if isinstance(node, ast.BoolOp):  # ``DataFrame or Series``, as docstrings say
        found = ()
        for value in node.values:
            found = union_of(found, read_annotation(source, value, named, depth + 1))
        return found
    if isinstance(node, (ast.Tuple, ast.List)) and node.elts:
        if isinstance(node, ast.List):
            return ()
        return _tuples([read_annotation(source, e, named, depth + 1) for e in node.elts], node.elts)
    if isinstance(node, ast.Subscript):
        return _subscript(source, node, named, depth)
    if isinstance(node, ast.Starred):
        return read_annotation(source, node.value, named, depth + 1)
    if isinstance(node, ast.Call):  # what a function gives, as the extractor writes it
        return named(dotted(node.func) + CALLED) or ()
    if isinstance(node, ast.Await):
        waiting = read_annotation(source, node.value, named, depth + 1)
        return tuple(t.args[-1] if t.args and t.qualified in _WAITING else t for t in waiting)
    return ()


def _subscript(source: ScopeSource, node: ast.Subscript, named: NameLookup, depth: int) -> tuple[TypeRef, ...]:
    name = dotted(node.value)
    last = name.rpartition(".")[2]
    parts: list[ast.expr] = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if last in _TRANSPARENT:
        return read_annotation(source, parts[0], named, depth + 1) if parts else ()
    if last == "Union":
        found: tuple[TypeRef, ...] = ()
        for part in parts:
            found = union_of(found, read_annotation(source, part, named, depth + 1))
        return found
    if last == "Literal":
        kinds = {type(p.value).__name__ for p in parts if isinstance(p, ast.Constant)}
        return tuple(TypeRef(f"builtins.{k}") for k in sorted(kinds & _BUILTINS))
    if last in ("Type", "type"):
        inner = read_annotation(source, parts[0], named, depth + 1)
        return tuple(replace(t, instance=False) for t in inner)
    if last == "Callable":
        results = read_annotation(source, parts[-1], named, depth + 1) if parts else ()
        wanted = parts[0].elts if len(parts) == 2 and isinstance(parts[0], ast.List) else []
        given = tuple((read_annotation(source, p, named, depth + 1) or (UNKNOWN,))[0] for p in wanted)
        if not results:
            return (TypeRef("typing.Callable", True, (UNKNOWN, *given) if given else ()),)
        return tuple(TypeRef("typing.Callable", True, (r, *given)) for r in results)
    heads = read_annotation(source, node.value, named, depth + 1)
    if last in ("tuple", "Tuple"):
        return _tuples([read_annotation(source, p, named, depth + 1) for p in parts], parts)
    if not heads:
        return ()
    choices = [read_annotation(source, p, named, depth + 1) for p in parts]
    # what is subscripted is no type variable, however it is called
    heads = tuple(inner for h in heads for inner in (h.args if h.qualified == f"~{last}" else (h,)))
    if any(h.args or h.qualified.startswith("~") for h in heads):  # an alias with its own arguments: NDArray[Any]
        free: dict[str, None] = {}
        for head in heads:
            free_variables(head, free)
        given_to = {name: c for name, c in zip(free, choices, strict=False) if c}
        return substitute(heads, _SELF, given_to, True) if given_to else heads
    return tuple(
        TypeRef(head.qualified, head.instance, arguments) for head in heads for arguments in products(choices)
    )[:_MOST]


def _tuples(choices: list[tuple[TypeRef, ...]], nodes: list[ast.expr]) -> tuple[TypeRef, ...]:
    variable = len(nodes) == 2 and isinstance(nodes[1], ast.Constant) and nodes[1].value is Ellipsis
    if variable:
        return tuple(TypeRef("builtins.tuple", True, (a, ELLIPSIS)) for a in choices[0]) or (TypeRef("builtins.tuple"),)
    return tuple(TypeRef("builtins.tuple", True, arguments) for arguments in products(choices))


def _named(source: ScopeSource, name: str, scope_qualified: str) -> tuple[TypeRef, ...] | None:
    """What a dotted name in an annotation stands for; None when nothing is known of it."""
    if name.endswith(CALLED):
        return _given(source, name.removesuffix(CALLED), scope_qualified)
    target = find_name(source, name, scope_qualified)
    if target is None:
        if name in _BUILTINS:
            return (TypeRef(f"builtins.{name}"),)
        last = name.rpartition(".")[2]
        if last in _GENERIC_NAMES and (last == name or name.startswith(_TYPING)):
            return None
        if len(name) <= 3 and name.isidentifier():
            return (TypeRef(f"~{name}"),)  # a type parameter of its own function or class (PEP 695)
        return None
    if target.qualified.startswith(("typing.", "typing_extensions.")):
        last = target.qualified.rpartition(".")[2]
        if last in _GENERIC_NAMES:
            return (TypeRef(_GENERIC_NAMES[last]),)
        if last in _NOTHING or last in ("Generic", "Protocol"):
            return ()
        if last == "Self":
            return (_SELF,)
    return named_type(source, target, name)


def _given(source: ScopeSource, name: str, scope_qualified: str) -> tuple[TypeRef, ...]:
    """What calling a function or class gives, whatever the arguments; ``self`` is an object of the class around."""
    parts = name.split(".")
    if parts[0] == "super":
        for base in mro(source, scope_qualified)[1:]:
            scope = scope_of(source, base)
            if scope is not None and (symbol := scope.symbols.get(parts[1])) is not None:
                return _called(source, symbol.kind, f"{base}.{parts[1]}", symbol)
        return ()
    if parts[0] == "self":
        home = scope_qualified
        found: tuple[TypeRef, ...] = ()
        for number, part in enumerate(parts[1:], 2):
            member = find_member(source, home, part)
            if member is None:
                return ()
            symbol, outer = member.symbol, member.owner
            if symbol.kind in ("alias", "class"):
                target = resolve(source, f"{outer}.{part}")
                if target is None or target.kind not in ("class", "function") or number < len(parts):
                    return ()
                return _called(source, target.kind, target.qualified, target.symbol)
            if number == len(parts):
                found = _called(source, symbol.kind, f"{outer}.{part}", symbol)
                return found if number == 2 else substitute(found, TypeRef(home), None)
            found = tuple(t for t in template_of(source, symbol.returns, outer) if t.known) if symbol.returns else ()
            if symbol.kind not in ("attribute", "property") or len(found) != 1 or not found[0].instance:
                return ()
            home = found[0].qualified
        return ()
    target = find_name(source, name, scope_qualified)
    if target is None:
        return ()
    owner = find_name(source, name.rpartition(".")[0], scope_qualified) if "." in name else None
    self_type = TypeRef(owner.qualified) if owner is not None and owner.kind == "class" else None
    return substitute(_called(source, target.kind, target.qualified, target.symbol), self_type, None)


def _called(source: ScopeSource, kind: str, qualified: str, symbol: Symbol | None) -> tuple[TypeRef, ...]:
    if kind == "class":
        return (TypeRef(qualified),)
    if kind != "function" or symbol is None or not symbol.returns:
        return ()
    home = qualified.rpartition(".")[0]
    memo = memo_of(source).other
    depth = memo.get("given", 0)
    if depth > _LONGEST_CHAIN:
        return ()
    memo["given"] = depth + 1
    try:
        found = template_of(source, symbol.returns, home)
        for _, returns in symbol.overloads:  # which of them is meant is not known: only what all give
            others = {t.qualified for t in template_of(source, returns, home)} if returns else set()
            found = tuple(t for t in found if t.qualified in others)
    finally:
        memo["given"] = depth
    found = tuple(t if weight(t) <= _HEAVIEST else TypeRef(t.qualified, t.instance) for t in found)
    if symbol.asynchronous:
        return tuple(TypeRef("typing.Coroutine", True, (UNKNOWN, UNKNOWN, t)) for t in found)
    return found


def named_type(source: ScopeSource, target: Target, name: str) -> tuple[TypeRef, ...]:
    """What a name of the index stands for when it is used as a type under ``name``."""
    if target.kind == "class":
        return (TypeRef(target.qualified),)
    if target.kind == "attribute" and target.symbol is not None:
        return _alias(source, target.qualified, target.symbol.returns, name)
    return ()  # a function: a class factory, or a docstring that names the maker


def _alias(source: ScopeSource, qualified: str, returns: str | None, name: str) -> tuple[TypeRef, ...]:
    """A module-level name used as a type: an alias (``type[...]``) or a type variable."""
    if returns is None:
        return ()
    last = name.rpartition(".")[2]
    outer = qualified.rpartition(".")[0]
    if returns.rpartition(".")[2] in ("TypeVar", "typing.TypeVar"):
        return (TypeRef(f"~{last}"),)
    if returns.startswith("TypeVar["):
        return (TypeRef(f"~{last}", True, template_of(source, returns[8:-1], outer)),)
    if returns.rpartition(".")[2] in ("ParamSpec", "TypeVarTuple"):
        return ()
    if returns.startswith(("type[", "Type[")):
        inner = template_of(source, returns[5:-1], outer)
        if inner and _VARIABLE.match(last):
            return (TypeRef(f"~{last}", True, inner),)  # solved by a call where it can be, else its bound
        return inner
    return ()


# type variables ----------------------------------------------------------------------------------------------------


def class_variables(source: ScopeSource, class_qualified: str) -> tuple[str, ...]:
    """The names of a generic class's type variables, in order."""
    memo = memo_of(source).other
    key = ("variables", class_qualified)
    try:
        known = memo[key]
    except KeyError:
        memo[key] = ()
        known = memo[key] = _class_variables(source, class_qualified)
    assert isinstance(known, tuple)
    return known


def _class_variables(source: ScopeSource, class_qualified: str) -> tuple[str, ...]:
    scope = scope_of(source, class_qualified)
    if scope is None:
        return ()
    outer = class_qualified.rpartition(".")[0]
    declared: tuple[str, ...] = ()
    collected: dict[str, None] = {}
    for text in scope.bases:
        node = parse_expression(text)
        if not isinstance(node, ast.Subscript):
            continue
        names = [n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name)]
        variables = [n for n in names if any(t.qualified == f"~{n}" for t in _named(source, n, outer) or ())]
        if dotted(node.value).rpartition(".")[2] in ("Generic", "Protocol"):
            declared = tuple(variables)
        collected.update(dict.fromkeys(variables))
    return declared or tuple(collected)


def arguments_of(source: ScopeSource, instance: TypeRef, owner: str) -> dict[str, tuple[TypeRef, ...]]:
    """What the type variables of ``owner``, a base of the instance's class, stand for in this instance."""
    names = class_variables(source, instance.qualified)
    found: dict[str, tuple[TypeRef, ...]] = {n: (a,) for n, a in zip(names, instance.args, strict=False) if a.qualified}
    if owner == instance.qualified or owner not in mro(source, instance.qualified):
        return found
    return _through(source, instance.qualified, owner, found, 0)


def _through(
    source: ScopeSource, qualified: str, owner: str, values: dict[str, tuple[TypeRef, ...]], depth: int
) -> dict[str, tuple[TypeRef, ...]]:
    outer = qualified.rpartition(".")[0]
    for base, written in bases(source, qualified):
        if depth > _DEEPEST or owner not in mro(source, base):
            continue
        given: dict[str, tuple[TypeRef, ...]] = {}
        if isinstance(written, ast.Subscript):
            parts = written.slice.elts if isinstance(written.slice, ast.Tuple) else [written.slice]
            for name, part in zip(class_variables(source, base), parts, strict=False):
                types = types_of(source, ast.unparse(part), outer, None, values)
                if types:
                    given[name] = types
        return given if base == owner else _through(source, base, owner, given, depth + 1)
    return {}
