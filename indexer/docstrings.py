"""Docstrings: the type a function is said to return, deprecation notes, and what is said of each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

__all__ = ["cleaned", "deprecation", "parameter_docs", "return_type", "summary"]

LONGEST = 2_000  # characters kept of a docstring; the median of installed functions is 180
_READ = 20_000  # characters looked at: a "Returns" section may follow a long text

_RTYPE = re.compile(r"^[ \t]*:rtype:[ \t]*(.+)$", re.MULTILINE)
_NUMPY = re.compile(r"^([ \t]*)Returns?[ \t]*\n\1-{3,}[ \t]*\n(?:[ \t]*\n)?\1([^\s].*)$", re.MULTILINE)
_GOOGLE = re.compile(r"^([ \t]*)Returns?:[ \t]*\n\1[ \t]+(\S[^\n]*)$", re.MULTILINE)
_DEPRECATED = re.compile(r"^[ \t]*\.\. deprecated::[ \t]*([^\n]*)((?:\n[ \t]{2,}\S[^\n]*)*)", re.MULTILINE)
_ROLE = re.compile(r":(?:[a-z]+:)*[a-z]+:`([^`]*)`|`{1,2}([^`]*)`{1,2}")
_SHAPE = re.compile(
    r"\b(?:of shape|with shape|shape|of length|of size|of dtype|dtype|containing|with|that|which|instance|object|indexed"
    r"|subclass|representing|where|if|when|for|default|optional)\b.*|[(=;].*|,\s*(?:shape|optional|default|of|or)\b.*"
)
_LONGEST_TUPLE = 8  # values in one "Returns" section whose types are kept
_SHAPED = re.compile(r"^(?:\((?:[^()]|\([^()]*\))*\)[ -]+|(?:\d|[nN])[ -]?[dD][ -]+|scalar or )(?=\w)")
_CONTAINER = re.compile(r"^(list|tuple|set|dict|sequence|iterable|iterator|generator)s? of (.+)$", re.IGNORECASE)
_DOTTED = re.compile(r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$")
_GENERIC = re.compile(r"^[A-Za-z_][\w.]*\[[\w., |\[\]]+\]$")

_BUILTIN = {
    "bool": "bool", "boolean": "bool", "str": "str", "string": "str", "int": "int", "integer": "int",
    "float": "float", "complex": "complex", "bytes": "bytes", "dict": "dict", "dictionary": "dict", "list": "list",
    "tuple": "tuple", "set": "set", "frozenset": "frozenset", "none": "None", "self": "Self", "object": "object",
    "strings": "str", "ints": "int", "floats": "float", "dicts": "dict", "tuples": "tuple", "lists": "list",
    "bools": "bool", "path": "pathlib.Path",
}  # fmt: skip
# Names that docstrings use without importing them; each is what the library of that name calls it.
_KNOWN = {
    "ndarray": "numpy.ndarray", "ndarrays": "numpy.ndarray", "array": "numpy.ndarray", "arrays": "numpy.ndarray",
    "np.ndarray": "numpy.ndarray", "np.array": "numpy.ndarray", "numpy.array": "numpy.ndarray",
    "DataFrame": "pandas.DataFrame", "dataframe": "pandas.DataFrame", "pd.DataFrame": "pandas.DataFrame",
    "pandas.dataframe": "pandas.DataFrame", "Series": "pandas.Series", "pd.Series": "pandas.Series",
    "Figure": "matplotlib.figure.Figure", "Axes": "matplotlib.axes.Axes", "axes": "matplotlib.axes.Axes",
    "NetworkX graph": "networkx.Graph", "NetworkX Graph": "networkx.Graph", "NetworkX DiGraph": "networkx.DiGraph",
    "sparse matrix": "scipy.sparse.csr_matrix", "csr_matrix": "scipy.sparse.csr_matrix",
}  # fmt: skip


def cleaned(doc: str | None, longest: int = LONGEST) -> str:
    """The docstring without its indentation, at most ``longest`` characters of it."""
    if not doc:
        return ""
    text = doc[: longest * 3]
    text = inspect.cleandoc(text) if "\n" in text else text.expandtabs().lstrip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def summary(doc: str) -> str:
    """The first line with something on it, at most 120 characters."""
    for line in doc.splitlines():
        if stripped := line.strip():
            return stripped[:120]
    return ""


def deprecation(doc: str | None) -> str | None:
    """What a ``.. deprecated::`` note before the parameters says; None where there is none.

    A note inside a parameter's description is indented deeper than the docstring and belongs to that parameter.
    """
    if not doc or ".. deprecated::" not in doc:
        return None
    match = _DEPRECATED.search(inspect.cleandoc(doc[:_READ]))
    if match is None or match[0][0].isspace():
        return None
    text = " ".join(f"{match[1]} {match[2]}".split())[:200]
    return text or "deprecated"


def return_type(doc: str | None, bound: Callable[[str], bool]) -> str | None:
    """The return type named by a docstring (reST ``:rtype:``, numpy or google section) as annotation source.

    ``bound`` says whether a name means something in the module; other names are taken only when they are known
    everywhere (``ndarray``) or dotted.  None when the text is no type: prose is never guessed at.
    """
    if not doc or ("eturn" not in doc and ":rtype:" not in doc):
        return None
    doc = doc[:_READ]
    if match := _RTYPE.search(doc):
        return _type(match[1], bound)
    if match := _NUMPY.search(doc):
        line = match[2].strip()
        name, colon, text = line.partition(" :") if " :" in line else line.partition(":")
        # "self : object", "self" and "self : Pipeline" all mean the receiver.
        if name.strip() == "self":
            return "Self"
        end = doc[match.end() :].split("\n", 2)
        following = end[1] if len(end) > 1 else ""
        # further entries at the same depth mean that several values are returned
        entries = [line, *_entries(doc[match.end() :], len(match[1]))]
        kinds = [_type(e.partition(":")[2], bound) for e in entries for _ in e.partition(":")[0].split(",")]
        if len(kinds) > 1 and not text.strip():
            return None  # "An object with these fields:"
        if len(kinds) > 1:
            plain = len(kinds) <= _LONGEST_TUPLE and any(kinds)
            return f"tuple[{', '.join(k or 'Any' for k in kinds)}]" if plain else "tuple"
        if not colon and not following.strip():
            return _type(name, bound)
        return _type(text if colon else name, bound)
    if match := _GOOGLE.search(doc):
        head, colon, _ = match[2].partition(":")
        return _type(head, bound) if colon else None
    return None


def _entries(rest: str, indent: int) -> list[str]:
    """Further ``name : type`` lines at the same depth before the section ends."""
    found: list[str] = []
    for line in rest.split("\n")[1:60]:
        stripped = line.strip()
        if not stripped:
            continue
        depth = len(line) - len(line.lstrip())
        if depth < indent or set(stripped) <= set("-=~"):
            # The line before an underline was the next section's title.
            return found
        if depth == indent:
            if " : " not in line:
                return found
            found.append(stripped)
    return found


def _type(text: str, bound: Callable[[str], bool], depth: int = 0) -> str | None:
    text = _ROLE.sub(lambda m: m[1] if m[1] is not None else m[2], text).strip().rstrip(".,:")
    text = text.replace("~", "").strip()
    text = _SHAPED.sub("", text)  # `(M, N) ndarray`, `2-D array`
    if not text or len(text) > 120 or depth > 3:
        return None
    if text in _KNOWN and (text[0].islower() or not bound(text)):
        return _KNOWN[text]
    if match := _CONTAINER.match(text):
        name = match[1].lower()
        inner = _type(match[2], bound, depth + 1)
        if name == "dict":
            return "dict"
        name = {"sequence": "list", "iterable": "list", "iterator": "list", "generator": "list"}.get(name, name)
        if inner is None:
            return name
        return f"tuple[{inner}, ...]" if name == "tuple" else f"{name}[{inner}]"
    if _GENERIC.match(text) and _root_known(re.split(r"[.\[]", text)[0], bound):
        return text
    for splitter in (" or ", " | ", ", "):
        if splitter in text:
            parts = [_type(part, bound, depth + 1) for part in text.split(splitter)]
            known = list(dict.fromkeys(part for part in parts if part))
            return " | ".join(known) if known else None
    words = _SHAPE.sub("", text).strip().rstrip(",:").strip()
    if (head := words.partition(" of ")[0]) in _KNOWN and (head[0].islower() or not bound(head)):
        return _KNOWN[head]  # `ndarray of float`
    for article in ("an ", "a ", "the ", "An ", "A ", "The "):
        words = words.removeprefix(article)
    words = words.lstrip(".").strip()
    if words.lower() in _BUILTIN:
        return _BUILTIN[words.lower()]
    if words in _KNOWN and (words[0].islower() or not bound(words)):
        return _KNOWN[words]
    if not _DOTTED.match(words):
        return None
    root = words.split(".", 1)[0]
    if bound(root) and (words[0].isupper() or "." in words):
        return words
    # A dotted name that ends in a class's name is taken as absolute: `matplotlib.figure.Figure`.
    return words if "." in words and words.rsplit(".", 1)[1][:1].isupper() and root.islower() else None


def _root_known(root: str, bound: Callable[[str], bool]) -> bool:
    return bound(root) or root in _BUILTIN or root in ("Optional", "Union", "List", "Dict", "Tuple")


def parameter_docs(doc: str) -> dict[str, str]:
    """What a docstring says of each parameter, by griffe's parsers; the style that finds most parameters wins."""
    import logging

    from griffe import Docstring, DocstringSectionKind, Parser

    logging.getLogger("griffe").setLevel(logging.ERROR)
    best: dict[str, str] = {}
    for style in (Parser.numpy, Parser.google, Parser.sphinx):
        found: dict[str, str] = {}
        for section in Docstring(doc).parse(style):
            if section.kind in (DocstringSectionKind.parameters, DocstringSectionKind.other_parameters):
                for item in section.value:
                    for name in item.name.split(","):
                        found.setdefault(name.strip().lstrip("*"), " ".join(item.description.split())[:300])
        if len(found) > len(best):
            best = found
    return best
