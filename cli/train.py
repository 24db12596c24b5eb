"""``octod train PACKAGE``: an adapter for one installed library; ``octod train --all``: those that must be made again."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click
from octod.cli.output import env_option, json_option, progress, show_json
from octod.core.errors import OctodError, UsageError
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.adapters.identity import BaseModel
    from octod.adapters.train import Trained
    from octod.indexer.environment import Environment

__all__ = ["project_around", "train"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One training: what, for how long, and the source folders to learn from and to measure on."""

    package: str
    minutes: float
    repositories: tuple[Path, ...]
    measured: tuple[Path, ...]


@click.command()
@click.argument("package", required=False)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Instead of PACKAGE: make those adapters again that were trained for another base model or for another version than the "
    "installed one, each as its own command made it.",
)
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
@click.pass_context
def train(
    context: click.Context,
    package: str | None,
    every: bool,
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
    installed version or the base model changes; --all makes those again, and goes on where it was interrupted.

    Needs the [train] extra: pip install 'octod[train]'. Ctrl-C keeps a checkpoint; the same command goes on from it.
    """
    from octod.cli.base import base_in_use
    from octod.indexer.environment import find_environment

    if every == (package is not None):
        raise UsageError("name one package, or say --all", "octod train PACKAGE, or octod train --all")
    environment, base = find_environment(env, Path.cwd()), base_in_use()
    if package is not None:
        folders = repositories or project_around(Path.cwd())
        trained = _train(_Wanted(package, minutes, folders, measured), environment, base, env)
        show_json(_as_json(trained)) if as_json else _tell(trained)
        return
    given = context.get_parameter_source("minutes") is click.core.ParameterSource.COMMANDLINE
    wanted, passed_over = _outdated(environment, base, minutes if given else None)
    done: list[Trained] = []
    failed: dict[str, str] = {}
    for one in wanted:
        try:
            done.append(_train(_Wanted(one.package, one.minutes, one.repositories + repositories, one.measured + measured), environment, base, env))
        except OctodError as error:  # one library's trouble is not the next one's
            failed[one.package] = str(error)
            click.echo(f"{one.package}: {error}", err=True)
            continue
        if not as_json:
            _tell(done[-1])
    if as_json:
        show_json({"trained": [_as_json(trained) for trained in done], "failed": failed, "passed_over": passed_over})
    else:
        for name, reason in passed_over.items():
            click.echo(f"passed over {name}: {reason}")
        if not wanted:
            click.echo(f"nothing to rebuild: every adapter of an installed library fits it and {base.name}")
    if failed:
        raise click.exceptions.Exit(1)


def _train(wanted: _Wanted, environment: Environment, base: BaseModel, env: str | None) -> Trained:
    """One training from the first check to the registry, with its progress shown and the daemon told."""
    from octod.adapters.train import Progress, train_package
    from octod.cli.asking import tell_adapters_changed

    with progress(f"train {wanted.package}") as step:

        def show(now: Progress) -> None:
            step(now.share, f"{now.stage} {now.detail}".rstrip())

        trained = train_package(
            wanted.package,
            environment,
            Paths.of(),
            minutes=wanted.minutes,
            progress=show,
            base=base,
            repositories=[folder.absolute() for folder in wanted.repositories],
            measured=[folder.absolute() for folder in wanted.measured],
            command=_command(wanted, env),
        )
    tell_adapters_changed()
    return trained


def _outdated(
    environment: Environment, base: BaseModel, minutes: float | None
) -> tuple[list[_Wanted], dict[str, str]]:
    """The trainings that give every library with an adapter one that fits; and libraries that cannot have one, with why."""
    from octod.adapters.registry import Registry
    from octod.adapters.routing import unfit
    from octod.indexer.environment import distributions

    installed = {d.library.distribution: d.library for d in distributions(environment)[0]}
    wanted: list[_Wanted] = []
    passed_over: dict[str, str] = {}
    with Registry.open(Paths.of()) as registry:
        adapters = registry.adapters()  # the newest first
        for name in dict.fromkeys(adapter.library.distribution for adapter in adapters):
            own = [adapter for adapter in adapters if adapter.library.distribution == name]
            if name not in installed:
                passed_over[name] = f"it is not installed in {environment.root}"
            elif all(unfit(adapter, installed[name], base) for adapter in own):
                before = _as_before(registry.card(own[0].name).command)
                wanted.append(_Wanted(name, minutes or before.minutes, before.repositories, before.measured))
    return wanted, passed_over


def _as_before(command: str) -> _Wanted:
    """The options of the command that made an adapter; folders that are gone by now are left out."""
    words = shlex.split(command)
    pairs = list(pairwise(words))

    def folders(option: str) -> tuple[Path, ...]:
        return tuple(Path(value) for name, value in pairs if name == option and Path(value).is_dir())

    minutes = next((float(value) for name, value in pairs if name == "--minutes"), 12.0)
    return _Wanted("", minutes, folders("--repository"), folders("--measure"))


def _as_json(trained: Trained) -> dict[str, object]:
    return {"adapter": trained.adapter.name, "card": asdict(trained.card), "problems": trained.problems}


def _tell(trained: Trained) -> None:
    """What became of a training, for a person."""
    from octod.cli.adapters import show_figures

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


def _command(wanted: _Wanted, env: str | None) -> str:
    """The command that makes this adapter again, for its card."""
    words = ["octod", "train", wanted.package, "--minutes", f"{wanted.minutes:g}"]
    words += ["--env", env] if env else []
    for option, paths in (("--repository", wanted.repositories), ("--measure", wanted.measured)):
        for path in paths:
            words += [option, str(path.absolute())]
    return shlex.join(words)
