"""Where octod keeps things: private folders by the XDG rules, or all under ``OCTOD_HOME``."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from octod.core.errors import OctodError

__all__ = ["Paths", "private_folder", "sync_folder"]

# sockaddr_un.sun_path holds 104 bytes on macOS and 108 on Linux; the shorter one counts.
LONGEST_SOCKET_PATH = 103


@dataclass(frozen=True, slots=True)
class Paths:
    """The four folders of one user.

    ``data`` holds what must not be lost (registry, adapters), ``cache`` what can be made again (index,
    engine files), ``state`` logs and checkpoints, ``runtime`` the socket and the lock, ``config`` settings.
    """

    data: Path
    cache: Path
    state: Path
    runtime: Path
    config: Path

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Paths:
        """The folders for ``environ`` (default: the process environment); nothing is created."""
        environ = os.environ if environ is None else environ
        if home := environ.get("OCTOD_HOME"):
            root = Path(home).expanduser().absolute()
            found = cls(root / "data", root / "cache", root / "state", root / "run", root / "config")
        else:
            user = Path(environ.get("HOME") or Path.home())

            def folder(variable: str, fallback: str) -> Path:
                return Path(environ.get(variable) or user / fallback) / "octod"

            runtime = environ.get("XDG_RUNTIME_DIR")
            found = cls(
                folder("XDG_DATA_HOME", ".local/share"),
                folder("XDG_CACHE_HOME", ".cache"),
                folder("XDG_STATE_HOME", ".local/state"),
                Path(runtime) / "octod" if runtime else folder("XDG_CACHE_HOME", ".cache") / "run",
                folder("XDG_CONFIG_HOME", ".config"),
            )
        if len(os.fsencode(found.socket)) > LONGEST_SOCKET_PATH:
            # not TMPDIR: an editor and a terminal may have different ones, and must find the same daemon
            import hashlib

            short = hashlib.sha256(os.fsencode(found.runtime)).hexdigest()[:12]
            runtime_folder = Path("/tmp") / f"octod-{os.getuid()}-{short}"
            found = cls(found.data, found.cache, found.state, runtime_folder, found.config)
        return found

    @property
    def socket(self) -> Path:
        """The daemon's unix socket."""
        return self.runtime / "daemon.sock"

    @property
    def lock(self) -> Path:
        """The file whose lock says that a daemon lives."""
        return self.runtime / "daemon.lock"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.state / "daemon.log"

    @property
    def indexes(self) -> Path:
        """One index database per environment."""
        return self.cache / "index"

    @property
    def history(self) -> Path:
        """The APIs of library versions that were installed once."""
        return self.data / "history"

    @property
    def registry(self) -> Path:
        """The adapter registry's database."""
        return self.data / "registry.db"

    @property
    def adapters(self) -> Path:
        """One immutable folder per adapter."""
        return self.data / "adapters"


def private_folder(path: Path) -> Path:
    """Create ``path`` (and parents) as 0700, refuse a symbolic link or a folder of somebody else.

    Raises OctodError with what to do when the folder is not ours or cannot be made.
    """
    missing = [p for p in [path, *path.parents] if not p.exists() and not p.is_symlink()]
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise OctodError(
                f"cannot create {folder}: {error.strerror}",
                "free some space or make it writable, or set OCTOD_HOME to a folder that is",
            ) from error
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise OctodError(f"{path} is a symbolic link", "remove it, or set OCTOD_HOME to another folder")
    if not stat.S_ISDIR(found.st_mode):
        raise OctodError(f"{path} is not a folder", "remove it, or set OCTOD_HOME to another folder")
    if found.st_uid != os.getuid():
        raise OctodError(f"{path} belongs to another user", "set OCTOD_HOME to a folder of your own")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk: what was renamed into it stays there when the machine stops."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
