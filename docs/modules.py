"""Write ARCHITECTURE.md's tables of modules from their docstrings: ``python docs/modules.py``; ``--check`` only compares."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
MARKED = re.compile(r"(<!-- modules: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page() -> str:
    """The whole page with each table written anew."""
    return MARKED.sub(lambda found: found[1] + table(found[2]) + found[3], PAGE.read_text(encoding="utf-8"))


def table(folder: str) -> str:
    """The modules of a folder with the first sentence of each docstring."""
    rows = ["| module | is |", "|---|---|"]
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if path.name != "__init__.py":
            sentence = " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", r"\|")
            rows.append(f"| `{path.relative_to(ROOT / folder)}` | {sentence} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Write the page, or with ``--check`` say whether it is what would be written."""
    written = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(written, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == written:
        return 0
    print("the tables of ARCHITECTURE.md are old; run: make docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
