"""What an expression is: names through the bindings around it, everything else through the index."""

from __future__ import annotations

import ast
from dataclasses import replace

from octod.indexer.annotations import UNKNOWN
from octod.indexer.attributes import Bindings, Types, attribute, held_by, union
from octod.indexer.calls import called
from octod.indexer.frames import MatchedPart
from octod.indexer.iteration import (
    ELEMENTS,
    SEQUENCES,
    as_tuple,
    awaited,
    elements,
    is_enum,
    keyed,
    method_result,
    short_name,
)
from octod.indexer.lookup import ScopeSource, TypeRef, mro, scope_of
from octod.indexer.lore import ITEMS

__all__ = ["infer"]

_MOST = 8  # alternatives followed
_DEEPEST = 40
_BUILTIN = "builtins."
_NUMBERS = ("builtins.bool", "builtins.int", "builtins.float", "builtins.complex")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "lshift", ast.RShift: "rshift",
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "__eq__", ast.NotEq: "__ne__", ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__", ast.GtE: "__ge__",
}  # fmt: skip
_REPEATED = frozenset(f"builtins.{n}" for n in ("list", "tuple", "str", "bytes"))
# Classes whose pattern takes one part: the object itself.
_BUILTIN_PATTERNS = frozenset(f"builtins.{n}" for n in (
    "bool", "bytearray", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple",
))  # fmt: skip
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "__neg__", ast.UAdd: "__pos__", ast.Invert: "__invert__"}


def infer(source: ScopeSource, bindings: Bindings, expression: ast.expr, depth: int = 0) -> Types:
    """The types that the expression may have; empty where that is unknown."""
    if depth > _DEEPEST:
        return ()
    depth += 1
    match expression:
        case ast.Name():
            return bindings.name(expression.id)
        case ast.Attribute():
            owners = infer(source, bindings, expression.value, depth)
            usual = union(attribute(source, bindings, o, expression.attr) for o in owners[:_MOST])
            # a library's attribute may make something else of what is assigned to it (a property, a descriptor)
            own = not usual or any(bindings.own_fields(o) is not None for o in owners)
            return bindings.narrowed(expression, own) or usual
        case ast.Call():
            known = bindings.calls.get(expression)
            if known is None:
                if isinstance(expression.func, ast.Name) and expression.func.id == "super":
                    return bindings.above()
                functions = infer(source, bindings, expression.func, depth)
                known = union(called(source, bindings, f, expression, depth) for f in functions[:_MOST])
                bindings.calls[expression] = known
            return known
        case ast.Await():
            return awaited(source, infer(source, bindings, expression.value, depth), bindings)
        case ast.Constant():
            kind = type(expression.value).__name__
            return (TypeRef(_BUILTIN + kind),) if kind not in ("NoneType", "ellipsis") else ()
        case ast.JoinedStr():
            return (TypeRef("builtins.str"),)
        case ast.Subscript():
            return _item(source, bindings, expression, depth)
        case ast.List() | ast.Set():
            return _display(source, bindings, expression.elts, type(expression).__name__.lower(), depth)
        case ast.Tuple():
            return (_tuple(source, bindings, expression, depth),)
        case ast.Dict():
            return _dictionary(source, bindings, expression, depth)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            inside = bindings.inside(expression).infer(expression.elt, depth)
            name = {ast.ListComp: "builtins.list", ast.SetComp: "builtins.set"}.get(type(expression), "typing.Iterator")
            return tuple(TypeRef(name, True, (t,)) for t in inside[:_MOST]) or (TypeRef(name),)
        case ast.DictComp():
            place = bindings.inside(expression)
            key = (*place.infer(expression.key, depth), UNKNOWN)[0]
            values = place.infer(expression.value, depth)[:_MOST] or (UNKNOWN,)
            return tuple(TypeRef("builtins.dict", True, (key, v)) for v in values)
        case ast.Lambda():
            results = bindings.inside(expression).infer(expression.body, depth)
            return tuple(TypeRef("typing.Callable", True, (t,)) for t in results[:_MOST]) or (TypeRef("typing.Callable"),)
        case ast.BinOp():
            # its operands are asked for once an overload: a long formula would be read an exponential number of times
            made = bindings.calls.get(expression)
            if made is None:
                made = _operation(source, bindings, expression, depth)
                bindings.calls[expression] = made
            return made
        case ast.UnaryOp():
            if isinstance(expression.op, ast.Not):
                return (TypeRef("builtins.bool"),)
            return _unary(source, bindings, expression, depth)
        case ast.Compare():
            sides = infer(source, bindings, expression.left, depth)
            arrays = tuple(t for t in sides if t.instance and not t.qualified.startswith(_BUILTIN) and t.known)
            plain = isinstance(expression.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot))
            if not plain and not any(t.known for t in sides):
                return ()  # of an array it would be an array
            return _compared(source, bindings, arrays, expression) if arrays and not plain else (TypeRef("builtins.bool"),)
        case ast.BoolOp():
            return union(infer(source, bindings, v, depth) for v in expression.values)
        case ast.IfExp():
            return union(infer(source, bindings, v, depth) for v in (expression.body, expression.orelse))
        case ast.NamedExpr():
            return infer(source, bindings, expression.value, depth)
        case MatchedPart():
            return _matched(source, bindings, expression)
    return ()


def _tuple(source: ScopeSource, bindings: Bindings, node: ast.Tuple, depth: int) -> TypeRef:
    if any(isinstance(e, ast.Starred) for e in node.elts):
        inside = _display(source, bindings, node.elts, "list", depth)[0].args
        return TypeRef("builtins.tuple", True, (*inside, TypeRef("...")) if inside else ())
    parts = [infer(source, bindings, e, depth) for e in node.elts[:_MOST]]
    return TypeRef("builtins.tuple", True, tuple(p[0] if p else UNKNOWN for p in parts))


def _display(source: ScopeSource, bindings: Bindings, items: list[ast.expr], name: str, depth: int) -> Types:
    inside: Types = ()
    for item in items[:4]:
        if isinstance(item, ast.Starred):
            inside += elements(source, infer(source, bindings, item.value, depth), bindings)
        else:
            inside += infer(source, bindings, item, depth)
    kinds = dict.fromkeys(inside)
    return tuple(TypeRef(_BUILTIN + name, True, (t,)) for t in list(kinds)[:_MOST]) or (TypeRef(_BUILTIN + name),)


def _dictionary(source: ScopeSource, bindings: Bindings, node: ast.Dict, depth: int) -> Types:
    values: Types = ()
    for key, value in list(zip(node.keys, node.values, strict=True))[:4]:
        given = infer(source, bindings, value, depth)
        values += given if key is not None else tuple(t.args[1] for t in given if len(t.args) == 2)
    keys = next((infer(source, bindings, k, depth) for k in node.keys if k is not None), ())
    kinds = list(dict.fromkeys(values))[:_MOST] or ([UNKNOWN] if keys else [])
    return tuple(TypeRef("builtins.dict", True, ((*keys, UNKNOWN)[0], v)) for v in kinds) or (TypeRef("builtins.dict"),)


def _item(source: ScopeSource, bindings: Bindings, node: ast.Subscript, depth: int) -> Types:
    found: list[TypeRef] = []
    index = node.slice
    if here := bindings.narrowed(node, True):
        return here
    for one in infer(source, bindings, node.value, depth)[:_MOST]:
        if not one.known:
            continue
        if not one.instance:
            if is_enum(bindings, one):
                found.append(TypeRef(one.qualified))
                continue
            # list[int], Generic[T]
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            found.append(replace(one, args=tuple((*bindings.annotation(p), UNKNOWN)[0] for p in parts[:_MOST])))
        elif isinstance(index, ast.Slice) and one.qualified in (*SEQUENCES, "builtins.tuple", "builtins.str"):
            found.append(one)
        elif (items := as_tuple(source, bindings, one)) is not None:
            fixed = "..." not in [a.qualified for a in items.args]
            number = _number(index)
            if fixed and number is not None and -len(items.args) <= number < len(items.args):
                found.append(items.args[number])
            else:
                found += [a for a in items.args if a.qualified not in ("", "...")]
        elif (held := held_by(one)) is not None:
            found += [held] if not isinstance(index, ast.Slice) else [one]
        elif rule := next((ITEMS[c] for c in mro(source, one.qualified) if c in ITEMS), None):
            found += [TypeRef(t) if t != "Self" else replace(one, receiver=None) for t in rule(index)]
        elif one.args and (one.qualified in SEQUENCES or short_name(one) in ELEMENTS) and one.qualified != "builtins.set":
            found.append(TypeRef("builtins.int") if short_name(one) == "Counter" else one.args[-1])
        elif one.qualified == "builtins.str":
            found.append(one)
        elif under := keyed(source, bindings, one, index):
            found += under
        else:
            for getter in attribute(source, bindings, one, "__getitem__"):
                found += called(source, bindings, getter, _call_with(node.value, index), depth)
    return tuple(dict.fromkeys(f for f in found if f.qualified))[:_MOST]


def _call_with(function: ast.expr, argument: ast.expr) -> ast.Call:
    """A call that nobody wrote: what an operator or a subscript comes down to."""
    return ast.copy_location(ast.Call(function, [argument], []), function)


def _number(index: ast.expr) -> int | None:
    if isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub):
        inner = _number(index.operand)
        return -inner if inner is not None else None
    return index.value if isinstance(index, ast.Constant) and isinstance(index.value, int) else None


def _matched(source: ScopeSource, bindings: Bindings, part: MatchedPart) -> Types:
    """The object that a class pattern matches, or what one of its positional parts does."""
    found: Types = ()
    for one in bindings.annotation(part.value):
        if part.index < 0 or one.qualified in _BUILTIN_PATTERNS:
            found += (one,)
            continue
        names = bindings.own_fields(one)
        if names is None:
            scope = scope_of(source, one.qualified)
            names = [n for n, s in scope.symbols.items() if s.kind == "attribute" and s.returns] if scope is not None else []
        if part.index < len(names):
            found += attribute(source, bindings, one, names[part.index])
    return found


# operators ---------------------------------------------------------------------------------------------------------


def _unary(source: ScopeSource, bindings: Bindings, node: ast.UnaryOp, depth: int) -> Types:
    found: Types = ()
    for one in infer(source, bindings, node.operand, depth):
        plain = not one.known or not one.instance or one.qualified.startswith(_BUILTIN)
        results = () if plain else method_result(source, bindings, one, _UNARY[type(node.op)])
        found += tuple(r for r in results if r.known and r.qualified != "builtins.object") or (one,)
    return tuple(dict.fromkeys(found))


def _compared(source: ScopeSource, bindings: Bindings, sides: Types, node: ast.Compare) -> Types:
    """Objects whose comparison is no truth value (arrays, columns) give one of their own kind."""
    name = _COMPARISONS.get(type(node.ops[0]), "__eq__")
    found: Types = ()
    for one in sides:
        results = method_result(source, bindings, one, name)
        found += results if any(r.qualified == "builtins.bool" for r in results) else (one,)
    return tuple(dict.fromkeys(found))


def _operation(source: ScopeSource, bindings: Bindings, node: ast.BinOp, depth: int) -> Types:
    left = infer(source, bindings, node.left, depth)
    right = infer(source, bindings, node.right, depth)
    rich = tuple(t for t in left if t.instance and t.known and not t.qualified.startswith(_BUILTIN))
    name = _OPERATORS[type(node.op)]
    if not rich:
        # what a library's object makes of a plain left side is of its own kind nearly always
        rich = tuple(t for t in right if t.instance and t.known and not t.qualified.startswith(_BUILTIN))
        if rich:
            return _results(source, bindings, rich, f"__r{name}__", node.left, depth)
        if isinstance(node.op, ast.Mod) and any(t.qualified == "builtins.str" for t in left):
            return (TypeRef("builtins.str"),)
        repeated = tuple(t for t in (*left, *right) if t.qualified in _REPEATED)
        if isinstance(node.op, ast.Mult) and repeated:  # a sequence so many times
            return repeated
        numbers = [t for t in (*left, *right) if t.qualified in _NUMBERS]
        if isinstance(node.op, ast.Div) and numbers:
            return (TypeRef("builtins.float"),)
        if isinstance(node.op, (ast.Add, ast.BitOr)) and not numbers:
            return union((left, tuple(t for t in right if any(t.qualified == o.qualified for o in left))))
        return (max(numbers, key=lambda t: _NUMBERS.index(t.qualified)),) if numbers else left
    results = _results(source, bindings, rich, f"__{name}__", node.right, depth)
    wider = tuple(t for t in right if t.instance and t.known and t.qualified in ITEMS)
    return union((results, wider if not any(r.qualified in ITEMS for r in results) else ()))


def _results(
    source: ScopeSource, bindings: Bindings, owners: Types, name: str, operand: ast.expr, depth: int
) -> Types:
    found: Types = ()
    for one in owners:
        methods = attribute(source, bindings, one, name)
        made = union(called(source, bindings, m, _call_with(operand, operand), depth) for m in methods if not m.instance)
        kept = tuple(t for t in made if t.known and t.qualified != "builtins.object")
        found += kept or (replace(one, receiver=None),)
    return tuple(dict.fromkeys(found))
