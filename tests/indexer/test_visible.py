"""Names that may stand at a cursor without a dot."""

from __future__ import annotations

from octod.indexer.visible import VisibleName, visible_at
from resolving import SOURCE, cursor_of, written

TEXT = """
import shop
from shop import Client as Customer, connect
from shop.goods import *
total = 3
class Till:
    drawer = 1
def before(a): ...
def work(c: shop.Client, n=2):
    r = c.get('u')
    def inner(deep):
        near = deep
        $0
        far = 1
def after(): ...
late = shop.connect('x')
"""


def found() -> dict[str, VisibleName]:
    """The names at ``$0``."""
    return {v.name: v for v in visible_at(SOURCE, cursor_of(TEXT))}


def test_names_come_nearest_first_and_builtins_last() -> None:
    """Locals, then enclosing functions, the module, its later names, star imports, builtins."""
    names = list(found())
    wanted = ["near", "deep", "inner", "r", "n", "c", "total", "late", "Basket", "isinstance"]
    assert [n for n in names if n in wanted] == wanted
    assert "far" not in names
    assert len(names) == len(set(names))


def test_names_have_kind_place_and_types() -> None:
    """What a menu shows beside the name."""
    have = {n: (v.kind, v.where, " ".join(map(written, v.types)) or v.qualified) for n, v in found().items()}
    assert {n: have[n] for n in ("near", "c", "r", "work", "Till", "total", "shop", "Customer", "connect", "Crate", "dict")} == {
        "near": ("variable", "local", ""),
        "c": ("parameter", "enclosing", "shop.Client()"),
        "r": ("variable", "enclosing", "shop.Reply()"),
        "work": ("function", "module", ""),
        "Till": ("class", "module", ""),
        "total": ("variable", "module", "builtins.int()"),
        "shop": ("module", "module", "shop"),
        "Customer": ("class", "module", "shop.Client"),
        "connect": ("function", "module", "shop.connect"),
        "Crate": ("class", "star", "shop.goods.Crate"),
        "dict": ("class", "builtin", "builtins.dict"),
    }  # fmt: skip


def test_a_class_body_s_names_are_not_seen_from_its_methods() -> None:
    """Python's own rule."""
    cursor = cursor_of("class Till:\n    drawer = 1\n    def f(self):\n        $0")
    assert "drawer" not in {v.name for v in visible_at(SOURCE, cursor)}


def test_a_file_of_many_names_has_the_builtins_all_the_same() -> None:
    """Thousands of functions push nothing out that every file may use."""
    text = "".join(f"def f{n}(): ...\n" for n in range(4_100))
    assert {"isinstance", "dict"} <= {v.name for v in visible_at(SOURCE, cursor_of(f"{text}$0"))}


def test_broken_text_still_has_names() -> None:
    """A half-written line hides nothing but itself."""
    cursor = cursor_of("import shop\nx = (\ndef f(:\n    y = 1\n    print(y, $0")
    assert "shop" in {v.name for v in visible_at(SOURCE, cursor)}
