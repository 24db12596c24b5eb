"""Lane B: the arguments of the call around the cursor, or silence.

Argument lists come from four places: written earlier in this file for the same function, written often elsewhere, values that
the lines above are about, and made by the language model under the signature's constraint.  All are checked against the
signature, scored by the model in one batch, and the likeliest is offered when it is likely enough.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import keyword
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from octod.core.symbols import Member, Parameter
from octod.daemon.context import Place, Usages, signature_line
from octod.daemon.engines.protocol import CallConstraint, constraint_for
from octod.indexer.lookup import Target, TypeRef
from octod.indexer.parse import Cursor
from octod.indexer.scope import Receiver, arguments_at, names_at, types_at, usage_key

__all__ = ["WEIGHTS", "WITHOUT_MODEL", "Call", "Option", "call_at", "called_signature", "choose", "options"]

_MOST_EARLIER, _MOST_FREQUENT, _MOST_VALUES, _MOST_PAIRED = 4, 6, 5, 3
_UNLIKELY = -12.0  # log-probability below which one option is as unlikely as another
_ABOVE = 1_500  # characters that values are looked for in
_LONGEST = 120  # characters
_BUILTINS = frozenset(dir(builtins)) | frozenset(keyword.kwlist)
_AT_ARGUMENT = re.compile(r"(?:[(,]|\b\w+[ \t]*=)\s*\Z")

# Weights of (model, frequent, earlier, nearest, made, empty, length, model no less than _UNLIKELY) in an option's score, fitted by
# bench/fit_ghost.py on 3,000 call sites that are measured nowhere.
WEIGHTS = (0.013, 0.214, 2.581, 0.267, -0.951, 0.678, 1.028, 0.313)
WITHOUT_MODEL = (0.0, 0.365, 2.649, 1.236, 0.0, 1.313, -0.066, 0.0)  # of the first 1,500


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """The call around a cursor whose next argument is wanted.

    ``typed`` is the source between the bracket and the cursor; ``parameters`` is None where the callee is not known, then only
    the file's own earlier calls can help.  ``closed``: the closing bracket stands right after the cursor.
    """

    place: Place
    receiver: Receiver
    member: str
    targets: tuple[Target, ...]
    parameters: tuple[Parameter, ...] | None
    typed: str
    closed: bool
    names: tuple[str, ...]

    @property
    def constraint(self) -> CallConstraint:
        """What may be written here, as the engine takes it."""
        assert self.parameters is not None and self.place.cursor.call is not None
        around = self.place.cursor.call
        start = self.typed.rfind(",") + 1
        piece = self.typed[start:].lstrip() if around.keyword else ""
        given = around.given
        return constraint_for(self.parameters, self.names, given, around.positional, piece)


@dataclass(frozen=True, slots=True)
class Option:
    """An argument list without its closing bracket, and where it comes from."""

    text: str
    frequent: float = 0.0  # share of the function's calls elsewhere, 0 to 1
    earlier: int = 0  # times written in this file
    nearest: bool = False
    made: bool = False  # by the model


def call_at(place: Place, targets: tuple[Target, ...]) -> Call | None:
    """The call whose arguments are wanted at the cursor; None where the cursor is not at an argument's start."""
    cursor = place.cursor
    around = cursor.call
    if around is None or cursor.inside or cursor.partial or cursor.receiver:
        return None
    before = cursor.text[around.open - 1 : cursor.offset]
    if not _AT_ARGUMENT.search(before):
        return None
    rest = cursor.text[cursor.offset :].split("\n", 1)[0].strip()
    if rest and not rest.startswith(")"):
        return None
    owner, _, member = around.function.rpartition(".")
    types = _types(place, cursor, owner)
    receiver = Receiver(types, owner, False, (), place.receiver.source)
    known = next((t for t in targets if t.symbol is not None and t.symbol.parameters is not None), None)
    parameters = known.symbol.parameters if known is not None and known.symbol is not None else None
    names = tuple(name for name, _ in names_at(place.receiver.source, cursor, place.module, place.package))
    return Call(place, receiver, member, targets, parameters, before[1:], rest.startswith(")"), names)


def called_signature(call: Call) -> tuple[str, ...]:
    """The called function's signature as the model reads it."""
    for target in call.targets:
        if target.symbol is None or target.symbol.parameters is None:
            continue
        owner = call.receiver.types[0] if call.receiver.types else None
        place = call.place
        scope = place.receiver.source.scope(target.qualified.rpartition(".")[0])
        if scope is None:
            continue
        member = Member(target.symbol, scope.qualified, scope.library)
        return (signature_line(member, owner is not None and owner.instance),)
    return ()


def options(call: Call, usages: Usages) -> list[Option]:
    """Argument lists that were written before and are valid here, each once."""
    if call.typed.strip():
        return []
    place = call.place
    found: dict[str, Option] = {}
    lists = arguments_at(
        place.receiver.source, place.cursor, call.receiver, call.member, place.module, place.package
    )
    for position, text in enumerate(reversed(lists)):
        if text in found or len(found) >= _MOST_EARLIER or not valid(text, call.parameters):
            continue
        found[text] = Option(text, earlier=lists.count(text), nearest=position == 0)
    frequent = _frequent(call, usages)
    total = sum(frequent.values()) or 1
    known = set(call.names) | _BUILTINS | _imported(place.cursor.text)
    taken = 0
    for text, count in sorted(frequent.items(), key=lambda pair: -pair[1]):
        old = found.get(text)
        if old is not None:
            found[text] = Option(text, count / total, old.earlier, old.nearest)
        elif taken < _MOST_FREQUENT and valid(text, call.parameters) and _free_names(text) <= known:
            found[text] = Option(text, count / total)
            taken += 1
    if "" not in found and call.parameters is not None and valid("", call.parameters):
        found[""] = Option("")
    for text in _of_values(call):
        if text not in found and valid(text, call.parameters):
            found[text] = Option(text)
    return list(found.values())


def choose(options: Sequence[Option], scores: Sequence[float] | None) -> tuple[int, float] | None:
    """(number of the best option, its probability among them); ``scores`` are the model's log-probabilities.

    Without them only what was written before is taken, and the empty list.
    """
    weights = WEIGHTS if scores is not None else WITHOUT_MODEL
    total = features(options, scores) @ np.array(weights) if options else np.zeros(0)
    if scores is None:
        total[[not (o.frequent or o.earlier or not o.text) for o in options]] = -np.inf
    if not np.isfinite(total).any():
        return None
    total -= total.max()
    shares = np.exp(total) / np.exp(total).sum()
    best = int(shares.argmax())
    return best, float(shares[best])


def features(options: Sequence[Option], scores: Sequence[float] | None) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix (options, 8) that ``WEIGHTS`` belong to."""
    rows = [
        (
            scores[i] if scores is not None else 0.0,
            math.log(o.frequent + 0.01) - math.log(0.01),
            math.log1p(o.earlier),
            float(o.nearest),
            float(o.made),
            float(not o.text),
            len(o.text) / 30.0,
            max(scores[i], _UNLIKELY) if scores is not None else 0.0,
        )
        for i, o in enumerate(options)
    ]
    return np.array(rows, dtype=np.float64)


def valid(text: str, parameters: tuple[Parameter, ...] | None) -> bool:
    """Whether an argument list can be written for a signature: keywords exist, arity is kept, nothing is missing."""
    if len(text) > _LONGEST:
        return False
    try:
        node = ast.parse(f"f({text})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    if parameters is None:
        return True
    plain = [p for p in parameters if p.kind in ("positional", "standard")]
    kinds = {p.kind for p in parameters}
    named = {p.name for p in parameters if p.kind in ("standard", "keyword")}
    starred = any(isinstance(a, ast.Starred) for a in node.args)
    given = {k.arg for k in node.keywords}
    if "kwarg" not in kinds and not given - {None} <= named:
        return False
    if not starred and "vararg" not in kinds and len(node.args) > len(plain):
        return False
    if starred or None in given:
        return True
    positional = {p.name for p in plain[: len(node.args)]}
    if positional & given & named:
        return False
    needed = {p.name for p in parameters if p.default is None and p.kind in ("positional", "standard", "keyword")}
    return needed <= positional | given


def _of_values(call: Call) -> list[str]:
    """Argument lists of what the lines above are about: for one required argument or none each value, for two some pairs."""
    given = [p for p in call.parameters or () if p.kind in ("positional", "standard", "vararg")]
    needed = [p for p in given if p.default is None and p.kind != "vararg"]
    if not given or len(needed) > 2:
        return []
    values = _values(call.place.cursor, set(call.names))
    if len(needed) < 2:
        return values[:_MOST_VALUES]
    return [f"{one}, {other}" for one, other in itertools.permutations(values[:_MOST_PAIRED], 2)]


_VALUE = re.compile(r"(?<![\w.\"'@])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)(?![\w.(\[\"'])")


def _values(cursor: Cursor, names: set[str]) -> list[str]:
    """Variables and their attributes in the lines above the statement, the last one mentioned first."""
    above = cursor.text[max(0, cursor.statement - _ABOVE) : cursor.statement]
    found = [m[1] for m in _VALUE.finditer(above) if m[1].partition(".")[0] in names and m[1] not in ("self", "cls")]
    return list(dict.fromkeys(reversed(found)))


def _types(place: Place, cursor: Cursor, expression: str) -> tuple[TypeRef, ...]:
    if not expression:
        return ()
    return types_at(place.receiver.source, cursor, expression, place.module, place.package)


def _frequent(call: Call, usages: Usages) -> dict[str, int]:
    """Argument lists of the member elsewhere, with how often each was written."""
    for one in call.receiver.types:
        usage = usages.of(usage_key(one))
        if usage is not None and usage.arguments.get(call.member):
            return dict(usage.arguments[call.member])
    for target in call.targets:
        owner, _, name = target.qualified.rpartition(".")
        for key in (f"{owner}()", owner):
            usage = usages.of(key)
            if usage is not None and usage.arguments.get(name):
                return dict(usage.arguments[name])
    return {}


def _free_names(text: str) -> set[str]:
    try:
        tree = ast.parse(f"f({text})", mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        return {"?"}
    bound = {a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in n.args}
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - bound - {"f"}


_IMPORTED = re.compile(r"^[ \t]*(?:import|from)\b([^\n]*(?:\([^)]*\))?)", re.MULTILINE)


def _imported(text: str) -> set[str]:
    """Names that import statements mention: the modules and functions an argument may start with."""
    return set(re.findall(r"[A-Za-z_]\w*", " ".join(_IMPORTED.findall(text))))
