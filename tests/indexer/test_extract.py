"""From source text to scopes."""

from __future__ import annotations

import textwrap

import pytest
from octod.core.symbols import LibraryId, Scope, Symbol
from octod.indexer.added_docs import added_docs, with_added_docs
from octod.indexer.docstrings import deprecation, parameter_docs, return_type
from octod.indexer.extract import extract_module, merge_stub

HAM = LibraryId("ham", "1", "")


def scopes(
    source: str, module: str = "ham", *, is_package: bool = True, is_stub: bool = False, python: tuple[int, int] = (3, 11)
) -> dict[str, Scope]:
    """The scopes of a source by qualified name; no problem is expected."""
    found, problems = extract_module(
        textwrap.dedent(source),
        module=module, file="ham.py", library=HAM, is_package=is_package, is_stub=is_stub, python=python,
    )  # fmt: skip
    assert problems == []
    return {scope.qualified: scope for scope in found}


def symbol(source: str, path: str = "f", **keywords: bool) -> Symbol:
    """One symbol of a source, ``Class.method`` or a module's name."""
    owner, _, name = f"ham.{path}".rpartition(".")
    return scopes(source, **keywords)[owner].symbols[name]  # type: ignore[arg-type]  # only flags are passed on


def check_returns(source: str, expected: str | None, path: str = "f") -> None:
    """The return type found for one symbol."""
    assert symbol(source, path).returns == expected


def test_parameters_keep_kind_default_and_annotation() -> None:
    """Every kind of parameter, as written."""
    made = symbol("def f(a, /, b: int = 1, *args: str, c, d='x', **kw: float) -> bool: ...")
    assert [(p.name, p.kind, p.default, p.annotation) for p in made.parameters or ()] == [
        ("a", "positional", None, None),
        ("b", "standard", "1", "int"),
        ("args", "vararg", None, "str"),
        ("c", "keyword", None, None),
        ("d", "keyword", "'x'", None),
        ("kw", "kwarg", None, "float"),
    ]
    assert made.returns == "bool"


def test_long_defaults_are_elided_and_forward_references_unquoted() -> None:
    """A signature shows ``...`` for a long default, and types without quotes."""
    made = symbol(f"def f(a={'x' * 80!r}, b: 'Later' = None) -> 'Later': ...")
    assert [(p.default, p.annotation) for p in made.parameters or ()] == [("...", None), ("None", "Later")]
    assert made.returns == "Later"


def test_self_and_cls_are_left_out() -> None:
    """Methods show what a caller passes."""
    source = """
    class C:
        def m(self, a): ...
        @classmethod
        def k(cls, b): ...
        @staticmethod
        def s(c): ...
    """
    found = scopes(source)["ham.C"].symbols
    assert [[p.name for p in found[n].parameters or ()] for n in "mks"] == [["a"], ["b"], ["c"]]
    assert [found[n].static for n in "mks"] == [False, True, True]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return self", "Self"),
        ("if x:\n        return self\n    return self", "Self"),
        ("return type(self)(1)", "Self"),
        ("return self.__class__(1)", "Self"),
        ("out = Other()\n    return out", "Other"),
        ("out = Other()\n    out = 1\n    return out", None),
        ("if x:\n        return None\n    return Other(1)", "Other"),
        ("return f'{x}'", "str"),
        ("return self.kept", "Other"),
        ("return unknown(x)", None),
        ("return x", None),
        ("yield Other()", "typing.Iterator[Other]"),
        ("yield Other()\n    yield x", None),
        ("return self.m2(x)", "self.m2(...)"),
        ("return self.kept.m3()", "self.kept.m3(...)"),
        ("return helper(x)", "helper(...)"),
        ("helper = x\n    return helper(1)", None),
        ("out = helper(x)\n    out.add(1)\n    return out", "helper(...)"),
        ("return x, Other()", "tuple[Any, Other]"),
        ("return len(x)", "int"),
        ("return await helper(x)", "await helper(...)"),
        ("def inner(): return 1\n    return Other()", "Other"),
    ],
)
def test_returns_are_inferred_where_they_are_plain(body: str, expected: str | None) -> None:
    """Without annotation and docstring the body decides, and only when every return agrees."""
    source = f"class Other: ...\nclass C:\n  def __init__(self):\n    self.kept = Other()\n  def m(self, x):\n    {body}\n"
    source = f"def helper(x): ...\n{source}".replace("def m(", "async def m(" if "await" in body else "def m(")
    check_returns(source, expected, "C.m")


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        (":rtype: Known", "Known"),
        (":rtype: :class:`~other.Thing`", "other.Thing"),
        ("Returns\n-------\nKnown\n    What it is.", "Known"),
        ("Returns\n-------\nout : ndarray of shape (n,)\n    It.", "numpy.ndarray"),
        ("Returns\n-------\nscores : ndarray of float of shape (n,)\n    It.", "numpy.ndarray"),
        ("Returns\n-------\nself : object\n    It.", None),
        ("Returns\n-------\na : int\n    One.\nb : str\n    Two.", "tuple[int, str]"),
        ("Returns\n-------\na, b : int\n    One.\nc : what it is\n    Two.", "tuple[int, int, Any]"),
        ("Returns\n-------\na : what\nb : it is", "tuple"),
        ("Returns\n-------\nc : (M, M) ndarray\n    It.", "numpy.ndarray"),
        ("Returns\n-------\nvalues : (# of points,)-array\n    It.", "numpy.ndarray"),
        ("Returns\n-------\nres : 2-D array or scalar\n    It.", "numpy.ndarray"),
        ("Returns\n-------\nlist of str\n    Names.", "list[str]"),
        ("Returns\n-------\nKnown or None\n    It.", "Known | None"),
        ("Returns:\n    Known: it is.", "Known"),
        ("Returns:\n    The thing that was made.", None),
        ("Returns\n-------\nsome prose about it\n    More.", None),
    ],
)
def test_docstrings_name_return_types(doc: str, expected: str | None) -> None:
    """reST, numpy and google sections; prose is never taken for a type."""
    indented = textwrap.indent(f"What f does.\n\n{doc}\n", "    ")
    check_returns(f'class Known: ...\ndef f():\n    """\n{indented}    """\n    return g()\n', expected)


def test_a_method_whose_docstring_returns_self_chains() -> None:
    """``self : object`` under Returns is scikit-learn's way to say so."""
    source = 'class C:\n  def fit(self):\n    """Fit.\n\n    Returns\n    -------\n    self : object\n    """\n    return g()\n'
    check_returns(source, "Self", "C.fit")


def test_type_variables_on_self_read_self() -> None:
    """The old way to write ``Self``: a type variable on ``self``."""
    source = "T = TypeVar('T')\nclass C:\n  def m(self: T, a) -> list[T]: ...\n  @classmethod\n  def k(cls: type[T]) -> T: ...\n"
    check_returns(source, "list[Self]", "C.m")
    check_returns(source, "Self", "C.k")


def test_a_context_manager_function_returns_a_context_manager() -> None:
    """The annotation speaks of the generator, the caller gets something for ``with``."""
    source = "@contextmanager\ndef f() -> Iterator[Thing]: ...\n@asynccontextmanager\nasync def g() -> AsyncGenerator[A, None]: ...\n"
    check_returns(source, "contextlib.AbstractContextManager[Thing]")
    check_returns(source, "contextlib.AbstractAsyncContextManager[A]", "g")


def test_properties_and_attributes_have_types() -> None:
    """Properties return, attributes are annotated, assigned, or set in methods."""
    source = """
    class C:
        plain = 3
        declared: "Other"
        made = Other()
        def __init__(self, given: Path, other=None):
            self.given = given
            self.path = Other(1)
            self.typed: dict[str, int] = {}
            self.nothing = other
            self._hidden = []
        @property
        def prop(self) -> Other: ...
        @cached_property
        def cached(self) -> int: ...
        @prop.setter
        def prop(self, value): ...
    """
    found = scopes(source)["ham.C"].symbols
    names = ["plain", "declared", "made", "given", "path", "typed", "nothing", "_hidden", "prop", "cached"]
    assert [found[n].returns for n in names] == [
        "int", "Other", "Other", "Path", "Other", "dict[str, int]", None, "list", "Other", "int",
    ]  # fmt: skip
    assert (found["prop"].kind, found["cached"].kind, found["given"].kind) == ("property", "property", "attribute")
    assert (found["_hidden"].public, found["path"].public) == (False, True)


def test_imports_become_absolute_aliases() -> None:
    """Relative ones by the module's place, also those under TYPE_CHECKING and in try blocks."""
    source = """
    import numpy as np
    import os.path
    from . import near
    from .deep.er import thing as renamed
    from .. import above
    if TYPE_CHECKING:
        from types import ModuleType
    try:
        from fast import go
    except ImportError:
        from slow import go
    def f(a: os.PathLike) -> ModuleType: ...
    """
    found = scopes(source, "ham.eggs")["ham.eggs"].symbols
    assert {n: s.target for n, s in found.items() if s.kind == "alias"} == {
        "np": "numpy",
        "os": "os",
        "near": "ham.eggs.near",
        "renamed": "ham.eggs.deep.er.thing",
        "above": "ham.above",
        "ModuleType": "types.ModuleType",
        "go": "fast.go",
    }


def test_imported_names_are_kept_but_not_offered() -> None:
    """Other modules may import them from here, as ``requests`` does from its ``compat``."""
    found = scopes("import os, re\nfrom abc import ABC\ndef f(p: re.Pattern): ...", is_package=False)["ham"].symbols
    assert {name: symbol.public for name, symbol in found.items()} == {"os": False, "re": False, "ABC": False, "f": True}


def test_all_decides_what_is_public() -> None:
    """Literals, concatenation, ``+=``, ``extend`` and other modules' ``__all__``."""
    source = """
    from . import sub
    from .sub import from_sub
    from .other import from_other
    __all__ = ["a"] + ["b"]
    __all__ += ["_c"]
    __all__.extend(["d"])
    __all__ += sub.__all__
    def a(): ...
    def b(): ...
    def _c(): ...
    def d(): ...
    def e(): ...
    """
    found = scopes(source)["ham"].symbols
    assert {n for n, s in found.items() if s.public} == {"a", "b", "_c", "d", "from_sub"}


def test_without_all_the_package_offers_what_is_its_own() -> None:
    """Own definitions, re-exports of the package's own, and what is imported as itself."""
    source = "import json\nfrom .core import A\nfrom other import B\nfrom other import C as C\nX = 1\n_Y = 2\nT = TypeVar('T')\n"
    public = {n for n, s in scopes(source)["ham"].symbols.items() if s.public}
    assert public == {"A", "C", "X"}
    module = {n for n, s in scopes(source, "ham.sub", is_package=False)["ham.sub"].symbols.items() if s.public}
    assert module == {"C", "X"}
    stub = {n for n, s in scopes(source, is_stub=True)["ham"].symbols.items() if s.public}
    assert stub == {"C", "X"}


def test_lazy_loaders_export_what_they_are_told() -> None:
    """``lazy_loader.attach`` gets the names as literals, as in scikit-image."""
    source = "__getattr__, __dir__, __all__ = lazy.attach(__name__, ['sub'], {'sub': ['f']})\n"
    found = scopes(source)["ham"].symbols
    assert (found["f"].target, found["sub"].target, found["f"].public) == ("ham.sub.f", "ham.sub", True)
    assert scopes(source)["ham"].dynamic


def test_stars_and_dynamic_modules_are_marked() -> None:
    """What cannot be expanded here is told, so that unknown never reads as invalid."""
    made = scopes("from .core import *\nfrom os import *\ndef __getattr__(name): ...")["ham"]
    assert (made.stars, made.dynamic) == (("ham.core", "os"), True)


def test_other_names_for_functions_are_aliases_or_copies() -> None:
    """At a module's level an alias, in a class a method of its own."""
    source = "def f(a): ...\ng = f\nclass C:\n  def m(self, b): ...\n  n = m\n  s = staticmethod(m)\n"
    found = scopes(source)
    assert found["ham"].symbols["g"].target == "ham.f"
    copy = found["ham.C"].symbols["n"]
    assert (copy.name, copy.kind, [p.name for p in copy.parameters or ()]) == ("n", "function", ["b"])


def test_types_given_names_read_as_types() -> None:
    """An alias of a union, a bounded type variable and a new type are types, and say which."""
    source = "A = Union[int, str]\nB: TypeAlias = 'int | None'\nC = TypeVar('C', bound='Base')\nD = NewType('D', int)\nE = TypeVar('E')\n"
    found = scopes(source)["ham"].symbols
    assert [found[n].returns for n in "ABCDE"] == [
        "type[Union[int, str]]", "type[int | None]", "type[Base]", "type[int]", "TypeVar",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("@dataclass\nclass C:", "a: int\n b: str = 'x'\n c: list = field(default_factory=list)", "a, b='x', c=..."),
        ("@dataclass\nclass C:", "a: int = field(init=False)\n b: ClassVar[int] = 1\n c: int = field(default=2)", "c=2"),
        ("@dataclass(kw_only=True)\nclass C:", "a: int", "*a"),
        ("class C(BaseModel):", "a: int\n b: str = Field(..., alias='x')\n c: int = Field(3)\n _d: int = 4", "*a, *b, *c=3"),
        ("class C(NamedTuple):", "a: int\n b: int = 2", "a, b=2"),
        ("@attr.s\nclass C:", "a = attr.ib()\n b = attr.ib(default=1)", "a, b=1"),
        ("@dataclass\nclass C:", "a: int\n def __init__(self, own): ...", "own"),
    ],
)
def test_fields_become_constructor_parameters(head: str, body: str, expected: str) -> None:
    """Data classes, pydantic models, named tuples and attrs; an own ``__init__`` wins.  ``*`` marks keyword-only."""
    made = symbol(f"{head}\n {body}\n", "C")
    shown = ", ".join(("*" if p.kind == "keyword" else "") + str(p) for p in made.parameters or ())
    assert shown == expected


def test_fields_are_inherited_within_a_module() -> None:
    """A model's model has the fields of both."""
    source = "class A(BaseModel):\n a: int\nclass B(A):\n b: int\n"
    assert [p.name for p in symbol(source, "B").parameters or ()] == ["a", "b"]


def test_enumeration_members_are_of_their_class() -> None:
    """``Color.RED`` is a Color."""
    found = scopes("class Color(Enum):\n RED = 1\n GREEN = 'g'\n def m(self): ...\n")["ham.Color"].symbols
    assert (found["RED"].returns, found["GREEN"].returns, found["m"].kind) == ("Color", "Color", "function")


def test_a_named_tuple_by_call_is_a_class() -> None:
    """``Point = namedtuple(...)`` has its fields as attributes and parameters."""
    found = scopes("Point = namedtuple('Point', 'x y')\n")
    assert [p.name for p in found["ham"].symbols["Point"].parameters or ()] == ["x", "y"]
    assert sorted(found["ham.Point"].symbols) == ["x", "y"]


def test_overloads_are_kept_and_the_plainest_is_first() -> None:
    """``read(path)`` is the overload that does not require ``Literal[True]``."""
    source = """
    @overload
    def f(a, *, lazy: Literal[True]) -> Reader: ...
    @overload
    def f(a, *, lazy: Literal[False] = ...) -> Frame: ...
    def f(a, *, lazy=False): ...
    """
    made = symbol(source)
    assert (made.returns, [r for _, r in made.overloads]) == ("Frame", ["Frame", "Reader"])
    assert [str(p) for p in made.parameters or ()] == ["a", "lazy=False"]
    stub = symbol(source.rpartition("    def")[0], is_stub=True)
    assert (stub.returns, [r for _, r in stub.overloads]) == ("Frame", ["Reader"])


def test_deprecations_are_told() -> None:
    """PEP 702's decorator and the docstring's note; a note on one parameter does not count."""
    source = """
    @deprecated("use g")
    def f(): ...
    def g():
        '''Do.

        .. deprecated:: 1.2
           Use h.
        '''
    def h(a):
        '''Do.

        Parameters
        ----------
        a : int
            .. deprecated:: 1.2
        '''
    @deprecated("gone soon")
    class C: ...
    """
    found = scopes(source)["ham"].symbols
    assert [found[n].deprecated for n in "fghC"] == ["use g", "1.2 Use h.", None, "gone soon"]


def test_conditions_on_the_version_are_decided_for_the_environment() -> None:
    """A stub read for 3.10 has what 3.10 has."""
    source = "if sys.version_info >= (3, 11):\n def new(): ...\nelse:\n def old(): ...\nif sys.platform == 'nowhere':\n def never(): ...\n"
    assert sorted(scopes(source, is_stub=True)["ham"].symbols) == ["new"]
    assert sorted(scopes(source, is_stub=True, python=(3, 10))["ham"].symbols) == ["old"]


def test_a_stub_wins_and_takes_documentation_from_the_source() -> None:
    """Types from the stub; docstring, line and the real default from the source; other names are not offered."""
    stub, _ = extract_module(
        "def f(a: int = ...) -> str: ...\nclass C:\n def m(self) -> int: ...\n",
        module="ham", file="ham.pyi", library=HAM, is_package=False, is_stub=True,
    )  # fmt: skip
    source, _ = extract_module(
        "\n\ndef f(a=3):\n  'Do f.'\ndef only(): ...\nclass C:\n  'A class.'\n  def m(self): 'Do m.'\n",
        module="ham", file="ham.py", library=HAM, is_package=False, is_stub=False,
    )  # fmt: skip
    merged = {s.qualified: s for s in merge_stub(stub, source)}
    f = merged["ham"].symbols["f"]
    assert (f.returns, f.doc, f.line, [str(p) for p in f.parameters or ()]) == ("str", "Do f.", 3, ["a=3"])
    assert merged["ham"].symbols["only"].public is False
    assert (merged["ham.C"].symbols["m"].doc, merged["ham.C"].symbols["m"].returns) == ("Do m.", "int")
    assert merged["ham"].file == "ham.py"


def test_coroutines_are_marked() -> None:
    """An asynchronous function is awaited; an asynchronous generator is not."""
    assert symbol("async def f() -> int: return 1").asynchronous
    assert not symbol("async def f() -> AsyncIterator[int]: yield 1").asynchronous


def test_positions_in_lines_with_wide_characters() -> None:
    """``ast`` counts bytes; the text cut out must still be the annotation."""
    made = symbol("def f(é: 'int' = 1, ñ: dict[str, int] = {}) -> list[int]: ...")
    assert [(p.name, p.annotation) for p in made.parameters or ()] == [("é", "int"), ("ñ", "dict[str, int]")]
    assert made.returns == "list[int]"


def test_return_types_need_a_bound_name() -> None:
    """A capital letter alone is not enough: ``Nothing`` might begin a sentence."""
    assert return_type("Returns:\n    Nothing: is done.", lambda name: False) is None


def test_deprecation_text_is_one_line() -> None:
    """Continuation lines are joined."""
    assert deprecation("Do.\n\n.. deprecated:: 2.0\n   Use other\n   instead.\n\nMore.") == "2.0 Use other instead."


@pytest.mark.parametrize(
    "doc",
    [
        "Do.\n\nParameters\n----------\na : int\n    The first.\n",
        "Do.\n\nArgs:\n    a: The first.\n",
        "Do.\n\n:param a: The first.\n",
    ],
)
def test_parameter_docs_in_three_styles(doc: str) -> None:
    """numpy, google and reST."""
    assert parameter_docs(doc) == {"a": "The first."}


def test_docstrings_added_to_compiled_functions_are_read() -> None:
    """numpy's ``add_newdoc`` calls document what its stubs declare."""
    calls = "add_newdoc('m', 'array', 'Make.')\nadd_newdoc('m', 'ndarray', ('reshape', 'Shape.'))\nadd_newdoc('m', x, y)\n"
    stub, _ = extract_module(
        "def array(a): ...\nclass ndarray:\n def reshape(self): ...\n def other(self): ...\n",
        module="numpy", file="n.pyi", library=HAM, is_package=True, is_stub=True,
    )  # fmt: skip
    made = {s.qualified: s for s in with_added_docs(stub, added_docs(calls))}
    docs = {n: s.doc for scope in made.values() for n, s in scope.symbols.items()}
    assert docs == {"array": "Make.", "ndarray": "", "reshape": "Shape.", "other": ""}
