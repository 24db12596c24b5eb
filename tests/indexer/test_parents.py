"""What a class derives from, as it is written, and the order that follows."""

from __future__ import annotations

from octod.indexer.parents import linear, plain_name, written


def test_bases_are_read_as_they_are_written() -> None:
    """Type arguments go with the name, a metaclass helper is looked through, and what has no name is passed over."""
    texts = ["a.B", "Generic[T]", "six.with_metaclass(Meta, Base)", "make(A)", "lambda: 1", "not (python"]
    assert [name for name, _ in written(texts)] == ["a.B", "Generic", "Base", "A"]


def test_a_type_s_name_is_taken_out_of_its_brackets() -> None:
    """``type[a.B[C]]`` is about ``a.B``."""
    assert [plain_name(text) for text in ("type[a.B[C]]", "Type[B]", "B[C]", "B")] == ["a.B", "B", "B", "B"]


def test_orders_are_merged_as_python_does_it_and_impossible_ones_end() -> None:
    """A diamond keeps the parents' order; where C3 has no answer the first order goes on."""
    assert linear("D", [["B", "A"], ["C", "A"], ["B", "C"]]) == ("D", "B", "C", "A", "builtins.object")
    assert linear("Z", [["A", "B"], ["B", "A"], ["A", "B"]]) == ("Z", "A", "B", "builtins.object")
