"""``python -m octod.cli.hub MODEL``: a checkpoint of the hub, in the hub's own cache.

The one process of octod that asks a network, started by ``octod base add`` alone. It fetches safetensors, config, tokenizer
and the page that names the licence, nothing else; where the hub cannot be reached, what lies in the cache is used. It
prints one line of JSON: ``{"folder": ...}`` or ``{"message": ..., "hint": ...}``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from octod.cli.output import on_terminal
from octod.core.errors import OctodError
from octod.core.offline import asking_environ

__all__ = ["fetch", "is_hub_id", "main"]

# The names that transformers writes; a pattern matches paths too, so what lies in folders is left out by another one.
_WANTED = (
    "model*.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "README.md",
)
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def is_hub_id(text: str) -> bool:
    """Whether a text has the form ``ORGANISATION/MODEL``."""
    return _ID.fullmatch(text) is not None


def fetch(model: str) -> Path:
    """The folder of a model of the hub, fetched where it is not in the cache; OctodError says why it cannot be had."""
    environ = asking_environ() | ({} if on_terminal(sys.stderr) else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})
    # -P: neither the current folder nor a project's folder may put modules in the way (P1).
    command = [sys.executable, "-P", "-m", "octod.cli.hub", model]
    ended = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found = json.loads(ended.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise OctodError(f"fetching {model} ended with {ended.returncode}", "the lines above say why") from error
    if "folder" not in found:
        raise OctodError(found["message"], found["hint"])
    return Path(found["folder"])


def main() -> None:
    """Fetch ``sys.argv[1]``."""
    model = sys.argv[1]
    try:
        print(json.dumps({"folder": _download(model)}))
    except OctodError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
        sys.exit(1)


def _download(model: str) -> str:
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub import errors as faults
    except ImportError as error:
        raise OctodError(f"the hub needs huggingface_hub: {error}", "pip install huggingface_hub") from error
    hub = constants.ENDPOINT
    try:
        return str(snapshot_download(model, allow_patterns=list(_WANTED), ignore_patterns=["*/*"]))
    except faults.GatedRepoError as error:
        raise OctodError(f"{model} is given only to those who asked for it", f"ask at {hub}/{model}, then `hf auth login`") from error
    except faults.RepositoryNotFoundError as error:
        raise OctodError(
            f"{hub} has no model {model}, or not for everybody", "look at its name; for a private one `hf auth login`"
        ) from error
    except faults.LocalEntryNotFoundError as error:
        # Also IncompleteSnapshotError: parts of it are in the cache.
        if constants.HF_HUB_OFFLINE:
            raise OctodError(
                f"{model} is not in the hub's cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set", "unset it, or name a folder"
            ) from error
        raise OctodError(
            f"{hub} cannot be reached, and the hub's cache {constants.HF_HUB_CACHE} has no complete {model}",
            "try again with a network, or name the folder of a checkpoint; what was fetched so far is kept",
        ) from error
    except OSError as error:
        raise OctodError(f"fetching {model} failed: {error}", "free some space or make it writable, then try again") from error
    except Exception as error:  # the hub's client raises its HTTP library's errors, whichever that is
        message = str(error).strip().splitlines() or [""]
        raise OctodError(
            f"fetching {model} from {hub} failed: {type(error).__name__}: {message[0][:300]}",
            "try again: what was fetched so far is kept",
        ) from error


if __name__ == "__main__":
    main()
