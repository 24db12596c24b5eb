"""Names through the index: aliases, inheritance, members."""

from __future__ import annotations

import pytest
from octod.indexer.annotations import types_of
from octod.indexer.lookup import TypeRef, members, memo_of, mro, refresh, resolve
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
