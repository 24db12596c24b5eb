"""``octod complete FILE:LINE:COL``: what an editor would get there, on the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from octod.cli.asking import Asked, Place, ask, daemon, get_ready, read_file
from octod.cli.output import env_option, json_option, show_json, show_table
from octod.core.answers import AdapterUse
from octod.core.errors import UsageError
from octod.core.text import Position, Text

__all__ = ["adapters_text", "complete", "parse_place", "shortened", "show_answer"]

WIDEST = 70  # characters of a signature in the menu

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?")


@click.command()
@click.argument("place", metavar="FILE:LINE[:COL]")
@env_option
@click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many menu entries to show.",
)
@json_option
def complete(place: str, env: str | None, limit: int, as_json: bool) -> None:
    """Show what an editor would get at a place: the menu and the ghost text.

    LINE and COL count from 1, in characters, as editors print them: the cursor stands before character COL, so just
    after the dot of `np.` at the start of a line COL is 4. Without COL the cursor is at the end of the line. The text
    after the cursor is read too, as an editor sends it.

    The daemon is started when none runs, and the environment is indexed first when it is not yet. Without --env it is
    looked for from FILE upwards.
    """
    where = parse_place(place, env)
    with daemon() as connection:
        get_ready(connection, where.environment)
        asked = ask(connection, where)
    if as_json:
        show_json({"menu": _json(asked.menu), "ghost": _json(asked.ghost)})
    else:
        show_answer(asked, limit)


def parse_place(place: str, environment: str | None) -> Place:
    """The place that ``FILE:LINE[:COL]`` names; UsageError when it has another form or lies outside the file."""
    match = _PLACE.fullmatch(place)
    if match is None:
        raise UsageError(f"{place!r} is no place", "write it as FILE:LINE:COL, both counted from 1")
    path = Path(match["file"]).absolute()
    content = read_file(path)
    text = Text(content)
    line = int(match["line"])
    if not 1 <= line <= text.lines:
        raise UsageError(f"{match['file']} has no line {line}", f"its lines are 1 to {text.lines}")
    longest = len(text.line(line - 1)) + 1
    column = int(match["column"]) if match["column"] else longest
    if not 1 <= column <= longest:
        raise UsageError(f"line {line} has no column {column}", f"its columns are 1 to {longest} (its end)")
    offset = text.offset(Position(line - 1, column - 1), "utf-32")
    from octod.indexer.environment import find_environment

    return Place(path, text.content, offset, find_environment(environment, path.parent).root)


def adapters_text(adapters: Sequence[AdapterUse]) -> str:
    """The adapters of an answer with their weights, for a person."""
    return ", ".join(f"{use.name} ({use.weight:.2f})" for use in adapters) or "none (base model)"


def shortened(signature: str) -> str:
    """A signature that fits a line of the menu."""
    return signature if len(signature) <= WIDEST else signature[: WIDEST - 4].rstrip(", ") + "...)"


def _json(answer: object) -> object:
    return None if answer is None else asdict(answer)  # type: ignore[call-overload]


def show_answer(asked: Asked, limit: int) -> None:
    """The answer as a person reads it."""
    menu, ghost = asked.menu, asked.ghost
    if menu is None:
        click.echo("menu      nothing is known here")
    else:
        order = "usage and model" if menu.model else "usage"
        if menu.route in ("names", "keywords", "imports"):
            click.echo(f"offered   {menu.route}")
        else:
            click.echo(f"receiver  {menu.receiver or 'unknown'} (found by {menu.route})")
        click.echo(f"menu      {len(menu.items)} entries in {menu.milliseconds:.0f} ms, ranked by {order}")
        rows = [
            (
                n,
                item.name,
                item.score,
                item.kind,
                shortened(item.imports or item.signature) + (" deprecated" if item.deprecated else ""),
                item.library,
            )
            for n, item in enumerate(menu.items[:limit], 1)
        ]
        show_table(("", "name", "score", "kind", "signature", "library"), rows)
    if ghost is None or not ghost.text:
        click.echo("ghost     silent")
    else:
        click.echo(f"ghost     {ghost.text}")
        click.echo(
            f"          {ghost.source}, confidence {ghost.confidence:.2f}, {ghost.milliseconds:.0f} ms"
        )
    uses = (ghost and ghost.adapters) or (menu and menu.adapters) or ()
    click.echo(f"adapters  {adapters_text(uses)}")
