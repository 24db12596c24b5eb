"""``octod lsp``: the language server on standard input and output, which is how an editor starts octod."""

from __future__ import annotations

import click

__all__ = ["lsp"]


@click.command()
def lsp() -> None:
    """Run the language server on stdin and stdout, for an editor.

    It starts the daemon when none runs. Nothing but the protocol is written to stdout; `octod logs` prints the
    daemon's log.
    """
    from octod.lsp import serve

    raise click.exceptions.Exit(serve())
