"""Names through the index: aliases, inheritance, members."""

from __future__ import annotations

import pytest
from octod.core.symbols import LibraryId
from octod.indexer.annotations import types_of
from octod.indexer.extract import extract_module, merge_stub
from octod.indexer.lookup import TypeRef, memo_of, mro, refresh, resolve
from octod.indexer.members import members
from resolving import SOURCE, Shelf, written

NAMES = {
    "shop": "module shop",
    "shop.goods": "module shop.goods",
    "shop.Client": "class shop.Client",
    "shop.Crate": "class shop.goods.Crate",
    "shop.extra.Customer": "class shop.Client",
    "shop.extra.weigh": "function shop.goods.weigh",
    "shop.Client.close": "function shop.Base.close",
    "shop.Client.basket": "property shop.Base.basket",
    "shop.extra.Customer.get": "function shop.Client.get",
    "shop.nothing": None,
    "shop.round.x": "attribute shop.around.x",
    "nothing": None,
}


@pytest.mark.parametrize(("name", "expected"), list(NAMES.items()), ids=list(NAMES))
def test_resolve(name: str, expected: str | None) -> None:
    """A dotted name leads to where it is defined."""
    found = resolve(SOURCE, name)
    assert (f"{found.kind} {found.qualified}" if found else None) == expected


def test_mro_is_python_s() -> None:
    """A diamond is linearised by C3."""
    source = Shelf({"m": "class A: ...\nclass B(A): ...\nclass C(A): ...\nclass D(B, C): ...\n", "builtins": "class object: ..."})
    assert mro(source, "m.D") == ("m.D", "m.B", "m.C", "m.A", "builtins.object")


def test_mro_of_a_cycle_and_of_an_impossible_order_ends() -> None:
    """Classes that Python would refuse still have an order."""
    source = Shelf({"m": "class A(B): ...\nclass B(A): ...\nclass X(object, A): ...\nclass Y(A, X, A): ...\n"})
    assert set(mro(source, "m.A")) >= {"m.A", "m.B"}
    assert mro(source, "m.Y")[0] == "m.Y"


def test_members_of_a_module_follow_aliases_and_include_submodules() -> None:
    """A re-export is listed as what it is, under its name here."""
    found = {m.symbol.name: m for m in members(SOURCE, "shop", False)}
    assert (found["Crate"].qualified, found["Crate"].symbol.kind) == ("shop.goods.Crate", "class")
    assert found["extra"].symbol.kind == "module"
    assert [found[n].symbol.public for n in ("Crate", "connect", "TypeVar")] == [True, True, False]


def test_members_of_stars_are_listed_once() -> None:
    """A star import gives the public names of the other module."""
    names = [m.symbol.name for m in members(SOURCE, "shop.extra", False)]
    assert sorted(names) == ["Basket", "Crate", "Customer", "weigh"]


# A package ``p`` that imports a star from ``p.mid``, and that one from ``p.low``: what comes through.
LOW = "def a(): ...\ndef b(): ...\ndef _c(): ...\n"
STARS = {
    "no list": ("from .low import *\n", LOW, "a b"),
    "a list withholds": ("from .low import *\n__all__ = ['a']\n", LOW, "a"),
    "the lower list withholds": ("from .low import *\n__all__ = ['a', 'b']\n", f"{LOW}__all__ = ['b', '_c']\n", "b"),
    "both lists name it": ("from .low import *\n__all__ = ['_c']\n", f"{LOW}__all__ = ['a', '_c']\n", "_c"),
    "an underscore needs every list": ("from .low import *\n", f"{LOW}__all__ = ['a', '_c']\n", "a"),
    "a list that is computed": ("from .low import *\n__all__ = ['a'] + more()\n", LOW, "a b"),
    "a star that may fail": ("try:\n    from .low import *\nexcept ImportError:\n    pass\n__all__ = ['a']\n", LOW, "a"),
    "a lazy module": ("from .low import *\n__all__ = ['a']\ndef __getattr__(name): ...\n", LOW, "a"),
    "a module of the list": ("from .low import *\nfrom . import low\n__all__ = ['low']\n", LOW, "low"),
}


@pytest.mark.parametrize(("mid", "low", "expected"), list(STARS.values()), ids=list(STARS))
def test_stars_hand_on_what_the_lists_on_the_way_let_through(mid: str, low: str, expected: str) -> None:
    """A package has what its own star imports bring, whatever its own ``__all__`` says, and no more."""
    source = Shelf({"p": "from p.mid import *\n__all__ = []\n", "p.mid": mid, "p.mid.low": low})
    names = {m.symbol.name for m in members(source, "p", False)} - {"__all__", "mid"}
    assert names == set(expected.split())
    assert {name for name in ("a", "b", "_c") if resolve(source, f"p.{name}") is not None} == names - {"low"}


def test_ways_of_different_width_lead_to_one_module() -> None:
    """What one star import withholds comes by another."""
    source = Shelf({"p": "from m import *\nfrom low import *\n", "m": "from low import *\n__all__ = ['a']\n", "low": LOW})
    assert [m.symbol.name for m in members(source, "p", False)] == ["a", "b"]


def test_star_imports_in_a_circle_end() -> None:
    """Two modules that import each other's names have them all."""
    source = Shelf({"m": "from n import *\n__all__ = ['a', 'b']\ndef a(): ...\n", "n": "from m import *\ndef b(): ...\n"})
    assert {m.symbol.name for m in members(source, "n", False)} == {"b", "a"}
    assert {m.symbol.name for m in members(source, "m", False)} - {"__all__"} == {"a", "b"}


def test_a_list_in_a_stub_counts() -> None:
    """The stub's ``__all__`` is the one that the package goes by."""
    made = [
        extract_module(text, module="m", file=file, library=LibraryId("m", "1", ""), is_package=False, is_stub=file.endswith("i"))[0]
        for file, text in (("m.pyi", "from low import *\n__all__ = ['a']\n"), ("m.py", "from low import *\nx = 1\n"))
    ]
    source = Shelf({"p": "from m import *\n", "low": LOW})
    source._scopes["m"] = merge_stub(*made)[0]
    assert [m.symbol.name for m in members(source, "p", False)] == ["a"]


@pytest.mark.parametrize(("base", "expected"), [("rv_generic", {"norm", "rv_histogram", "also"}), ("other", {"norm", "norm_gen", "rv_histogram", "pairs", "also"})])
def test_distributions_come_without_their_classes(base: str, expected: set[str]) -> None:
    """scipy's list is computed from what the objects are; where they are something else, all may come."""
    stats = "scipy.stats"
    source = Shelf(
        {
            stats: f"from {stats}.distributions import *\n__all__ = [n for n in dir()]\n",
            f"{stats}.distributions": f"from {stats}._continuous_distns import *\nfrom x import also\n__all__ = ['also']\n__all__ += _c._names\n",
            f"{stats}._continuous_distns": f"from {stats}._distn_infrastructure import {base}\n"
            f"class norm_gen({base}): ...\nclass rv_histogram({base}): ...\nnorm = norm_gen()\npairs = list(globals())\n__all__ = names()\n",
            f"{stats}._distn_infrastructure": f"class {base}: ...\n",
            "x": "def also(): ...\n",
        }
    )
    assert {m.symbol.name for m in members(source, stats, False) if m.symbol.name[0] != "_" and m.symbol.public} - {"distributions"} == expected


def test_members_of_a_class_come_in_resolution_order() -> None:
    """Own names first, with the depth of those that are inherited."""
    found = members(SOURCE, "shop.Client", True)
    names = [m.symbol.name for m in found]
    assert len(names) == len(set(names))
    depths = {m.symbol.name: m.depth for m in found}
    assert (depths["get"], depths["close"], depths["__repr__"]) == (0, 1, 2)


TYPES = {
    "Client": ["shop.Client()"],
    "Optional[Client]": ["shop.Client()"],
    "Client | Reply | None": ["shop.Client()", "shop.Reply()"],
    "'Client'": ["shop.Client()"],
    "type[Client]": ["shop.Client"],
    "list[Client]": ["builtins.list()"],
    "Iterator[Client]": ["typing.Iterator()"],
    "Literal['a', 'b']": ["builtins.str()"],
    "goods.Crate": ["shop.goods.Crate()"],
    "shop.goods.Crate": ["shop.goods.Crate()"],
    "Client or Reply": ["shop.Client()", "shop.Reply()"],
    "BoundT": ["shop.Client()"],
    "Any": [],
    "None": [],
    "[": [],
}


@pytest.mark.parametrize(("annotation", "expected"), list(TYPES.items()), ids=list(TYPES))
def test_types_of(annotation: str, expected: list[str]) -> None:
    """An annotation is read in the scope where it is written."""
    assert [written(t) for t in types_of(SOURCE, annotation, "shop")] == expected


def test_types_of_keeps_type_arguments() -> None:
    """The element of a container is known."""
    assert types_of(SOURCE, "dict[str, Client]", "shop") == (
        TypeRef("builtins.dict", True, (TypeRef("builtins.str"), TypeRef("shop.Client"))),
    )


def test_what_is_remembered_of_names_is_bounded_in_bytes() -> None:
    """What was not asked for lately goes when there is no more room; what is asked for again and again stays."""
    source = Shelf({f"m{n}": "".join(f"class C{n}_{i}:\n  def f(self): ...\n" for i in range(20)) for n in range(20)})
    source.room = 200_000  # type: ignore[attr-defined]
    names = [f"m{n}.C{n}_{i}" for n in range(20) for i in range(20)]
    remembered, often = set(), members(source, "m7", False)
    for _ in range(2):
        for name in names:
            refresh(source)
            target = resolve(source, name)
            assert target is not None and "class" == target.kind
            assert ["f"] == [m.symbol.name for m in members(source, name, True)]
            assert members(source, "m7", False) is often
            memo = memo_of(source).members
            remembered.add(len({*memo, *memo.before}))
    assert 20 < max(remembered) < len(names) / 2


def test_aliases_of_generics_are_what_they_stand_for() -> None:
    """``NDArray[Any]`` is an array, however the alias is written."""
    source = Shelf(
        {
            "builtins": "class object: ...",
            "arr": "from typing import Any, Generic, TypeVar, TypeAlias, Union\nT = TypeVar('T')\nclass ndarray(Generic[T]): ...\n"
            "A: TypeAlias = ndarray[T]\nB = ndarray[Any]\nC = Union[ndarray, int]\ndef f() -> A[Any]: ...\ndef g() -> B: ...\n",
            "typing": "class Generic: ...\nclass TypeVar: ...\n",
        }
    )
    for name in ("A[Any]", "A", "B", "B[int]"):
        assert [written(t) for t in types_of(source, name, "arr")] == ["arr.ndarray()"], name


def test_what_a_hidden_package_re_exports_is_found() -> None:
    """``from .simplify import simplify`` in a package hides its module ``simplify``, not what others take from there."""
    source = Shelf(
        {
            "alg": "from .simplify import simplify, collect\n",
            "alg.simplify": "from .simplify import simplify\nfrom .more import collect\n",
            "alg.simplify.simplify": "def simplify(): ...\n",
            "alg.simplify.more": "def collect(): ...\n",
        }
    )
    found = {m.symbol.name: (m.symbol.kind, m.owner) for m in members(source, "alg", False)}
    assert ("function", "alg.simplify.more") == found["collect"]
    assert ("function", "alg.simplify.simplify") == found["simplify"]
