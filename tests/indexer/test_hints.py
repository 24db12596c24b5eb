"""Hints in sources and in texts."""

from __future__ import annotations

import pytest
from octod.indexer.hints import deprecation_hints, removal_notes, successors_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Use `np.float64` instead.", ["np.float64"]),
        ("1.4.0 Use :func:`concat` instead. For further details see :ref:`whats`", ["concat", "whats"]),
        ("The `dict` method is deprecated; use `model_dump` instead.", ["model_dump"]),
        ("deprecated in favour of pkg.other()", ["pkg.other"]),
        ("renamed to pkg.mod:name", ["pkg.mod.name"]),
        ("use DataFrame/Series.shift instead", ["shift"]),
        ("Use the np.errstate context manager instead.", ["np.errstate"]),
        ("Use `np.dtype(obj).type` instead.", []),
        ("Use Series[key] instead", []),
        ('Use ``pd.set_option("a", True)`` to see it', []),
        ("There is no replacement.", []),
    ],
)
def test_names_in_deprecation_texts(text: str, expected: list[str]) -> None:
    """The names after words such as ``use``; not the beginnings of longer expressions."""
    assert successors_in(text) == expected


def test_tables_of_removed_names() -> None:
    """As numpy and pydantic have them."""
    gone, served = removal_notes("numpy._expired_attrs_2_0", '__expired_attributes__ = {"mat": "Use `np.asmatrix` instead.", "a b": "x y"}')
    assert (gone, served) == ({"numpy.mat": "Use `np.asmatrix` instead."}, {})
    text = "MOVED_IN_V2 = {'pydantic:PyObject': 'pydantic.types:ImportString'}\nREMOVED_IN_V2 = {'pydantic:NoneStr'}\n"
    assert removal_notes("pydantic._migration", text)[0] == {
        "pydantic.PyObject": "renamed to pydantic.types:ImportString",
        "pydantic.NoneStr": "",
    }


def test_branches_of_a_module_getattr() -> None:
    """A branch that raises speaks of what is gone, one that returns of what is still there."""
    text = (
        "def __getattr__(name):\n    if name == 'a':\n        raise AttributeError(warn('a is gone, use b'))\n"
        "    if name == 'c':\n        warnings.warn('use d')\n        return d\n"
    )
    assert removal_notes("ham", text) == ({"ham.a": "a is gone, use b"}, {"ham.c": "use d"})


def test_a_warning_that_does_not_always_come_deprecates_nothing() -> None:
    """It may say that a keyword has another name now."""
    text = (
        "def f(new=None, old=None):\n    if old is not None:\n        warnings.warn('old is deprecated, use new', DeprecationWarning)\n"
        "def g():\n    warnings.warn('use f instead', DeprecationWarning)\n"
    )
    hints = deprecation_hints([("ham", text)])
    assert (hints.texts, hints.renames) == ({"ham.g": "use f instead"}, {"ham.f": {"old": "new"}})


@pytest.mark.parametrize("text", ["def f(:\n DeprecationWarning", "x = " + "(" * 5000 + "DeprecationWarning", "\0DeprecationWarning"])
def test_sources_that_cannot_be_read_give_nothing(text: str) -> None:
    """Broken, deep, binary."""
    assert deprecation_hints([("ham", text)]).texts == {}
    assert removal_notes("ham", f"def __getattr__(name):\n{text}") == ({}, {})
