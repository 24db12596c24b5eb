"""What an expression is: names through the bindings around it, everything else through the index."""

from __future__ import annotations

import ast
from dataclasses import replace

from octod.core.symbols import Parameter, Symbol
from octod.indexer.annotations import UNKNOWN, arguments_of, types_of
from octod.indexer.attributes import Bindings, Types, attribute, held_by, union
from octod.indexer.lookup import ScopeSource, TypeRef, find_member, find_name, mro, resolve
from octod.indexer.lore import ITEMS, OBJECTS, RESULTS, SAME
from octod.indexer.overloads import fitting, signatures

__all__ = ["awaited", "called", "elements", "entered", "infer"]

_MOST = 8  # alternatives followed
_DEEPEST = 40
_BUILTIN = "builtins."
_SEQUENCES = frozenset(f"builtins.{n}" for n in ("list", "set", "frozenset", "dict"))
_ELEMENTS = frozenset({
    "Iterable", "Iterator", "Generator", "Sequence", "MutableSequence", "Collection", "Reversible", "Set",
    "MutableSet", "AbstractSet", "KeysView", "ValuesView", "AsyncIterable", "AsyncIterator",
    "AsyncGenerator", "deque", "Mapping", "MutableMapping", "defaultdict", "OrderedDict", "Counter",
})  # fmt: skip
_ITERATORS = frozenset({
    "Iterator", "Generator", "AsyncIterator", "AsyncGenerator", "Iterable", "AsyncIterable",
})  # fmt: skip
_NUMBERS = ("builtins.bool", "builtins.int", "builtins.float", "builtins.complex")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "lshift", ast.RShift: "rshift",
}  # fmt: skip


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
            return union(attribute(source, bindings, o, expression.attr) for o in owners[:_MOST])
        case ast.Call():
            return _call(source, bindings, expression, depth)
        case ast.Await():
            return awaited(source, infer(source, bindings, expression.value, depth))
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
            parts = [infer(source, bindings, e, depth) for e in expression.elts[:_MOST]]
            return (TypeRef("builtins.tuple", True, tuple(p[0] if p else UNKNOWN for p in parts)),)
        case ast.Dict():
            return _dictionary(source, bindings, expression, depth)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            inside = infer(source, bindings.inside(expression), expression.elt, depth)
            name = {ast.ListComp: "builtins.list", ast.SetComp: "builtins.set"}.get(type(expression), "typing.Iterator")
            return tuple(TypeRef(name, True, (t,)) for t in inside[:_MOST]) or (TypeRef(name),)
        case ast.DictComp():
            values = infer(source, bindings.inside(expression), expression.value, depth)
            return tuple(TypeRef("builtins.dict", True, (UNKNOWN, v)) for v in values[:_MOST]) or (
                TypeRef("builtins.dict"),
            )
        case ast.BinOp():
            return _operation(source, bindings, expression, depth)
        case ast.UnaryOp():
            if isinstance(expression.op, ast.Not):
                return (TypeRef("builtins.bool"),)
            return infer(source, bindings, expression.operand, depth)
        case ast.Compare():
            sides = infer(source, bindings, expression.left, depth)
            arrays = tuple(t for t in sides if t.instance and not t.qualified.startswith(_BUILTIN) and t.known)
            plain = isinstance(expression.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot))
            return arrays if arrays and not plain else (TypeRef("builtins.bool"),)
        case ast.BoolOp():
            return union(infer(source, bindings, v, depth) for v in expression.values)
        case ast.IfExp():
            return union(infer(source, bindings, v, depth) for v in (expression.body, expression.orelse))
        case ast.NamedExpr():
            return infer(source, bindings, expression.value, depth)
    return ()


# calls -------------------------------------------------------------------------------------------------------------


def _call(source: ScopeSource, bindings: Bindings, call: ast.Call, depth: int) -> Types:
    if isinstance(call.func, ast.Name) and call.func.id == "super" and not call.args:
        return bindings.above()
    functions = infer(source, bindings, call.func, depth)
    return union(called(source, bindings, f, call, depth) for f in functions[:_MOST])


def called(source: ScopeSource, bindings: Bindings | None, function: TypeRef, call: ast.Call | None, depth: int = 0) -> Types:
    """What calling ``function`` with the arguments of ``call`` gives; ``pkg.func()`` where its result is unknown."""
    if not function.known:
        return ()
    if bindings is not None and not function.instance and (own := bindings.own_call(function)) is not None:
        return own
    if function.instance:
        if function.qualified == "typing.Callable":
            return function.args
        if held_by(function) is not None:
            return (function,)  # axes.ravel(): the method stands for its result
        if "ufunc" in function.qualified.lower() and call is not None and bindings is not None:
            # a function of arrays gives tables and series back as they are
            given = union(infer(source, bindings, a, depth) for a in call.args[:2])
            if rich := tuple(t for t in given if t.qualified.startswith("pandas.")):
                return rich
        method = find_member(source, function.qualified, "__call__")
        if method is None or method.symbol.kind != "function":
            return ()
        bound = TypeRef(f"{method.owner}.__call__", False, (), function)
        return _returned(source, bindings, bound, method.symbol, call, depth)
    target = resolve(source, function.qualified)
    if target is None:
        return (TypeRef(function.qualified),) if function.qualified.startswith(_BUILTIN) else ()
    if target.kind == "class":
        return _constructed(source, bindings, target.qualified, function, call, depth)
    if target.kind == "function" and target.symbol is not None:
        resolved = replace(function, qualified=target.qualified)
        return _returned(source, bindings, resolved, target.symbol, call, depth)
    return ()


def _constructed(
    source: ScopeSource, bindings: Bindings | None, qualified: str, function: TypeRef, call: ast.Call | None, depth: int
) -> Types:
    first = call.args[0] if call is not None and call.args and bindings is not None else None
    if first is not None and bindings is not None:
        if qualified == "builtins.type" and call is not None and len(call.args) == 1:
            return tuple(replace(t, instance=False) for t in infer(source, bindings, first, depth) if t.instance)
        if qualified in ("builtins.list", "builtins.set", "builtins.tuple", "builtins.frozenset", "collections.deque",
                         "builtins.reversed", "builtins.iter"):  # fmt: skip
            inside = elements(source, infer(source, bindings, first, depth))
            end = (TypeRef("..."),) if qualified == "builtins.tuple" else ()
            return tuple(TypeRef(qualified, True, (t, *end)) for t in inside) or (TypeRef(qualified),)
        if qualified in ("builtins.enumerate", "builtins.zip") and call is not None:
            parts = [elements(source, infer(source, bindings, a, depth)) for a in call.args[:4]]
            inner = tuple(p[0] if p else UNKNOWN for p in parts)
            if qualified == "builtins.enumerate":
                inner = (TypeRef("builtins.int"), *inner[:1])
            return (TypeRef("typing.Iterator", True, (TypeRef("builtins.tuple", True, inner),)),)
        if qualified == "functools.partial":
            return tuple(TypeRef("typing.Callable", True, (t,)) for f in infer(source, bindings, first, depth)
                         for t in called(source, bindings, f, None, depth + 1))  # fmt: skip
    return (TypeRef(qualified, True, function.args),)


def _returned(
    source: ScopeSource, bindings: Bindings | None, function: TypeRef, symbol: Symbol, call: ast.Call | None, depth: int
) -> Types:
    home = function.qualified.rpartition(".")[0]
    if function.qualified in SAME and call is not None and call.args and bindings is not None:
        return infer(source, bindings, call.args[0], depth)
    receiver = function.receiver
    values = arguments_of(source, receiver, home) if receiver is not None else {}
    self_type = replace(receiver, instance=True) if receiver is not None else None
    found: Types = ()
    for parameters, returns in fitting(signatures(symbol), call, receiver, symbol):
        if returns is None:
            continue
        solved = values
        if call is not None and bindings is not None and (more := _solve(source, bindings, parameters, returns, home, call, depth)):
            solved = {**values, **more}
        found += types_of(source, returns, home, self_type, solved)
    if symbol.asynchronous:
        found = tuple(TypeRef("typing.Coroutine", True, (UNKNOWN, UNKNOWN, t)) for t in found)
    if known := RESULTS.get(function.qualified):
        precise = tuple(t for t in found if not any(a.qualified in ("", OBJECTS) for a in (t, *t.args)))
        if precise and call is not None and not call.args and not call.keywords:
            return precise
        return union((precise, _from_lore(known)))
    if found:
        return tuple(dict.fromkeys(found))[:_MOST]
    if function.qualified.startswith("numpy.") and symbol.returns is not None:
        return (TypeRef(OBJECTS),)  # Any of numpy is an array or a scalar with the same methods
    if symbol.returns is None or symbol.returns in ("Any", "Incomplete", "object"):
        return (TypeRef(f"{function.qualified}()"),)
    return ()


def _from_lore(names: tuple[str, ...]) -> Types:
    """The types that lore.py writes; several are a tuple."""
    made = tuple(TypeRef(OBJECTS, True, (TypeRef(n[1:-1]),)) if n[0] == "[" else TypeRef(n) for n in names)
    return made if len(made) == 1 else (TypeRef("builtins.tuple", True, made),)


def _solve(
    source: ScopeSource, bindings: Bindings, parameters: tuple[Parameter, ...], returns: str, home: str, call: ast.Call, depth: int
) -> dict[str, Types]:
    """What the type variables in ``returns`` are, by the arguments for parameters that are annotated with them."""
    found: dict[str, Types] = {}
    if depth > _DEEPEST // 2:
        return found
    for number, parameter in enumerate(parameters):
        annotation = parameter.annotation
        if not annotation or len(annotation) > 60:
            continue
        name, wrapper = annotation, ""
        if annotation.endswith("]"):
            wrapper, _, name = annotation[:-1].partition("[")
            name = name.rpartition(",")[2].strip()
            wrapper = wrapper.rpartition(".")[2]
        if not name.isidentifier() or name not in returns or name in found or not _variable(source, name, home):
            continue
        value = next((k.value for k in call.keywords if k.arg == parameter.name), None)
        if value is None and number < len(call.args) and parameter.kind in ("positional", "standard"):
            value = call.args[number]
        if value is None or isinstance(value, ast.Starred):
            continue
        types = infer(source, bindings, value, depth + 1)
        if wrapper in ("type", "Type"):
            types = tuple(replace(t, instance=True) for t in types if not t.instance)
        elif wrapper == "Callable":
            types = union(called(source, bindings, t, None, depth + 1) for t in types)
        elif wrapper:
            types = elements(source, types)
        if types := tuple(t for t in types if t.known):
            found[name] = types
    return found


def _variable(source: ScopeSource, name: str, home: str) -> bool:
    target = find_name(source, name, home)
    return target is None or target.kind == "attribute"


# protocols ---------------------------------------------------------------------------------------------------------


def _method(source: ScopeSource, bindings: Bindings | None, owner: TypeRef, name: str) -> Types:
    """What the object's special method returns; nothing when it has none."""
    found = attribute(source, bindings, owner, name)
    return union(called(source, bindings, f, None) for f in found if not f.instance)


def _short(one: TypeRef) -> str:
    return one.qualified.rpartition(".")[2]


def elements(source: ScopeSource, types: Types, bindings: Bindings | None = None) -> Types:
    """What iterating over objects of these types gives."""
    found: list[TypeRef] = []
    for one in types[:_MOST]:
        if not one.instance or not one.known:
            continue
        if one.qualified == "builtins.tuple":
            found += [a for a in one.args if a.qualified not in ("", "...")]
        elif (held := held_by(one)) is not None:
            found += [held, one]  # a row of a grid is such an array again
        elif one.qualified in _SEQUENCES or _short(one) in _ELEMENTS:
            found += [a for a in one.args[:1] if a.qualified]
        elif one.qualified == "builtins.str":
            found.append(one)
        else:
            iterators = _method(source, bindings, one, "__iter__") or _method(source, bindings, one, "__aiter__")
            found += [i.args[0] for i in iterators if i.args and i.args[0].qualified]
            if iterators and not found:
                for iterator in iterators:
                    if iterator.qualified != one.qualified:
                        found += _method(source, bindings, iterator, "__next__")
                    else:
                        found += _method(source, bindings, one, "__next__")
    return tuple(dict.fromkeys(f for f in found if f.known))[:_MOST]


def awaited(source: ScopeSource, types: Types, bindings: Bindings | None = None) -> Types:
    """What awaiting objects of these types gives."""
    found: list[TypeRef] = []
    for one in types:
        if one.qualified.endswith("()"):
            found.append(one)
        elif _short(one) in ("Coroutine", "Awaitable", "Future", "Task", "CoroutineType"):
            found += [one.args[-1]] if one.args else []
        else:
            generators = _method(source, bindings, one, "__await__") if one.instance and one.known else ()
            found += [g.args[-1] for g in generators if g.args] or [one]
    return tuple(f for f in found if f.qualified)


def entered(source: ScopeSource, types: Types, bindings: Bindings | None = None) -> Types:
    """What ``with ... as`` binds for context managers of these types."""
    found: list[TypeRef] = []
    for one in types:
        if not one.instance:
            continue
        if one.qualified.endswith("()"):
            found.append(one)
            continue
        if _short(one) in _ITERATORS or _short(one) in ("AbstractContextManager", "AbstractAsyncContextManager"):
            found += [a for a in one.args[:1] if a.qualified]
            continue
        if _short(one) == "Coroutine":
            found += entered(source, awaited(source, (one,)), bindings)
            continue
        given = _method(source, bindings, one, "__enter__")
        given = tuple(t for t in given if t.known) or awaited(source, _method(source, bindings, one, "__aenter__"))
        found += [t for t in given if t.known] or [one]
    return tuple(dict.fromkeys(found))


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
    for value in node.values[:4]:
        values += infer(source, bindings, value, depth)
    kinds = list(dict.fromkeys(values))[:_MOST]
    key = TypeRef("builtins.str") if any(isinstance(k, ast.Constant) for k in node.keys) else UNKNOWN
    return tuple(TypeRef("builtins.dict", True, (key, v)) for v in kinds) or (TypeRef("builtins.dict"),)


def _item(source: ScopeSource, bindings: Bindings, node: ast.Subscript, depth: int) -> Types:
    found: list[TypeRef] = []
    index = node.slice
    for one in infer(source, bindings, node.value, depth)[:_MOST]:
        if not one.known:
            continue
        if not one.instance:
            found.append(one)  # list[int], Generic[T]
        elif isinstance(index, ast.Slice) and one.qualified in ("builtins.list", "builtins.tuple", "builtins.str"):
            found.append(one)
        elif one.qualified == "builtins.tuple":
            fixed = "..." not in [a.qualified for a in one.args]
            number = _number(index)
            if fixed and number is not None and -len(one.args) <= number < len(one.args):
                found.append(one.args[number])
            else:
                found += [a for a in one.args if a.qualified not in ("", "...")]
        elif (held := held_by(one)) is not None:
            found += [held] if not isinstance(index, ast.Slice) else [one]
        elif rule := next((ITEMS[c] for c in mro(source, one.qualified) if c in ITEMS), None):
            found += [TypeRef(t) if t != "Self" else replace(one, receiver=None) for t in rule(index)]
        elif one.args and (one.qualified in _SEQUENCES or _short(one) in _ELEMENTS) and one.qualified != "builtins.set":
            found.append(one.args[-1])
        elif one.qualified == "builtins.str":
            found.append(one)
        else:
            for getter in attribute(source, bindings, one, "__getitem__"):
                made = ast.copy_location(ast.Call(node.value, [index], []), node)
                found += called(source, bindings, getter, made, depth)
    return tuple(dict.fromkeys(f for f in found if f.qualified))[:_MOST]


def _number(index: ast.expr) -> int | None:
    if isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub):
        inner = _number(index.operand)
        return -inner if inner is not None else None
    return index.value if isinstance(index, ast.Constant) and isinstance(index.value, int) else None


def _operation(source: ScopeSource, bindings: Bindings, node: ast.BinOp, depth: int) -> Types:
    left = infer(source, bindings, node.left, depth)
    right = infer(source, bindings, node.right, depth)
    rich = tuple(t for t in left if t.instance and t.known and not t.qualified.startswith(_BUILTIN))
    if not rich:
        # what a library's object makes of a plain left side is of its own kind nearly always
        rich = tuple(t for t in right if t.instance and t.known and not t.qualified.startswith(_BUILTIN))
        if rich:
            return rich
        if isinstance(node.op, ast.Mod) and any(t.qualified == "builtins.str" for t in left):
            return (TypeRef("builtins.str"),)
        numbers = [t for t in (*left, *right) if t.qualified in _NUMBERS]
        if isinstance(node.op, ast.Div) and numbers:
            return (TypeRef("builtins.float"),)
        return (max(numbers, key=lambda t: _NUMBERS.index(t.qualified)),) if numbers else left
    results: Types = ()
    for one in rich:
        made = _method(source, bindings, one, f"__{_OPERATORS[type(node.op)]}__")
        kept = tuple(t for t in made if t.known and t.qualified != "builtins.object")
        results += kept or (replace(one, receiver=None),)
    wider = tuple(t for t in right if t.instance and t.known and t.qualified in ITEMS)
    return union((results, wider if not any(r.qualified in ITEMS for r in results) else ()))
