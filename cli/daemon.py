"""``octod start | stop | status | logs``: the daemon's life from the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from octod.cli.output import json_option, show_json, show_table
from octod.core.errors import DaemonError
from octod.core.paths import Paths

__all__ = ["duration", "logs", "show_status", "start", "status", "stop"]

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
    show_status(found)


def show_status(found: Mapping[str, Any]) -> None:
    """The daemon's status as a person reads it; what a daemon of another version does not tell is left out."""
    uptime = float(found.get("uptime", 0.0))
    click.echo(
        f"octod {found.get('version')}, {found.get('state')}, pid {found.get('pid')}, up {duration(uptime)}"
    )
    if problem := found.get("problem"):
        click.echo(f"problem   {problem.get('message')}\n  hint: {problem.get('hint') or 'octod logs'}")
    model = found.get("model") or {}
    if model:
        ready = "ready" if model.get("ready") else "starting"
        click.echo(f"engine    {model.get('engine')}, {model.get('problem') or ready}")
        if model.get("doing"):
            click.echo(f"          {model['doing']}")
        click.echo(f"base      {model.get('base') or 'none'}")
        click.echo(f"adapters  {', '.join(model.get('adapters') or ()) or 'none in use'}")
        for name, reason in (model.get("refused") or {}).items():
            click.echo(f"refused   {name}: {reason}")
    if found.get("degraded"):
        click.echo(f"degraded  {found['degraded']}")
    if routes := found.get("routes"):
        click.echo(f"menus     {found.get('menus')}: {_shares(routes)}")
    running = [job for job in found.get("jobs") or () if job.get("state") == "running"]
    for job in running:
        share = f" {job['share']:.0%}" if job.get("share") is not None else ""
        click.echo(f"running   {job.get('name')}{share} {job.get('message')}".rstrip())
    rows = [
        (
            str(each.get("environment")),
            str(each.get("python", "")),
            int(each.get("libraries", 0)),
            str(each.get("problem") or ("fresh" if each.get("ready") else "being indexed")),
            ", ".join(each.get("projects") or ()),
            f"{each.get('menus', 0)}: {_shares(each.get('routes') or {})}".rstrip(": "),
        )
        for each in found.get("workspaces") or ()
    ]
    if rows:
        click.echo()
        show_table(("environment", "python", "libraries", "index", "projects", "menus"), rows)


def _shares(routes: Mapping[str, float]) -> str:
    """The shares of the routes that menus were found by, the largest first."""
    ordered = sorted(routes.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in ordered)


def duration(seconds: float) -> str:
    """A span as people say it: ``42 s``, ``17 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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
