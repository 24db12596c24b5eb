"""Write docs/cli.md from the commands themselves: ``python docs/commands.py``; ``--check`` only compares."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from octod.cli.root import octod

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """\
# The commands

This page is written by `make docs` from the commands themselves. `octod COMMAND --help` says the same.

Exit codes: 0 ok, 1 failure, 2 usage, 3 no daemon. An error is a line `Error: ...`, often followed by a line `  hint: ...`,
on stderr; `octod --debug COMMAND` adds the traceback. Commands that read take `--json`. Without a terminal, tables are plain
aligned text and progress bars are lines.
"""


def page() -> str:
    """The whole page as Markdown; the same with every version of click and every width of terminal."""
    return "\n".join([INTRODUCTION, *(section(path, command) for path, command in walk(octod, "octod"))])


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, in the order of ``--help``."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from walk(below, f"{path} {name}")


def section(path: str, command: click.Command) -> str:
    """One command: how it is called, what it does, its options."""
    pieces = command.collect_usage_pieces(click.Context(command, info_name=path))
    lines = [f"{'#' * (1 + len(path.split()))} {path}", "", "```sh", " ".join([path, *pieces]), "```", ""]
    lines += [inspect.cleandoc(command.help or ""), ""]
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        lines += [f"- {described(option)}" for option in options] + [""]
    return "\n".join(lines)


def described(option: click.Option) -> str:
    """One option as a line: its names, its value, what it does, its default."""
    names = ", ".join(f"`{name}`" for name in option.opts)
    value = "" if option.is_flag else f" {(option.metavar or option.type.name).upper()}"
    default = f" Default: {option.default}." if option.show_default else ""
    required = " Required." if option.required else ""
    return f"{names}{value}: {option.help or ''}{default}{required}"


def main() -> int:
    """Write the page, or with ``--check`` say whether it is what would be written."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page():
        return 0
    print("docs/cli.md is old; run: make docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
