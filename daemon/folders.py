"""Folders as workspaces see them: what an editor's settings name, what is a project, what a change concerns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from octod.indexer.environment import Environment

if TYPE_CHECKING:
    from octod.indexer.watch import Change

__all__ = ["activated", "concerns", "is_project", "named", "project_of", "short"]


def named(hint: str | None, root: str | None) -> str | None:
    """An environment as an editor's settings name it, relative ones beside the workspace folder."""
    if hint is None or root is None:
        return hint
    hint = hint.replace("${workspaceFolder}", root)
    return hint if hint.startswith("~") else str(Path(root, hint))


def activated(active: str | None) -> Mapping[str, str] | None:
    """The environment variables of an editor in which ``active`` is activated (empty: nothing is), None for this process's own."""
    if active is None:
        return None
    own = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    return own | ({"VIRTUAL_ENV": active} if active else {})


def project_of(root: Path, environment: Environment) -> Path:
    """The folder that is read as the user's project: in a folder of several projects the one with the environment."""
    own = environment.project
    return own if own is not None and own.is_relative_to(root) else root


def is_project(root: Path) -> bool:
    """A folder worth reading: not the home folder, not the file system's root."""
    return root.is_dir() and root != Path.home() and root != Path(root.anchor)


def concerns(change: Change, root: Path) -> bool:
    """Whether files below ``root`` changed."""
    return change.root == root or any(file.is_relative_to(root) for file in change.files)


def short(path: Path) -> str:
    """A path for a person: the home folder is ``~``."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
