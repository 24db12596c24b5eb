"""``octod start | stop | status | logs``: the daemon's life from the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from octod.cli.output import json_option, show_json, show_table, size_text
from octod.core.errors import DaemonError
from octod.core.paths import Paths

__all__ = ["logs", "start", "status", "stop"]

# Seconds between two looks at a log that is followed: tail's default.
LOOK_EVERY = 1.0


@click.command()
def start() -> None:
    """Start the daemon.

    Editors start it by themselves; this is for those who want it warm before. When it runs already, that is said,
    and it is no failure.
    """
    from octod.daemon import lifecycle

    started = lifecycle.start(Paths.of())
    click.echo(f"octod {'is running already' if started.already else 'started'} (pid {started.pid})")


@click.command()
def stop() -> None:
    """Stop the daemon, also one that hangs.

    What it was doing is lost, what it has written is not. When none runs, that is said, and it is no failure.
    """
    from octod.daemon import lifecycle

    pid = lifecycle.stop(Paths.of())
    click.echo("octod is not running" if pid is None else f"octod stopped (pid {pid})")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what the daemon is doing: environments, adapters, engine.

    Exit code 3 when no daemon is running.
    """
    from octod.daemon import client

    with client.connect(Paths.of(), any_version=True) as daemon:
        found: Mapping[str, Any] = daemon.request("status", {})
    if as_json:
        show_json(found)
        return
    show_table(("octod", found.get("version", "")), list(flattened(found, skip="version")))


def flattened(found: Mapping[str, Any], *, prefix: str = "", skip: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (dotted key, text) rows; a list of plain values is one row, a list of objects one row each."""
    rows: list[tuple[str, str]] = []
    for key, value in found.items():
        if key == skip:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flattened(value, prefix=f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                rows += (
                    flattened(item, prefix=f"{name}.{number}.")
                    if isinstance(item, Mapping)
                    else [(name, str(item))]
                )
        else:
            rows.append((name, _text(key, value)))
    return rows


def _text(key: str, value: object) -> str:
    """One value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, (int, float)) and key.endswith("bytes"):
        return size_text(value)
    if isinstance(value, float):
        return f"{value:.1f}"
    return "" if value is None else str(value)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Keep printing what is added, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    default=50,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="How many lines from the end.",
)
def logs(follow: bool, lines: int) -> None:
    """Print the end of the daemon's log."""
    path = Paths.of().log
    if not path.exists():
        raise DaemonError(f"there is no log at {path} yet", "start the daemon with `octod start`")
    with path.open(encoding="utf-8", errors="replace") as log:
        from collections import deque

        for line in deque(log, maxlen=lines):
            click.echo(line, nl=False)
    if follow:
        try:
            _follow(path)
        except KeyboardInterrupt:
            click.echo()


def _follow(path: Path) -> None:
    """Print what is appended to ``path``; a log that was rotated away is followed to its successor."""
    from time import sleep

    log = path.open(encoding="utf-8", errors="replace")
    log.seek(0, os.SEEK_END)
    while True:
        for line in log:
            click.echo(line, nl=False)
        if path.exists() and os.fstat(log.fileno()).st_ino != path.stat().st_ino:
            log.close()
            log = path.open(encoding="utf-8", errors="replace")
            continue
        sleep(LOOK_EVERY)
