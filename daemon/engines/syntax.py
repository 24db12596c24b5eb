"""The tables and values under constraint.py: what Python's lexemes look like, and which names a call may use."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import warnings
from bisect import bisect_left
from typing import Literal

from octod.daemon.engines.protocol import CallConstraint

__all__ = [
    "CLOSES",
    "CONSTANTS",
    "DEEPEST",
    "LAMBDA_HEAD",
    "OPERATORS",
    "OPERATOR_STARTS",
    "PARTIAL_NUMBER",
    "STRING_PREFIXES",
    "WHOLE_NUMBER",
    "Frame",
    "Kind",
    "Rules",
    "parsed",
]

_BUILTINS = frozenset(
    name
    for name in dir(builtins)
    if not name.startswith("_") and name not in ("copyright", "credits", "exit", "license", "quit")
)
CONSTANTS = frozenset(("True", "False", "None"))
STRING_PREFIXES = frozenset(("r", "b", "f", "u", "rb", "br", "fr", "rf"))
OPERATORS = frozenset(
    ("+", "-", "*", "/", "//", "%", "**", "@", "&", "|", "^", "<<", ">>", "<", ">", "<=", ">=", "==", "!=")
)
OPERATOR_STARTS = OPERATORS | {"=", "!"}
_EXPONENT = r"(?:[eE][+-]?[0-9]*)?"
PARTIAL_NUMBER = re.compile(
    rf"0[xX][0-9a-fA-F]*|(?:0|[1-9][0-9]*(?:_[0-9]+)*_?)(?:\.[0-9]*)?{_EXPONENT}|\.[0-9]+{_EXPONENT}|\.{{1,3}}"
)
WHOLE_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F]+|(?:0|[1-9][0-9]*(?:_[0-9]+)*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|\.{3}"
)
LAMBDA_HEAD = re.compile(r"(?: (?:[A-Za-z_]\w*(?:, ?[A-Za-z_]\w*)*(?:, ?)?)?)?")
CLOSES = {"call": ")", "group": ")", "list": "]", "subscript": "]", "brace": "}"}
DEEPEST = 12

Kind = Literal["call", "group", "list", "subscript", "brace"]


class Rules:
    """A constraint made ready for many look-ups."""

    def __init__(self, constraint: CallConstraint) -> None:
        self.constraint = constraint
        self.names = names = {n for n in constraint.names if n.isidentifier() and not keyword.iskeyword(n)}
        self.values = frozenset(names | _BUILTINS | CONSTANTS)
        self.sorted_values = sorted(self.values)
        self.keywords = frozenset(constraint.keywords)

    def starts_value(self, text: str) -> bool:
        """Whether some known name begins with ``text``."""
        place = bisect_left(self.sorted_values, text)
        return place < len(self.sorted_values) and self.sorted_values[place].startswith(text)


class Frame:
    """One open bracket: what it is, and how far the current item in it is."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.items = self.positional = 0
        self.keyworded = self.unpacked = False
        self.used: frozenset[str] = frozenset()
        self.mode = ""  # of a brace: "dict" or "set" once known
        self.next_item()

    def copy(self) -> Frame:
        """An independent one, in a quarter of copy.copy's time: 24 tokens are tried at every step."""
        other = Frame.__new__(Frame)
        other.__dict__.update(self.__dict__)
        return other

    def next_item(self) -> None:
        self.started = self.named = self.conditional = self.optional = False
        self.star = ""
        self.colons = 0
        self.locals: tuple[str, ...] = ()  # parameters of lambdas in this item


def parsed(source: str) -> ast.AST | None:
    """The tree of an expression, None when it is none or Python warns about it (``"\\d"``, ``1 is x``).

    ``compile`` runs nothing; it finds what the parser alone does not, such as a keyword given twice.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            tree = ast.parse(source, mode="eval")
            compile(tree, "<arguments>", "eval")
            return tree
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
