"""``octod learned``: what you accepted from menus, which orders later ones."""

from __future__ import annotations

import click
from octod.cli.output import json_option, show_json, show_table
from octod.core.paths import Paths

__all__ = ["learned"]


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def learned(context: click.Context, as_json: bool) -> None:
    """Show what you accepted from menus, or clear it.

    Names and counts alone, on this machine alone. A count fades with every other name that is accepted on the same receiver.
    To keep nothing, write `learn = false` into config.toml.
    """
    if context.invoked_subcommand is not None:
        return
    from octod.adapters.accepted import Accepted

    rows = Accepted.at(Paths.of()).listing()
    if as_json:
        show_json([{"receiver": r, "member": m, "count": round(c, 3)} for r, m, c in rows])
        return
    show_table(
        ("receiver", "member", "count"),
        [(receiver, member, f"{count:.1f}") for receiver, member, count in rows],
        empty="nothing has been accepted yet",
    )


@learned.command()
def clear() -> None:
    """Forget everything that was learned; the order of menus is again the one that octod came with."""
    from octod.adapters.accepted import Accepted

    count = Accepted.at(Paths.of()).clear()
    click.echo(f"forgot {count} count{'' if count == 1 else 's'}")
