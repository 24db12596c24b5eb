"""Every kind of receiver that static analysis can know: a snippet, the types at ``$0``, and members that are offered.

The library below is made up; the standard library is the real typeshed.
"""

from __future__ import annotations

import sys
from functools import cache
from textwrap import dedent

import pytest
from octod.indexer.environment import find_environment
from octod.indexer.offer import offered
from octod.indexer.parse import parse_at
from octod.indexer.scope import Receiver, receiver_at
from resolving import written
from standard import Installed, Standard

FARM = """
from __future__ import annotations
import abc
import enum
import typing as t
from collections import namedtuple
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, NamedTuple, Optional, Protocol, TypedDict, TypeVar, Union, overload
from typing_extensions import Self, TypeAlias

from farm import tools
from farm.tools import Rake, Spade as Shovel
from farm.barn import *

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
AnimalT = TypeVar("AnimalT", bound="Animal")
EitherT = TypeVar("EitherT", Rake, Shovel)
Tool: TypeAlias = Union[Rake, Shovel]
Herd = list["Cow"]
Maker = Callable[[str], "Cow"]
P = t.ParamSpec("P")

class Animal(abc.ABC):
    name: str
    friend: Optional[Cow] = None
    def __init__(self, name: str = "", *, tool: Rake | None = None) -> None:
        self.tool = tool
        self.shed = Shed()
        self._noise: str | None = None
    @property
    def owner(self) -> Farmer: ...
    @cached_property
    def stall(self) -> Stall: ...
    @classmethod
    def born(cls, name: str) -> Self: ...
    @classmethod
    def named(cls: type[AnimalT], name: str) -> AnimalT: ...
    @staticmethod
    def keeper() -> Farmer: ...
    def fed(self) -> Self: ...
    def twin(self: AnimalT) -> AnimalT: ...
    def __eq__(self, other: object) -> bool: ...
    def __lt__(self, other: Animal) -> bool: ...

class Cow(Animal):
    def milk(self) -> Milk: ...
    def calves(self) -> list[Cow]: ...
    async def call(self) -> Farmer: ...
    def fluent(self):
        return self
    def __enter__(self): return self
    def __exit__(self, *a): ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *a) -> None: ...
    def __aiter__(self) -> AsyncIterator[Milk]: ...

class LoadedLater:
    def __init__(self, name: str) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

class Kept:
    def keep(self) -> None: ...

class Milk:
    litres: float = 0.0
    def __add__(self, other: Milk) -> Milk: ...
    def __radd__(self, other: int) -> Milk: ...
    def __neg__(self) -> Cheese: ...
    def __mul__(self, other: int) -> Cheese: ...
    def __invert__(self) -> Cheese: ...
    def __getitem__(self, key: int) -> Cheese: ...
    def __call__(self, times: int) -> Cheese: ...
    def pour(self) -> None: ...

class Cheese:
    def slice(self) -> Cheese: ...

class Shed:
    height: int
    def open(self) -> None: ...

class Stall:
    shed: Shed
    def clean(self) -> None: ...

class Farmer:
    def work(self) -> None: ...
    @property
    def cows(self) -> dict[str, Cow]: ...
    @property
    def pair(self) -> tuple[Cow, Shed]: ...

@dataclass
class Field:
    size: int
    crop: Crop
    crops: list[Crop] = field(default_factory=list)
    owner: ClassVar[Farmer]

class Crop(enum.Enum):
    WHEAT = 1
    RYE = "r"
    def harvest(self) -> Milk: ...

class Point(NamedTuple):
    x: int
    shed: Shed

Pair = namedtuple("Pair", "left right")

class Options(TypedDict):
    cow: Cow
    count: int

class Box(Generic[T]):
    item: T
    def __init__(self, item: T) -> None: ...
    def get(self) -> T: ...
    def all(self) -> list[T]: ...
    def map(self, f: Callable[[T], K]) -> Box[K]: ...
    def __iter__(self) -> Iterator[T]: ...
    def __getitem__(self, i: int) -> T: ...

class CowBox(Box[Cow]): ...

class Table(Generic[K, T]):
    def items(self) -> Iterable[tuple[K, T]]: ...
    def value(self) -> T: ...

class Walker(Protocol):
    def walk(self) -> Farmer: ...

class Column:
    @overload
    def __get__(self, instance: None, owner: Any) -> Column: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Cheese: ...

class Row:
    column = Column()
    cow: Cow

class Loader:
    def __iter__(self): return self
    def __next__(self) -> Cow: ...

class Meta(type):
    def registry(cls) -> Shed: ...

class WithMeta(metaclass=Meta):
    def plain(self) -> None: ...

def buy(name: str) -> Cow: ...
def maybe(name: str) -> Cow | None: ...
def either() -> Union[Cow, Milk]: ...
def pair() -> tuple[Cow, Milk]: ...
def herd() -> Herd: ...
def tool() -> Tool: ...
def triples() -> list[tuple[str, Cow, Milk]]: ...
def table() -> dict[str, list[Cow]]: ...
def kind() -> type[Cow]: ...
def maker() -> Callable[[str], Cow]: ...
def picked(maker: Maker) -> Maker: ...
def same(x: T) -> T: ...
def first(x: Iterable[T]) -> T: ...
def keyed(x: dict[K, T]) -> Box[T]: ...
def build(cls: type[T], *args: Any) -> T: ...
def apply(f: Callable[..., T], *args: Any) -> T: ...
def wrapped(f: Callable[P, T]) -> Callable[P, T]: ...
def bounded(x: AnimalT) -> AnimalT: ...
def constrained(x: EitherT) -> EitherT: ...
async def later() -> Cow: ...
def soon() -> Awaitable[Cow]: ...
@contextmanager
def lent() -> Iterator[Cow]: ...
@asynccontextmanager
async def lent_async() -> AsyncIterator[Cow]: ...
def stream() -> Iterator[Milk]: ...
async def astream() -> AsyncIterator[Milk]: yield Milk()
def untyped(): return Cow("x")
def hinted(n):
    '''Return a cow.

    Returns
    -------
    cow : Cow
    '''
@overload
def read(path: str, raw: t.Literal[True]) -> bytes: ...
@overload
def read(path: str, raw: t.Literal[False] = ...) -> Cow: ...
@overload
def read(path: int) -> Milk: ...
default = Cow("d")
annotated: Cow
half = partial(buy, "x")
if t.TYPE_CHECKING:
    from farm.tools import Hidden
try:
    from farm.fast import Scythe
except ImportError:
    from farm.tools import Rake as Scythe
import functools
from farm.tools import Either, RakeAlias, RakeId
def made(): return buy("x")
def made_later(): return below()
def below(): return Milk()
def twofold(): return buy("x"), Milk()
def chosen(kind=None, default=Cow):
    if kind is None:
        got = default()
    elif isinstance(kind, type):
        got = kind()
    else:
        got = kind
    return got
def rested():
    got = chosen()
    got.rest()
    return got
async def made_async(): return buy("x")
async def awaits(): return await later()
def sharpened(x): return tools.sharpen(x)
current = buy("y")
numbers = sorted([1])
class Herdsman:
    shed_factory = Shed
    def __init__(self, n):
        self.shed = self.shed_factory()
        self.cow = buy("x")
        self.milk = self.build()
        self.size = max(n, 1)
    def make(self): return self.build()
    def build(self): return Milk()
    @property
    def again(self): return self.make()
    def here(self): return self.cow
    def hoe(self): return sharpened(1)
def make_bunch(name, fields): ...
Report = make_bunch("Report", ["cow", "milk"])
def reported():
    '''Report.

    Returns
    -------
    res : Report
    '''
def numpydoc():
    '''X.

    Returns
    -------
    cow : Cow
        The cow.
    milk, more : Milk
    '''
CowId = t.NewType("CowId", Cow)
def cow_id() -> CowId: ...
def either_alias() -> Either: ...
def rake_alias() -> RakeAlias: ...
def rake_id() -> RakeId: ...
class Kept(namedtuple("Kept", "left right")):
    def keep(self): ...
class Held(NamedTuple("Held", [("shed", Shed), ("n", int)])):
    def hold(self): ...
def traced(f):
    @functools.wraps(f)
    def inner(*a): return f(*a)
    return inner
@traced
def traced_buy() -> Cow: ...
@contextmanager
def lent_untyped():
    yield Cow("x")
def generated():
    yield Cow("x")
def spread(x: EitherT) -> EitherT: ...
class Foreman(Herdsman):
    def make(self): return super().make()
def around(): return round_about()
def round_about(): return around()
def again(n=0): return again(n - 1) if n else Cow()
def reads(): return read("x")
def hidden():
    for buy in (1, 2):
        pass
    return buy("x")
def __getattr__(name):
    if name == "Harrow":
        from farm.tools import Rake
        return Rake
    if name in {"OldCow", "OldMilk"}:
        return globals()[f"_{name}"]
_OldCow = Cow
"""

TOOLS = """
class Rake:
    def scratch(self) -> None: ...
class Spade:
    def dig(self) -> None: ...
class Hidden:
    def seek(self) -> None: ...
def sharpen(what: Rake) -> Rake: ...
from typing import TypeAlias, NewType, Union
Either: TypeAlias = "Union[Rake, Spade]"
RakeAlias = Rake
RakeId = NewType("RakeId", Rake)
"""

BARN = """
__all__ = ["Hay", "bale"]
class Hay:
    def burn(self) -> None: ...
def bale() -> Hay: ...
def secret() -> Hay: ...
"""

LAZY = """
from typing import TYPE_CHECKING
_names = {"Cow": "farm", "tools": "farm"}
if TYPE_CHECKING:
    from farm import Cow as Cow
    from farm import tools as tools
def __getattr__(name):
    import importlib
    return getattr(importlib.import_module(_names[name]), name)
"""

ATTACHED = """
import lazy_loader as lazy
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
"""

MODULES = {
    "farm": FARM + "machines = LoadedLater('farm.machines')\nkept = Kept()\n",
    "farm.machines": "class Harvester:\n    def reap(self): ...\n",
    "farm.kept": "class Other: ...\n",
    "farm.tools": TOOLS,
    "farm.barn": BARN,
    "farm.deep.inner": "from ..tools import Rake\ndef rake() -> Rake: ...\n",
    "lazyfarm": LAZY,
    "attached.pyi": "__all__ = ['sub', 'Hen']\nfrom . import sub\nfrom .sub import Hen\n",
    "attached.sub": "class Hen:\n    def lay(self): ...\n",
    "newstyle": "type Both = int | str\ndef both() -> Both: ...\n",
    "compiled.pyi": "class Engine:\n    def start(self) -> Piston: ...\nclass Piston:\n    def push(self) -> None: ...\ndef engine() -> Engine: ...\n",
}


@cache
def source() -> Standard:
    """Made once for all tests."""
    return Standard(MODULES)


@cache
def installed() -> Installed:
    """Made once for all tests."""
    return Installed(find_environment(sys.prefix))


def receiver_of(marked: str, module: str = "", *, real: bool = False) -> Receiver:
    """The receiver at ``$0``."""
    text = dedent(marked).lstrip("\n")
    offset = text.index("$0")
    return receiver_at(installed() if real else source(), parse_at(text[:offset] + text[offset + 2 :], offset), module)


# kind: (text, the types as ``farm.Cow()`` for an object and ``farm.Cow`` for the class, members that must be offered)
CASES: dict[str, tuple[str, str, str]] = {
    # modules and names
    "module": ("import farm\nfarm.$0", "farm", "Cow buy tools bale Hay"),
    "module alias": ("import farm.tools as ft\nft.$0", "farm.tools", "Rake sharpen"),
    "submodule": ("import farm.tools\nfarm.tools.$0", "farm.tools", "Rake"),
    "submodule behind a lazy variable": ("import farm.machines\nfarm.machines.Harvester().$0", "farm.machines.Harvester()", "reap"),
    "lazy variable by from": ("from farm import machines\nmachines.$0", "farm.machines", "Harvester"),
    "variable with the name of a submodule": ("from farm import kept\nkept.$0", "farm.Kept()", "keep"),
    "submodule by from": ("from farm import tools\ntools.$0", "farm.tools", "Rake"),
    "module of a namespace package": ("import farm.deep.inner\nfarm.deep.inner.rake().$0", "farm.tools.Rake()", "scratch"),
    "namespace package": ("import farm.deep\nfarm.deep.$0", "farm.deep", "inner"),
    "os.path": ("import os\nos.path.$0", "os.path", "join exists"),
    "standard module": ("import collections.abc\ncollections.abc.$0", "collections.abc", "Mapping"),
    "star import": ("from farm import *\nCow().$0", "farm.Cow()", "milk"),
    "star import through a star": ("from farm import *\nbale().$0", "farm.barn.Hay()", "burn"),
    "re-export under another name": ("from farm import Shovel\nShovel().$0", "farm.tools.Spade()", "dig"),
    "conditional import": ("try:\n    import cfarm as f\nexcept ImportError:\n    import farm as f\nf.buy('x').$0", "farm.Cow()", "milk"),
    "import chosen by a condition": ("import sys\nif sys.version_info > (3,):\n    from farm import Cow as C\nelse:\n    from farm.tools import Rake as C\nC().$0", "farm.tools.Rake() farm.Cow()", "milk scratch"),
    "import inside a function": ("def f():\n    from farm import buy\n    buy('x').$0", "farm.Cow()", "milk"),
    "lazy module": ("import lazyfarm\nlazyfarm.Cow().$0", "farm.Cow()", "milk"),
    "submodule of a lazy module": ("import lazyfarm\nlazyfarm.tools.Rake().$0", "farm.tools.Rake()", "scratch"),
    "lazily attached": ("import attached\nattached.Hen().$0", "attached.sub.Hen()", "lay"),
    "compiled, by its stub": ("from compiled import engine\nengine().start().$0", "compiled.Piston()", "push"),
    "class": ("from farm import Cow\nCow.$0", "farm.Cow", "born milk"),
    "module object": ("import farm\nfarm.default.$0", "farm.Cow()", "milk"),
    "annotated module object": ("import farm\nfarm.annotated.$0", "farm.Cow()", "milk"),
    "importlib": ("import importlib\nm = importlib.import_module('farm')\nm.$0", "farm", "buy"),
    # calls
    "constructor": ("import farm\nfarm.Cow('x').$0", "farm.Cow()", "milk name"),
    "function": ("import farm\nfarm.buy('x').$0", "farm.Cow()", "milk"),
    "optional": ("import farm\nfarm.maybe('x').$0", "farm.Cow()", "milk"),
    "union": ("import farm\nfarm.either().$0", "farm.Cow() farm.Milk()", "milk pour"),
    "type alias": ("import farm\nfarm.tool().$0", "farm.tools.Rake() farm.tools.Spade()", "scratch dig"),
    "alias of a generic": ("import farm\nfarm.herd()[0].$0", "farm.Cow()", "milk"),
    "without annotation": ("import farm\nfarm.untyped().$0", "farm.Cow()", "milk"),
    "by the docstring": ("import farm\nfarm.hinted(1).$0", "farm.Cow()", "milk"),
    "chain": ("import farm\nfarm.buy('x').fed().twin().owner.cows.$0", "builtins.dict()", "items"),
    "chain over lines": ("import farm\nx = (\n    farm.buy('x')\n    .fed()\n    .$0\n)", "farm.Cow()", "milk"),
    "callable result": ("import farm\nfarm.maker()('x').$0", "farm.Cow()", "milk"),
    "type result": ("import farm\nfarm.kind()().$0", "farm.Cow()", "milk"),
    "object that is called": ("import farm\nfarm.buy('x').milk()(2).$0", "farm.Cheese()", "slice"),
    "overload by a literal": ("import farm\nfarm.read('p', raw=True).$0", "builtins.bytes()", "decode"),
    "overload by default": ("import farm\nfarm.read('p').$0", "farm.Cow()", "milk"),
    "overload by the argument's type": ("import farm\nn = int('3')\nfarm.read(n).$0", "farm.Milk()", "pour"),
    "partial": ("import farm, functools\nf = functools.partial(farm.buy, 'x')\nf().$0", "farm.Cow()", "milk"),
    "partial of a class": ("import farm\nfrom functools import partial\nf = partial(farm.Cow, 'x')\nf().$0", "farm.Cow()", "milk"),
    "lambda that is called": ("import farm\nf = lambda: farm.buy('x')\nf().$0", "farm.Cow()", "milk"),
    "inherited method returning Self": ("import farm\nfarm.Cow('x').fed().$0", "farm.Cow()", "milk"),
    "classmethod": ("import farm\nfarm.Cow.born('x').$0", "farm.Cow()", "milk"),
    "classmethod of an object": ("import farm\nfarm.Cow().born('x').$0", "farm.Cow()", "milk"),
    "classmethod with type variable": ("import farm\nfarm.Cow.named('x').$0", "farm.Cow()", "milk"),
    "staticmethod": ("import farm\nfarm.Cow.keeper().$0", "farm.Farmer()", "work"),
    "method returning self": ("import farm\nfarm.Cow().fluent().$0", "farm.Cow()", "milk"),
    "bound method in a name": ("import farm\nm = farm.Cow('x').milk\nm().$0", "farm.Milk()", "pour"),
    "getattr": ("import farm\ngetattr(farm, 'buy')('x').$0", "farm.Cow()", "milk"),
    "copy": ("import copy, farm\ncopy.deepcopy(farm.Cow()).$0", "farm.Cow()", "milk"),
    # attributes
    "attribute": ("import farm\nfarm.Cow().shed.$0", "farm.Shed()", "open"),
    "attribute of attribute": ("import farm\nfarm.Cow().stall.shed.$0", "farm.Shed()", "open"),
    "optional attribute": ("import farm\nfarm.Cow().friend.$0", "farm.Cow()", "milk"),
    "attribute from a parameter": ("import farm\nfarm.Cow().tool.$0", "farm.tools.Rake()", "scratch"),
    "property": ("import farm\nfarm.Cow().owner.$0", "farm.Farmer()", "work"),
    "cached property": ("import farm\nfarm.Cow().stall.$0", "farm.Stall()", "clean"),
    "descriptor": ("import farm\nfarm.Row().column.$0", "farm.Cheese()", "slice"),
    "dataclass field": ("import farm\nfarm.Field(1, None).crop.$0", "farm.Crop()", "harvest name value"),
    "dataclass list field": ("import farm\nfarm.Field(1, None).crops[0].$0", "farm.Crop()", "harvest"),
    "class variable": ("import farm\nfarm.Field.owner.$0", "farm.Farmer()", "work"),
    "enum member": ("import farm\nfarm.Crop.WHEAT.$0", "farm.Crop()", "harvest name value"),
    "enum class": ("import farm\nfarm.Crop.$0", "farm.Crop", "WHEAT RYE"),
    "enum members in a loop": ("import farm\nfor c in farm.Crop:\n    c.$0", "farm.Crop()", "harvest"),
    "enum by value": ("import farm\nfarm.Crop('r').$0", "farm.Crop()", "harvest"),
    "enum by name": ("import farm\nfarm.Crop['RYE'].$0", "farm.Crop()", "harvest"),
    "enum's name": ("import farm\nfarm.Crop.RYE.name.$0", "builtins.str()", "upper"),
    "named tuple field": ("import farm\nfarm.Point(1, None).shed.$0", "farm.Shed()", "open"),
    "named tuple unpacked": ("import farm\nx, s = farm.Point(1, None)\ns.$0", "farm.Shed()", "open"),
    "named tuple by index": ("import farm\nfarm.Point(1, None)[1].$0", "farm.Shed()", "open"),
    "old named tuple": ("import farm\nfarm.Pair(1, 2).$0", "farm.Pair()", "left right count"),
    "typed dict item": ("import farm\ndef f(o: farm.Options):\n    o['cow'].$0", "farm.Cow()", "milk"),
    "typed dict get": ("import farm\ndef f(o: farm.Options):\n    o.$0", "farm.Options()", "get items"),
    "generic attribute": ("import farm\nfarm.Box(farm.buy('x')).item.$0", "farm.Cow()", "milk"),
    # generics
    "generic by constructor": ("import farm\nfarm.Box(farm.buy('x')).get().$0", "farm.Cow()", "milk"),
    "generic by annotation": ("import farm\ndef f(b: farm.Box[farm.Cow]):\n    b.get().$0", "farm.Cow()", "milk"),
    "generic by alias call": ("import farm\nfarm.Box[farm.Cow](None).get().$0", "farm.Cow()", "milk"),
    "generic base": ("import farm\nfarm.CowBox(None).get().$0", "farm.Cow()", "milk"),
    "generic base by index": ("import farm\nfarm.CowBox(None)[0].$0", "farm.Cow()", "milk"),
    "generic base in a loop": ("import farm\nfor c in farm.CowBox(None):\n    c.$0", "farm.Cow()", "milk"),
    "second variable": ("import farm\ndef f(b: farm.Table[str, farm.Cow]):\n    for k, v in b.items():\n        v.$0", "farm.Cow()", "milk"),
    "type variable": ("import farm\nfarm.same(farm.buy('x')).$0", "farm.Cow()", "milk"),
    "type variable of an iterable": ("import farm\nfarm.first(farm.herd()).$0", "farm.Cow()", "milk"),
    "type variable of a dict": ("import farm\nfarm.keyed({'a': farm.buy('x')}).get().$0", "farm.Cow()", "milk"),
    "type variable of a class": ("import farm\nfarm.build(farm.Cow).$0", "farm.Cow()", "milk"),
    "type variable of a callable": ("import farm\nfarm.apply(farm.buy, 'x').$0", "farm.Cow()", "milk"),
    "type variable of a lambda": ("import farm\nfarm.Box(farm.buy('x')).map(lambda c: c.milk()).get().$0", "farm.Milk()", "pour"),
    "parameter specification": ("import farm\nfarm.wrapped(farm.buy)('x').$0", "farm.Cow()", "milk"),
    "bound": ("import farm\nfarm.bounded(None).$0", "farm.Animal()", "fed"),
    "bound, given more": ("import farm\nfarm.bounded(farm.Cow()).$0", "farm.Cow()", "milk"),
    "own type variable with bound": ("import farm\nfrom typing import TypeVar\nX = TypeVar('X', bound=farm.Cow)\ndef f(x: X) -> X:\n    x.$0", "farm.Cow()", "milk"),
    "own type variable with constraints": ("import farm\nfrom typing import TypeVar\nX = TypeVar('X', farm.Cow, farm.Milk)\ndef f(x: X):\n    x.$0", "farm.Cow() farm.Milk()", "milk"),
    "own generic function": ("import farm\nfrom typing import TypeVar\nX = TypeVar('X')\ndef f(x: X) -> list[X]: ...\nf(farm.Cow())[0].$0", "farm.Cow()", "milk"),
    "own generic class": ("import farm\nfrom typing import Generic, TypeVar\nX = TypeVar('X')\nclass G(Generic[X]):\n    def get(self) -> X: ...\ndef f(g: G[farm.Cow]):\n    g.get().$0", "farm.Cow()", "milk"),
    "new style function": ("import farm\ndef f[X: farm.Milk](x: X, c: farm.Cow) -> X:\n    c.$0", "farm.Cow()", "milk"),
    "new style type": ("import farm\ntype C = farm.Cow | None\ndef f(x: C):\n    x.$0", "farm.Cow()", "milk"),
    "own alias": ("import farm\nfrom typing import Optional\nC = Optional[farm.Cow]\ndef f(x: C):\n    x.$0", "farm.Cow()", "milk"),
    "own alias of a class": ("import farm\nC = farm.Cow\nC().$0", "farm.Cow()", "milk"),
    "annotated alias": ("import farm\nfrom typing import TypeAlias\nC: TypeAlias = 'farm.Cow | None'\ndef f(x: C):\n    x.$0", "farm.Cow()", "milk"),
    # containers
    "list item": ("import farm\n[farm.Cow()][0].$0", "farm.Cow()", "milk"),
    "list pop": ("import farm\nfarm.herd().pop().$0", "farm.Cow()", "milk"),
    "list slice": ("import farm\nfarm.herd()[1:].$0", "builtins.list()", "append"),
    "list of lists": ("import farm\nx = [[farm.Cow()]]\nfor r in x:\n    r[0].$0", "farm.Cow()", "milk"),
    "filled list": ("import farm\nx = []\nx.append(farm.Cow())\nfor c in x:\n    c.$0", "farm.Cow()", "milk"),
    "dict item": ("import farm\n{'a': farm.Cow()}['a'].$0", "farm.Cow()", "milk"),
    "dict get": ("import farm\nfarm.buy('x').owner.cows.get('a').$0", "farm.Cow()", "milk"),
    "dict values": ("import farm\nfor c in farm.buy('x').owner.cows.values():\n    c.$0", "farm.Cow()", "milk"),
    "dict items": ("import farm\nfor k, c in farm.buy('x').owner.cows.items():\n    c.$0", "farm.Cow()", "milk"),
    "dict keys": ("import farm\nfor k, c in farm.buy('x').owner.cows.items():\n    k.$0", "builtins.str()", "upper"),
    "dict of lists": ("import farm\nfor k, cs in farm.table().items():\n    for c in cs:\n        c.$0", "farm.Cow()", "milk"),
    "dict pop": ("import farm\nfarm.buy('x').owner.cows.pop('a').$0", "farm.Cow()", "milk"),
    "dict setdefault": ("import farm\nfarm.buy('x').owner.cows.setdefault('a', farm.Cow()).$0", "farm.Cow()", "milk"),
    "filled dict": ("import farm\nd = {}\nd['a'] = farm.Cow()\nd['a'].$0", "farm.Cow()", "milk"),
    "defaultdict": ("import farm, collections\nd = collections.defaultdict(farm.Cow)\nd['a'].$0", "farm.Cow()", "milk"),
    "defaultdict of list": ("from collections import defaultdict\nd = defaultdict(list)\nd['a'].$0", "builtins.list()", "append"),
    "deque": ("import farm, collections\ncollections.deque([farm.Cow()]).popleft().$0", "farm.Cow()", "milk"),
    "Counter": ("import collections\ncollections.Counter('ab').$0", "collections.Counter()", "most_common"),
    "most common": ("import collections\nfor w, n in collections.Counter(['ab']).most_common():\n    w.$0", "builtins.str()", "upper"),
    "set item": ("import farm\nfor c in {farm.Cow()}:\n    c.$0", "farm.Cow()", "milk"),
    "tuple item": ("import farm\nfarm.pair()[1].$0", "farm.Milk()", "pour"),
    "tuple item from the end": ("import farm\nfarm.pair()[-1].$0", "farm.Milk()", "pour"),
    "zip": ("import farm\nfor c, s in zip(farm.herd(), ['a']):\n    c.$0", "farm.Cow()", "milk"),
    "zip second": ("import farm\nfor c, s in zip(farm.herd(), ['a']):\n    s.$0", "builtins.str()", "upper"),
    "enumerate": ("import farm\nfor i, c in enumerate(farm.herd()):\n    c.$0", "farm.Cow()", "milk"),
    "enumerate of zip": ("import farm\nfor i, (c, s) in enumerate(zip(farm.herd(), ['a'])):\n    c.$0", "farm.Cow()", "milk"),
    "sorted": ("import farm\nsorted(farm.herd())[0].$0", "farm.Cow()", "milk"),
    "reversed": ("import farm\nfor c in reversed(farm.herd()):\n    c.$0", "farm.Cow()", "milk"),
    "list()": ("import farm\nlist(farm.herd())[0].$0", "farm.Cow()", "milk"),
    "next": ("import farm\nnext(iter(farm.herd())).$0", "farm.Cow()", "milk"),
    "next of a generator": ("import farm\nnext(c for c in farm.herd()).$0", "farm.Cow()", "milk"),
    "max": ("import farm\nmax(farm.herd(), key=len).$0", "farm.Cow()", "milk"),
    "filter": ("import farm\nfor c in filter(None, farm.herd()):\n    c.$0", "farm.Cow()", "milk"),
    "map": ("import farm\nfor c in map(farm.buy, ['a']):\n    c.$0", "farm.Cow()", "milk"),
    "map of a lambda": ("import farm\nfor m in map(lambda c: c.milk(), farm.herd()):\n    m.$0", "farm.Milk()", "pour"),
    "list of map": ("import farm\nlist(map(farm.buy, ['a']))[0].$0", "farm.Cow()", "milk"),
    "itertools chain": ("import farm, itertools\nfor c in itertools.chain(farm.herd(), farm.herd()):\n    c.$0", "farm.Cow()", "milk"),
    "itertools groupby": ("import farm, itertools\nfor k, g in itertools.groupby(farm.herd()):\n    for c in g:\n        c.$0", "farm.Cow()", "milk"),
    "itertools product": ("import farm, itertools\nfor a, b in itertools.product(farm.herd(), ['x']):\n    a.$0", "farm.Cow()", "milk"),
    "range": ("for i in range(3):\n    i.$0", "builtins.int()", "bit_length"),
    "dict()": ("import farm\nd = dict(a=farm.Cow())\nd['a'].$0", "farm.Cow()", "milk"),
    "dict of zip": ("import farm\nd = dict(zip(['a'], farm.herd()))\nd['a'].$0", "farm.Cow()", "milk"),
    "list times": ("import farm\n([farm.Cow()] * 3)[0].$0", "farm.Cow()", "milk"),
    "list plus": ("import farm\n(farm.herd() + [farm.Cow()])[0].$0", "farm.Cow()", "milk"),
    "or": ("import farm\n(None or farm.Cow()).$0", "farm.Cow()", "milk"),
    "string method": ("'a b'.split()[0].$0", "builtins.str()", "upper"),
    "joined": ("', '.join(['a']).$0", "builtins.str()", "upper"),
    "f-string": ("x = 3\nf'{x}'.$0", "builtins.str()", "upper"),
    "bytes": ("b'a'.$0", "builtins.bytes()", "decode"),
    "number": ("x = 3.5\nx.$0", "builtins.float()", "is_integer"),
    "sum of numbers": ("x = 1 + 2.5\nx.$0", "builtins.float()", "is_integer"),
    "operator": ("import farm\nm = farm.buy('x').milk()\n(m + m).$0", "farm.Milk()", "pour"),
    "operator with another result": ("import farm\nm = farm.buy('x').milk()\n(m * 2).$0", "farm.Cheese()", "slice"),
    "reflected operator": ("import farm\nm = farm.buy('x').milk()\n(2 + m).$0", "farm.Milk()", "pour"),
    "unary operator": ("import farm\n(-farm.buy('x').milk()).$0", "farm.Cheese()", "slice"),
    "augmented": ("import farm\nm = 0\nm += farm.Milk()\nm.$0", "farm.Milk()", "pour"),
    "subscript": ("import farm\nfarm.buy('x').milk()[0].$0", "farm.Cheese()", "slice"),
    # bindings
    "with": ("import farm\nwith farm.Cow() as c:\n    c.$0", "farm.Cow()", "milk"),
    "with a context manager function": ("import farm\nwith farm.lent() as c:\n    c.$0", "farm.Cow()", "milk"),
    "async with": ("import farm\nasync def f():\n    async with farm.Cow() as c:\n        c.$0", "farm.Cow()", "milk"),
    "async with a function": ("import farm\nasync def f():\n    async with farm.lent_async() as c:\n        c.$0", "farm.Cow()", "milk"),
    "with open": ("with open('x') as f:\n    f.$0", "_io.TextIOWrapper()", "readlines write"),
    "open binary": ("with open('x', 'rb') as f:\n    f.read().$0", "builtins.bytes()", "decode"),
    "lines of a file": ("with open('x') as f:\n    for line in f:\n        line.$0", "builtins.str()", "strip"),
    "exit stack": ("import farm, contextlib\nwith contextlib.ExitStack() as s:\n    c = s.enter_context(farm.lent())\n    c.$0", "farm.Cow()", "milk"),
    "closing": ("import farm, contextlib\nwith contextlib.closing(farm.Cow()) as c:\n    c.$0", "farm.Cow()", "milk"),
    "await": ("import farm\nasync def f():\n    c = await farm.later()\n    c.$0", "farm.Cow()", "milk"),
    "await an awaitable": ("import farm\nasync def f():\n    (await farm.soon()).$0", "farm.Cow()", "milk"),
    "async method": ("import farm\nasync def f():\n    (await farm.Cow().call()).$0", "farm.Farmer()", "work"),
    "gather": ("import farm, asyncio\nasync def f():\n    a, b = await asyncio.gather(farm.later(), farm.Cow().call())\n    b.$0", "farm.Farmer()", "work"),
    "wait_for": ("import farm, asyncio\nasync def f():\n    c = await asyncio.wait_for(farm.later(), 1)\n    c.$0", "farm.Cow()", "milk"),
    "create_task": ("import farm, asyncio\nasync def f():\n    t = asyncio.create_task(farm.later())\n    (await t).$0", "farm.Cow()", "milk"),
    "asyncio.run": ("import farm, asyncio\nasyncio.run(farm.later()).$0", "farm.Cow()", "milk"),
    "to_thread": ("import farm, asyncio\nasync def f():\n    (await asyncio.to_thread(farm.buy, 'x')).$0", "farm.Cow()", "milk"),
    "future": ("import farm\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n    pool.submit(farm.buy, 'x').result().$0", "farm.Cow()", "milk"),
    "pool map": ("import farm\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n    for c in pool.map(farm.buy, ['x']):\n        c.$0", "farm.Cow()", "milk"),
    "async for": ("import farm\nasync def f():\n    async for m in farm.Cow():\n        m.$0", "farm.Milk()", "pour"),
    "async generator": ("import farm\nasync def f():\n    async for m in farm.astream():\n        m.$0", "farm.Milk()", "pour"),
    "async comprehension": ("import farm\nasync def f():\n    [m.$0 async for m in farm.astream()]", "farm.Milk()", "pour"),
    "for": ("import farm\nfor m in farm.stream():\n    m.$0", "farm.Milk()", "pour"),
    "for over an iterator class": ("import farm\nfor c in farm.Loader():\n    c.$0", "farm.Cow()", "milk"),
    "for over triples": ("import farm\nfor a, b, c in farm.triples():\n    c.$0", "farm.Milk()", "pour"),
    "unpacking": ("import farm\nc, m = farm.pair()\nm.$0", "farm.Milk()", "pour"),
    "nested unpacking": ("import farm\n(c, m), n = farm.pair(), 1\nm.$0", "farm.Milk()", "pour"),
    "starred unpacking": ("import farm\nfirst, *rest = farm.herd()\nrest.$0", "builtins.list()", "append"),
    "item of starred": ("import farm\nfirst, *rest = farm.herd()\nrest[0].$0", "farm.Cow()", "milk"),
    "after a star": ("import farm\n*rest, last = farm.pair()\nlast.$0", "farm.Milk()", "pour"),
    "list unpacking": ("import farm\n[a, b] = farm.herd()\na.$0", "farm.Cow()", "milk"),
    "swap": ("import farm\na, b = farm.Cow(), farm.Milk()\na, b = b, a\na.$0", "farm.Milk()", "pour"),
    "chained assignment": ("import farm\na = b = farm.Cow()\na.$0", "farm.Cow()", "milk"),
    "walrus": ("import farm\nwhile (c := farm.maybe('x')):\n    c.$0", "farm.Cow()", "milk"),
    "walrus in a comprehension": ("import farm\n[c.$0 for n in 'ab' if (c := farm.maybe(n))]", "farm.Cow()", "milk"),
    "comprehension": ("import farm\n[c.$0 for c in farm.herd()]", "farm.Cow()", "milk"),
    "nested comprehension": ("import farm\n[c.$0 for cs in farm.table().values() for c in cs]", "farm.Cow()", "milk"),
    "comprehension condition": ("import farm\n[c for c in farm.herd() if c.$0]", "farm.Cow()", "milk"),
    "dict comprehension": ("import farm\nd = {n: farm.buy(n) for n in 'ab'}\nd['a'].$0", "farm.Cow()", "milk"),
    "keys of a dict comprehension": ("import farm\nd = {farm.buy(n): n for n in 'ab'}\nfor c in d:\n    c.$0", "farm.Cow()", "milk"),
    "set comprehension": ("import farm\nfor c in {farm.buy(n) for n in 'ab'}:\n    c.$0", "farm.Cow()", "milk"),
    "generator expression": ("import farm\nfor c in (farm.buy(n) for n in 'ab'):\n    c.$0", "farm.Cow()", "milk"),
    "annotation": ("import farm\nc: farm.Cow\nc.$0", "farm.Cow()", "milk"),
    "annotated and assigned": ("import farm\nc: farm.Animal = farm.Cow()\nc.$0", "farm.Animal()", "fed"),
    "parameter": ("import farm\ndef f(c: farm.Cow):\n    c.$0", "farm.Cow()", "milk"),
    "quoted parameter": ("import farm\ndef f(c: 'farm.Cow'):\n    c.$0", "farm.Cow()", "milk"),
    "optional parameter": ("import farm\nfrom typing import Optional\ndef f(c: Optional[farm.Cow] = None):\n    c.$0", "farm.Cow()", "milk"),
    "parameter default": ("import farm\ndef f(c=farm.Cow()):\n    c.$0", "farm.Cow()", "milk"),
    "keyword-only parameter": ("import farm\ndef f(*, c: farm.Cow):\n    c.$0", "farm.Cow()", "milk"),
    "vararg": ("import farm\ndef f(*cs: farm.Cow):\n    cs[0].$0", "farm.Cow()", "milk"),
    "vararg itself": ("def f(*a):\n    a.$0", "builtins.tuple()", "count index"),
    "kwarg": ("import farm\ndef f(**cs: farm.Cow):\n    cs['a'].$0", "farm.Cow()", "milk"),
    "kwarg itself": ("def f(**kw):\n    kw.$0", "builtins.dict()", "pop items"),
    "Annotated": ("import farm\nfrom typing import Annotated\ndef f(c: Annotated[farm.Cow, 'x']):\n    c.$0", "farm.Cow()", "milk"),
    "Literal": ("from typing import Literal\ndef f(c: Literal['a']):\n    c.$0", "builtins.str()", "upper"),
    "Final": ("import farm\nfrom typing import Final\nc: Final = farm.Cow()\nc.$0", "farm.Cow()", "milk"),
    "type parameter": ("import farm\ndef f(c: type[farm.Cow]):\n    c.$0", "farm.Cow", "born"),
    "object of a type parameter": ("import farm\ndef f(c: type[farm.Cow]):\n    c().$0", "farm.Cow()", "milk"),
    "callable parameter": ("import farm\nfrom typing import Callable\ndef f(c: Callable[[], farm.Cow]):\n    c().$0", "farm.Cow()", "milk"),
    "iterable parameter": ("import farm\nfrom typing import Iterable\ndef f(cs: Iterable[farm.Cow]):\n    for c in cs:\n        c.$0", "farm.Cow()", "milk"),
    "sequence parameter": ("import farm\nfrom collections.abc import Sequence\ndef f(cs: Sequence[farm.Cow]):\n    cs.$0", "typing.Sequence()", "index count"),
    "mapping parameter": ("import farm\nfrom typing import Mapping\ndef f(cs: Mapping[str, farm.Cow]):\n    cs['a'].$0", "farm.Cow()", "milk"),
    "protocol": ("import farm\ndef f(w: farm.Walker):\n    w.walk().$0", "farm.Farmer()", "work"),
    "from a docstring": ('import farm\ndef f(c):\n    """Milk.\n\n    Parameters\n    ----------\n    c : farm.Cow\n        The cow.\n    """\n    c.$0', "farm.Cow()", "milk"),
    "global in a function": ("import farm\nc = None\ndef set():\n    global c\n    c = farm.Cow()\ndef f():\n    c.$0", "farm.Cow()", "milk"),
    "nonlocal": ("import farm\ndef f():\n    c = None\n    def g():\n        nonlocal c\n        c = farm.Cow()\n    c.$0", "farm.Cow()", "milk"),
    "closure": ("import farm\ndef f():\n    c = farm.Cow()\n    def g():\n        c.$0", "farm.Cow()", "milk"),
    "delayed global": ("import farm\ndef f():\n    c.$0\nc = farm.Cow()", "farm.Cow()", "milk"),
    "None first": ("import farm\nc = None\nif x:\n    c = farm.Cow()\nc.$0", "farm.Cow()", "milk"),
    "except": ("try:\n    pass\nexcept OSError as e:\n    e.$0", "builtins.OSError()", "errno strerror with_traceback"),
    "except several": ("try:\n    pass\nexcept (OSError, ValueError) as e:\n    e.$0", "builtins.OSError() builtins.ValueError()", "errno args"),
    "except group": ("try:\n    pass\nexcept* OSError as e:\n    e.$0", "builtins.ExceptionGroup()", "exceptions split"),
    # narrowing
    "isinstance": ("import farm\ndef f(c):\n    if isinstance(c, farm.Cow):\n        c.$0", "farm.Cow()", "milk"),
    "isinstance of several": ("import farm\ndef f(c):\n    if isinstance(c, (farm.Cow, farm.Milk)):\n        c.$0", "farm.Cow() farm.Milk()", "milk"),
    "isinstance of a union": ("import farm\ndef f(c):\n    if isinstance(c, farm.Cow | farm.Milk):\n        c.$0", "farm.Cow() farm.Milk()", "milk"),
    "isinstance refused": ("import farm\ndef f(c):\n    if not isinstance(c, farm.Cow):\n        raise TypeError\n    c.$0", "farm.Cow()", "milk"),
    "isinstance else": ("import farm\ndef f(c: farm.Cow | farm.Milk):\n    if isinstance(c, farm.Cow):\n        pass\n    else:\n        c.$0", "farm.Milk()", "pour"),
    "isinstance and more": ("import farm\ndef f(c):\n    if isinstance(c, farm.Cow) and c.$0", "farm.Cow()", "milk"),
    "isinstance in a conditional expression": ("import farm\ndef f(c):\n    return c.$0 if isinstance(c, farm.Cow) else None", "farm.Cow()", "milk"),
    "isinstance in a comprehension": ("import farm\ndef f(cs):\n    [c.$0 for c in cs if isinstance(c, farm.Cow)]", "farm.Cow()", "milk"),
    "assert isinstance": ("import farm\ndef f(c):\n    assert isinstance(c, farm.Cow)\n    c.$0", "farm.Cow()", "milk"),
    "isinstance of an attribute": ("import farm\nclass A:\n    def f(self):\n        if isinstance(self.c, farm.Cow):\n            self.c.$0", "farm.Cow()", "milk"),
    "issubclass": ("import farm\ndef f(c):\n    if issubclass(c, farm.Cow):\n        c.$0", "farm.Cow", "born"),
    "elif isinstance": ("import farm\ndef f(c):\n    if c is None:\n        pass\n    elif isinstance(c, farm.Cow):\n        c.$0", "farm.Cow()", "milk"),
    "early return": ("import farm\ndef f(c: farm.Cow | farm.Milk):\n    if isinstance(c, farm.Cow):\n        return\n    c.$0", "farm.Milk()", "pour"),
    "match class": ("import farm\ndef f(c):\n    match c:\n        case farm.Cow():\n            c.$0", "farm.Cow()", "milk"),
    "match class as": ("import farm\ndef f(x):\n    match x:\n        case farm.Cow() as c:\n            c.$0", "farm.Cow()", "milk"),
    "match attribute": ("import farm\ndef f(x):\n    match x:\n        case farm.Stall(shed=s):\n            s.$0", "farm.Shed()", "open"),
    "match position": ("import farm\ndef f(x):\n    match x:\n        case farm.Point(a, s):\n            s.$0", "farm.Shed()", "open"),
    "match str": ("def f(x):\n    match x:\n        case str(s):\n            s.$0", "builtins.str()", "upper"),
    "match alternatives": ("import farm\ndef f(x):\n    match x:\n        case farm.Cow() | farm.Milk() as c:\n            c.$0", "farm.Cow() farm.Milk()", "milk"),
    "match sequence": ("import farm\nmatch farm.pair():\n    case [a, b]:\n        b.$0", "farm.Milk()", "pour"),
    "cast": ("import farm\nfrom typing import cast\ncast(farm.Cow, x).$0", "farm.Cow()", "milk"),
    "quoted cast": ("import farm, typing\ntyping.cast('farm.Cow', x).$0", "farm.Cow()", "milk"),
    # own classes
    "self": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        self.$0", "__main__.A()", "f milk shed"),
    "self attribute": ("import farm\nclass A:\n    def __init__(self):\n        self.c = farm.Cow()\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "self attribute from a parameter": ("import farm\nclass A:\n    def __init__(self, c: farm.Cow):\n        self.c = c\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "self attribute from a method": ("import farm\nclass A:\n    def __init__(self):\n        self.c = self.make()\n    def make(self):\n        return farm.Cow()\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "self attribute, None first": ("import farm\nclass A:\n    c = None\n    def set(self):\n        self.c = farm.Cow()\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "self attribute with annotation": ("import farm\nclass A:\n    def __init__(self):\n        self.c: farm.Cow | None = None\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "unpacked self attribute": ("import farm\nclass A:\n    def __init__(self):\n        self.c, self.m = farm.pair()\n    def f(self):\n        self.m.$0", "farm.Milk()", "pour"),
    "self attribute of a with": ("import farm\nclass A:\n    def __init__(self):\n        with farm.lent() as self.c:\n            pass\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "attribute of a base of the file": ("import farm\nclass A:\n    def __init__(self):\n        self.c = farm.Cow()\nclass B(A):\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "attribute of a library base": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        self.shed.$0", "farm.Shed()", "open"),
    "inherited Self": ("import farm\nclass A(farm.Cow):\n    def g(self): ...\nA().fed().$0", "__main__.A()", "g milk"),
    "own classmethod": ("import farm\nclass A:\n    @classmethod\n    def make(cls):\n        return cls()\nA.make().$0", "__main__.A()", "make"),
    "own Self": ("from typing import Self\nclass A:\n    def g(self) -> Self: ...\n    def h(self): ...\nA().g().$0", "__main__.A()", "h"),
    "own property": ("import farm\nclass A:\n    @property\n    def c(self):\n        return farm.Cow()\nA().c.$0", "farm.Cow()", "milk"),
    "own cached property": ("import farm, functools\nclass A:\n    @functools.cached_property\n    def c(self) -> farm.Cow: ...\nA().c.$0", "farm.Cow()", "milk"),
    "own dataclass": ("import farm\nfrom dataclasses import dataclass, field\n@dataclass\nclass A:\n    c: farm.Cow\n    cs: list[farm.Cow] = field(default_factory=list)\nA().cs[0].$0", "farm.Cow()", "milk"),
    "own enum": ("from enum import Enum\nclass E(Enum):\n    A = 1\nE.A.$0", "__main__.E()", "name value"),
    "own enum class": ("from enum import Enum\nclass E(Enum):\n    A = 1\n    B = 2\nE.$0", "__main__.E", "A B"),
    "own enum loop": ("from enum import Enum\nclass E(Enum):\n    A = 1\nfor e in E:\n    e.$0", "__main__.E()", "name value"),
    "own named tuple": ("import farm\nfrom typing import NamedTuple\nclass N(NamedTuple):\n    c: farm.Cow\nN(1).c.$0", "farm.Cow()", "milk"),
    "own named tuple unpacked": ("import farm\nfrom typing import NamedTuple\nclass N(NamedTuple):\n    c: farm.Cow\n    m: farm.Milk\nc, m = N(1, 2)\nm.$0", "farm.Milk()", "pour"),
    "own old named tuple": ("from collections import namedtuple\nN = namedtuple('N', 'left right')\nN(1, 2).$0", "__main__.N()", "left right _replace"),
    "own typed dict": ("import farm\nfrom typing import TypedDict\nclass D(TypedDict):\n    c: farm.Cow\ndef f(d: D):\n    d['c'].$0", "farm.Cow()", "milk"),
    "own generic subclass": ("import farm\nclass A(farm.Box[farm.Cow]): ...\nA(1).get().$0", "farm.Cow()", "milk"),
    "own list subclass": ("import farm\nclass A(list[farm.Cow]): ...\nfor c in A():\n    c.$0", "farm.Cow()", "milk"),
    "super": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        super().$0", "farm.Cow()", "milk"),
    "super with arguments": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        super(A, self).$0", "farm.Cow()", "milk"),
    "result of super's method": ("import farm\nclass A(farm.Cow):\n    def milk(self):\n        super().milk().$0", "farm.Milk()", "pour"),
    "type(self)": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        type(self).$0", "__main__.A", "f born"),
    "self.__class__": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        self.__class__.$0", "__main__.A", "f born"),
    "nested class": ("import farm\nclass A:\n    class B:\n        c = farm.Cow()\nA.B().c.$0", "farm.Cow()", "milk"),
    "class in a function": ("import farm\ndef f():\n    class A:\n        def __init__(self):\n            self.c = farm.Cow()\n    A().c.$0", "farm.Cow()", "milk"),
    "iteration of an own class": ("import farm\nclass A:\n    def __iter__(self):\n        yield farm.Cow()\nfor c in A():\n    c.$0", "farm.Cow()", "milk"),
    "subscript of an own class": ("import farm\nclass A:\n    def __getitem__(self, i):\n        return farm.Cow()\nA()[0].$0", "farm.Cow()", "milk"),
    "call of an own class": ("import farm\nclass A:\n    def __call__(self):\n        return farm.Cow()\nA()().$0", "farm.Cow()", "milk"),
    "with an own class": ("import farm\nclass A:\n    def __enter__(self):\n        return farm.Cow()\nwith A() as c:\n    c.$0", "farm.Cow()", "milk"),
    "operator of an own class": ("import farm\nclass A:\n    def __add__(self, o):\n        return farm.Cow()\n(A() + A()).$0", "farm.Cow()", "milk"),
    "attribute assigned outside": ("import farm\nclass A: ...\na = A()\na.c = farm.Cow()\na.c.$0", "farm.Cow()", "milk"),
    # own functions
    "own function": ("import farm\ndef f():\n    return farm.Cow()\nf().$0", "farm.Cow()", "milk"),
    "own function given back its argument": ("import farm\ndef f(x):\n    return x\nf(farm.Cow()).$0", "farm.Cow()", "milk"),
    "own generator": ("import farm\ndef f():\n    yield farm.Cow()\nfor c in f():\n    c.$0", "farm.Cow()", "milk"),
    "own yield from": ("import farm\ndef f():\n    yield from farm.herd()\nfor c in f():\n    c.$0", "farm.Cow()", "milk"),
    "own context manager": ("import farm, contextlib\n@contextlib.contextmanager\ndef f():\n    yield farm.Cow()\nwith f() as c:\n    c.$0", "farm.Cow()", "milk"),
    "own async function": ("import farm\nasync def f():\n    return farm.Cow()\nasync def g():\n    (await f()).$0", "farm.Cow()", "milk"),
    "own async context manager": ("import farm, contextlib\n@contextlib.asynccontextmanager\nasync def f():\n    yield farm.Cow()\nasync def g():\n    async with f() as c:\n        c.$0", "farm.Cow()", "milk"),
    "cached function": ("import farm, functools\n@functools.lru_cache(maxsize=None)\ndef f():\n    return farm.Cow()\nf().$0", "farm.Cow()", "milk"),
    "decorated by an own decorator": ("import farm, functools\ndef deco(f):\n    @functools.wraps(f)\n    def inner(*a):\n        return f(*a)\n    return inner\n@deco\ndef g() -> farm.Cow: ...\ng().$0", "farm.Cow()", "milk"),
    "lambda parameter": ("import farm\nsorted(farm.herd(), key=lambda c: c.$0)", "farm.Cow()", "milk"),
    "lambda parameter of map": ("import farm\nlist(map(lambda c: c.$0, farm.herd()))", "farm.Cow()", "milk"),
    "lambda parameter of a method": ("import farm\nfarm.Box(farm.Cow()).map(lambda c: c.$0)", "farm.Cow()", "milk"),
    "lambda parameter of max": ("import farm\nmax(farm.herd(), key=lambda c: c.$0)", "farm.Cow()", "milk"),
    "lambda default": ("import farm\nlambda c=farm.Cow(): c.$0", "farm.Cow()", "milk"),
    "parameter by its callers": ("import farm\ndef f(c):\n    c.$0\nf(farm.Cow())", "farm.Cow()", "milk"),
    # pytest
    "tmp_path": ("def test_a(tmp_path):\n    tmp_path.$0", "pathlib.Path()", "joinpath write_text"),
    "joined tmp_path": ("def test_a(tmp_path):\n    (tmp_path / 'x').$0", "pathlib.Path()", "write_text"),
    "fixture of the file": ("import farm, pytest\n@pytest.fixture\ndef cow() -> farm.Cow: ...\ndef test_a(cow):\n    cow.$0", "farm.Cow()", "milk"),
    "yielded fixture": ("import farm, pytest\n@pytest.fixture\ndef cow():\n    yield farm.Cow()\ndef test_a(cow):\n    cow.$0", "farm.Cow()", "milk"),
    "fixture in a method": ("import farm, pytest\n@pytest.fixture(name='bessie')\ndef cow():\n    return farm.Cow()\nclass TestA:\n    def test_a(self, bessie):\n        bessie.$0", "farm.Cow()", "milk"),
    "fixture of the class": ("import farm, pytest\nclass TestA:\n    @pytest.fixture\n    def cow(self):\n        return farm.Cow()\n    def test_a(self, cow):\n        cow.$0", "farm.Cow()", "milk"),
    "parametrized": ("import farm, pytest\n@pytest.mark.parametrize('cow', [farm.Cow()])\ndef test_a(cow):\n    cow.$0", "farm.Cow()", "milk"),
    "parametrized twice": ("import farm, pytest\n@pytest.mark.parametrize('n, cow', [(1, farm.Cow())])\ndef test_a(n, cow):\n    cow.$0", "farm.Cow()", "milk"),
    # the standard library
    "path": ("from pathlib import Path\n(Path('a') / 'b').$0", "pathlib.Path()", "read_text"),
    "path parent": ("from pathlib import Path\nPath('a').parent.$0", "pathlib.Path()", "read_text"),
    "path glob": ("from pathlib import Path\nfor p in Path('.').glob('*'):\n    p.$0", "pathlib.Path()", "read_text"),
    "path text": ("from pathlib import Path\nPath('a').read_text().$0", "builtins.str()", "splitlines"),
    "sorted paths": ("from pathlib import Path\nfor p in sorted(Path('.').glob('*')):\n    p.$0", "pathlib.Path()", "read_text"),
    "match": ("import re\nm = re.match('a', 'b')\nm.$0", "re.Match()", "group groups"),
    "match group": ("import re\nm = re.match('a', 'b')\nm.group(1).$0", "builtins.str()", "upper"),
    "pattern": ("import re\nre.compile('a').$0", "re.Pattern()", "findall sub"),
    "finditer": ("import re\nfor m in re.finditer('a', 'b'):\n    m.$0", "re.Match()", "group"),
    "substituted": ("import re\nre.sub('a', 'b', 'c').$0", "builtins.str()", "upper"),
    "subprocess": ("import subprocess\nsubprocess.run(['ls'], text=True).$0", "subprocess.CompletedProcess()", "returncode stdout"),
    "subprocess output": ("import subprocess\nsubprocess.run(['ls'], text=True).stdout.$0", "builtins.str()", "upper"),
    "subprocess output in bytes": ("import subprocess\nsubprocess.run(['ls']).stdout.$0", "builtins.bytes()", "decode"),
    "check_output": ("import subprocess\nsubprocess.check_output(['ls']).$0", "builtins.bytes()", "decode"),
    "popen": ("import subprocess\nwith subprocess.Popen(['ls']) as p:\n    p.$0", "subprocess.Popen()", "communicate wait"),
    "datetime": ("from datetime import datetime\n(datetime.now() - datetime.now()).$0", "datetime.timedelta()", "total_seconds"),
    "datetime part": ("import datetime\ndatetime.datetime.now().date().$0", "datetime.date()", "isoformat"),
    "sum of a datetime": ("import datetime as dt\n(dt.datetime.now() + dt.timedelta(days=1)).$0", "datetime.datetime()", "isoformat"),
    "logger": ("import logging\nlog = logging.getLogger(__name__)\nlog.$0", "logging.Logger()", "info warning"),
    "parser": ("import argparse\np = argparse.ArgumentParser()\ns = p.add_subparsers()\ns.add_parser('x').$0", "argparse.ArgumentParser()", "add_argument"),
    "namespace": ("import argparse\nargparse.ArgumentParser().parse_args().$0", "argparse.Namespace()", ""),
    "environ": ("import os\nos.environ.$0", "os._Environ()", "get items"),
    "environ item": ("import os\nos.environ['A'].$0", "builtins.str()", "upper"),
    "environ get": ("import os\nos.environ.get('A').$0", "builtins.str()", "upper"),
    "sys.path": ("import sys\nsys.path.$0", "builtins.list()", "append insert"),
    "stdout": ("import sys\nsys.stdout.$0", "typing.TextIO()", "write flush"),
    "walk": ("import os\nfor root, dirs, files in os.walk('.'):\n    for f in files:\n        f.$0", "builtins.str()", "endswith"),
    "splitext": ("import os\nbase, ext = os.path.splitext('a')\next.$0", "builtins.str()", "lower"),
    "scandir": ("import os\nwith os.scandir('.') as it:\n    for e in it:\n        e.$0", "os.DirEntry()", "is_file name"),
    "csv": ("import csv\nfor row in csv.DictReader(open('x')):\n    row.$0", "builtins.dict()", "items get"),
    "sqlite": ("import sqlite3\nsqlite3.connect('x').execute('y').$0", "sqlite3.Cursor()", "fetchall"),
    "json": ("import json\njson.dumps({}).$0", "builtins.str()", "encode"),
    "socket": ("import socket\nwith socket.socket() as s:\n    s.$0", "socket.socket()", "connect"),
    "accepted": ("import socket\ns = socket.socket()\nconn, addr = s.accept()\nconn.$0", "socket.socket()", "recv"),
    "thread": ("import threading\nthreading.Thread(target=f).$0", "threading.Thread()", "start join"),
    "queue": ("import farm, queue\nq: 'queue.Queue[farm.Cow]' = queue.Queue()\nq.get().$0", "farm.Cow()", "milk"),
    "mock": ("from unittest import mock\nwith mock.patch('x') as m:\n    m.$0", "unittest.mock.MagicMock() unittest.mock.AsyncMock()", "assert_called_once"),
    "test case": ("import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.$0", "__main__.T()", "assertEqual"),
    "temporary directory": ("import tempfile\nwith tempfile.TemporaryDirectory() as d:\n    d.$0", "builtins.str()", "upper"),
    "temporary file": ("import tempfile\nwith tempfile.NamedTemporaryFile() as f:\n    f.$0", "tempfile._TemporaryFileWrapper()", "write name"),
    "string io": ("import io\nio.StringIO().getvalue().$0", "builtins.str()", "upper"),
    "url": ("from urllib.parse import urlparse\nurlparse('x').$0", "urllib.parse.ParseResult()", "netloc geturl"),
    "url part": ("from urllib.parse import urlparse\nurlparse('x').path.$0", "builtins.str()", "split"),
    "element": ("import xml.etree.ElementTree as ET\nfor e in ET.parse('x').getroot().findall('y'):\n    e.$0", "xml.etree.ElementTree.Element()", "attrib get"),
    "inspect": ("import inspect\nfor n, p in inspect.signature(f).parameters.items():\n    p.$0", "inspect.Parameter()", "annotation kind"),
    "decimal": ("from decimal import Decimal\n(Decimal(1) + 1).$0", "decimal.Decimal()", "quantize"),
    "loop": ("import asyncio\nasyncio.get_event_loop().$0", "asyncio.events.AbstractEventLoop()", "run_until_complete"),
    "stream": ("import asyncio\nasync def f():\n    r, w = await asyncio.open_connection('a', 1)\n    w.$0", "asyncio.streams.StreamWriter()", "drain"),
    "async process": ("import asyncio\nasync def f():\n    p = await asyncio.create_subprocess_exec('a')\n    p.$0", "asyncio.subprocess.Process()", "communicate"),
    "context variable": ("import farm, contextvars\nv: 'contextvars.ContextVar[farm.Cow]' = contextvars.ContextVar('v')\nv.get().$0", "farm.Cow()", "milk"),
    "reduce": ("import farm, functools\nfunctools.reduce(f, farm.herd()).$0", "farm.Cow()", "milk"),
    # conditions, type variables, metaclasses, made classes, and results that only the body tells
    "conditional import of a library": ("import farm\nfarm.Scythe().$0", "farm.tools.Rake()", "scratch"),
    "import or None": ("try:\n    import farm\nexcept ImportError:\n    farm = None\nfarm.$0", "farm", "Cow"),
    "import or None, used in a function": ("try:\n    import farm\nexcept ImportError:\n    farm = None\ndef f():\n    farm.buy('x').$0", "farm.Cow()", "milk"),
    "what is imported instead": ("try:\n    from nothing import Cow\nexcept ImportError:\n    from farm import Cow\nCow().$0", "farm.Cow()", "milk"),
    "two imports, the tried one first": ("try:\n    from farm import Cow as C\nexcept ImportError:\n    from farm import Milk as C\nC().$0", "farm.Cow() farm.Milk()", "milk"),
    "import for type checkers, something else at run time": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from farm import Cow\nelse:\n    Cow = object\ndef f(c: Cow):\n    c.$0", "farm.Cow()", "milk"),
    "import for type checkers alone": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from farm import Cow\ndef f(c: 'Cow'):\n    c.$0", "farm.Cow()", "milk"),
    "constraints": ("import farm\nfarm.spread(None).$0", "farm.tools.Rake() farm.tools.Spade()", "scratch dig"),
    "constraints, one given": ("import farm\nfarm.constrained(farm.Rake()).$0", "farm.tools.Rake()", "scratch"),
    "imported type variable with constraints": ("from farm import EitherT\ndef f(a: EitherT):\n    a.$0", "farm.tools.Rake() farm.tools.Spade()", "dig"),
    "imported type variable": ("from farm import AnimalT\ndef f(a: AnimalT):\n    a.$0", "farm.Animal()", "fed"),
    "object of a type variable's class": ("import farm\nfrom typing import TypeVar\nT = TypeVar('T', bound=farm.Cow)\ndef f(c: type[T]) -> T:\n    c().$0", "farm.Cow()", "milk"),
    "type variable in a list": ("import farm\nfrom typing import TypeVar\nT = TypeVar('T', bound=farm.Cow)\ndef f(cs: list[T]):\n    for c in cs:\n        c.$0", "farm.Cow()", "milk"),
    "method of a metaclass": ("import farm\nfarm.WithMeta.registry().$0", "farm.Shed()", "open"),
    "method of an own metaclass": ("import farm\nclass M(type):\n    def shed(cls):\n        return farm.Shed()\nclass A(metaclass=M): ...\nA.shed().$0", "farm.Shed()", "open"),
    "enum's members": ("import farm\nfor n, c in farm.Crop.__members__.items():\n    c.$0", "farm.Crop()", "harvest"),
    "own enum's members": ("import enum\nclass E(enum.Enum):\n    A = 1\nfor n, c in E.__members__.items():\n    c.$0", "__main__.E()", "name"),
    "old named tuple as a base": ("import farm\nfarm.Kept(1,2).$0", "farm.Kept()", "left right keep _replace count"),
    "named tuple by call as a base": ("import farm\nfarm.Held(1,2).shed.$0", "farm.Shed()", "open"),
    "own old named tuple as a base": ("from collections import namedtuple\nclass K(namedtuple('K','left right')):\n    def f(self):\n        self.$0", "__main__.K()", "left right f _asdict"),
    "own named tuple by call as a base": ("import farm\nfrom typing import NamedTuple\nclass K(NamedTuple('K',[('cow', farm.Cow)])):\n    def f(self):\n        self.cow.$0", "farm.Cow()", "milk"),
    "own named tuple by call": ("import farm\nfrom typing import NamedTuple\nK = NamedTuple('K',[('cow', farm.Cow)])\nK(1).cow.$0", "farm.Cow()", "milk"),
    "new type": ("import farm\nfarm.cow_id().$0", "farm.Cow()", "milk"),
    "call of a new type": ("import farm\nfarm.CowId(farm.Cow()).$0", "farm.Cow()", "milk"),
    "call of an own new type": ("import farm, typing\nX = typing.NewType('X', farm.Cow)\nX(1).$0", "farm.Cow()", "milk"),
    "new type of another module": ("import farm\nfarm.rake_id().$0", "farm.tools.Rake()", "scratch"),
    "quoted alias of another module": ("import farm\nfarm.either_alias().$0", "farm.tools.Rake() farm.tools.Spade()", "dig"),
    "plain alias of another module": ("import farm\nfarm.rake_alias().$0", "farm.tools.Rake()", "scratch"),
    "imported alias": ("from farm.tools import Either\ndef f(x: Either):\n    x.$0", "farm.tools.Rake() farm.tools.Spade()", "dig"),
    "alias in the newest syntax": ("import newstyle\nnewstyle.both().$0", "builtins.int() builtins.str()", "upper"),
    "partial in a library": ("import farm\nfarm.half().$0", "farm.Cow()", "milk"),
    "partial that is called at once": ("import functools, farm\nfunctools.partial(farm.buy, 'x')().$0", "farm.Cow()", "milk"),
    "partial itself": ("import functools, farm\nf = functools.partial(farm.buy, 'x')\nf.$0", "functools.partial()", "func args keywords"),
    "function decorated with wraps": ("import farm\nfarm.traced_buy().$0", "farm.Cow()", "milk"),
    "context manager without annotation": ("import farm\nwith farm.lent_untyped() as c:\n    c.$0", "farm.Cow()", "milk"),
    "generator without annotation": ("import farm\nfor c in farm.generated():\n    c.$0", "farm.Cow()", "milk"),
    "result of another function": ("import farm\nfarm.made().$0", "farm.Cow()", "milk"),
    "result of a function further down": ("import farm\nfarm.made_later().$0", "farm.Milk()", "pour"),
    "several results": ("import farm\na, b = farm.twofold()\na.$0", "farm.Cow()", "milk"),
    "made by the caller's choice or by default": ("import farm\nfarm.chosen().$0", "farm.Cow()", "milk"),
    "result kept in a name": ("import farm\nfarm.rested().$0", "farm.Cow()", "milk"),
    "result of another module's function": ("import farm\nfarm.sharpened(1).$0", "farm.tools.Rake()", "scratch"),
    "coroutine without annotation": ("import farm\nasync def f():\n    (await farm.made_async()).$0", "farm.Cow()", "milk"),
    "awaited result": ("import farm\nasync def f():\n    (await farm.awaits()).$0", "farm.Cow()", "milk"),
    "module object made by a function": ("import farm\nfarm.current.$0", "farm.Cow()", "milk"),
    "attribute made by a class in the class": ("import farm\nfarm.Herdsman(1).shed.$0", "farm.Shed()", "open"),
    "attribute made by a function": ("import farm\nfarm.Herdsman(1).cow.$0", "farm.Cow()", "milk"),
    "attribute made by a method": ("import farm\nfarm.Herdsman(1).milk.$0", "farm.Milk()", "pour"),
    "result of another method": ("import farm\nfarm.Herdsman(1).make().$0", "farm.Milk()", "pour"),
    "property that calls a method": ("import farm\nfarm.Herdsman(1).again.$0", "farm.Milk()", "pour"),
    "method that gives an attribute": ("import farm\nfarm.Herdsman(1).here().$0", "farm.Cow()", "milk"),
    "class made like a named tuple": ("import farm\nfarm.reported().$0", "farm.Report()", "cow milk"),
    "several results by the docstring": ("import farm\na, b, c = farm.numpydoc()\nb.$0", "farm.Milk()", "pour"),
    "several results named at once": ("import farm\na, b, c = farm.numpydoc()\nc.$0", "farm.Milk()", "pour"),
    "attribute of super": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        super().shed.$0", "farm.Shed()", "open"),
    "object of type()": ("import farm\nx = farm.Cow()\ntype(x)().$0", "farm.Cow()", "milk"),
    "object of type(self)": ("import farm\nclass A(farm.Cow):\n    def f(self):\n        type(self)().$0", "__main__.A()", "f milk"),
    "object of cls": ("import farm\nclass A(farm.Cow):\n    @classmethod\n    def f(cls):\n        a = cls()\n        a.$0", "__main__.A()", "f milk"),
    "conditional expression": ("import farm\n(farm.Cow() if x else farm.Milk()).$0", "farm.Cow() farm.Milk()", "milk pour"),
    "or with a default": ("import farm\ndef f(c=None):\n    c = c or farm.Cow()\n    c.$0", "farm.Cow()", "milk"),
    "default after None": ("import farm\ndef f(c=None):\n    if c is None:\n        c = farm.Cow()\n    c.$0", "farm.Cow()", "milk"),
    "walrus in an if": ("import farm\nif (c := farm.maybe('x')) is not None:\n    c.$0", "farm.Cow()", "milk"),
    "own class in an attribute": ("import farm\nclass A:\n    kind = farm.Cow\n    def __init__(self):\n        self.c = self.kind()\n    def f(self):\n        self.c.$0", "farm.Cow()", "milk"),
    "classes in a dict": ("import farm\nmakers = {'a': farm.Cow}\nmakers['a']('x').$0", "farm.Cow()", "milk"),
    "functions in a dict": ("import farm\nmakers = {'a': farm.buy}\nmakers['a']('x').$0", "farm.Cow()", "milk"),
    "next with a default": ("import farm\nnext((c for c in farm.herd()), None).$0", "farm.Cow()", "milk"),
    "bound method in an attribute": ("import farm\nclass A:\n    def __init__(self):\n        self.m = farm.Cow().milk\n    def f(self):\n        self.m().$0", "farm.Milk()", "pour"),
    "keywords of a typed dict": ("import farm\nfrom typing import Unpack\ndef f(**kw: Unpack[farm.Options]):\n    kw['cow'].$0", "farm.Cow()", "milk"),
    "keywords of a typed dict themselves": ("import farm\nfrom typing import Unpack\ndef f(**kw: Unpack[farm.Options]):\n    kw.$0", "farm.Options()", "get items"),
    "keywords of a parameter specification": ("import farm\nfrom typing import ParamSpec\nP = ParamSpec('P')\ndef f(*args: P.args, **kw: P.kwargs):\n    kw.$0", "builtins.dict()", "items"),
    "decorator by its annotation": ("import farm\nfrom typing import Callable, ParamSpec, TypeVar\nP = ParamSpec('P')\nR = TypeVar('R')\ndef deco(f: Callable[P, R]) -> Callable[P, R]: ...\n@deco\ndef g() -> farm.Cow: ...\ng().$0", "farm.Cow()", "milk"),
    "decorator that changes the result": ("import farm\nfrom typing import Callable, ParamSpec, TypeVar\nP = ParamSpec('P')\nR = TypeVar('R')\ndef deco(f: Callable[P, R]) -> Callable[P, list[R]]: ...\n@deco\ndef g() -> farm.Cow: ...\ng().$0", "builtins.list()", "append"),
    "function that a function gives": ("import farm\ndef f():\n    def g():\n        return farm.Cow()\n    return g\nf()().$0", "farm.Cow()", "milk"),
    "lazily answered": ("import farm\nfarm.Harrow().$0", "farm.tools.Rake()", "scratch"),
    "lazily answered under another name": ("import farm\nfarm.OldCow().$0", "farm.Cow()", "milk"),
    "lazily answered by nothing": ("import farm\nfarm.OldMilk().$0", "", ""),
    "method of super": ("import farm\nfarm.Foreman(1).make().$0", "farm.Milk()", "pour"),
    "result that goes round": ("import farm\nfarm.around().$0", "", ""),
    "recursive result": ("import farm\nfarm.again().$0", "farm.Cow()", "milk"),
    "overloads that differ": ("import farm\nfarm.reads().$0", "", ""),
    "local name that hides a function": ("import farm\nfarm.hidden().$0", "", ""),
    "class attribute of a large class": ("import farm\nclass A:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(60)) + "    c = farm.Cow()\n    @deco(c.$0)\n    def f(self): ...\n", "farm.Cow()", "milk"),
    # unknown stays unknown
    "unknown name": ("nothing.$0", "", ""),
    "unknown result": ("import nothing\nnothing.f().$0", "", ""),
    "parameter without a word": ("def f(x):\n    x.$0", "", ""),
}  # fmt: skip


@pytest.mark.parametrize(("marked", "types", "names"), list(CASES.values()), ids=list(CASES))
def test_receiver(marked: str, types: str, names: str) -> None:
    """The receiver has these types, and these members among those that are offered."""
    found = receiver_of(marked)
    assert " ".join(map(written, found.types)) == types
    have = {m.symbol.name for t in found.types for m in offered(found.source, t.qualified, t.instance)}
    assert set(names.split()) - have == set()


# package: text, a type, members; the test is skipped where the package is not installed
REAL: dict[str, tuple[str, str, str]] = {
    "pytest monkeypatch": ("def test_a(monkeypatch):\n    monkeypatch.$0", "_pytest.monkeypatch.MonkeyPatch()", "setattr setenv"),
    "pytest capsys": ("def test_a(capsys):\n    capsys.readouterr().$0", "_pytest.capture.CaptureResult()", "out err"),
    "pytest caplog": ("def test_a(caplog):\n    caplog.records[0].$0", "logging.LogRecord()", "getMessage levelname"),
    "pytest request": ("import pytest\n@pytest.fixture\ndef f(request):\n    request.$0", "_pytest.fixtures.FixtureRequest()", "addfinalizer"),
    "pytest importorskip": ("import pytest\njson = pytest.importorskip('json')\njson.$0", "json", "dumps"),
    "click group": ("import click\n@click.group()\ndef cli(): ...\ncli.$0", "click.core.Group()", "command add_command"),
    "click context": ("import click\nclick.get_current_context().$0", "click.core.Context()", "invoke params"),
    "rich table": ("from rich.table import Table\nt = Table()\nt.$0", "rich.table.Table()", "add_row add_column"),
    "numpy array": ("import numpy as np\na = np.zeros((2, 3))\na[0].T.$0", "numpy.ndarray()", "reshape sum"),
    "numpy generator": ("import numpy as np\nnp.random.default_rng(0).normal(size=3).$0", "numpy.ndarray()", "mean"),
    "pydantic model": (
        "from pydantic import BaseModel\nclass A(BaseModel):\n    name: str\nA(name='x').$0", "__main__.A()", "name model_dump model_copy",
    ),
    "pydantic classmethod": (
        "from pydantic import BaseModel\nclass A(BaseModel):\n    name: str\nA.model_validate({}).$0", "__main__.A()", "name",
    ),
    "jinja2 environment": ("import jinja2\njinja2.Environment().get_template('x').$0", "jinja2.environment.Template()", "render"),
    "networkx graph": ("import networkx as nx\nnx.Graph().$0", "networkx.classes.graph.Graph()", "add_node edges"),
    "transformers lazy": ("import transformers\ntransformers.AutoTokenizer.$0", "transformers.models.auto.tokenization_auto.AutoTokenizer", "from_pretrained"),
    "huggingface_hub lazy": ("import huggingface_hub\nhuggingface_hub.HfApi().$0", "huggingface_hub.hf_api.HfApi()", "list_models"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("package", "case"), list(REAL.items()), ids=list(REAL))
def test_receiver_of_an_installed_package(package: str, case: tuple[str, str, str]) -> None:
    """What is written for the made-up library holds for real ones."""
    if package.partition(" ")[0] not in installed().import_names():
        pytest.skip("not installed here")
    marked, types, names = case
    found = receiver_of(marked, real=True)
    assert types in map(written, found.types)
    have = {m.symbol.name for t in found.types for m in offered(found.source, t.qualified, t.instance)}
    assert set(names.split()) - have == set()
