"""The model hub is asked by one command alone; everywhere else libraries that could ask it are told not to."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

__all__ = ["asking_environ", "stay_offline"]

# huggingface_hub, which transformers, peft and tokenizers go through, reads these when it is imported.
_SWITCHES = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_OURS = "OCTOD_KEEPS_OFFLINE"  # says that the switch above is octod's, not the user's


def stay_offline(environ: MutableMapping[str, str] = os.environ) -> None:
    """Keep this process and its children from asking the hub."""
    if not environ.get("HF_HUB_OFFLINE"):
        environ[_OURS] = "1"
    environ.update({name: environ.get(name) or value for name, value in _SWITCHES.items()})


def asking_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for the one process that asks the hub: offline only where the user said so."""
    found = dict(environ)
    if found.pop(_OURS, None):
        del found["HF_HUB_OFFLINE"]
    return found
