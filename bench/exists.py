"""Does every offered member exist?  Compares menus with the real imported libraries, in the environment's interpreter.

    python bench/exists.py --sites sites.jsonl --index ENV_INDEX.db --python ENV/bin/python [--json out.json]

This imports the environment's packages, so run it on packages that you trust: octod itself never does.  A member counts as
existing when the module or class has it (or it is an importable submodule), when an annotation or a slot declares it, or when
a method of a class in the MRO assigns it to ``self``, or when the class answers for any name by ``__getattr__``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
from pathlib import Path

from fit_ranker import document_of
from octod.daemon.context import place_at
from octod.indexer.store import Index

CHECK = r'''
import ast, importlib, importlib.util, inspect, json, sys, textwrap, warnings
warnings.simplefilter("ignore")

def load(qualified):
    parts = qualified.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except BaseException:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(qualified)

def source_of(cls):
    """The class's source; some libraries rename ``__module__``, so its methods tell the file."""
    for part in vars(cls).values():
        code = getattr(getattr(part, "fget", getattr(part, "__func__", part)), "__code__", None)
        if code is not None:
            for node in ast.walk(ast.parse(open(code.co_filename).read())):
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
                targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []
                for target in [t for x in targets for t in (x.elts if isinstance(x, ast.Tuple) else [x])]:
                    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in ("self", "obj", "result", "new", "instance"):
                        names.add(target.attr)
        except (OSError, TypeError, SyntaxError):
            pass
        assigned[cls] = names
    return assigned[cls]

def exists(thing, name):
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

for line in sys.stdin:
    asked = json.loads(line)
    try:
        thing = load(asked["receiver"])
    except BaseException as error:
        print(json.dumps({"receiver": asked["receiver"], "error": repr(error)[:200], "missing": [], "of": 0}))
        continue
    missing = []
    for name in asked["names"]:
        try:
            if not exists(thing, name):
                missing.append(name)
        except BaseException:
            pass
    print(json.dumps({"receiver": asked["receiver"], "missing": missing, "of": len(asked["names"])}), flush=True)
'''


async def offered(sites: list[dict[str, object]], index: Index) -> dict[str, list[str]]:
    """Receiver -> every name that its menu offers, over all sites."""
    found: dict[str, list[str]] = {}
    for site in sites:
        document, offset = document_of(site)
        place = place_at(index, document, offset)
        if len(place.receiver.types) == 1:
            found.setdefault(place.receiver.types[0].qualified, [m.symbol.name for m in place.members])
    return found


def main() -> int:
    """Print the share that exists and what does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sites = [json.loads(line) for line in options.sites.read_text().splitlines()]
    with Index.open(options.index) as index:
        menus = asyncio.run(offered(sites, index))
    asked = "".join(json.dumps({"receiver": r, "names": names}) + "\n" for r, names in sorted(menus.items()))
    run = subprocess.run([options.python, "-c", CHECK], input=asked, capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    total = sum(a["of"] for a in answers)
    missing = [(a["receiver"], name) for a in answers for name in a["missing"]]
    failed = [a for a in answers if "error" in a]
    print(f"{len(answers)} receivers, {total} offered members, {len(missing)} do not exist ({1 - len(missing) / max(total, 1):.4%} exist)")
    print(f"{len(failed)} receivers could not be imported: {[a['receiver'] for a in failed][:10]}")
    for receiver, name in missing[:60]:
        print("  missing", receiver, name)
    if options.json:
        options.json.write_text(json.dumps({"offered": total, "missing": missing, "failed": failed}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
