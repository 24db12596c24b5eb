"""How commands show things: tables and progress for a person, plain lines without a terminal, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Step",
    "console",
    "env_option",
    "json_option",
    "on_terminal",
    "progress",
    "show_json",
    "show_table",
    "size_text",
]

Cell = str | int | float | None
Step = Callable[[float | None, str], None]  # (share done, 0 to 1, None: not known; what is being done now)

# Seconds between two progress lines without a terminal: rare enough for a log file, often enough to see life.
LINE_EVERY = 2.0

env_option = click.option(
    "--env",
    metavar="ENV",
    help="Environment: a folder, an interpreter or a site-packages (default: the project's own, else the active "
    "one, else octod's own).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether ``stream`` (default: stdout) is a terminal that understands colours and redrawing."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def console(*, stderr: bool = False) -> Console:
    """A rich console for stdout or stderr; made late because rich is slow to import."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def show_json(value: object) -> None:
    """Print ``value`` as indented JSON; paths and other odd values as text."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str = "") -> None:
    """Print rows under headings, numbers to the right; ``empty`` is said when there are none.

    On a terminal a rich table; without one, aligned text that ``awk`` and ``cut`` can read.
    """
    if not rows:
        if empty:
            click.echo(empty)
        return
    numeric = [all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(columns))]
    cells = [[_text(value) for value in row] for row in rows]
    if on_terminal():
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading, right in zip(columns, numeric, strict=True):
            table.add_column(heading, justify="right" if right else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        console().print(table)
        return
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    for row in [list(columns), *cells]:
        parts = [
            c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True)
        ]
        click.echo("  ".join(parts).rstrip())


def _text(value: Cell) -> str:
    """One cell as text: three decimals are enough for every figure octod shows."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def size_text(size: float) -> str:
    """A number of bytes as people read it: ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the loop ends at GB")


@contextmanager
def progress(title: str) -> Iterator[Step]:
    """Show how far long work has come, on stderr; the value is a function to call with each step.

    On a terminal a bar that redraws; without one, a line of text every two seconds and one when the work is done; work that
    is shorter than that says nothing.
    """
    if on_terminal(sys.stderr):
        with _bar(title) as step:
            yield step
        return
    shown = monotonic()
    last, any_shown = "", False

    def line(share: float | None, text: str) -> None:
        nonlocal shown, last, any_shown
        last = f"{title}: {'' if share is None else f'{share:4.0%} '}{text}".rstrip()
        if monotonic() - shown >= LINE_EVERY:
            click.echo(last, err=True)
            shown, last, any_shown = monotonic(), "", True

    yield line
    if last and any_shown:
        click.echo(last, err=True)


@contextmanager
def _bar(title: str) -> Iterator[Step]:
    """A rich progress bar on stderr that goes away when the work is done."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TextColumn("{task.fields[now]}"), console=console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(title, total=None, now="")

        def step(share: float | None, text: str) -> None:
            bar.update(task, completed=share or 0.0, total=None if share is None else 1.0, now=text)

        yield step
