"""Call sites and signatures found in one file."""

from __future__ import annotations

import ast

import pytest
from octod.adapters.base.calls import analyse, render_signature


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pandas as pd\npd.read_csv(p)\n", ("read_csv", "pandas")),
        ("from httpx import Client\nClient.build()\n", ("build", "httpx.Client")),
        ("import os.path\nos.path.join()\n", ("join", "os.path")),
        ("import httpx\nc = httpx.Client()\nc.send(r)\n", ("send", "httpx.Client()")),
        ("import httpx\nwith httpx.Client() as c:\n    c.send(r)\n", ("send", "httpx.Client()")),
        (
            "import pandas as pd\ndef f(df: pd.DataFrame):\n    df.groupby(1)\n",
            ("groupby", "pandas.DataFrame()"),
        ),
        ("import a\nself.c = a.B()\nself.c.go()\n", ("go", "a.B()")),
        (
            "import matplotlib.pyplot as p\nf, ax = p.subplots()\nax.plot()\n",
            ("plot", "matplotlib.pyplot.subplots()"),
        ),
        ("x = 1\nthing.frobnicate()\n", ("frobnicate", "")),
    ],
)
def test_receivers_are_followed_to_their_import(source: str, expected: tuple[str, str]) -> None:
    """Imports, instances, `with`, annotations, attributes and unpacking."""
    call = analyse(source, "app").calls[-1]
    assert expected in {(c.name, c.origin) for c in analyse(source, "app").calls}
    assert source[call.line] == "\n"


def test_methods_of_self_and_of_builtins_are_no_library_calls() -> None:
    """`self.x()` is the file's own; `text.split()` could be anybody's."""
    assert () == analyse("x = 1\nself.run()\ntext.split()\n", "app").calls


def test_positions_are_characters_also_after_other_alphabets() -> None:
    """The syntax tree counts UTF-8 bytes, the positions count characters."""
    source = "import pandas as pd\nx = 'жаба'; pd.concat([\n    1,\n])  # end\ny = 2\n"
    (call,) = analyse(source, "app").calls
    assert "concat" == source[call.member : call.member + 6]
    assert "\nx = 'жаба'; pd.concat([\n    1,\n])  # end" == source[call.line : call.stop]


@pytest.mark.parametrize(
    ("definition", "method", "expected"),
    [
        ("def f(a: int, b: str = 'x', *, c=None) -> int: ...", False, "f(a, b='x', *, c=None)"),
        ("def f(self, /, a, *args, k=1, **kw): ...", True, "f(a, *args, k=1, **kw)"),
        ("def f(a, /, b): ...", False, "f(a, /, b)"),
        ("def f(a=some.very.long.default.expression): ...", False, "f(a=...)"),
        ("def f(self): ...", True, "f()"),
    ],
)
def test_signatures_are_rendered_short(definition: str, method: bool, expected: str) -> None:
    """No annotations, no self, long defaults shortened."""
    node = ast.parse(definition).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert expected == render_signature("f", node.args, method=method)


def test_public_definitions_carry_their_class_or_package() -> None:
    """Classes show their constructor, properties and private names are left out, the last overload stays."""
    source = """
import typing
class Client:
    def __init__(self, base): ...
    def get(self, url): ...
    @property
    def headers(self): ...
    def _send(self): ...
    @staticmethod
    def make(kind): ...
@typing.overload
def fetch(a): ...
def fetch(a, b=1): ...
if typing.TYPE_CHECKING:
    def extra(): ...
def _private(): ...
"""
    shown = [signature.text for signature in analyse(source, "web").signatures]
    expected = [
        "web.Client(base)",
        "Client.get(url)",
        "Client.make(kind)",
        "web.fetch(a, b=1)",
        "web.extra()",
    ]
    assert expected == shown


def test_unparsable_text_raises_what_the_contract_says() -> None:
    """The caller counts it as left out."""
    with pytest.raises(SyntaxError):
        analyse("def (:\n", "app")
