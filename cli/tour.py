"""``octod try FILE``: types the calls of a file as a person would, and shows what octod offers at each."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from octod.cli.asking import Asked, Place, ask, daemon, get_ready, read_file
from octod.cli.complete import adapters_text, shortened
from octod.cli.output import env_option, json_option, on_terminal, show_json
from octod.core.errors import UsageError
from octod.core.paths import Paths
from octod.core.text import Position, Text

if TYPE_CHECKING:
    from octod.daemon.client import Connection

__all__ = ["Site", "cut_at", "sites", "tour"]

# Entries of the menu that are shown: what fits on a line, and the count that the figures of README are given for.
SHOWN = 5
# Seconds to wait for the engine to come up; the menu works without it, only its ranking and ghost text do not.
# vLLM takes 30 to 60 s on two cores, minutes while something else runs.
ENGINE_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Site:
    """A call ``receiver.member(arguments)`` in a file; offsets in code points, ``line`` from 1."""

    line: int
    dot: int  # just after the dot
    open: int  # just after the bracket
    close: int  # after the closing bracket
    member: str


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@env_option
@click.option(
    "--calls",
    default=8,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many calls to type.",
)
@json_option
def tour(file: Path, env: str | None, calls: int, as_json: bool) -> None:
    """Type the calls of FILE again and show what octod offers at each.

    For each call the file is cut after the dot, as while typing, and the menu and the ghost text are asked for; then it
    is cut after the bracket, for the arguments. What the file really says is shown beside it. FILE is only read.

    A daemon that was started for this is stopped at the end.
    """
    from octod.daemon import lifecycle
    from octod.indexer.environment import find_environment

    path = file.absolute()
    text = read_file(path)
    found = sites(text)
    if not found:
        raise UsageError(
            f"{file} has no calls like receiver.member(...)", "name a Python file that calls libraries"
        )
    environment = find_environment(env, path.parent)
    paths = Paths.of()
    ran_before = lifecycle.running(paths) is not None
    try:
        with daemon() as connection:
            if not as_json:
                click.echo(f"environment {environment.root}")
            begun = time.monotonic()
            report = get_ready(connection, environment.root)
            if not as_json:
                click.echo(_indexed(report, time.monotonic() - begun))
            _wait_for_engine(connection)
            rows = []
            for site, members, arguments in _typed(
                connection, Place(path, text, 0, environment.root), found, calls
            ):
                rows.append({"site": asdict(site), "at_dot": _json(members), "at_bracket": _json(arguments)})
                if not as_json:
                    _show(text, site, members, arguments)
    finally:
        if not ran_before:
            lifecycle.stop(paths)
    if as_json:
        show_json(rows)
    elif not rows:
        click.echo(
            "the index knows the receiver of no call in this file; is the right environment named with --env?"
        )


def sites(text: str) -> list[Site]:
    """The calls of a file whose function is an attribute of a name, in order; empty when it cannot be parsed."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise UsageError(
            f"the file cannot be parsed: {error}", "name a Python file without syntax errors"
        ) from error
    counted = Text(text)

    def offset(line: int, column: int) -> int:
        """The code point offset of ast's place, whose column counts bytes of UTF-8."""
        return counted.offset(Position(line - 1, column), "utf-8")

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            function = node.func
            if function.end_lineno is None or function.end_col_offset is None:
                continue
            end = offset(function.end_lineno, function.end_col_offset)
            close = offset(node.end_lineno or 0, node.end_col_offset or 0)
            bracket = text.find("(", end, close)
            if bracket == end:
                found.append(
                    Site(function.end_lineno, end - len(function.attr), end + 1, close, function.attr)
                )
    return sorted(found, key=lambda site: site.dot)


def cut_at(text: str, offset: int) -> str:
    """The text as it stands while its line is being typed: what follows ``offset`` on the line is not there yet."""
    end = text.find("\n", offset)
    return text[:offset] + ("" if end < 0 else text[end:])


def _typed(
    connection: Connection, place: Place, found: Sequence[Site], limit: int
) -> Iterator[tuple[Site, Asked, Asked]]:
    """The first ``limit`` sites whose receiver the index knows, each with the answers after the dot and the bracket."""
    version = 0
    for site in found:
        answers = []
        for offset in (site.dot, site.open):
            version += 1
            answers.append(
                ask(
                    connection,
                    replace(place, text=cut_at(place.text, offset), offset=offset, version=version),
                )
            )
        members, arguments = answers
        if members.menu is not None and members.menu.items:
            yield site, members, arguments
            limit -= 1
            if not limit:
                return


def _wait_for_engine(connection: Connection) -> None:
    """Wait until the daemon says that its engine is up, so that the first answer is as good as the last."""
    until = time.monotonic() + ENGINE_PATIENCE
    while time.monotonic() < until:
        status = connection.request("status", {})
        model = status.get("model") if isinstance(status, dict) else None
        if (
            not isinstance(model, dict)
            or model.get("ready")
            or model.get("problem")
            or model.get("engine") == "none"
        ):
            return
        time.sleep(0.1)


def _indexed(report: Any, seconds: float) -> str:
    """One line on the index."""
    libraries = report.get("libraries", 0)
    if not report.get("changed"):
        return f"index       {libraries:,} libraries, fresh"
    read = f"{report.get('files', 0):,} files, {report.get('symbols', 0):,} symbols read in {seconds:.0f} s"
    return f"index       {libraries:,} libraries, {read}"


def _json(asked: Asked) -> dict[str, Any]:
    menu, ghost = asked.menu, asked.ghost
    return {"menu": None if menu is None else asdict(menu), "ghost": None if ghost is None else asdict(ghost)}


def _show(text: str, site: Site, members: Asked, arguments: Asked) -> None:
    """One call as a person reads it: the line, the menu, the ghost texts, who helped, how long it took."""
    assert members.menu is not None
    start = text.rfind("\n", 0, site.dot) + 1
    head, called = text[start : site.dot].lstrip(), text[site.dot : site.open]
    said = " ".join(text[site.dot : site.close].split())
    cursor = click.style("▏", fg="cyan", bold=True) if on_terminal() else "|"
    click.echo(f"\nline {site.line}: {click.style(head, bold=True)}{cursor}")
    for number, item in enumerate(members.menu.items[:SHOWN], 1):
        mark = click.style("  <- the file", fg="cyan") if item.name == site.member else ""
        click.echo(
            f"  {number}  {item.score:7.2f}  {click.style(item.name, fg='green')}{shortened(item.signature)}{mark}"
        )
    names = [item.name for item in members.menu.items]
    if site.member not in names[:SHOWN]:
        place = (
            f"{names.index(site.member) + 1} of {len(names)}" if site.member in names else "not in the menu"
        )
        click.echo(f"     the file's choice, {site.member}: {place}")
    click.echo(f"  ghost text after the dot      {_ghost(members)}")
    click.echo(f"  ghost text after the bracket  {_ghost(arguments, called)}")
    click.echo(f"  the file                      {said}")
    uses = members.menu.adapters or (arguments.ghost.adapters if arguments.ghost else ())
    times = [f"menu {members.menu.milliseconds:.0f} ms"]
    times += [f"ghost {a.ghost.milliseconds:.0f} ms" for a in (members, arguments) if a.ghost is not None]
    click.echo(f"  adapters {adapters_text(uses)}; {', '.join(times)}")


def _ghost(asked: Asked, typed: str = "") -> str:
    """What is typed already and the ghost text behind it, dimmed as in an editor."""
    if asked.ghost is None or not asked.ghost.text:
        return "(silent)"
    return typed + click.style(asked.ghost.text, dim=True)
