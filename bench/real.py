"""Runs inside a measured environment: what its really imported libraries have.  Standard library only.

Reads a JSON line a question and prints one a line.  ``{"receiver": qualified, "names": [...]}``: which of the names a module or
class lacks.  ``{"callable": qualified, "keywords": [...]}``: which of the keywords its signature does not take.  Importing runs
the libraries' code: for trusted environments only.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import sys
import textwrap
import warnings
from pathlib import Path

warnings.simplefilter("ignore")


def load(qualified):
    """The object that a qualified name stands for; ImportError or AttributeError where there is none."""
    parts = qualified.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except BaseException:  # noqa: BLE001, S112 importing runs somebody's code; a shorter name may do
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(qualified)


def source_of(cls):
    """The class's source; some libraries rename ``__module__``, so its methods tell the file."""
    for part in vars(cls).values():
        code = getattr(inspect.unwrap(getattr(part, "fget", getattr(part, "__func__", part))), "__code__", None)
        if code is not None and Path(code.co_filename).is_file():  # made by exec otherwise
            for node in ast.walk(ast.parse(Path(code.co_filename).read_text())):
                if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                    return node
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


assigned = {}


def own(cls):
    """Names that a class's methods assign to self."""
    if cls not in assigned:
        names = set(getattr(cls, "__annotations__", {})) | set(getattr(cls, "__slots__", ()) or ())
        try:
            tree = source_of(cls)
            for node in ast.walk(tree):
                targets = node.targets if isinstance(node, ast.Assign) else []
                targets = [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else targets
                for target in [t for x in targets for t in (x.elts if isinstance(x, ast.Tuple) else [x])]:
                    known = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
                    if known and target.value.id in ("self", "obj", "result", "new", "instance"):
                        names.add(target.attr)
        except (OSError, TypeError, SyntaxError):
            pass
        assigned[cls] = names
    return assigned[cls]


def exists(thing, name):
    """Whether a module or class, or objects of it, have the name when the program runs."""
    if hasattr(thing, name):
        return True
    if inspect.ismodule(thing):
        try:
            return importlib.util.find_spec(f"{thing.__name__}.{name}") is not None
        except (ImportError, ValueError, AttributeError):
            return False
    if inspect.isclass(thing):
        if hasattr(thing, "__getattr__"):
            return True
        fields = getattr(thing, "model_fields", None) or getattr(thing, "__fields__", None) or {}
        return name in fields or any(name in own(base) for base in thing.__mro__)
    return False


def lacking(thing, names):
    """Those of the names that ``thing`` does not have; a name whose own code fails is there."""
    missing = []
    for name in names:
        try:
            if not exists(thing, name):
                missing.append(name)
        except BaseException:  # noqa: BLE001, S112 a property or a lazy module runs somebody's code
            continue
    return missing


def refused(function, keywords):
    """Those of the keywords that no parameter of ``function`` takes; ValueError where it tells no signature."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return []
    return sorted(set(keywords) - {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)})


def answer(asked):
    """The answer to one question, with its reason where there is none."""
    names = asked.get("names", asked.get("keywords"))
    try:
        thing = load(asked["receiver"] if "receiver" in asked else asked["callable"])
        if "receiver" in asked and inspect.isfunction(thing):  # jedi's name of an attribute that a method assigns
            thing = load(asked["receiver"].rpartition(".")[0])
        missing = lacking(thing, names) if "receiver" in asked else refused(thing, names)
    except BaseException as error:  # noqa: BLE001 importing runs somebody's code
        return {**asked, "error": repr(error)[:200], "missing": [], "of": 0}
    return {**asked, "missing": missing, "of": len(names)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
