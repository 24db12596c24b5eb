"""The root command: which module holds which command, and how an error reaches the person at the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from octod.core.errors import OctodError
from octod.core.offline import stay_offline

__all__ = ["COMMANDS", "LazyGroup", "octod"]

# Name -> where it is and what it does in a few words: `octod --help` imports none of them.  In the order of a first
# day: what starts and looks, what asks, what trains.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "start": ("octod.cli.daemon:start", "Start the daemon"),
    "stop": ("octod.cli.daemon:stop", "Stop the daemon, also one that hangs"),
    "status": ("octod.cli.daemon:status", "Show what the daemon is doing"),
    "logs": ("octod.cli.daemon:logs", "Print the end of the daemon's log"),
    "doctor": ("octod.cli.doctor:doctor", "Look at everything octod needs, say how to mend it"),
    "index": ("octod.cli.index:index", "Index the libraries of an environment"),
    "search": ("octod.cli.index:search", "Search the installed libraries"),
    "show": ("octod.cli.show:show", "Show what is known of one name"),
    "diff": ("octod.cli.diff:diff", "Compare two versions of a library"),
    "complete": ("octod.cli.complete:complete", "Show what an editor would get at a place"),
    "try": ("octod.cli.tour:tour", "Type a file's calls again, show what octod offers"),
    "learned": ("octod.cli.learned:learned", "Show or clear what you accepted from menus"),
    "lsp": ("octod.cli.lsp:lsp", "Run the language server, for an editor"),
    "train": ("octod.cli.train:train", "Train an adapter for an installed package"),
    "adapters": ("octod.cli.adapters:adapters", "List, check and remove trained adapters"),
    "base": ("octod.cli.base:base", "Add, choose, show and train base models"),
    "engine": ("octod.cli.engine:engine", "Install and choose what runs the model"),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table, which is the order a newcomer needs them in."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None when there is none."""
        if cmd_name not in self.lazy:
            return None
        module, attribute = self.lazy[cmd_name][0].split(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in ``--help``, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest names when there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.lazy, n=2)
            if "Did you mean" in error.message or not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {' or '.join(near)}?", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong becomes ``Error: ...`` and ``  hint: ...`` on stderr, and an exit code."""
        try:
            return super().invoke(ctx)
        except OctodError as error:
            if ctx.params.get("debug"):
                raise
            _tell(error.message, error.hint)
            ctx.exit(error.exit_code)
        except BrokenPipeError:  # ``octod logs | head``: the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            if ctx.params.get("debug"):
                raise
            place = f"{error.filename}: " if error.filename else ""
            _tell(
                f"{place}{error.strerror or error}",
                "`octod doctor` looks at folders, permissions and disk space",
            )
            ctx.exit(1)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            _tell(
                f"this is a fault in octod: {type(error).__name__}: {error}",
                "run the same command as `octod --debug ...` and report what it prints",
            )
            ctx.exit(1)


def _tell(message: str, hint: str) -> None:
    """Print an error as every octod command does."""
    click.echo(f"Error: {message}", err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the installed version and stop; importlib.metadata is slow to import, so only here."""
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"octod {version('octod')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show a traceback when something goes wrong.")
def octod(debug: bool) -> None:
    """A local API-call assistant that knows exactly the libraries installed here.

    Point your editor at `octod lsp`; everything else starts by itself.

    Exit codes: 0 ok, 1 failure, 2 usage, 3 no daemon.
    """
    stay_offline()
