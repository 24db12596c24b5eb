"""Write a checkpoint as a folder that `transformers` and the engines load, with its card.

    python -m octod.adapters.base.export --work DIR --out DIR

Works at any moment: the checkpoint is replaced atomically, so training goes on undisturbed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["export_base"]

SHARD = 16_000_000  # bytes of weights in one file at most


def _now() -> datetime:
    return datetime.now(UTC)


def export_base(work: Path, out: Path, name: str = "octod-base", now: Callable[[], datetime] = _now) -> None:
    """Export `work/checkpoint.pt` to `out`: bf16 weights, configuration, tokenizer, `card.json`, `README.md`.

    Weights of more than 16 MB are several files and an index, as the hub's tools write them: each is small enough to move.

    Raises:
        FileNotFoundError: there is no checkpoint yet.
    """
    import torch
    from octod.adapters.base.model import ModelConfig
    from octod.adapters.prompt import END, PAD, SPECIAL_TOKENS

    state: dict[str, Any] = torch.load(work / "checkpoint.pt", map_location="cpu", weights_only=True)
    shape = ModelConfig(**state["shape"])
    out.mkdir(parents=True, exist_ok=True)
    weights = {key: value.to(torch.bfloat16).contiguous() for key, value in state["model"].items()}
    fresh = out / "new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    _write_weights(weights, fresh)
    for old in out.glob("model*.safetensors*"):
        if not (fresh / old.name).exists():
            old.unlink()
    for file in sorted(fresh.iterdir()):
        file.chmod(0o644)  # safetensors creates it for the owner alone, and this one goes into a wheel
        file.replace(out / file.name)
    fresh.rmdir()
    end, pad = SPECIAL_TOKENS.index(END), SPECIAL_TOKENS.index(PAD)
    ids = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    _write_json(out / "config.json", shape.to_transformers() | ids)
    _write_json(
        out / "generation_config.json", {"eos_token_id": end, "pad_token_id": pad, "do_sample": False}
    )
    for file in (work / "tokenizer").iterdir():
        shutil.copyfile(file, out / file.name)
    manifest = json.loads((work / "manifest.json").read_text(encoding="utf-8"))
    progress = state["progress"]
    # What it went on from counts too: its steps, its time and its data.
    before: dict[str, Any] = json.loads(state["start"]) if state.get("start") else {}
    data = {(row["distribution"], row["version"]): row for row in (*before.get("data", ()), *manifest["used"])}
    # Folders of the machine it was made on are nobody's business.
    command = re.sub(r"(?<=[\s=])/\S*/", "…/", state["command"])
    card = {
        "name": name,
        "created": now().isoformat(timespec="seconds"),
        "parameters": sum(value.numel() for value in weights.values()),
        "tokens_seen": progress["tokens"],
        "steps": before.get("steps", 0) + progress["step"],
        "training_seconds": before.get("training_seconds", 0) + round(progress["seconds"]),
        "held_out_bits_per_byte": progress["bits_per_byte"],
        "held_out_call_loss": progress["call_loss"],
        "vocabulary": shape.vocabulary,
        "context": shape.context,
        "command": f"{before['command']} && {command}" if before else command,
        "licences": sorted({row["licence"] for row in data.values()}),
        "data": list(data.values()),
    }
    _write_json(out / "card.json", card)
    (out / "README.md").write_text(_readme(card), encoding="utf-8")


def _write_weights(weights: dict[str, Tensor], folder: Path) -> None:
    """One file, or as many as `SHARD` asks for and the index that `transformers` reads them by."""
    from safetensors.torch import save_file

    files: list[dict[str, Tensor]] = [{}]
    room = SHARD
    for key, value in weights.items():
        if value.nbytes > room and files[-1]:
            files.append({})
            room = SHARD
        files[-1][key] = value
        room -= value.nbytes
    if len(files) == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    where: dict[str, str] = {}
    for number, part in enumerate(files, 1):
        file = f"model-{number:05}-of-{len(files):05}.safetensors"
        save_file(part, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    size = sum(value.nbytes for value in weights.values())
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": where})


def _readme(card: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {row['distribution']} | {row['version']} | {row['licence']} | {row['files']} | {row['bytes']:,} "
        f"| {'held out' if row['held_out'] else 'training'} |"
        for row in card["data"]
    )
    bits, loss = card["held_out_bits_per_byte"], card["held_out_call_loss"]
    figures = (
        "not measured yet"
        if bits is None or loss is None
        else f"{bits:.3f} bits per byte on text, {loss:.3f} nats per token on calls"
    )
    return f"""# {card["name"]}

A causal language model for Python calls, trained from nothing on permissively licensed installed packages.
Llama architecture, {card["parameters"]:,} parameters, byte-level BPE of {card["vocabulary"]:,} entries,
context {card["context"]}. The prompt format is defined in `octod.adapters.prompt`.

* Seen: {card["tokens_seen"]:,} tokens in {card["steps"]:,} steps, {card["training_seconds"] / 60:.0f} minutes.
* On held-out distributions: {figures}.
* Never seen: the distributions in `adapters/base/excluded.txt`, which octod is measured on.
* Made on {card["created"]} by `{card["command"]}`

## Data

| distribution | version | licence | files | bytes | use |
|---|---|---|---|---|---|
{rows}
"""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="the work folder of a pretraining run")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    export_base(options.work, options.out)


if __name__ == "__main__":
    main()
