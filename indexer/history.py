"""History: the public APIs of library versions that were installed once, kept after the files are gone.

One private file per version in octod's data folder.  A few versions of each library are kept, the latest used ones,
and the whole stays below a size.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from octod.core.errors import OctodError
from octod.core.paths import private_folder
from octod.core.symbols import LibraryId
from octod.indexer.api import Api, decode_api, encode_api

__all__ = ["History"]

MOST_VERSIONS = 4  # of one library
LARGEST = 64 << 20  # bytes of all of them: pandas takes 120 kB
_LARGEST_FILE = 16 << 20
_SUFFIX = ".api"


class History:
    """The kept APIs in ``folder``, which is made when something is kept."""

    def __init__(self, folder: Path, *, most_versions: int = MOST_VERSIONS, largest: int = LARGEST) -> None:
        self.folder = folder
        self._most, self._largest = most_versions, largest

    def keep(self, api: Api) -> None:
        """Remember an API; the oldest make way.  Raises OctodError when the folder cannot be written."""
        private_folder(self.folder)
        path = self.folder / _file_name(api.library)
        data = encode_api(api)
        if len(data) > _LARGEST_FILE:
            return
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OctodError(f"{path} cannot be written: {error.strerror}", "free some space and try again") from error
        self._tidy(_stem(api.library.distribution))

    def versions(self, distribution: str) -> list[Api]:
        """The kept APIs of a library, the one kept last first; a damaged file is passed over."""
        found = []
        for path in _by_age(self.folder, _stem(distribution)):
            try:
                api = decode_api(path.read_bytes())
            except (OSError, ValueError):
                continue
            if api.library.distribution == distribution:
                found.append(api)
        return found

    def find(self, library: LibraryId) -> Api | None:
        """The kept API of exactly this library."""
        try:
            api = decode_api((self.folder / _file_name(library)).read_bytes())
        except (OSError, ValueError):
            return None
        return api if api.library == library else None

    def stamp(self, distribution: str) -> tuple[str, ...]:
        """What is kept of a library, to see whether it changed."""
        return tuple(path.name for path in _by_age(self.folder, _stem(distribution)))

    def _tidy(self, stem: str) -> None:
        for path in _by_age(self.folder, stem)[self._most :]:
            path.unlink(missing_ok=True)
        kept = _by_age(self.folder, "")
        total = sum(_size(path) for path in kept)
        while total > self._largest and len(kept) > 1:
            oldest = kept.pop()
            total -= _size(oldest)
            oldest.unlink(missing_ok=True)


def _stem(distribution: str) -> str:
    """The beginning of a library's files: a name is whatever a METADATA file says, so only part of it is used."""
    safe = re.sub(r"[^a-z0-9]+", "-", distribution.lower())[:60]
    return f"{safe}_{sha256(distribution.encode('utf-8', 'replace')).hexdigest()[:8]}_"


def _file_name(library: LibraryId) -> str:
    identity = sha256(f"{library.version}\0{library.record}".encode("utf-8", "replace")).hexdigest()[:16]
    return f"{_stem(library.distribution)}{identity}{_SUFFIX}"


def _by_age(folder: Path, stem: str) -> list[Path]:
    """The files of a library, the youngest first."""
    found: list[tuple[float, str, Path]] = []
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    for entry in entries:
        if entry.name.startswith(stem) and entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False):
            found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name, Path(entry.path)))
    return [path for _, _, path in sorted(found, reverse=True)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
