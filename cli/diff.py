"""``octod diff LIBRARY OLD NEW``: what changed between two versions of a library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from octod.cli.output import env_option, json_option, show_json
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.indexer.diff import ApiDiff, Removed

__all__ = ["diff"]

_MOST_ADDED = 20  # shown without --all: what is new breaks nothing


@click.command()
@click.argument("library")
@click.argument("old")
@click.argument("new")
@click.option("--all", "every", is_flag=True, help="Also what only inner modules have, and every added name.")
@env_option
@json_option
def diff(library: str, old: str, new: str, every: bool, env: str | None, as_json: bool) -> None:
    """Compare the public API of two versions of a library.

    OLD and NEW are each `installed`, a version that was installed before or is in another indexed environment, the folder
    of an environment, a site-packages folder, or a wheel. Nothing of them is executed.
    """
    from octod.indexer.diff import compare
    from octod.indexer.environment import find_environment
    from octod.indexer.history import History
    from octod.indexer.versions import find_version

    paths = Paths.of()
    environment, history = find_environment(env, Path.cwd()), History(paths.history)
    versions = [find_version(library, wanted, environment, history, paths.indexes) for wanted in (old, new)]
    found = compare(*versions)
    if as_json:
        show_json(asdict(found))
    else:
        _print(found, every)


def _print(found: ApiDiff, every: bool) -> None:
    """The difference as a person reads it, what breaks code first."""
    counts = [
        f"{len(items):,} {word}"
        for word, items in (
            ("removed", found.removed), ("renamed", found.renamed), ("changed", found.changed),
            ("deprecated", found.deprecated), ("added", found.added),
        )
    ]  # fmt: skip
    click.secho(f"{found.old.distribution} {found.old.version} → {found.new.version}: {', '.join(counts)}", bold=True)
    hidden = 0
    for title, items in (("renamed", found.renamed), ("removed", found.removed), ("deprecated", found.deprecated)):
        shown = [item for item in items if every or item.front]
        hidden += len(items) - len(shown)
        _section(title, map(_line, shown))
    changed = [item for item in found.changed if every or item.front]
    hidden += len(found.changed) - len(changed)
    _section("changed", (f"{item.path}: {'; '.join(item.changes)}" for item in changed))
    added = [path for path, front in found.added if every or front]
    more = [] if every or len(added) <= _MOST_ADDED else [f"and {len(added) - _MOST_ADDED:,} more"]
    _section("added", [*added[: None if every else _MOST_ADDED], *more])
    if hidden:
        click.echo(f"\n{hidden:,} more in inner modules; --all shows them")


def _section(title: str, lines: Iterable[str]) -> None:
    found: Sequence[str] = list(lines)
    if found:
        click.secho(f"\n{title}", bold=True)
        for line in found:
            click.echo(f"  {line}")


def _line(item: Removed) -> str:
    """A name with its successor, else with what the library says of it."""
    if item.successor is not None:
        return f"{item.path} → {item.successor.path}"
    return f"{item.path}  ({item.note[:100]})" if item.note else item.path
