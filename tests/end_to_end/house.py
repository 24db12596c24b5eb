"""One user's place: an environment, a project, octod's folders, and an editor that asks; nothing of it is shared."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from octod.adapters import mixture
from octod.adapters.card import Card
from octod.adapters.identity import BaseModel, bundled_base
from octod.adapters.registry import Adapter, Registry
from octod.adapters.verify import MODULES, base_shapes
from octod.core.errors import OctodError
from octod.core.paths import Paths, private_folder
from octod.daemon.client import connect
from octod.daemon.lifecycle import COMMAND, running, stop
from octod.indexer.environment import distributions, find_environment

from tests.daemon.installed import CLIENT, Installed
from tests.lsp.client import LspClient

__all__ = ["SHOP", "House", "labels", "until"]

SHOP = {"shop/__init__.py": CLIENT, "shop/more.py": "def later(): ...\n"}
ASK_MODEL = "menu_model_ms = 40\n"  # menus ask the model, too
T = TypeVar("T")


class House:
    """``index`` is a finished index of an environment with shop 1.0, which saves building the standard library's."""

    def __init__(self, folder: Path, index: Path | None = None) -> None:
        self.folder = folder
        self.project = folder / "project"
        if self.project.exists():  # another process's house
            self.environment = Installed.at(folder / "env")
        else:
            self.environment = Installed(folder / "env")
            self.environment.install("shop", "1.0", SHOP)
            self.project.mkdir()
        self.environ = {"OCTOD_HOME": str(folder / "o"), "HOME": str(folder)}
        self.paths = Paths.of(self.environ)
        (private_folder(self.paths.config) / "config.toml").write_text(ASK_MODEL)
        key = find_environment(self.environment.python).key
        self.index = self.paths.indexes / f"{key}.db"
        if index is not None:
            private_folder(self.paths.indexes)
            shutil.copy(index, self.index)

    @property
    def uri(self) -> str:
        """A file of the project."""
        return (self.project / "open.py").as_uri()

    def editor(self) -> LspClient:
        """A language server that this environment's interpreter was named to."""
        client = LspClient(COMMAND, settings={"python": self.environment.python}, environ=self.environ)
        client.initialize(rootUri=self.project.as_uri())
        client.open("", self.uri)
        return client

    def status(self) -> dict[str, Any]:
        """What the daemon tells; empty where it cannot be asked."""
        try:
            with connect(self.paths) as daemon:
                found: dict[str, Any] = daemon.request("status", {})
                return found
        except OctodError:
            return {}

    def model(self) -> dict[str, Any]:
        """What the daemon tells of its engine."""
        found: dict[str, Any] = self.status().get("model", {})
        return found

    def ready(self) -> bool:
        """Whether everything is up and nothing is being built."""
        found = self.status()
        places = found.get("workspaces", [])
        idle = all(job["state"] != "running" for job in found.get("jobs", []))
        return bool(found.get("model", {}).get("ready") and places and all(p["report"] for p in places) and idle)

    def copy_base(self) -> BaseModel:
        """Serve a copy of the bundled base, so that nobody replaces it meanwhile."""
        folder = self.folder / "base"
        shutil.copytree(bundled_base().folder, folder)
        (self.paths.config / "config.toml").write_text(f'{ASK_MODEL}base = "{folder}"\nengine_threads = 1\n')
        return BaseModel.of(folder)

    def publish(self, base: BaseModel, distribution: str) -> Adapter:
        """Put an adapter of small random numbers for an installed distribution into the registry, as a training does."""
        found, _ = distributions(find_environment(self.environment.python))
        library = next(d.library for d in found if d.library.distribution == distribution)
        random, shapes, factors = np.random.default_rng(7), base_shapes(base.config()), {}
        for layer in range(shapes["layers"][0]):
            for module in MODULES:
                outputs, inputs = shapes[module]
                part = "self_attn" if module[0] in "qkvo" else "mlp"
                a = random.normal(0, 0.1, (2, inputs)).astype(np.float32)
                b = random.normal(0, 0.1, (outputs, 2)).astype(np.float32)
                factors[f"model.layers.{layer}.{part}.{module}"] = (a, b)
        folder = self.folder / f"trained-{library.version}"
        mixture.write(factors, folder, base_name=base.name)
        card = Card(library, base.name, base.weights_hash, base.tokenizer_hash, created="2025-01-01T00:00:00+00:00")
        with Registry.open(self.paths) as registry:
            return registry.publish(folder, card)

    def daemon(self) -> int:
        """The daemon's pid."""
        return running(self.paths) or 0

    def close(self) -> None:
        """End the daemon, if there is one."""
        stop(self.paths)

    def ask(self, editor: LspClient, source: str, method: str = "textDocument/completion", **params: Any) -> Any:
        """The answer at ``$0`` of a buffer with that source."""
        before = source.split("$0")[0]
        editor.change([{"text": source.replace("$0", "")}], self.uri)
        line = before.count("\n")
        return editor.ask(method, line, len(before) - before.rfind("\n") - 1, self.uri, **params)

    def menu(self, editor: LspClient, source: str) -> list[str]:
        """The menu's labels at ``$0``."""
        return labels(self.ask(editor, source))


def labels(menu: Any) -> list[str]:
    """The labels of a CompletionList."""
    return [item["label"] for item in menu["items"]] if menu else []


def until(condition: Callable[[], T], what: str, deadline: float = 60.0) -> T:
    """The first true value of a condition; AssertionError when there is none in time."""
    end = time.monotonic() + deadline
    while not (found := condition()):
        assert time.monotonic() < end, f"no {what} in {deadline} s"
        time.sleep(0.02)
    return found
