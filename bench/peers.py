"""The other Python language servers: how each is started, and the settings that tell each which environment to use.

A server asks for its section of the settings by ``workspace/configuration`` or is given all of them at the start; what is set
is the interpreter alone, everything else stays as the server's authors chose.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["COMMANDS", "options", "section", "settings"]

# the commands below a virtual environment's bin folder; all are on PyPI
COMMANDS = {
    "jedi-language-server": "jedi-language-server",
    "python-lsp-server": "pylsp",
    "basedpyright": "basedpyright-langserver --stdio",
    "pyrefly": "pyrefly lsp",
    "ty": "ty server",
}


def settings(python: str) -> dict[str, Any]:
    """A user's settings, as an editor keeps them: a tree by section."""
    environment = str(Path(python).absolute().parent.parent)
    return {
        "octod": {"python": python},
        "python": {"pythonPath": python, "defaultInterpreterPath": python},  # pyright's family, pyrefly
        "pylsp": {"plugins": {"jedi": {"environment": python}}},
        "ty": {"configuration": {"environment": {"python": environment}}},
        "workspace": {"environmentPath": python},  # jedi-language-server takes these at the start alone
    }


def options(python: str) -> dict[str, Any]:
    """What is given with ``initialize``, where servers look for settings of different depths: each ignores the others'."""
    tree = settings(python)
    return {"workspace": tree["workspace"], "pylsp": tree["pylsp"], "configuration": tree["ty"]["configuration"], "octod": tree["octod"]}


def section(tree: Any, name: str | None) -> Any:
    """The part of the settings below a dotted name, None where there is none."""
    for part in (name or "").split("."):
        if part:
            tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
