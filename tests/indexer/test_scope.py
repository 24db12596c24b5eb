"""Receivers at a cursor, names in scope, the file's own history and call sites."""

from __future__ import annotations

import pytest
from octod.indexer.members import members
from octod.indexer.parse import parse_at
from octod.indexer.scope import (
    arguments_at,
    call_sites,
    callees_at,
    features_at,
    history_at,
    names_at,
    receiver_at,
)
from resolving import SOURCE, check, cursor_of, receiver_of, written

RECEIVERS = {
    "module": ("import shop\nshop.$0", "shop"),
    "module under another name": ("import shop as s\ns.$0", "shop"),
    "submodule": ("import shop.goods\nshop.goods.$0", "shop.goods"),
    "submodule from its package": ("from shop import goods as g\ng.$0", "shop.goods"),
    "class": ("from shop import Client\nClient.$0", "shop.Client"),
    "class through a re-export": ("from shop import Crate\nCrate.$0", "shop.goods.Crate"),
    "class through a star import": ("from shop.extra import *\nCustomer.$0", "shop.Client"),
    "instance": ("import shop\nc = shop.Client('x')\nc.$0", "shop.Client()"),
    "result of a function": ("import shop\nc = shop.connect('x')\nc.$0", "shop.Client()"),
    "optional result": ("import shop\nshop.maybe().$0", "shop.Client()"),
    "chain": ("import shop\nshop.connect('x').get('u').$0", "shop.Reply()"),
    "chain over lines": ("import shop\n(shop\n .connect('x')\n .$0", "shop.Client()"),
    "inherited method returning Self": ("import shop\nshop.Client('x').copy().$0", "shop.Client()"),
    "classmethod returning Self": ("import shop\nshop.Client.default().$0", "shop.Client()"),
    "property": ("import shop\nshop.Client('x').basket.$0", "shop.goods.Basket()"),
    "attribute set in a method": ("import shop\nshop.Client('x').crate.$0", "shop.goods.Crate()"),
    "module level object": ("import shop\nshop.default_client.$0", "shop.Client()"),
    "tuple unpacking": ("import shop\na, b = shop.both()\nb.$0", "shop.goods.Basket()"),
    "loop": ("import shop\nfor c in shop.many():\n    c.$0", "shop.Client()"),
    "loop over items": ("import shop\nfor k, c in shop.by_name().items():\n    c.$0", "shop.Client()"),
    "iterator protocol": ("import shop\nfor c in shop.connect('x').get('u'):\n    c.$0", "shop.Client()"),
    "subscript of a list": ("import shop\nshop.many()[0].$0", "shop.Client()"),
    "subscript of a dict": ("import shop\nshop.by_name()['a'].$0", "shop.Client()"),
    "subscript by __getitem__": ("import shop\nshop.connect('x').get('u')[0].$0", "shop.goods.Basket()"),
    "with": ("import shop\nwith shop.Client('x') as c:\n    c.$0", "shop.Client()"),
    "with a generator": ("import shop\nwith shop.session() as c:\n    c.$0", "shop.Client()"),
    "second with item": ("import shop\nwith shop.session() as c, c.$0", "shop.Client()"),
    "async with and await": (
        "import shop\nasync def f():\n    async with shop.Client('x') as c:\n        r = await c.fetch('u')\n        r.$0",
        "shop.Reply()",
    ),
    "annotated parameter": ("import shop\ndef f(c: shop.Client):\n    c.$0", "shop.Client()"),
    "quoted annotation": ("import shop\ndef f(c: 'shop.Client | None' = None):\n    c.$0", "shop.Client()"),
    "list annotation": ("import shop\ndef f(cs: list[shop.Client]):\n    cs[0].$0", "shop.Client()"),
    "annotated name": ("import shop\nc: shop.Client = make()\nc.$0", "shop.Client()"),
    "self attribute": (
        "import shop\nclass A:\n    def __init__(self):\n        self.c = shop.Client('x')\n    def f(self):\n        self.c.$0",
        "shop.Client()",
    ),
    "attribute from an annotated parameter": (
        "import shop\nclass A:\n    def __init__(self, c: shop.Client):\n        self.c = c\n    def f(self):\n        self.c.$0",
        "shop.Client()",
    ),
    "own property": (
        "import shop\nclass A:\n    @property\n    def c(self):\n        return shop.Client('x')\n    def f(self):\n        self.c.$0",
        "shop.Client()",
    ),
    "own function": ("import shop\ndef make():\n    return shop.Client('x')\nmake().$0", "shop.Client()"),
    "own subclass": ("import shop\nclass Mine(shop.Client):\n    pass\nMine('x').get('u').$0", "shop.Reply()"),
    "super": ("import shop\nclass Mine(shop.Client):\n    def get(self):\n        super().$0", "shop.Client()"),
    "decorator that makes an object": ("import shop\n@shop.group()\ndef cli():\n    pass\ncli.$0", "shop.Group()"),
    "decorator of a decorator's result": (
        "import shop\n@shop.group()\ndef cli(): pass\n@cli.command()\ndef go(): pass\ngo.$0",
        "shop.Command()",
    ),
    "overload by a literal": ("import shop\nshop.read('a', lazy=True).$0", "shop.Reply()"),
    "overload without it": ("import shop\nshop.read('a').$0", "shop.goods.Basket()"),
    "type variable": ("import shop\nshop.same(shop.Client('x')).$0", "shop.Client()"),
    "bound type variable": ("import shop\nshop.narrow(None).$0", "shop.Client()"),
    "generic class": ("import shop\ndef f(s: shop.Shelf[shop.Client]):\n    s.first().$0", "shop.Client()"),
    "generic base": ("import shop\nshop.Clients().all()[0].$0", "shop.Client()"),
    "comprehension": ("import shop\n[c.$0 for c in shop.many()]", "shop.Client()"),
    "list made by a comprehension": ("import shop\ncs = [shop.connect(n) for n in 'ab']\ncs[0].$0", "shop.Client()"),
    "walrus": ("import shop\nif (c := shop.maybe()):\n    c.$0", "shop.Client()"),
    "isinstance": ("import shop\ndef f(c):\n    if isinstance(c, shop.Client):\n        c.$0", "shop.Client()"),
    "isinstance refused": (
        "import shop\ndef f(c):\n    if not isinstance(c, shop.Client):\n        return\n    c.$0",
        "shop.Client()",
    ),
    "operator": ("import shop\nr = shop.connect('x').get('u')\n(r + r).$0", "shop.Reply()"),
    "conditional": ("import shop\n(shop.Client('x') if a else shop.Reply()).$0", "shop.Client()", "shop.Reply()"),
    "fallback import": (
        "try:\n    import shop\nexcept ImportError:\n    shop = None\nshop.$0",
        "shop",
    ),
    "either branch": (
        "import shop\nif a:\n    x = shop.Client('x')\nelse:\n    x = shop.Reply()\nx.$0",
        "shop.Reply()",
        "shop.Client()",
    ),
    "the same branch": ("import shop\nif a:\n    x = shop.Client('x')\n    x.$0", "shop.Client()"),
    "rebound": ("import shop\nx = shop.Client('x')\nx = x.get('u')\nx.$0", "shop.Reply()"),
    "global seen from a function": ("import shop\ndef f():\n    c.$0\nc = shop.Client('x')\n", "shop.Client()"),
    "string": ("'a'.$0", "builtins.str()"),
    "open bracket": ("import shop\nprint(shop.connect('x').$0", "shop.Client()"),
    "open try": ("import shop\ntry:\n    c = shop.connect('x')\n    c.$0", "shop.Client()"),
    "half a condition": ("import shop\nif shop.$0", "shop"),
    "half a decorator": ("import shop\n@shop.$0", "shop"),
    "half a lambda": ("import shop\nx = sorted(a, key=lambda v: shop.$0", "shop"),
    "f-string": ("import shop\nprint(f'{shop.$0", "shop"),
    "broken lines above": ("import shop\nx = (\nc = shop.Client('x')\nc.$0", "shop.Client()"),
    "a broken function above": ("import shop\ndef f(:\n    pass\n\nc = shop.Client('x')\nc.$0", "shop.Client()"),
    "in the middle of code": (
        "import shop\nclass A:\n    def f(self):\n        c = shop.Client('x')\n        c.$0\n\n    def g(self):\n        pass\n",
        "shop.Client()",
    ),
    "a pytest fixture": (
        "import shop, pytest\n@pytest.fixture\ndef c():\n    yield shop.Client('x')\ndef test_a(c):\n    c.$0",
        "shop.Client()",
    ),
    "unknown": ("x.$0",),
    "string content": ("import shop\n'shop.$0",),
    "comment": ("import shop\n# shop.$0",),
    "cyclic imports": ("from shop.round import x\nx.$0",),
    "a name made of itself": ("x = x\nx.$0",),
    "from": ("from shop.$0", "shop"),
    "from ... import": ("from shop.goods import $0", "shop.goods"),
    "import": ("import shop.$0", "shop"),
}


@pytest.mark.parametrize(("marked", "expected"), [(c[0], c[1:]) for c in RECEIVERS.values()], ids=list(RECEIVERS))
def test_receiver(marked: str, expected: tuple[str, ...]) -> None:
    """The expression before the dot has the types that its author would expect."""
    check(marked, *expected)


def test_unknown_result_of_a_known_function_is_a_usage_key() -> None:
    """What nobody declares has no members to offer, yet its usage is counted."""
    found = receiver_of("import shop\nx = shop.unknown(1)\nx.$0")
    assert (found.types, found.unknown) == ((), ("shop.unknown()",))


def test_own_class_lists_its_members_and_inherited_ones() -> None:
    """A class of the file is looked up through the receiver's source."""
    found = receiver_of("import shop\nclass Mine(shop.Client):\n    def extra(self): ...\nMine('x').$0")
    (one,) = found.types
    names = [m.symbol.name for m in members(found.source, one.qualified, one.instance)]
    assert names[0] == "extra"
    assert {"get", "close", "basket", "crate"} <= set(names)


def test_relative_import_is_read_from_the_file_s_module() -> None:
    """``from . import`` needs the name of the file's own module."""
    found = receiver_at(SOURCE, cursor_of("from .goods import Crate\nCrate().$0"), "shop.other")
    assert [written(t) for t in found.types] == ["shop.goods.Crate()"]


def test_names_at_lists_values_nearest_first() -> None:
    """Arguments may be the names in scope; imports, classes and functions are left out."""
    cursor = cursor_of(
        """
        import shop
        total = 3
        def f(c: shop.Client, n):
            r = c.get('u')
            c.get($0
        """
    )
    found = [(name, [written(t) for t in types]) for name, types in names_at(SOURCE, cursor)]
    assert found == [("r", ["shop.Reply()"]), ("n", []), ("c", ["shop.Client()"]), ("total", ["builtins.int()"])]


def test_callees_at_names_the_method_around_the_cursor() -> None:
    """Signature help needs the function whose brackets are open."""
    cursor = cursor_of("import shop\nc = shop.Client('x')\nc.get('u', retries=$0")
    assert [t.qualified for t in callees_at(SOURCE, cursor)] == ["shop.Client.get"]
    assert cursor.call is not None
    assert (cursor.call.function, cursor.call.keyword, cursor.call.positional) == ("c.get", "retries", 1)


def test_history_counts_the_same_receiver_and_the_same_type() -> None:
    """Members used before come in reading order; those after the cursor count as the earliest."""
    marked = """
        import shop
        a = shop.Client('x')
        b = shop.Client('y')
        a.get('u')
        b.close()
        a.$0
        a.copy()
        """
    cursor = cursor_of(marked)
    found = history_at(SOURCE, cursor, receiver_at(SOURCE, cursor))
    assert (found.here, found.same_type) == (("copy", "get"), ("copy", "get", "close"))


def test_history_without_time_is_not_whole_and_what_was_read_stays() -> None:
    """A long file costs a menu no more than its patience; what was read once is free the next time."""
    other = "\n".join(f"def patient_{n}(c: shop.Client) -> None:\n    c.close()" for n in range(20))
    cursor = cursor_of(f"import shop\n{other}\nmine = shop.Client('x')\nmine.get('u')\nmine.$0")
    receiver = receiver_at(SOURCE, cursor)
    hasty = history_at(SOURCE, cursor, receiver, patience=0.0)
    assert (False, ()) == (hasty.whole, hasty.here)
    thorough = history_at(SOURCE, cursor, receiver)
    assert (True, ("close",) * 20 + ("get",)) == (thorough.whole, thorough.same_type)
    assert thorough == history_at(SOURCE, cursor, receiver, patience=0.0)


def test_arguments_at_gives_earlier_lists_of_the_same_member() -> None:
    """Ghost text may copy what the file has written before."""
    cursor = cursor_of("import shop\na = shop.Client('x')\nb = shop.connect('y')\na.get('u', retries=1)\nb.get($0")
    receiver = receiver_of("import shop\nb = shop.connect('y')\nb.$0")
    assert arguments_at(SOURCE, cursor, receiver, "get") == ("'u', retries=1",)


def test_call_sites_carry_offsets_and_arguments() -> None:
    """Offsets are code points, also after characters outside ASCII."""
    text = "import shop\nx = '\u00e9\U0001d11e'; shop.connect('n\u00e9', name=1).get('u')\n"
    found, problems = call_sites(SOURCE, text, "a.py")
    assert problems == []
    cut = [(s.receiver, s.instance, s.member, text[s.start : s.dot], text[s.open : s.close]) for s in found]
    assert cut == [
        ("shop", False, "connect", "shop.", "'n\u00e9', name=1"),
        ("shop.Client", True, "get", "shop.connect('n\u00e9', name=1).", "'u'"),
    ]
    assert (found[0].positional, found[0].keywords, found[0].library) == (("'n\u00e9'",), (("name", "1"),), "shop")


def test_call_sites_of_a_file_that_does_not_parse_is_a_problem() -> None:
    """Bad input is told, never raised."""
    assert call_sites(SOURCE, "def (", "a.py")[1][0].startswith("a.py: does not parse")


FEATURES = """
import shop

def load_reply(names):
    client = shop.connect('x')
    client.close()
    for name in names:
        first_reply, n = client.get(name), 1
        print(client.copy().get('u', retries=client.timeout.real()))
    with shop.session() as s:
        return s.get(
            'u')
    @shop.route('/')
    def inner():
        yield [c.get('v') for c in shop.many()]
"""


def test_features_are_the_same_for_finished_code_and_for_a_cut_cursor() -> None:
    """Each call of a file, cut at its dot, is seen with the features that mining saw."""
    found, _ = call_sites(SOURCE, FEATURES, "a.py")
    assert len(found) == 11
    for site in found:
        if FEATURES[site.start : site.dot] == "c.":
            continue  # what the loop variable is stands behind the cursor
        cursor = parse_at(FEATURES[: site.dot], site.dot)
        assert features_at(cursor) == site.features, site


def test_features_name_what_surrounds_a_call() -> None:
    """The templates of features.py, on one call."""
    found, _ = call_sites(SOURCE, FEATURES, "a.py")
    by_member = {s.member: s.features for s in found if s.positional == ("name",)}
    assert by_member["get"] == (
        "statement:assign", "assign:first", "assign:reply", "assign:n", "function:load", "function:reply",
        "previous:close", "before:close", "context:loop",
    )  # fmt: skip


def large(body: str) -> str:
    """A class with so many methods that its members are blocks of their own."""
    filler = "".join(f"    def m{i}(self):\n        x = '''\n    a = {i}\n'''\n        return x\n\n" for i in range(150))
    return f"import shop\n\nclass Big(shop.Base):\n    '''Doc.'''\n    kept = shop.Client('k')\n\n{filler}{body}"


LARGE = {
    "attribute of another member": (
        large("    def __init__(self):\n        self.c = shop.Client('x')\n\n    def f(self):\n        self.c.$0"),
        "shop.Client()",
    ),
    "attribute of the head": (large("    def f(self):\n        self.kept.$0"), "shop.Client()"),
    "inherited": (large("    def f(self):\n        self.basket.$0"), "shop.goods.Basket()"),
    "method below": (
        large("    def f(self):\n        self.g().$0\n\n    @staticmethod\n    def g():\n        return shop.Reply()\n"),
        "shop.Reply()",
    ),
    "the class itself": (large("    def f(self):\n        pass\n\nBig().kept.$0"), "shop.Client()"),
    "open brackets and tries": (large("    def f(self):\n        try:\n            print([shop.$0"), "shop"),
    "text below": (large("    def f(self):\n        shop.$0\n\n    def g(self):\n        pass\n"), "shop"),
}


@pytest.mark.parametrize(("marked", "expected"), list(LARGE.values()), ids=list(LARGE))
def test_receiver_in_a_large_class(marked: str, expected: str) -> None:
    """Cutting a class into its members changes nothing but the time it takes."""
    check(marked, expected)


def test_large_class_lists_all_its_members() -> None:
    """The members of every block of the class are offered."""
    found = receiver_of(large("    def last(self):\n        self.$0"))
    (one,) = found.types
    names = {m.symbol.name for m in members(found.source, one.qualified, one.instance)}
    assert {"kept", "m0", "m149", "last", "close"} <= names


def test_large_class_keeps_the_blocks_of_other_members() -> None:
    """A keystroke in one method parses that method."""
    text = large("    def last(self):\n        self.")
    one, two = parse_at(text, len(text)), parse_at(text + "m", len(text) + 1)
    assert len(one.tree.blocks) > 100
    assert all(a.parsed is b.parsed for a, b in zip(one.tree.blocks[:-1], two.tree.blocks[:-1], strict=True))
