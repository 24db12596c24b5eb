"""The ``octod`` command: one small module per group of commands, loaded only when one of its commands runs."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the ``octod`` command with ``sys.argv``; exit codes: 0 ok, 1 failure, 2 usage, 3 no daemon."""
    from octod.cli.root import octod

    octod(prog_name="octod")
