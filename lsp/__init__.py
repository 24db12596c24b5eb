"""The language server: Language Server Protocol in and out, documents, and nothing else; answers come from the daemon."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["serve"]


def serve(*, command: Sequence[str] | None = None) -> int:
    """Speak LSP on stdin and stdout until the editor leaves; the exit code.

    ``command`` starts the daemon, by default the installed one.
    """
    from octod.lsp.door import open_door

    return open_door(0, 1, command)
