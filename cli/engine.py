"""``octod engine``: what runs the language model: the engine inside octod, vLLM on this machine, or a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from octod.cli.output import json_option, progress, show_json, show_table, size_text
from octod.core.errors import EngineProblem, UsageError
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.core.settings import Settings

__all__ = ["engine"]


@click.group()
def engine() -> None:
    """Install, choose and look at what runs the language model.

    `embedded` is inside octod and needs nothing. `vllm` is for large bases, GPUs and teams: one server, many adapters.
    """


@engine.command()
@click.argument("name", type=click.Choice(["vllm"]))
@click.option("--build", type=click.Choice(["cpu", "cuda"]), help="Which build (default: what fits this machine).")
@click.option("--python", "interpreter", help="The Python to make the environment with (default: octod's own).")
def install(name: str, build: str | None, interpreter: str | None) -> None:
    """Install vLLM into an environment of its own below octod's data folder, from the package index.

    It takes minutes and gigabytes. Nothing is half installed: a command that fails or is killed leaves nothing that
    counts. octod's own environment stays as it is. `octod engine use vllm` then takes it into use.
    """
    import shutil

    from octod.cli.vllm_install import fitting_build
    from octod.cli.vllm_install import install as make
    from octod.daemon.engines.vllm_machine import build_of, installed_python

    paths = Paths.of()
    try:
        found = build_of(installed_python(paths))
        click.echo(f"vllm {found.version} ({found.kind}) is installed already; `octod engine remove vllm` removes it")
        return
    except EngineProblem:
        pass  # that is why it is installed
    python = Path(shutil.which(interpreter) or interpreter).expanduser() if interpreter else Path(sys.executable)
    with progress("engine install") as step:
        found = make(paths, build or fitting_build(), python, step)
    click.echo(f"installed vllm {found.version} ({found.kind}); take it into use with `octod engine use vllm`")


@engine.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the engines, which one the settings name, and where each is."""
    from octod.daemon.engines.vllm_machine import build_of

    settings = _settings()
    try:
        build = build_of(_python(settings))
        told, place = f"{build.version} ({build.kind})", str(build.python)
    except EngineProblem as error:
        told, place = "not installed", error.hint
    used = "server" if settings.engine == "vllm" and settings.engine_url else settings.engine
    rows = [
        ("embedded", _version(), "inside octod", used == "embedded"),
        ("vllm", told, place, used == "vllm"),
        *([("server", "", settings.engine_url, used == "server")] if settings.engine_url else []),
        *([("none", "", "the index alone", True)] if used == "none" else []),
    ]
    if as_json:
        show_json([dict(zip(("name", "version", "place", "used"), row, strict=True)) for row in rows])
        return
    show_table(("engine", "version", "place", "used"), [(n, v, p, "yes" if u else "") for n, v, p, u in rows])


@engine.command()
@click.argument("name", metavar="ENGINE")
@click.option("--token", default="", help="What the server at a URL wants to be told (its API key).")
@click.option("--adapters", "folder", default="", help="A folder that this machine and the server at a URL both see.")
def use(name: str, token: str, folder: str) -> None:
    """Run the model with another engine from now on; a running daemon changes over at once.

    ENGINE is embedded, vllm (the installed one) or none; or the interpreter of an environment that has vLLM; or the URL
    (https://HOST:PORT or unix:/PATH) of a server of vLLM's kind, which is asked whether it will do before anything is changed.
    While such a server does not answer, the embedded engine does.
    """
    from octod.cli.asking import tell_base_changed
    from octod.core.settings import change_setting
    from octod.daemon.engines.vllm_machine import build_of

    paths, settings = Paths.of(), _settings()
    values = {"engine": name, "engine_python": settings.engine_python, "engine_url": "", "engine_token": "", "engine_adapters": ""}
    if ":" in name:
        shared = str(Path(folder).expanduser().absolute()) if folder else ""
        values |= {"engine": "vllm", "engine_url": name, "engine_token": token, "engine_adapters": shared}
        _tell(_examined(name, token, shared))
    elif token or folder:
        raise UsageError("--token and --adapters belong to a server's URL", "`octod engine use --help`")
    elif name == "vllm" or "/" in name:
        python = _python(settings) if name == "vllm" else Path(name).expanduser().absolute()
        build = build_of(python)
        values |= {"engine": "vllm"} if name == "vllm" else {"engine": "vllm", "engine_python": str(python)}
        click.echo(f"vllm {build.version} ({build.kind}) at {build.python}")
    elif name not in ("embedded", "none"):
        raise UsageError(f"there is no engine {name!r}", "take embedded, vllm, none, an interpreter that has vLLM, or a server's URL")
    for key, value in values.items():
        if getattr(settings, key) != value:
            change_setting(paths.config, key, value)
    click.echo(f"in use: {name}")
    tell_base_changed()


@engine.command()
def used() -> None:
    """Print what `octod engine use` takes to choose the engine in use again, in another OCTOD_HOME too."""
    settings = _settings()
    local = str(_python(settings)) if settings.engine == "vllm" else settings.engine
    click.echo(settings.engine_url if settings.engine == "vllm" and settings.engine_url else local)


@engine.command()
@click.argument("url")
@click.option("--token", default="", help="What the server wants to be told (its API key).")
@click.option("--adapters", "folder", default="", help="A folder that this machine and the server both see.")
@json_option
def check(url: str, token: str, folder: str, as_json: bool) -> None:
    """Ask a server whether it will do: its dialect, its constraints, adapters, and how long an answer takes."""
    found = _examined(url, token, folder)
    if as_json:
        show_json(found)
        return
    _tell(found)


@engine.command()
@json_option
def status(as_json: bool) -> None:
    """Show what the running daemon's engine does: its state, process, memory and adapters."""
    from octod.daemon.client import connect

    with connect(Paths.of()) as daemon:
        found: dict[str, Any] = daemon.request("status", {}).get("model") or {}
    found["memory"] = _memory(found.get("pid"))
    if as_json:
        show_json(found)
        return
    state = "ready" if found.get("ready") else "starting"
    rows = [
        ("engine", str(found.get("engine"))),
        ("state", str(found.get("problem") or state)),
        *([("now", str(found["doing"]))] if found.get("doing") else []),
        ("base", f"{found.get('base')}, context {found.get('context')}"),
        *([("process", str(found["pid"])), ("memory", size_text(found["memory"]))] if found.get("pid") else []),
        ("adapters", ", ".join(found.get("adapters") or ()) or "none in use"),
        ("late", f"{found.get('late', 0)} answers"),
    ]
    show_table(("what", "is"), rows)


@engine.command()
@click.argument("name", type=click.Choice(["vllm"]))
def remove(name: str) -> None:
    """Remove the vLLM that `octod engine install` installed."""
    from octod.cli.vllm_install import remove as take_away

    settings = _settings()
    if settings.engine == name and not settings.engine_url and not settings.engine_python:
        raise UsageError("vllm is in use", "choose another engine first: `octod engine use embedded`")
    click.echo("removed vllm" if take_away(Paths.of()) else "vllm is not installed")


def _settings() -> Settings:
    from octod.core.settings import Settings

    return Settings.read(Paths.of().config)


def _python(settings: Settings) -> Path:
    """The interpreter that vLLM is looked for in."""
    from octod.daemon.engines.vllm_machine import installed_python

    return Path(settings.engine_python).expanduser() if settings.engine_python else installed_python(Paths.of())


def _version() -> str:
    from importlib.metadata import version

    return version("octod")


def _examined(url: str, token: str, shared: str) -> dict[str, Any]:
    """What a server does, asked as the daemon asks it; EngineProblem says what it does not do."""
    import asyncio
    import logging
    import time

    from octod.adapters.bases import base_of
    from octod.daemon.engines.protocol import CallConstraint, Prompt
    from octod.daemon.engines.vllm import Remote, VllmEngine

    logging.getLogger("octod").addHandler(logging.NullHandler())  # what is wrong is told as an error
    base = base_of(_settings().base, Paths.of())
    folder = Path(shared).expanduser() if shared else None

    async def ask() -> dict[str, Any]:
        engine = VllmEngine(Remote(url, token), base.folder, Paths.of(), shared=folder, own=False)
        await engine.start()
        try:
            began = time.perf_counter()
            await engine.score(Prompt("import os\n", (), "x = os.path."), ("join", "exists", "isfile"), (), 60.0)
            scored = time.perf_counter()
            await engine.generate(Prompt("import os\n", (), "x = os.path.join("), CallConstraint(names=("os",)), (), 60.0)
            made = time.perf_counter()
        finally:
            await engine.stop()
        return {
            "server": url,
            "base": base.name,
            **engine.findings,
            "adapters": "loaded from the shared folder" if folder else "those that it lists",
            "scores_ms": round((scored - began) * 1e3, 1),
            "arguments_ms": round((made - scored) * 1e3, 1),
        }

    return asyncio.run(ask())


def _tell(found: dict[str, Any]) -> None:
    show_table(("what", "is"), [(key.replace("_", " "), str(value)) for key, value in found.items()])


def _memory(pid: int | None) -> int:
    """Bytes that a process holds, and those of its session where it leads one; 0 where the system does not tell."""
    import os

    if pid is None:
        return 0
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) == pid or os.getsid(int(entry.name)) == pid:
                total += int((entry / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return total * os.sysconf("SC_PAGE_SIZE")
