"""``octod train PACKAGE``: an adapter for one installed library."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import click
from octod.cli.output import env_option, json_option, progress, show_json
from octod.core.paths import Paths

__all__ = ["project_around", "train"]


@click.command()
@click.argument("package")
@env_option
@click.option(
    "--minutes",
    default=12.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Wall clock for everything: mining, training, evaluation.",
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A source folder of yours that calls the package, to learn from too; may be given more than once. Without it: the "
    "project you stand in.",
)
@click.option(
    "--measure",
    "measured",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A source folder to measure on, never learned from; may be given more than once.",
)
@json_option
def train(
    package: str,
    env: str | None,
    minutes: float,
    repositories: tuple[Path, ...],
    measured: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Train an adapter for an installed package.

    PACKAGE is a distribution or an import name. Its calls are mined from the installed files and the named repositories;
    nothing of them is executed. The adapter is evaluated on call sites kept apart, beside the base model without it, then
    published, and a running daemon uses it at once for files that import the package. It is refused again when the
    installed version changes.

    Needs the [train] extra: pip install 'octod[train]'. Ctrl-C keeps a checkpoint; the same command goes on from it.
    """
    from octod.adapters.train import Progress, train_package
    from octod.cli.adapters import show_figures
    from octod.cli.asking import tell_adapters_changed
    from octod.cli.base import base_in_use
    from octod.indexer.environment import find_environment

    environment = find_environment(env, Path.cwd())
    repositories = repositories or project_around(Path.cwd())
    with progress(f"train {package}") as step:

        def show(now: Progress) -> None:
            step(now.share, f"{now.stage} {now.detail}".rstrip())

        trained = train_package(
            package,
            environment,
            Paths.of(),
            minutes=minutes,
            progress=show,
            base=base_in_use(),
            repositories=[folder.absolute() for folder in repositories],
            measured=[folder.absolute() for folder in measured],
            command=_command(package, env, minutes, repositories, measured),
        )
    tell_adapters_changed()
    if as_json:
        show_json(
            {"adapter": trained.adapter.name, "card": asdict(trained.card), "problems": trained.problems}
        )
        return
    click.echo(f"published {trained.adapter.name}")
    kinds = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(trained.card.kinds.items()))
    click.echo(f"samples   {kinds}")
    click.echo(f"took      {trained.card.seconds:.0f} s, {trained.card.steps} steps\n")
    show_figures(trained.figures)
    for note in trained.card.notes:
        click.echo(f"note      {note}")


def project_around(folder: Path) -> tuple[Path, ...]:
    """The repository or project that ``folder`` lies in, if it lies in one."""
    for above in (folder, *folder.parents):
        if (above / ".git").exists() or (above / "pyproject.toml").is_file():
            return (above,)
    return ()


def _command(
    package: str, env: str | None, minutes: float, repositories: tuple[Path, ...], measured: tuple[Path, ...]
) -> str:
    """The command that makes this adapter again, for its card."""
    words = ["octod", "train", package, "--minutes", f"{minutes:g}"]
    words += ["--env", env] if env else []
    for option, paths in (("--repository", repositories), ("--measure", measured)):
        for path in paths:
            words += [option, str(path)]
    return shlex.join(words)
