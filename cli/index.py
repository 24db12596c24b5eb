"""``octod index`` and ``octod search``: what is installed, as octod knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from octod.cli.output import env_option, json_option, progress, show_json, show_table
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.indexer.build import BuildReport, Progress
    from octod.indexer.environment import Environment
    from octod.indexer.store import Index

__all__ = ["fresh_index", "index", "search", "summary"]

LONGEST_SUMMARY = 80  # characters, so that a row of a wide terminal holds name, library and summary


@click.command()
@click.argument("env", required=False)
@click.option("--force", is_flag=True, help="Forget the index first and make all of it again.")
@json_option
def index(env: str | None, force: bool, as_json: bool) -> None:
    """Index the libraries of an environment.

    ENV is a folder, an interpreter or a site-packages; without it the project's own, here or above, the active
    environment, else octod's own. Only what changed since the last time is read. Nothing of the environment is executed.

    The daemon does this by itself for the files that an editor opens.
    """
    from octod.indexer.environment import find_environment

    environment, paths = find_environment(env, Path.cwd()), Paths.of()
    if force:
        _forget(environment, paths)
    report = _build(environment, paths)
    if as_json:
        show_json({"environment": str(environment.root), "found": environment.reason, **asdict(report)})
        return
    click.echo(f"environment {environment.root}")
    if env is None:
        click.echo(f"found by    {environment.reason}")
    click.echo(
        f"index       {report.libraries:,} libraries ({len(report.changed)} read, {len(report.removed)} removed), "
        f"{report.files:,} files, {report.symbols:,} symbols in {report.seconds:.1f} s"
    )
    for problem in report.problems[:10]:
        click.echo(f"passed over {problem}")
    if len(report.problems) > 10:
        click.echo(f"passed over {len(report.problems) - 10} more; --json lists all of them")


def _forget(environment: Environment, paths: Paths) -> None:
    """Empty the index of an environment; the file stays, because a daemon may have it open."""
    from octod.core.paths import private_folder
    from octod.indexer.store import Index

    opened = Index.open(private_folder(paths.indexes) / f"{environment.key}.db")
    try:
        for library in opened.libraries():
            opened.remove_library(library.distribution)
            opened.remove_usage(library.distribution)
    finally:
        opened.close()


def _build(environment: Environment, paths: Paths) -> BuildReport:
    """Bring the index of an environment up to date, with progress shown."""
    from octod.core.paths import private_folder
    from octod.indexer.build import build
    from octod.indexer.history import History
    from octod.indexer.versions import keep_leaving

    private_folder(paths.indexes)
    with progress("index") as step:

        def show(now: Progress) -> None:
            step(now.done / max(now.total, 1), f"{now.stage} {now.library}".rstrip())

        leaving = keep_leaving(History(paths.history))
        return build(environment, paths.indexes / f"{environment.key}.db", progress=show, leaving=leaving)


@contextmanager
def fresh_index(env: str | None) -> Iterator[Index]:
    """The index of an environment, brought up to date first (quick when nothing changed)."""
    from octod.indexer.environment import find_environment
    from octod.indexer.store import Index

    paths = Paths.of()
    environment = find_environment(env, Path.cwd())
    _build(environment, paths)
    opened = Index.open(paths.indexes / f"{environment.key}.db")
    try:
        yield opened
    finally:
        opened.close()


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many results at most.",
)
@env_option
@json_option
def search(query: tuple[str, ...], limit: int, env: str | None, as_json: bool) -> None:
    """Search the names and first documentation lines of the installed libraries.

    Each word of QUERY must begin a word of the name or of the documentation.
    """
    from octod.indexer.documentation import doc_of_member
    from octod.indexer.search import search as search_index
    from octod.indexer.search import symbol_of

    words = " ".join(query)
    with fresh_index(env) as opened:
        found = search_index(opened, words, limit)
        symbols = [symbol_of(opened, hit) for hit in found]
        docs = [doc_of_member(opened, hit.defined, symbol) if symbol else "" for hit, symbol in zip(found, symbols, strict=True)]
    rows = [
        {
            "name": hit.qualified,
            "kind": hit.kind,
            "library": str(hit.library),
            "summary": summary(doc),
            "deprecated": symbol.deprecated if symbol else None,
            "score": round(hit.score, 3),
        }
        for hit, symbol, doc in zip(found, symbols, docs, strict=True)
    ]
    if as_json:
        show_json(rows)
        return
    show_table(
        ("name", "kind", "library", "what it says"),
        [(row["name"], row["kind"], row["library"], row["summary"]) for row in rows],
        empty=f"nothing found for {words!r}",
    )


def summary(doc: str) -> str:
    """The first line of a docstring, shortened to what fits a table."""
    line = doc.strip().partition("\n")[0].strip()
    return line if len(line) <= LONGEST_SUMMARY else line[: LONGEST_SUMMARY - 3].rstrip() + "..."
