"""What ``__all__`` can hold, as far as it can be told without running it."""

from __future__ import annotations

import pytest
from octod.core.symbols import LibraryId
from octod.indexer.extract import extract_module

HAM = LibraryId("ham", "1", "")

# The text below ``from .core import *``, and the names that ``__all__`` can hold; None where it may hold others.
LISTS = {
    "__all__ = ['a', 'b']": "a b",
    "__all__ = ('a',) + ('b',)": "a b",
    "__all__: list[str] = sorted({'b', 'a'})": "a b",
    "__all__ = ['_a', 'b']\n__all__ += ['c']\n__all__.extend(('d',))\n__all__.append('e')": "_a b c d e",
    "__all__ = ['a', f.__name__]": "a f",
    "__all__ = ['a', 'b']\n__all__.remove('b')\n__all__.sort()": "a b",
    "__all__ = ['a']\nif sys.version_info >= (3, 0):\n    __all__ += ['b']\nelse:\n    __all__ += make()": "a b",
    "__all__ = ['a']\nif fast:\n    __all__ += ['b']": "a b",
    "__all__ = ['a']\ndef __dir__():\n    return sorted(__all__)": "a",
    "try:\n    from .fast import *\nexcept ImportError:\n    pass\n__all__ = ['a']": "a",
    "": None,
    "__all__ = []": None,
    "__all__ = [n for n in dir() if n[0] != '_']": None,
    "__all__ = ['a'] + names": None,
    "__all__ = ['a', name]": None,
    "__all__ = ['a']\n__all__ += core.__all__": None,
    "__all__ = ['a']\n__all__ += core._names": None,
    "__all__ = ['a']\n__all__ = make(__all__)": None,
    "if fast:\n    __all__ = ['a']\nelse:\n    __all__ = ['b']": None,
    "__all__ = ['a']\nfor name in names:\n    __all__.append(name)": None,
    "__all__ = ['a']\nfor name in names:\n    __all__.insert(0, name)": None,
    "__all__ = ['a']\n__all__[:0] = names": None,
    "__all__ = ['a']\nfill(__all__)": None,
    "__all__ = ['a']\nlisted = __all__\nlisted.append(name)": None,
    "__all__ = ['a']\ndef public(f):\n    __all__.append(f.__name__)\n    return f": None,
    "__all__ = ['a']\ndef public(f):\n    globals()['__all__'].append(f.__name__)\n    return f": None,
    "__all__ = ['a']\ntry:\n    import fast\nexcept ValueError:\n    __all__ += names": None,
    "__all__ = ['a']\nmatch mode:\n    case 1:\n        __all__ = ['b']": None,
    "from .core import __all__\n__all__ += ['a']": None,
    "__all__ += ['a']": None,
}


def exports(text: str) -> tuple[str, ...]:
    """``Scope.exports`` of a package with this text."""
    return extract_module(text, module="ham", file="ham/__init__.py", library=HAM, is_package=True, is_stub=False)[0][0].exports


@pytest.mark.parametrize(("text", "expected"), list(LISTS.items()), ids=list(LISTS))
def test_all_is_known_only_where_nothing_else_can_come_to_it(text: str, expected: str | None) -> None:
    """What changes the list in a way that is not followed leaves it unknown."""
    assert exports(f"from .core import *\n{text}\n") == tuple((expected or "").split())


def test_without_stars_the_symbols_say_it_all() -> None:
    """Only what passes names on that it does not define keeps their list."""
    assert exports("__all__ = ['a']\ndef a(): ...\n") == ()


def test_a_list_made_of_itself_keeps_its_names() -> None:
    """``__all__ = sorted(__all__)`` holds what it held before."""
    text = "__all__ = ['a']\n__all__ = sorted(set(__all__))\ndef a(): ...\ndef b(): ...\n"
    made = extract_module(text, module="ham", file="ham.py", library=HAM, is_package=False, is_stub=False)[0][0]
    assert {name: symbol.public for name, symbol in made.symbols.items() if name != "__all__"} == {"a": True, "b": False}
