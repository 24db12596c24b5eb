"""``octod base``: the base model that adapters are trained for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from octod.cli.output import Step, json_option, progress, show_json, show_table, size_text
from octod.cli.pretrain import export, train
from octod.core.errors import EngineProblem, TrainingProblem, UsageError
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.adapters.identity import BaseModel
    from octod.adapters.registry import Adapter
    from octod.core.settings import Settings
    from octod.daemon.engines.checkpoint import Checkpoint
    from octod.daemon.engines.cost import Speed

__all__ = ["base", "base_in_use"]

# Of Settings.ghost_ms, what generating may take (daemon/service.py), and the tokens of a short argument list.
_GHOST_SHARE, _FEW_TOKENS = 0.7, 8
_MENU = 40  # milliseconds that a menu can spare for a model


@click.group()
def base() -> None:
    """Add, choose, show and train base models.

    NAME is what `octod base list` shows; `octod-base` is the one that ships with octod.
    """


base.add_command(train)
base.add_command(export)


def base_in_use() -> BaseModel:
    """The base model of the settings, else the bundled one; TrainingProblem when there is none."""
    from octod.adapters.bases import base_of

    return base_of(_settings().base, Paths.of())


@base.command()
@click.argument("source", metavar="PATH_OR_HUB_ID")
@click.option("--name", help="What to call it (default: the last part of the path or id, in small letters).")
@json_option
def add(source: str, name: str | None, as_json: bool) -> None:
    """Add a Llama, Qwen2 or Qwen3 checkpoint: a folder, or ORGANISATION/MODEL of the Hugging Face hub.

    The folder needs config.json, tokenizer.json and safetensors in bf16, fp16 or fp32. It is kept below octod's data folder, with the
    hashes of its files. Weights that lie in the same file system take no room of their own (a reflink or a hard link, which
    stays when the original is deleted); from another one they are copied. Nothing is half added: a command that fails or is
    killed leaves nothing that counts.

    This command asks a network only for a hub id (HF_ENDPOINT, HF_HUB_CACHE and HF_HUB_OFFLINE count as
    they do for the hub's own tools); without a network, what lies in the hub's cache is used.
    """
    from datetime import UTC, datetime

    from octod.adapters.bases import BaseCard, Bases, base_name
    from octod.cli.hub import fetch, is_hub_id
    from octod.daemon.engines.checkpoint import examine

    folder, origin = Path(source).expanduser(), source
    if folder.exists() or not is_hub_id(source):
        origin = str(folder.absolute())
    else:
        folder = fetch(source)
    found = examine(folder)
    card = BaseCard(
        architecture=found.shape.family,
        parameters=found.shape.parameters,
        numbers=found.numbers,
        fim=found.fim,
        licence=found.licence,
        source=origin,
        added=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    wanted = name or base_name(source if folder != Path(source).expanduser() else str(folder.resolve()))
    with progress("base add") as step:
        added = Bases(Paths.of()).add(wanted, folder, found.weights, found.beside, card, step)
    if as_json:
        show_json({"name": added.name, "folder": str(added.folder), "new": bool(added.shared), "card": asdict(added.card)})
        return
    if added.shared:
        room = {"copy": "copied", "reflink": "shared with the original as a reflink", "hard link": "shared as a hard link"}
        click.echo(f"added {added.name}: {size_text(found.size)} of weights, {room[added.shared]}")
    else:
        click.echo(f"{added.name} is there already, with the same content")
    click.echo(_memory_text(found))
    click.echo(f"use it with `octod base use {added.name}`")


@base.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the base models; the one in use is marked."""
    from octod.adapters.bases import BUNDLED, Bases
    from octod.adapters.identity import bundled_base
    from octod.daemon.engines.checkpoint import examine

    setting, adapters = _settings().base, _adapters()
    bundled = bundled_base()
    found = examine(bundled.folder)
    rows: list[dict[str, Any]] = [
        {
            "name": BUNDLED, "used": setting in ("", BUNDLED), "architecture": found.shape.family,
            "parameters": found.shape.parameters, "fim": found.fim, "bytes": found.size, "source": "octod",
            "weights": bundled.weights_hash, "adapters": len(_belonging(bundled, adapters)), "changed": False,
        }
    ]
    for one in Bases(Paths.of()).all():
        card, model = one.card, one.model()
        size = sum(entry[0] for name, entry in (card.files or {}).items() if name.endswith(".safetensors"))
        rows.append(
            {
                "name": one.name, "used": setting == one.name, "architecture": card.architecture,
                "parameters": card.parameters, "fim": card.fim, "bytes": size, "source": card.source,
                "weights": model.weights_hash, "adapters": len(_belonging(model, adapters)), "changed": not one.unchanged,
            }
        )
    if as_json:
        show_json(rows)
        return
    columns = ("", "name", "architecture", "parameters", "FIM", "size", "adapters", "weights", "source")
    show_table(
        columns,
        [
            (
                "*" if row["used"] else "",
                row["name"],
                row["architecture"],
                _count(row["parameters"]),
                row["fim"] or "none",
                size_text(row["bytes"]),
                row["adapters"],
                row["weights"][:12],
                f"{row['source']}{' (changed since)' if row['changed'] else ''}",
            )
            for row in rows
        ],
    )
    if not any(row["used"] for row in rows):
        click.echo(f"in use: {setting}")


@base.command()
@click.argument("name")
def use(name: str) -> None:
    """Serve with another base model from now on; a running daemon takes it up at once.

    NAME is an added base, `octod-base`, or a folder. What it needs of memory is told, and how fast it is here is measured, before
    anything is changed. Adapters belong to the base that they were trained for: `octod train --all` rebuilds them.
    """
    from octod.adapters.bases import BUNDLED, Bases, base_of
    from octod.cli.asking import tell_base_changed
    from octod.core.settings import change_setting
    from octod.daemon.engines.checkpoint import examine
    from octod.daemon.engines.cost import machine_memory, require_memory

    paths, settings = Paths.of(), _settings()
    path = Path(name).expanduser()
    if name != BUNDLED and "/" in name:
        name = str(path.absolute())
    model = base_of(name, paths)
    found = examine(model.folder)
    require_memory(name, found.shape, machine_memory())
    click.echo(_memory_text(found))
    with progress("base use") as step:
        speed = _measured(model, found, settings, step)
    click.echo(_verdict(speed, settings))
    change_setting(paths.config, "base", "" if name == BUNDLED else name)
    click.echo(f"in use: {Bases(paths).folder / name if '/' not in name and name != BUNDLED else name}")
    adapters = _adapters()
    if others := len(adapters) - len(_belonging(model, adapters)):
        click.echo(f"adapters of other bases: {others}, refused from now on; `octod train --all` rebuilds them")
    tell_base_changed()


@base.command()
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """Show a base model (default: the one in use): what it is, what it needs, how fast it is here, and its adapters."""
    import json

    from octod.adapters.bases import BaseCard, Bases, base_of
    from octod.daemon.engines.checkpoint import examine
    from octod.daemon.engines.cost import memory_needed

    settings = _settings()
    model = base_of(settings.base if name is None else name, Paths.of())
    found = examine(model.folder)
    shape = found.shape
    added = next((one for one in Bases(Paths.of()).all() if one.folder == model.folder), None)
    with progress("base show") as step:
        speed = _kept_speed(model, found, settings) or _measured(model, found, settings, step)
    path = model.folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    adapters = [adapter.name for adapter in _belonging(model, _adapters())]
    kept: BaseCard | None = added.card if added is not None else None
    facts: dict[str, Any] = {
        "name": model.name,
        "folder": str(model.folder),
        "source": kept.source if kept else "",
        "added": kept.added if kept else "",
        "unchanged": added.unchanged if added else True,
        "licence": found.licence or ", ".join(map(str, card.get("licences", ()))),
        "architecture": asdict(shape),
        "parameters": shape.parameters,
        "numbers": found.numbers,
        "context": shape.context,
        "fim": found.fim,
        "weights": model.weights_hash,
        "tokenizer": model.tokenizer_hash,
        "bytes": found.size,
        "memory": memory_needed(shape),
        "speed": asdict(speed) if speed else None,
        "in_time": _verdict(speed, settings),
        "adapters": adapters,
    }
    if as_json:
        show_json({**facts, "card": card})
        return
    heads = f"{shape.heads} heads ({shape.kv_heads} of keys and values) of {shape.head_size}"
    tied = "tied" if shape.tied else "untied"
    plain = [(key, f"{value:,}" if isinstance(value, int) else str(value)) for key, value in card.items()]
    known = {*facts, "vocabulary", "licences"}
    rows = [
        ("folder", f"{model.folder}{'' if facts['unchanged'] else ' (changed since it was added)'}"),
        *([("source", f"{kept.source}, added {kept.added}")] if kept else []),
        ("licence", (facts["licence"] or "not declared")[:200]),
        ("architecture", f"{shape.family}: {shape.layers} layers of {shape.hidden}, {heads}, {tied} embeddings"),
        ("parameters", f"{shape.parameters:,} in {found.numbers}"),
        ("context", f"{shape.context} tokens, vocabulary {shape.vocabulary:,}"),
        ("FIM", found.fim or "none: it reads up to the cursor"),
        ("weights", model.weights_hash),
        ("tokenizer", model.tokenizer_hash),
        ("size", size_text(found.size)),
        ("engine", _memory_text(found)),
        ("speed", _verdict(speed, settings)),
        ("adapters", ", ".join(adapters) or "none yet; `octod train PACKAGE` makes one"),
        *((key, value) for key, value in plain if key not in known and len(value) <= 200),
    ]
    show_table(("base", model.name), rows)


@base.command()
@click.argument("name")
def rm(name: str) -> None:
    """Remove an added base and the engine's form of it; adapters that were trained for it are kept."""
    import shutil

    from octod.adapters.bases import Bases
    from octod.daemon.engines.graph import graph_folder
    from octod.daemon.engines.shape import read_shape

    paths = Paths.of()
    if _settings().base == name:
        raise UsageError(f"{name} is in use", "choose another one first: `octod base use octod-base`")
    bases = Bases(paths)
    made = None
    if (folder := bases.folder / name).is_dir() and (added := bases.get(name)) is not None:
        try:
            made = graph_folder(added.model().weights_hash, read_shape(folder), paths.cache)
        except (EngineProblem, TrainingProblem):
            made = None  # a damaged one can be removed too; the cache may be deleted at any time
    bases.remove(name)
    if made is not None:
        shutil.rmtree(made, ignore_errors=True)
    click.echo(f"removed {name}")


def _settings() -> Settings:
    from octod.core.settings import Settings

    return Settings.read(Paths.of().config)


def _adapters() -> list[Adapter]:
    from octod.adapters.registry import Registry

    if not Paths.of().registry.exists():
        return []
    with Registry.open(Paths.of()) as registry:
        return list(registry.adapters())


def _belonging(model: BaseModel, adapters: list[Adapter]) -> list[Adapter]:
    """The adapters that were trained for a base."""
    wanted = (model.weights_hash, model.tokenizer_hash)
    return [adapter for adapter in adapters if (adapter.base_weights, adapter.base_tokenizer) == wanted]


def _kept_speed(model: BaseModel, found: Checkpoint, settings: Settings) -> Speed | None:
    """How fast the embedded engine was with a base here the last time that it was measured."""
    from octod.daemon.engines.cost import read_speed
    from octod.daemon.engines.graph import graph_folder

    folder = graph_folder(model.weights_hash, found.shape, Paths.of().cache)
    return read_speed(folder, settings.engine_threads)


def _measured(model: BaseModel, found: Checkpoint, settings: Settings, step: Step) -> Speed | None:
    """How fast the embedded engine is with a base here and now; None where there is not enough free memory to load it."""
    from octod.daemon.engines.cost import machine_memory, measure, memory_needed
    from octod.daemon.engines.decoder import Decoder
    from octod.daemon.engines.graph import cached_graph

    free = machine_memory().free
    if free is not None and memory_needed(found.shape) > free:
        return None
    step(None, "making the engine's form of the weights")
    path, shape = cached_graph(model, Paths.of().cache)
    step(None, "loading it")
    threads = settings.engine_threads
    return measure(Decoder(path, shape, threads), path.parent, threads, lambda what: step(None, what))


def _memory_text(found: Checkpoint) -> str:
    from octod.daemon.engines.cost import machine_memory, memory_needed

    machine = machine_memory()
    free = "" if machine.free is None else f", {size_text(machine.free)} of it free now"
    needed = size_text(memory_needed(found.shape))
    return f"the embedded engine needs about {needed} of memory; this machine has {size_text(machine.total)}{free}"


def _verdict(speed: Speed | None, settings: Settings) -> str:
    """Whether answers come in time, with the figures."""
    if speed is None:
        return "not measured: there is not enough free memory to load it now"
    menus = speed.menu <= (settings.menu_model_ms or _MENU)
    ghost = settings.ghost_ms * _GHOST_SHARE >= _FEW_TOKENS * speed.token
    figures = f"a token takes {speed.token:.1f} ms, a menu {speed.menu:.1f} ms, a prompt {speed.prompt:.0f} ms ({speed.threads} threads)"
    match menus, ghost:
        case True, True:
            told = "in time for menus and ghost text"
        case True, False:
            told = "in time for menus, too slow to write ghost text"
        case False, True:
            told = "in time for ghost text; menus will come from the index alone"
        case _:
            told = "too slow here: menus will come from the index alone, ghost text from what was written before"
    asked = "" if settings.menu_model_ms else f"; menus ask it once menu_model_ms is set, {_MENU} for instance"
    return f"{told}: {figures}{asked}"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"
