"""What a client says of its user's settings and folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from octod.lsp.capabilities import dig
from octod.lsp.documents import path_of

__all__ = ["active_of", "python_of", "roots_of"]


def active_of(environ: Mapping[str, str]) -> str:
    """The environment that is activated where the editor was started, empty for none: the daemon may have been started elsewhere."""
    return environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX") or ""


def python_of(settings: object) -> str | None:
    """``python`` of our settings: an interpreter or a folder, named and never started."""
    python = dig(settings, "python")
    return str(Path(python).expanduser()) if isinstance(python, str) and python.strip() else None


def roots_of(initialize: object) -> list[str]:
    """The paths of the folders that a client opened, by the params of ``initialize``."""
    folders = dig(initialize, "workspaceFolders")
    uris = [dig(folder, "uri") for folder in folders] if isinstance(folders, list) else []
    paths = [path_of(uri) for uri in uris or [dig(initialize, "rootUri")] if isinstance(uri, str)]
    plain = dig(initialize, "rootPath")
    return [path for path in paths if path] or ([plain] if isinstance(plain, str) and plain else [])
