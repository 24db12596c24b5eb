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
