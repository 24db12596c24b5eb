"""What the code around a cursor wants of the expression there."""

from __future__ import annotations

import pytest
from octod.indexer.expected import Expected, expected_at, type_names
from octod.indexer.lookup import ScopeSource
from octod.indexer.parse import parse_at

from tests.indexer.standard import Standard


@pytest.fixture(scope="module")
def standard() -> ScopeSource:
    """The standard library alone."""
    return Standard({})


def at(index: ScopeSource, marked: str) -> Expected:
    """What is wanted at ``$0``."""
    offset = marked.index("$0")
    return expected_at(index, parse_at(marked.replace("$0", ""), offset), "mod")


@pytest.mark.parametrize(
    ("code", "use"),
    [
        ("x.$0", "nothing"),
        ("if True:\n    x.$0", "nothing"),
        ("a = 1; x.$0", "nothing"),
        ("if x.$0:\n    pass", "condition"),
        ("if not x.$0", "condition"),
        ("assert a and x.$0", "condition"),
        ("for a in x.$0:\n    pass", "iterable"),
        ("[a for a in x.$0]", "iterable"),
        ("if a in x.$0", "value"),
        ("with x.$0 as f:\n    pass", "manager"),
        ("async def f():\n    await x.$0", "coroutine"),
        ("raise x.$0", "exception"),
        ("try:\n    pass\nexcept x.$0:\n    pass", "exception"),
        ("y = x.$0", "value"),
        ("return x.$0", "value"),
        ("f(x.$0)", "argument"),
        ("f(a, x.$0)", "argument"),
        ("f(a=x.$0)", "argument"),
        ("y = a + x.$0", "value"),
    ],
)
def test_the_use_is_told_by_what_stands_before(standard: ScopeSource, code: str, use: str) -> None:
    """The last word before the receiver decides."""
    assert use == at(standard, code).use


def test_types_of_an_annotated_name_and_of_the_function_around(standard: ScopeSource) -> None:
    """An assignment asks for its annotation, ``return`` for what the function says."""
    assert {"DataFrame"} == at(standard, "y: pd.DataFrame | None = x.$0").types
    assert {"list", "Sheet"} == at(standard, "def f() -> list[folds.Sheet]:\n    return x.$0").types
    assert frozenset() == at(standard, "def f():\n    return x.$0").types
    assert frozenset() == at(standard, "y = x.$0").types


def test_types_of_the_parameter_of_the_enclosing_call() -> None:
    """By position, by keyword, and what is left for ``*args``; Any says nothing."""
    source = Standard({})
    assert {"str", "bytes", "bytearray"} <= at(source, "import json\njson.loads(x.$0)").types
    assert {"str", "bytes", "bytearray"} <= at(source, "import json\njson.loads(s=x.$0)").types
    assert frozenset() == at(source, "import json\njson.dumps(x.$0)").types
    assert frozenset() == at(source, "unknown(x.$0)").types


def test_names_of_types_without_those_that_say_nothing() -> None:
    """Dotted names by their last part."""
    assert {"ndarray", "list", "int"} == type_names("np.ndarray | list[int] | None")
    assert frozenset() == type_names("Any")
