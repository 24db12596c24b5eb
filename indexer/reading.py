"""What the extractors share while they read one module: its text, its names, and conditions decided without running."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field

__all__ = ["BUILTIN_CLASSES", "CALLED", "LONGEST_TYPE", "METACLASS", "Reading", "alternatives", "doc_of", "dotted", "for_checkers", "literal_type", "told"]

LONGEST_TYPE = 400  # characters of an annotation; longer ones are unions that no menu can show
LONGEST_DEFAULT = 60  # characters of a default value shown in a signature
LONGEST_CALL = 60  # characters of a function's name; longer ones go through objects that nobody knows
METACLASS = "metaclass="  # begins the text of one among a class's bases
CALLED = "(...)"  # in the place of a type: what the function before it gives

# What is raised for something that is not there, or everything.
_ABSENCE = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError", "NameError", "Exception", "BaseException"})
_LITERALS: dict[type, str] = {
    ast.List: "list", ast.ListComp: "list", ast.Dict: "dict", ast.DictComp: "dict", ast.Set: "set",
    ast.SetComp: "set", ast.Tuple: "tuple", ast.JoinedStr: "str", ast.Compare: "bool",
}  # fmt: skip
# Lower-case classes whose call makes an instance; every other constructor is told by its capital letter.
_CONSTRUCTORS = {
    "str", "int", "float", "bool", "bytes", "list", "dict", "set", "tuple", "frozenset", "bytearray", "object", "type",
    "defaultdict", "deque", "collections.defaultdict", "collections.deque", "threading.local", "itertools.count",
}  # fmt: skip
BUILTIN_CLASSES = {"str", "int", "float", "bool", "bytes", "list", "dict", "set", "tuple", "frozenset", "object"}
_PARTIAL = ("partial", "functools.partial")
_BUILTIN_RESULTS = {
    "sorted": "list", "len": "int", "repr": "str", "chr": "str", "ord": "int", "id": "int", "hash": "int", "input": "str",
    "dir": "list", "format": "str", "any": "bool", "all": "bool", "isinstance": "bool", "issubclass": "bool", "hasattr": "bool",
    "callable": "bool", "globals": "dict", "locals": "dict", "vars": "dict",
}  # fmt: skip


@dataclass(slots=True)
class Reading:
    """One module being read.

    ``imports`` maps a bound name to the absolute name it stands for, ``defined`` are the names that the module
    itself binds, ``classes`` those that are classes of its own.
    """

    module: str
    lines: list[str]
    is_package: bool
    is_stub: bool
    python: tuple[int, int]
    imports: dict[str, str] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def bound(self, name: str) -> bool:
        """Whether ``name`` means something at the module's level."""
        return name in self.defined or name in self.imports

    def text(self, node: ast.expr) -> str:
        """The node's source on one line."""
        if node.lineno != node.end_lineno or node.end_col_offset is None:
            try:
                return ast.unparse(node)
            except (RecursionError, ValueError):
                return "..."
        line = self.lines[node.lineno - 1]
        if line.isascii():
            return line[node.col_offset : node.end_col_offset]
        return line.encode("utf-8", "surrogatepass")[node.col_offset : node.end_col_offset].decode("utf-8", "replace")

    def annotation(self, node: ast.expr | None) -> str | None:
        """An annotation as source text, without the quotes of a forward reference; None when absent or too long."""
        if node is None:
            return None
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = " ".join(node.value.split())
        else:
            text = self.text(node)
        return text if len(text) <= LONGEST_TYPE else None

    def default(self, node: ast.expr | None) -> str | None:
        """A default value as source text, ``...`` when it is long."""
        if node is None:
            return None
        text = self.text(node)
        return text if len(text) <= LONGEST_DEFAULT else "..."

    def constructed(self, value: ast.expr | None) -> str | None:
        """The type that ``value`` plainly has: a literal's, or the class called; None when that is not plain."""
        if value is None:
            return None
        if isinstance(value, ast.Await):
            return None
        if isinstance(value, ast.Call):
            name = dotted(value.func)
            if name is None:
                return None
            if name in _PARTIAL and value.args and (inner := dotted(value.args[0])) and self.bound(inner.partition(".")[0]):
                return f"{name}[{inner if self.is_class(inner) else inner + CALLED}]"
            if self.is_class(name):
                return name
            if not self.bound(name.partition(".")[0]):
                return _BUILTIN_RESULTS.get(name)
            return f"{name}{CALLED}" if len(name) <= LONGEST_CALL else None
        if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
            # `x or Default()`: the last alternative is the one with a plain type.
            return self.constructed(value.values[-1])
        return literal_type(value)

    def is_class(self, name: str) -> bool:
        """Whether a dotted name is a class by what is known here: its own, a builtin's, or one with a capital letter."""
        last = name.rsplit(".", 1)[-1].lstrip("_")
        return name in self.classes or name in _CONSTRUCTORS or (last[:1].isupper() and not last.isupper())

    def decided(self, test: ast.expr) -> bool | None:
        """The value of a condition on the Python version, the platform or type checking; None when it is another one."""
        match test:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return True
            case ast.Constant(value=value):
                return bool(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.decided(operand)
                return None if inner is None else not inner
            case ast.BoolOp(op=op, values=values):
                known = [self.decided(v) for v in values]
                strong = isinstance(op, ast.Or)
                if strong in known:
                    return strong
                return None if None in known else not strong
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._compared(dotted(left), op, right)
        return None

    def _compared(self, left: str | None, op: ast.cmpop, right: ast.expr) -> bool | None:
        if left in ("sys.version_info", "version_info") and isinstance(right, ast.Tuple):
            wanted = tuple(e.value for e in right.elts if isinstance(e, ast.Constant) and isinstance(e.value, int))[:2]
            have = self.python[: len(wanted)]
            if isinstance(op, ast.GtE):
                return have >= wanted
            if isinstance(op, ast.Gt):
                return self.python > wanted
            if isinstance(op, ast.Lt):
                return have < wanted
            if isinstance(op, ast.LtE):
                return have <= wanted
        if left == "__name__" and isinstance(right, ast.Constant) and right.value == "__main__":
            return isinstance(op, ast.NotEq)  # a library is imported, never run
        if left == "sys.platform" and isinstance(right, ast.Constant):
            if isinstance(op, ast.Eq):
                return sys.platform == right.value
            if isinstance(op, ast.NotEq):
                return sys.platform != right.value
        return None


def told(returns: str | None) -> str | None:
    """What is declared or known of a result, for people; None for a note of which call it comes from (``CALLED``)."""
    return None if returns is None or CALLED in returns else returns


def for_checkers(node: ast.stmt) -> bool:
    """Whether a statement is an ``if TYPE_CHECKING``: what it binds is not there when the program runs."""
    return isinstance(node, ast.If) and (dotted(node.test) or "").rpartition(".")[2] == "TYPE_CHECKING"


def alternatives(reading: Reading, node: ast.stmt) -> list[tuple[list[ast.stmt], bool]] | None:
    """The blocks of a compound statement that define names where it stands, with whether earlier names stay.

    None for a statement that is no such compound.  ``except`` and undecided ``else`` blocks only add what the
    first block lacks.
    """
    if isinstance(node, ast.If):
        value = reading.decided(node.test)
        if value is not None:
            return [(node.body if value else node.orelse, False)]
        return [(node.body, False), (node.orelse, True)]
    if isinstance(node, (ast.Try, ast.TryStar)):
        blocks = [(node.body, False), (node.orelse, False)]
        # a handler that raises leaves nothing behind for who imports the module; of the others only those are usual
        # that stand in for what is not installed: a name bound by another one alone may never be there
        blocks += [(h.body, True) for h in node.handlers if not isinstance(h.body[-1], ast.Raise) and _stands_in(h)]
        return [*blocks, (node.finalbody, False)]
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [(node.body, False)]
    if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
        return [(node.body, True), (node.orelse, True)]
    return None


def _stands_in(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or not isinstance(kind, ast.Name) or kind.id in _ABSENCE for kind in kinds)


def dotted(node: ast.expr) -> str | None:
    """``a.b.c`` as text when the node is nothing but names and attributes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    parts.append(node.id)
    return ".".join(reversed(parts))


def literal_type(value: ast.expr) -> str | None:
    """The builtin type of a literal or a display; None otherwise (and for None itself)."""
    if isinstance(value, ast.Constant):
        kind = type(value.value)
        return kind.__name__ if kind in (str, int, float, bool, bytes, complex) else None
    if isinstance(value, ast.UnaryOp):
        return "bool" if isinstance(value.op, ast.Not) else literal_type(value.operand)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mod):
        return "str" if literal_type(value.left) == "str" else None
    return _LITERALS.get(type(value))


def doc_of(body: list[ast.stmt]) -> str | None:
    """The docstring at the start of a body, as written."""
    if body and isinstance(first := body[0], ast.Expr) and isinstance(first.value, ast.Constant):
        return first.value.value if isinstance(first.value.value, str) else None
    return None
