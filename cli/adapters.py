"""``octod adapters``: the registry of trained adapters from the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from octod.cli.output import json_option, show_json, show_table, size_text
from octod.core.errors import AdapterRefused
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.adapters.registry import Adapter, Registry

__all__ = ["adapters"]


@click.group()
def adapters() -> None:
    """List, check and remove trained adapters.

    NAME is an adapter's name, or a beginning of it that fits only one.
    """


@contextmanager
def _opened() -> Iterator[Registry]:
    from octod.adapters.registry import Registry

    with Registry.open(Paths.of()) as registry:
        yield registry


def _row(adapter: Adapter) -> dict[str, Any]:
    """An adapter as JSON."""
    size = sum(path.stat().st_size for path in adapter.folder.iterdir()) if adapter.folder.is_dir() else 0
    return {**asdict(adapter), "folder": str(adapter.folder), "bytes": size}


@adapters.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the adapters, the newest first."""
    with _opened() as registry:
        rows = [_row(adapter) for adapter in registry.adapters()]
    if as_json:
        show_json(rows)
        return
    show_table(
        ("name", "library", "rank", "base", "size", "created"),
        [
            (
                row["name"],
                f"{row['library']['distribution']} {row['library']['version']}",
                row["rank"],
                row["base_name"],
                size_text(row["bytes"]),
                row["created"],
            )
            for row in rows
        ],
        empty="no adapters yet; make one with `octod train PACKAGE`",
    )


@adapters.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show an adapter's card: what it is for, what it was made of, how well it did."""
    with _opened() as registry:
        adapter = registry.get(name)
        card = registry.card(adapter.name)
    if as_json:
        show_json({**_row(adapter), "card": asdict(card)})
        return
    facts = [
        ("library", str(card.library)),
        ("record", card.library.record),
        ("base", f"{card.base_name} {card.base_weights[:12]}"),
        ("rank, alpha", f"{adapter.rank}, {adapter.alpha:g}"),
        ("created", card.created),
        ("octod", card.octod),
        ("command", card.command),
        ("trained", f"{card.steps} steps in {card.seconds:.0f} s, seed {card.seed}"),
        ("samples", ", ".join(f"{kind}: {count}" for kind, count in sorted(card.kinds.items()))),
        ("sources", ", ".join(f"{source}: {count}" for source, count in sorted(card.sources.items()))),
        ("licences", ", ".join(f"{source}: {licence}" for source, licence in sorted(card.licences.items()))),
        ("folder", str(adapter.folder)),
        *(("note", note) for note in card.notes),
    ]
    show_table(("adapter", adapter.name), facts)
    click.echo()
    show_figures(card.figures)


def show_figures(figures: Any) -> None:
    """The evaluation of an adapter as a table; ``figures`` are those of its card."""
    show_table(
        ("samples kept apart", "condition", "samples", "top-1", "MRR", "exact", "bits/byte"),
        [(f.kind, f.condition, f.samples, f.top1, f.mrr, f.exact, f.bits) for f in figures],
        empty="it was not evaluated",
    )


@adapters.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Check adapters (default: all) as the daemon does before it uses them; exit code 1 when one is refused."""
    with _opened() as registry:
        chosen = [registry.get(name) for name in names] or list(registry.adapters())
        rows = [{"name": adapter.name, "refused": _refusal(registry, adapter.name)} for adapter in chosen]
    if as_json:
        show_json(rows)
    else:
        show_table(
            ("adapter", "verdict"),
            [(row["name"], f"refused: {row['refused']}" if row["refused"] else "ok") for row in rows],
            empty="no adapters yet; make one with `octod train PACKAGE`",
        )
    if any(row["refused"] for row in rows):
        raise click.exceptions.Exit(1)


def _refusal(registry: Registry, name: str) -> str:
    """Why an adapter would be refused; empty when it would serve."""
    try:
        registry.verify(name)
    except AdapterRefused as error:
        return error.message
    return ""


@adapters.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--to", "folder", help="The folder (default: `engine_adapters` of the settings).")
def push(names: tuple[str, ...], folder: str | None) -> None:
    """Put adapters (default: all) where a team's model server finds them: a folder that it reads.

    Each is verified first. What is there already stays as it is: an adapter's name holds the hash of its content.
    """
    from pathlib import Path

    from octod.core.errors import UsageError
    from octod.core.settings import Settings
    from octod.daemon.engines.vllm_adapters import publish

    place = folder or Settings.read(Paths.of().config).engine_adapters
    if not place:
        raise UsageError("no folder is named", "`--to FOLDER`, or set engine_adapters")
    shared = Path(place).expanduser().absolute()
    if not shared.is_dir():
        raise UsageError(f"{shared} is not a folder", "make it, or mount it, where the server sees it too")
    with _opened() as registry:
        for adapter in [registry.get(name) for name in names] or list(registry.adapters()):
            registry.verify(adapter.name)
            click.echo(str(publish(adapter.name, adapter.folder, shared)))


@adapters.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def rm(names: tuple[str, ...]) -> None:
    """Remove adapters and their files; a running daemon stops using them at once."""
    from octod.cli.asking import tell_adapters_changed

    with _opened() as registry:
        found = [registry.get(name).name for name in names]  # all of them exist before the first one goes
        for name in found:
            registry.remove(name)
            click.echo(f"removed {name}")
    tell_adapters_changed()


@adapters.command()
@json_option
def gc(as_json: bool) -> None:
    """Clean up after a crash: files that belong to no adapter go, complete adapters that were not listed are."""
    from octod.cli.asking import tell_adapters_changed

    with _opened() as registry:
        removed = registry.gc()
    tell_adapters_changed()
    if as_json:
        show_json({"removed": removed})
        return
    for name in removed:
        click.echo(f"removed {name}")
    if not removed:
        click.echo("nothing to remove")
