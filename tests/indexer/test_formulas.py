"""Long formulas: an operand is looked at once, however many overloads its operators have."""

from __future__ import annotations

import time

from octod.indexer.lookup import TypeRef
from octod.indexer.parse import parse_at
from octod.indexer.scope import receiver_at
from standard import Standard

VECTORS = """
from typing import Any, overload
class Vector:
    @overload
    def __mul__(self, other: int) -> Vector: ...
    @overload
    def __mul__(self, other: float) -> Vector: ...
    @overload
    def __mul__(self, other: Vector) -> Vector: ...
def vector() -> Vector: ...
"""


def test_a_nested_formula_is_read_in_the_time_of_a_flat_one() -> None:
    """Thirty operators inside each other, three overloads each: without memory that is 3 to the 15th and more."""
    formula = "v * (" * 30 + "v" + ")" * 30
    source = f"import vectors\nv = vectors.vector()\nx = {formula}\nx."
    index = Standard({"vectors": VECTORS})
    started = time.process_time()
    receiver = receiver_at(index, parse_at(source, len(source)), "here", "")
    assert (TypeRef("vectors.Vector"),) == tuple(TypeRef(t.qualified) for t in receiver.types)
    assert time.process_time() - started < 5


def test_functions_that_give_what_others_give_are_followed_in_linear_time() -> None:
    """Two calls in each of forty methods, inside tuples: types that grow with each step would be 2 to the 40th."""
    methods = "".join(f"    def m{n}(self): return self.m{n + 1}(), self.m{n + 1}()\n" for n in range(40))
    functions = "".join(f"def f{n}(): return f{n + 1}()\n" for n in range(2_000))
    index = Standard({"chained": f"class K:\n{methods}    def m40(self): return K()\n{functions}def f2000(): return K()\n"})
    started = time.process_time()
    for call, expected in (("K().m0()", ["builtins.tuple"]), ("f1995()", ["chained.K"]), ("f0()", [])):
        text = f"import chained\nchained.{call}."
        assert [t.qualified for t in receiver_at(index, parse_at(text, len(text)), "here").types] == expected
    assert time.process_time() - started < 2
