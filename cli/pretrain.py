"""``octod base train | export``: a base model from installed packages."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from octod.core.errors import TrainingProblem

__all__ = ["export", "train"]

_out_option = click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the model."
)


@click.command()
@click.option(
    "--site-packages",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Installed packages to learn from; those with a permissive licence are used. May be given several times.",
)
@click.option(
    "--work",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the corpus and the checkpoint; the same folder again goes on where it stopped.",
)
@_out_option
@click.option(
    "--minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Time to train.",
)
@click.option("--size", type=click.Choice(["small", "large"]), help="5.5 or 31 million parameters (default: large on a GPU).")
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Go on from a base that this command made, with its shape and its tokenizer.",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="A factor on the learning rates, for going on.")
@click.option("--calls", type=click.FloatRange(0, 1), metavar="SHARE", help="Share of what is read that is centred on a call (default: 0.6).")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Default: a GPU where there is one.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Windows of 512 tokens a step (default: 256 on a GPU, else 16).")
@click.option("--at-once", type=click.IntRange(1), metavar="N", help="Of those, in memory together; fewer for a small GPU.")
def train(
    site_packages: tuple[Path, ...], work: Path, out: Path, minutes: float, size: str | None, start: Path | None, rate: float | None,
    calls: float | None, device: str | None, batch: int | None, at_once: int | None,
) -> None:
    """Train a base model from installed packages, on a CPU or a GPU; needs the [train] extra.

    Progress is printed line by line. Ctrl-C or SIGTERM saves a checkpoint.
    """
    import subprocess

    _need_torch()
    chosen = {"size": size, "start": start, "rate": rate, "calls": calls, "device": device, "batch": batch, "at-once": at_once}
    # A process of its own: torch's compiler and a signal handler of its own stay out of this one.
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "octod.adapters.base.pretrain"),
            *(f"--site-packages={folder}" for folder in site_packages),
            *("--work", str(work)),
            *("--out", str(out)),
            *("--minutes", str(minutes)),
            *(f"--{name}={value}" for name, value in chosen.items() if value is not None),
        ],
        check=False,
    )
    if ended.returncode:
        raise TrainingProblem(f"the training ended with {ended.returncode}", "its last lines above say why")


@click.command()
@click.option(
    "--work",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that `octod base train` works in, also while it does.",
)
@_out_option
def export(work: Path, out: Path) -> None:
    """Write the last checkpoint of a training as a model folder."""
    _need_torch()
    from octod.adapters.base.export import export_base

    if not (work / "checkpoint.pt").exists():
        raise TrainingProblem(f"{work} has no checkpoint", "start with `octod base train --work` that folder")
    export_base(work, out)
    click.echo(f"exported to {out}")


def _need_torch() -> None:
    """TrainingProblem with the command that installs it when torch is missing."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise TrainingProblem("this needs torch, which is not installed", "pip install 'octod[train]'")
