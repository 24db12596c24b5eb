"""Adapters on a server of vLLM's kind: loaded when they are wanted, under names that never change their meaning.

A request names one adapter. A mixture is therefore written out as an adapter of its own, named by what it is made of.
What is on the server is never loaded again in place: the server would answer from keys and values of the old one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

from octod.adapters import mixture as mixing
from octod.adapters.mixture import Mixture
from octod.core.errors import AdapterRefused
from octod.core.paths import private_folder
from octod.daemon.engines.dialect import Call, Dialect, Rejected
from octod.daemon.engines.protocol import AdapterFiles
from octod.daemon.engines.vllm_machine import LARGEST_RANK, SLOTS

__all__ = ["Shelf", "publish"]

_log = logging.getLogger(__name__)

_LOAD_SECONDS = 60.0
_MIXTURES = 64  # written mixtures that are kept on the disk


class Shelf:
    """What a server has of our adapters.

    ``own``: the server is ours alone and reads our folders. Else ``shared`` is a folder that both see, or None where the
    server knows its adapters already. For threads.
    """

    def __init__(self, cache: Path, *, own: bool, shared: Path | None = None) -> None:
        self._mixtures = cache / "engines" / "vllm" / "mixtures"
        self._own, self._shared = own, shared
        self._known: dict[str, AdapterFiles] = {}
        self._loaded: OrderedDict[str, str] = OrderedDict()  # name -> the server's; the one used last is last
        self._too_wide: set[Mixture] = set()
        self._lock = threading.RLock()

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that may be asked for."""
        return tuple(sorted(self._known))

    def emptied(self) -> None:
        """The server began anew: nothing is on it."""
        with self._lock:
            self._loaded.clear()

    def add(self, adapter: AdapterFiles, dialect: Dialect | None) -> None:
        """Make an adapter known, and load it where a server is there; AdapterRefused gives the server's reason."""
        with self._lock:
            self._known[adapter.name] = adapter
            if dialect is None:
                return
            try:
                self._load(adapter.name, adapter.folder, dialect)
            except AdapterRefused:
                del self._known[adapter.name]
                raise

    def remove(self, name: str, dialect: Dialect | None) -> None:
        """Forget an adapter and the mixtures that may have it in them."""
        with self._lock:
            self._known.pop(name, None)
            if not self._own:
                return
            for one in [one for one in self._loaded if one == name or one.startswith("mixture-")]:
                self._unload(one, dialect)

    def model(self, mixture: Mixture, base: str, dialect: Dialect) -> str:
        """The name to ask for: the base's, an adapter's, or a written mixture's."""
        parts = tuple((name, weight) for name, weight in mixture if weight)
        with self._lock:
            for name, _ in parts:
                if name not in self._known:
                    raise AdapterRefused(f"{name} is not loaded", "load it before it is used")
            parts = self._narrow(parts)
            if not parts:
                return base
            if parts[0][1] == 1.0 and len(parts) == 1:
                name = parts[0][0]
                return self._load(name, self._known[name].folder, dialect)
            name = "mixture-" + hashlib.sha256(json.dumps(sorted(parts)).encode()).hexdigest()[:16]
            if name in self._loaded or self._own or self._shared is not None:
                return self._load(name, self._mixtures / name if name in self._loaded else self._write(name, parts), dialect)
            name = parts[0][0]  # nothing can be put there: the strongest alone
            return self._load(name, self._known[name].folder, dialect)

    def _narrow(self, parts: Mixture) -> Mixture:
        """The strongest adapters whose ranks fit the server's bound together."""
        room, kept = LARGEST_RANK, []
        for name, weight in sorted(parts, key=lambda part: -abs(part[1])):
            if self._known[name].rank <= room:
                room -= self._known[name].rank
                kept.append((name, weight))
            elif parts not in self._too_wide:
                self._too_wide.add(parts)
                _log.warning("engine: %s is left out of a mixture, its rank does not fit beside the others", name)
        return tuple(kept)

    def _write(self, name: str, parts: Mixture) -> Path:
        """The mixture's folder, written whole or not at all."""
        folder = private_folder(self._mixtures) / name
        if (folder / "adapter_config.json").is_file():
            os.utime(folder)
            return folder
        factors = mixing.stack([(mixing.load(self._known[one].folder), weight) for one, weight in parts])
        made = self._mixtures / f".{name}.{os.getpid()}"
        shutil.rmtree(made, ignore_errors=True)
        mixing.write(factors, made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
        old = sorted(self._mixtures.glob("mixture-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in old[_MIXTURES:]:
            shutil.rmtree(path, ignore_errors=True)
        return folder

    def _load(self, name: str, folder: Path, dialect: Dialect) -> str:
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        if not self._own and self._shared is None:
            for there in dialect.models(Call(_LOAD_SECONDS)):
                if there == name or there.endswith(f":{name}"):  # Ray Serve puts the base's name before the adapter's
                    self._loaded[name] = there
                    return there
            raise AdapterRefused(
                f"{dialect.address} does not have {name}", "put it there: `octod adapters push`, or name engine_adapters"
            )
        if self._shared is not None:
            folder = publish(name, folder, self._shared)
        if self._own and len(self._loaded) >= SLOTS:
            self._unload(next(iter(self._loaded)), dialect)
        try:
            dialect.load(name, str(folder), Call(_LOAD_SECONDS))
        except Rejected as error:
            if "already been loaded" not in error.message:
                raise AdapterRefused(f"vLLM refuses {name}: {error.message}", "`octod adapters verify` looks at it") from error
        self._loaded[name] = name
        return name

    def _unload(self, name: str, dialect: Dialect | None) -> None:
        self._loaded.pop(name, None)
        if dialect is not None:
            try:
                dialect.unload(name, Call(_LOAD_SECONDS))
            except Rejected as error:
                _log.info("engine: %s", error)


def publish(name: str, folder: Path, shared: Path) -> Path:
    """Put an adapter's two files into a folder that a server reads, whole or not at all; where they are.

    What is there under a name is that adapter: names hold the hash of the content.
    """
    place = shared / name
    if not place.is_dir():
        made = shared / f".{name}.{os.getpid()}"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(folder / file, made / file)
            (made / file).chmod(0o644)  # the server's user reads them, whatever the umask
        made.chmod(0o755)
        try:
            made.rename(place)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            if not place.is_dir():
                raise
    return place
