"""Classes: from a ``class`` statement to its symbol and its scope, with attributes that only methods assign."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace

from octod.core.symbols import LibraryId, Parameter, Scope, Symbol
from octod.indexer.docstrings import cleaned, deprecation, summary
from octod.indexer.extract_function import (
    FunctionNode,
    add_overload,
    decorations,
    function_symbol,
    own_call,
    parameters_of,
    settled,
    statements,
)
from octod.indexer.reading import (
    BUILTIN_CLASSES,
    METACLASS,
    Reading,
    alternatives,
    doc_of,
    dotted,
    for_checkers,
)

__all__ = ["class_scopes", "named_tuple"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEEPEST = 8  # classes inside classes

_DATACLASSES = {"dataclass", "define", "frozen", "mutable", "attrs", "attributes", "s"}  # `attr.s`
_FIELD_BASES = {"BaseModel", "SQLModel", "BaseSettings", "RootModel", "NamedTuple", "TypedDict", "GenericModel", "Struct"}
_ENUMS = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "EnumMeta"}


@dataclass(slots=True)
class _Body:
    """A class while it is read."""

    name: str
    qualified: str
    bases: tuple[str, ...]
    is_enum: bool
    fields_are_parameters: bool
    keyword_only: bool
    symbols: dict[str, Symbol] = field(default_factory=dict)
    methods: list[FunctionNode] = field(default_factory=list)
    fields: dict[str, Parameter] = field(default_factory=dict)
    nested: list[Scope] = field(default_factory=list)
    constructors: dict[str, tuple[Parameter, ...]] = field(default_factory=dict)


def class_scopes(
    reading: Reading,
    node: ast.ClassDef,
    *,
    outer: str,
    file: str,
    library: LibraryId,
    public: bool,
    known_fields: dict[str, dict[str, Parameter]],
    depth: int = 0,
) -> tuple[Symbol, list[Scope]]:
    """The class's symbol for the scope around it, and its own scope followed by those of its nested classes.

    ``known_fields`` holds the fields of earlier data classes of the module, by name; this class is added.
    """
    made = {b: parts for b in node.bases if isinstance(b, ast.Call) and (parts := _fields_of(reading, b))}
    bases = tuple("typing.NamedTuple" if base in made else text for base in node.bases if (text := reading.annotation(base)))
    bases += tuple(METACLASS + text for k in node.keywords if k.arg == "metaclass" and (text := reading.annotation(k.value)))
    heads = {base.split("[", 1)[0].rsplit(".", 1)[-1] for base in bases}
    marks = decorations(node)
    inherited = [known_fields[base] for base in bases if base in known_fields]
    by_fields = not _DATACLASSES.isdisjoint(marks) or not _FIELD_BASES.isdisjoint(heads) or bool(inherited) or bool(made)
    positional = bool({"NamedTuple"} & heads) or not _DATACLASSES.isdisjoint(marks)
    body = _Body(
        name=node.name,
        qualified=f"{outer}.{node.name}",
        bases=bases,
        is_enum=not _ENUMS.isdisjoint(heads),
        fields_are_parameters=by_fields,
        keyword_only=_marked_keyword_only(marks) or (not positional and by_fields),
    )
    for fields in inherited:
        body.fields.update(fields)
    for name, kind in (part for parts in made.values() for part in parts):
        body.symbols[name] = Symbol(name, "attribute", returns=kind, line=node.lineno)
        body.fields[name] = Parameter(name, "standard", None, kind)
    _block(reading, node.body, body, file, library, known_fields, depth, weak=False)
    _method_symbols(reading, body)
    if by_fields:
        known_fields[node.name] = dict(body.fields)
    doc = doc_of(node.body)
    parameters = body.constructors.get("__init__", body.constructors.get("__new__"))
    if parameters is None and by_fields and body.fields:
        ordered = sorted(body.fields.values(), key=lambda p: p.kind == "keyword")
        parameters = tuple(ordered)
    deprecated = deprecation(doc)
    if "deprecated" in marks and isinstance(call := marks["deprecated"], ast.Call):
        texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        deprecated = " ".join(texts[0].split())[:200] if texts else "deprecated"
    text = cleaned(doc)
    symbol = Symbol(
        node.name, "class", parameters=parameters, doc=text, deprecated=deprecated, line=node.lineno, public=public
    )
    scope = Scope(
        qualified=body.qualified,
        kind="class",
        library=library,
        file=file,
        doc=summary(text),
        bases=bases,
        symbols=body.symbols,
        dynamic="__getattr__" in body.symbols or "__getattribute__" in body.symbols,
        deprecated=deprecated,
    )
    return symbol, [scope, *body.nested]


def named_tuple(
    reading: Reading, name: str, call: ast.Call, *, file: str, library: LibraryId, public: bool, outer: str
) -> tuple[Symbol, Scope] | None:
    """``Point = namedtuple("Point", "x y")`` as a class; None when its fields are not written out."""
    fields = _fields_of(reading, call)
    if not fields:
        return None
    line = call.lineno
    symbols = {f: Symbol(f, "attribute", returns=t, line=line) for f, t in fields}
    symbol = Symbol(name, "class", tuple(Parameter(f, "standard", None, t) for f, t in fields), line=line, public=public)
    return symbol, Scope(f"{outer}.{name}", "class", library, file, bases=("typing.NamedTuple",), symbols=symbols)


def _fields_of(reading: Reading, call: ast.Call) -> list[tuple[str, str | None]]:
    """(name, type) of the fields of ``namedtuple("Point", "x y")`` and of functions that are called like it, else nothing.

    Of another function it is known by a list of names behind the name that a class has.
    """
    callee = (dotted(call.func) or "").rpartition(".")[2]
    if len(call.args) < 2 or not (isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)):
        return []
    wanted = call.args[1]
    fields: list[tuple[str, str | None]] = []
    if callee not in ("namedtuple", "NamedTuple") and (not call.args[0].value[:1].isupper() or callee.endswith(("Enum", "Flag"))):
        return []
    if callee in ("namedtuple", "NamedTuple") and isinstance(wanted, ast.Constant) and isinstance(wanted.value, str):
        fields = [(f, None) for f in wanted.value.replace(",", " ").split()]
    elif isinstance(wanted, (ast.List, ast.Tuple)):
        for item in wanted.elts:
            if isinstance(item, ast.Constant):
                fields.append((str(item.value), None))
            elif isinstance(item, ast.Tuple) and len(item.elts) == 2 and isinstance(first := item.elts[0], ast.Constant):
                fields.append((str(first.value), reading.annotation(item.elts[1])))
            else:
                return []
    return fields if all(f.isidentifier() for f, _ in fields) else []


def _block(
    reading: Reading, block: list[ast.stmt], body: _Body, file: str, library: LibraryId,
    known_fields: dict[str, dict[str, Parameter]], depth: int, *, weak: bool,
) -> None:  # fmt: skip
    for node in block:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not (weak and node.name in body.symbols):
                body.methods.append(node)
                body.symbols.setdefault(node.name, Symbol(node.name, "function"))
        elif isinstance(node, ast.ClassDef):
            if depth < DEEPEST and not (weak and node.name in body.symbols):
                symbol, scopes = class_scopes(
                    reading, node, outer=body.qualified, file=file, library=library,
                    public=not node.name.startswith("_"), known_fields={}, depth=depth + 1,
                )  # fmt: skip
                body.symbols[node.name] = symbol
                body.nested += scopes
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            _annotated(reading, node, node.target.id, body)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                for name in names:
                    if isinstance(name, ast.Name) and not (weak and name.id in body.symbols):
                        _assigned(reading, name.id, node.value if name is target else None, node.lineno, body)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        elif blocks := alternatives(reading, node):
            if for_checkers(node) and not _dynamic(block):
                blocks = [([n for n in inner if not isinstance(n, _FUNCTIONS)], keeps) for inner, keeps in blocks]
            for inner, keeps in blocks:
                _block(reading, inner, body, file, library, known_fields, depth, weak=weak or keeps)


def _dynamic(block: list[ast.stmt]) -> bool:
    """Whether a class answers for names that its body does not define at run time."""
    return any(isinstance(n, _FUNCTIONS) and n.name == "__getattr__" for n in block)


def _annotated(reading: Reading, node: ast.AnnAssign, name: str, body: _Body) -> None:
    kind = reading.annotation(node.annotation) or ""
    if name == "_" and kind.endswith("KW_ONLY"):
        body.keyword_only = True
        return
    for wrapper in ("ClassVar[", "typing.ClassVar[", "t.ClassVar[", "Final[", "Mapped[", "InitVar["):
        if kind.startswith(wrapper) and kind.endswith("]") and wrapper != "Mapped[":
            kind = kind[len(wrapper) : -1]
            if wrapper.endswith("ClassVar["):
                body.symbols[name] = Symbol(name, "attribute", returns=kind, line=node.lineno, public=name[:1] != "_")
                return
    returns: str | None = kind if kind not in ("ClassVar", "Final") else reading.constructed(node.value)
    if body.is_enum and not name.startswith("_"):
        returns = body.name
    body.symbols[name] = Symbol(name, "attribute", returns=returns, line=node.lineno, public=not name.startswith("_"))
    if body.fields_are_parameters and (parameter := _field(reading, name, kind, node.value, body)):
        body.fields[name] = parameter


def _field(reading: Reading, name: str, kind: str, value: ast.expr | None, body: _Body) -> Parameter | None:
    """The constructor's parameter for a field; None when it is left out (``init=False``, private in pydantic)."""
    keyword = body.keyword_only
    if keyword and name.startswith("_"):
        return None
    default = reading.default(value)
    if isinstance(value, ast.Call) and (dotted(value.func) or "").rsplit(".", 1)[-1] in (
        "field", "Field", "ib", "attrib", "PrivateAttr", "Relationship",
    ):  # fmt: skip
        given = {k.arg: k.value for k in value.keywords}
        if isinstance(flag := given.get("init"), ast.Constant) and flag.value is False:
            return None
        if isinstance(flag := given.get("kw_only"), ast.Constant) and flag.value is True:
            keyword = True
        first = value.args[0] if value.args and (dotted(value.func) or "").endswith("Field") else None
        if isinstance(first, ast.Constant) and first.value is Ellipsis:
            first = None
        plain = given.get("default", first)
        default = reading.default(plain) if plain is not None else None
        if plain is None and ("default_factory" in given or "factory" in given):
            default = "..."
    return Parameter(name, "keyword" if keyword else "standard", default, kind or None)


def _assigned(reading: Reading, name: str, value: ast.expr | None, line: int, body: _Body) -> None:
    """``name = value`` in a class body: another name for a method, a wrapped function, or an attribute."""
    public = not name.startswith("_")
    if isinstance(value, ast.Name) and (same := body.symbols.get(value.id)):
        methods = [m for m in body.methods if m.name == value.id]
        if methods:
            copy = ast.copy_location(_renamed(methods[-1], name), methods[-1])
            body.methods.append(copy)
        body.symbols[name] = replace(same, name=name, public=public)
        return
    if isinstance(value, ast.Name) and (reading.bound(value.id) or value.id in BUILTIN_CLASSES and not body.is_enum):
        outer = reading.module if value.id in reading.defined else "builtins"
        target = reading.imports.get(value.id, f"{outer}.{value.id}")
        body.symbols[name] = Symbol(name, "alias", target=target, line=line, public=public)
        return
    if isinstance(value, ast.Call):
        wrapper = dotted(value.func)
        inner = value.args[0] if value.args else None
        if wrapper in ("staticmethod", "classmethod") and isinstance(inner, ast.Name):
            for method in [m for m in body.methods if m.name == inner.id][-1:]:
                body.methods.append(_renamed(method, name, ast.Name(wrapper, ast.Load())))
                body.symbols.setdefault(name, Symbol(name, "function"))
                return
        if wrapper == "property":
            getter = next((m for m in body.methods if isinstance(inner, ast.Name) and m.name == inner.id), None)
            returns = function_symbol(reading, getter, public=True, owner=body.name).returns if getter else None
            body.symbols[name] = Symbol(name, "property", returns=returns, line=line, public=public)
            return
    if isinstance(value, ast.Lambda):
        signature = parameters_of(reading, value.args, bound=True)
        body.symbols[name] = Symbol(name, "function", signature, line=line, public=public)
        return
    is_member = body.is_enum and public
    returns = body.name if is_member else reading.constructed(value)
    earlier = body.symbols.get(name)
    if earlier is None or earlier.returns is None or returns is not None:
        body.symbols[name] = Symbol(name, "attribute", returns=returns, line=line, public=public)
    if isinstance(value, ast.Call) and body.fields_are_parameters:
        is_field = (dotted(value.func) or "").rsplit(".", 1)[-1] in ("ib", "attrib")  # of attrs
        if is_field and (parameter := _field(reading, name, "", value, body)):
            body.fields[name] = parameter


def _renamed(node: FunctionNode, name: str, decorator: ast.expr | None = None) -> FunctionNode:
    """A shallow copy of a method under another name."""
    made = type(node)(**{f: getattr(node, f, None) for f in node._fields})  # type: ignore[arg-type]  # as ast.copy does
    made.name = name
    if decorator is not None:
        made.decorator_list = [decorator, *node.decorator_list]
    return ast.copy_location(made, node)


def _method_symbols(reading: Reading, body: _Body) -> None:
    """Symbols of the methods, once the attributes they assign are known; and constructor signatures."""
    attributes = {s.name: s.returns for s in body.symbols.values() if s.kind == "attribute" and s.returns}
    if not reading.is_stub:
        for method in body.methods:
            _self_attributes(reading, method, body, attributes)
    overloaded: set[str] = set()
    done: set[str] = set()
    for method in body.methods:
        marks = decorations(method)
        if any(mark in ("setter", "deleter") for mark in marks):
            continue
        name = method.name
        public = not name.startswith("_")
        symbol = function_symbol(reading, method, public=public, owner=body.name, attributes=attributes)
        if symbol.kind == "property" and symbol.returns:
            attributes.setdefault(name, symbol.returns)
        if "overload" in marks:
            body.symbols[name] = add_overload(body.symbols[name] if name in overloaded else None, symbol)
            overloaded.add(name)
            continue
        if name in overloaded:
            # The implementation's signature is the one at run time; the overloads say what comes back.
            earlier = body.symbols[name]
            first = ((earlier.parameters or (), earlier.returns), *earlier.overloads)
            symbol = replace(symbol, overloads=first, returns=earlier.returns or symbol.returns)
        body.symbols[name] = symbol
        done.add(name)
        if name in ("__init__", "__new__"):
            body.constructors[name] = symbol.parameters or ()
    for name in overloaded:
        body.symbols[name] = settled(body.symbols[name])
    for name in ("__init__", "__new__"):
        if name in overloaded and name not in done:
            body.constructors[name] = body.symbols[name].parameters or ()


def _self_attributes(reading: Reading, method: FunctionNode, body: _Body, attributes: dict[str, str]) -> None:
    """``self.x = value`` and ``self.x: T`` in a method become attributes, unless the class body declares them."""
    arguments = [*method.args.posonlyargs, *method.args.args]
    if not arguments or "staticmethod" in (marks := decorations(method)) or "classmethod" in marks:
        return
    receiver = arguments[0].arg
    annotated = {a.arg: reading.annotation(a.annotation) for a in [*arguments[1:], *method.args.kwonlyargs]}
    for statement in statements(method.body):
        targets: list[ast.expr]
        value: ast.expr | None
        kind: str | None
        if isinstance(statement, ast.Assign):
            targets, value, kind = statement.targets, statement.value, None
        elif isinstance(statement, ast.AnnAssign):
            targets, value, kind = [statement.target], statement.value, reading.annotation(statement.annotation)
        else:
            continue
        flat = [e for t in targets for e in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
        for target in flat:
            if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)):
                continue
            if target.value.id != receiver:
                continue
            name = target.attr
            if kind is None and target in targets and value is not None:
                kind = annotated.get(value.id) if isinstance(value, ast.Name) else own_call(value, receiver)
                if kind is None and not (isinstance(value, ast.Call) and (dotted(value.func) or "").partition(".")[0] in annotated):
                    kind = reading.constructed(value)
            known = body.symbols.get(name)
            if known is None or (known.kind == "attribute" and known.returns is None and kind):
                public = not name.startswith("_")
                line = known.line if known else target.lineno
                body.symbols[name] = Symbol(name, "attribute", returns=kind, line=line, public=public)
            if kind:
                attributes.setdefault(name, kind)


def _marked_keyword_only(marks: dict[str, ast.expr]) -> bool:
    for name in _DATACLASSES & marks.keys():
        if isinstance(call := marks[name], ast.Call):
            for keyword in call.keywords:
                if keyword.arg == "kw_only" and isinstance(keyword.value, ast.Constant):
                    return bool(keyword.value.value)
    return False
