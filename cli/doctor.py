"""``octod doctor``: looks at everything that octod needs and says how to mend what is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
from octod.cli.output import env_option, json_option, on_terminal, show_json, show_table, size_text
from octod.core.errors import OctodError
from octod.core.paths import Paths

__all__ = ["Check", "checks", "doctor"]

State = Literal["ok", "warn", "fail"]

# The index of an environment with 200 packages takes some 100 MB; below the first a build may fail, below the
# second a training may.
LEAST_SPACE, GOOD_SPACE = 200_000_000, 2_000_000_000
# One watch a folder of a project: below this, larger projects are polled instead (inotify's old default was 8,192).
GOOD_WATCHES = 65_536


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and how to mend it unless it is ``ok``."""

    name: str
    state: State
    found: str
    fix: str = ""


@click.command()
@env_option
@json_option
def doctor(env: str | None, as_json: bool) -> None:
    """Look at everything octod needs and say how to mend what is wrong.

    Nothing is changed and nothing is started. Exit code 1 when something fails; a warning is no failure.
    """
    found = list(checks(Paths.of(), env))
    if as_json:
        show_json([asdict(check) for check in found])
    else:
        show_table(("check", "state", "found"), [(c.name, _mark(c.state), c.found) for c in found])
        for check in found:
            if check.state != "ok" and check.fix:
                click.echo(f"\n{check.name}: {check.fix}")
    if any(check.state == "fail" for check in found):
        raise click.exceptions.Exit(1)


def _mark(state: State) -> str:
    """The state as a person sees it at a glance."""
    return {"ok": "✓ ok", "warn": "! warn", "fail": "✗ fail"}[state] if on_terminal() else state


def checks(paths: Paths, environment: str | None = None) -> Iterator[Check]:
    """Every check in turn; one that cannot be made is a failed check, never an exception."""
    every: Iterable[tuple[str, Callable[[], Iterable[Check]]]] = (
        ("python", _python),
        ("folders", lambda: _folders(paths)),
        ("disk", lambda: _disk(paths)),
        ("settings", lambda: _settings(paths)),
        ("daemon", lambda: _daemon(paths)),
        ("environment", lambda: _environment(paths, environment)),
        ("base model", _base),
        ("engine", lambda: _engine(paths)),
        ("adapters", lambda: _adapters(paths)),
        ("training", _training),
        ("watches", _watches),
    )
    for name, check in every:
        try:
            yield from check()
        except OctodError as error:
            yield Check(name, "fail", error.message, error.hint)
        except Exception as error:  # noqa: BLE001  a doctor who faints helps nobody: the fault is a finding
            yield Check(name, "fail", f"{type(error).__name__}: {error}", "report this as a fault in octod")


def _python() -> Iterator[Check]:
    yield Check(
        "python", "ok", f"{platform.python_version()} at {sys.executable}, {os.cpu_count() or 1} cores"
    )


def _folders(paths: Paths) -> Iterator[Check]:
    for name in ("data", "cache", "state", "runtime", "config"):
        folder: Path = getattr(paths, name)
        if folder.is_symlink():
            yield Check(
                f"folder {name}", "fail", f"{folder} is a symbolic link", f"rm {folder}, or set OCTOD_HOME"
            )
        elif not folder.exists():
            above = next(p for p in folder.parents if p.exists())
            if os.access(above, os.W_OK | os.X_OK):
                yield Check(f"folder {name}", "ok", f"{folder} (made when it is needed)")
            else:
                yield Check(
                    f"folder {name}",
                    "fail",
                    f"{folder} cannot be made",
                    f"make {above} writable, or set OCTOD_HOME",
                )
        else:
            yield _folder(name, folder)


def _folder(name: str, folder: Path) -> Check:
    """A folder that exists: ours, private, writable."""
    found = folder.stat()
    if found.st_uid != os.getuid():
        return Check(
            f"folder {name}", "fail", f"{folder} belongs to another user", "set OCTOD_HOME to one of your own"
        )
    if name != "config" and stat.S_IMODE(found.st_mode) & 0o077:
        return Check(f"folder {name}", "warn", f"{folder} is open to others", f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(f"folder {name}", "fail", f"{folder} is not writable", f"chmod u+rwx {folder}")
    return Check(f"folder {name}", "ok", str(folder))


def _disk(paths: Paths) -> Iterator[Check]:
    seen = set()
    for folder in (paths.data, paths.cache):
        place = next(p for p in (folder, *folder.parents) if p.exists())
        device = place.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(place).free
        text = f"{size_text(free)} free for {folder}"
        if free < LEAST_SPACE:
            yield Check(
                "disk",
                "fail",
                text,
                f"free {size_text(LEAST_SPACE)} at least, or set OCTOD_HOME to another disk",
            )
        elif free < GOOD_SPACE:
            yield Check("disk", "warn", text, "enough for an index; a training needs about 2 GB")
        else:
            yield Check("disk", "ok", text)


def _settings(paths: Paths) -> Iterator[Check]:
    from octod.core.settings import Settings

    settings = Settings.read(paths.config)
    path = paths.config / "config.toml"
    yield Check("settings", "ok", f"{path if path.exists() else 'defaults'}, engine {settings.engine}")


def _daemon(paths: Paths) -> Iterator[Check]:
    from octod.daemon import client, lifecycle

    pid = lifecycle.running(paths)
    if pid is None:
        yield Check("daemon", "ok", "not running; an editor or `octod start` starts it")
        return
    with client.connect(paths) as connection:
        status = connection.request("status", {})
    problem = status.get("problem") if isinstance(status, dict) else None
    if isinstance(problem, dict):
        yield Check(
            "daemon", "fail", f"pid {pid}: {problem.get('message')}", str(problem.get("hint") or "octod logs")
        )
        return
    yield Check("daemon", "ok", f"pid {pid}, {status.get('state', 'answering')}")
    if degraded := status.get("degraded"):
        yield Check(
            "watching", "warn", str(degraded), "see `watches` below; changes are found by polling meanwhile"
        )


def _environment(paths: Paths, hint: str | None) -> Iterator[Check]:
    from octod.indexer.environment import distributions, find_environment

    environment = find_environment(hint, Path.cwd())
    installed, problems = distributions(environment)
    yield Check(
        "environment",
        "warn" if problems else "ok",
        f"{environment.root}: {len(installed)} distributions"
        + (f", {len(problems)} unreadable" if problems else "")
        + f"; found through: {environment.reason}",
        "; ".join(problems[:3]),
    )
    yield _index(paths, environment.key, {distribution.library for distribution in installed})


def _index(paths: Paths, key: str, installed: set[object]) -> Check:
    """The index of an environment: there, readable, and of the versions installed now."""
    from octod.indexer.store import Index

    path = paths.indexes / f"{key}.db"
    if not path.exists():
        return Check("index", "warn", "this environment is not indexed yet", "octod index")
    index = Index.open(path)
    try:
        if index.rebuilt:
            return Check("index", "warn", f"{path} is damaged or of another format", "octod index")
        known = set(index.libraries())
    finally:
        index.close()
    missing = len(installed - known)
    size = size_text(path.stat().st_size)
    if missing:
        return Check(
            "index",
            "warn",
            f"{len(known)} libraries, {missing} installed ones missing or changed",
            "octod index",
        )
    return Check("index", "ok", f"{len(known)} libraries, fresh, {size}")


def _base() -> Iterator[Check]:
    from octod.cli.base import base_in_use

    base = base_in_use()
    size = sum(file.stat().st_size for file in base.folder.glob("*.safetensors"))
    yield Check("base model", "ok", f"{base.name}, {size_text(size)}, {base.weights_hash[:12]}")


def _adapters(paths: Paths) -> Iterator[Check]:
    from octod.adapters.registry import Registry
    from octod.core.errors import AdapterRefused

    if not paths.registry.exists():
        yield Check("adapters", "ok", "none yet; `octod train PACKAGE` makes one")
        return
    with Registry.open(paths) as registry:
        names = [adapter.name for adapter in registry.adapters()]
        for name in names:
            try:
                registry.verify(name)
            except AdapterRefused as error:
                yield Check("adapters", "fail", f"{name}: {error.message}", error.hint)
    yield Check("adapters", "ok", f"{len(names)} in the registry")


def _engine(paths: Paths) -> Iterator[Check]:
    """Whether what the settings want to run the model with is there; a server's own answers are `octod engine check`'s."""
    from octod.core.settings import Settings

    settings = Settings.read(paths.config)
    if settings.engine != "vllm":
        yield Check("engine", "ok", settings.engine)
    elif settings.engine_url:
        yield Check("engine", "ok", f"the server at {settings.engine_url}; `octod engine check` asks it")
    else:
        from octod.daemon.engines.vllm_machine import build_of, installed_python

        python = Path(settings.engine_python).expanduser() if settings.engine_python else installed_python(paths)
        build = build_of(python)
        yield Check("engine", "ok", f"vllm {build.version} ({build.kind}) at {build.python}")


def _training() -> Iterator[Check]:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft") if find_spec(name) is None]
    if missing:
        yield Check(
            "training",
            "warn",
            f"{', '.join(missing)} not installed: `octod train` cannot run",
            "pip install 'octod[train]'",
        )
    else:
        yield Check("training", "ok", "torch, transformers and peft are installed")


def _watches() -> Iterator[Check]:
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    if not limit.exists():
        yield Check("watches", "ok", "no inotify here")
        return
    count = int(limit.read_text())
    fix = f"sudo sysctl fs.inotify.max_user_watches={8 * GOOD_WATCHES}; without it large projects are polled"
    yield Check(
        "watches", "ok" if count >= GOOD_WATCHES else "warn", f"{count:,} folders may be watched", fix
    )
