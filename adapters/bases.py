"""The base models that a user added: one folder each below octod's data folder, complete or not there at all.

Adding is temp folder in the same file system -> files -> hashes and card -> fsync -> rename, under a lock that a
dying process gives up; what a killed one left is removed by the next one. Weights take no room of their own where the
file system can share them: as a reflink (a copy on write), else as a hard link, which outlives the original; else
they are copied.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from octod.adapters.identity import BaseModel, bundled_base, file_hash
from octod.core.errors import TrainingProblem
from octod.core.paths import Paths, private_folder, sync_folder

__all__ = ["BUNDLED", "Added", "BaseCard", "Bases", "base_name", "base_of"]

BUNDLED = "octod-base"
CARD = "base.json"
_FORMAT = 1
_TEMPORARY = ".tmp-"
_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file until one of them is written
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class BaseCard:
    """What is known of an added base.

    ``source`` is the folder or hub id that it came from, ``added`` UTC in ISO 8601, ``files`` maps each file to its
    (size, time of change in ns, sha256) when it was added.
    """

    architecture: str
    parameters: int
    numbers: str
    fim: str
    licence: str
    source: str
    added: str
    weights: str = ""
    tokenizer: str = ""
    files: Mapping[str, tuple[int, int, str]] | None = None

    def to_json(self) -> str:
        """The text of ``base.json``."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def read(cls, folder: Path) -> BaseCard:
        """The card in a folder; TrainingProblem when it is missing or damaged."""
        try:
            data: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
            if data.pop("format") != _FORMAT:
                raise ValueError("another format")
            data["files"] = {str(name): tuple(entry) for name, entry in data["files"].items()}
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingProblem(
                f"{folder / CARD} cannot be read: {error}", f"`octod base rm {folder.name}`, then add it again"
            ) from error


@dataclass(frozen=True, slots=True)
class Added:
    """A base in the store; ``shared`` says how its weights came there: ``reflink``, ``hard link`` or ``copy``."""

    name: str
    folder: Path
    card: BaseCard
    shared: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether every file is as it was when it was added, by size and time of change."""
        try:
            found = {name: (self.folder / name).stat() for name in self.card.files or {}}
        except OSError:
            return False
        kept = self.card.files or {}
        return all((s.st_size, s.st_mtime_ns) == tuple(kept[name][:2]) for name, s in found.items())

    def model(self) -> BaseModel:
        """Its identity: hashed when it was added, and again only when a file changed since."""
        if self.unchanged:
            return BaseModel(self.name, self.folder, self.card.weights, self.card.tokenizer)
        return BaseModel.of(self.folder, self.name)


class Bases:
    """The added bases of one user."""

    def __init__(self, paths: Paths) -> None:
        self.folder = paths.data / "bases"

    def all(self) -> tuple[Added, ...]:
        """Every base, by name; TrainingProblem when a card is damaged."""
        if not self.folder.is_dir():
            return ()
        names = sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))
        return tuple(Added(name, self.folder / name, BaseCard.read(self.folder / name)) for name in names)

    def get(self, name: str) -> Added | None:
        """One base by name, or None."""
        folder = self.folder / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            return None
        return Added(name, folder, BaseCard.read(folder))

    def add(
        self,
        name: str,
        source: Path,
        weights: Sequence[str],
        beside: Sequence[str],
        card: BaseCard,
        tell: Callable[[float, str], None] = lambda share, what: None,
    ) -> Added:
        """Take files of a folder into the store; the same content again gives what is there.

        ``weights`` are shared with the original where that can be, ``beside`` is copied.

        Raises:
            TrainingProblem: the name is taken by other content or is none, or there is no room.
        """
        if name == BUNDLED or not _NAME.fullmatch(name) or ".." in name:
            raise TrainingProblem(f"{name!r} cannot be a base's name", "name it with --name: a-z, 0-9, '.', '_', '-'")
        try:
            with self._writing():
                staged = self.folder / f"{_TEMPORARY}{os.getpid()}-{os.urandom(4).hex()}"
                staged.mkdir(mode=0o700)
                shared = ""
                for number, file in enumerate(weights):
                    tell(0.5 * number / len(weights), f"taking {file}")
                    shared = _share(source / file, staged / file)
                for file in beside:
                    _copy(source / file, staged / file)
                files: dict[str, tuple[int, int, str]] = {}
                for number, file in enumerate((*weights, *beside)):
                    tell(0.5 + 0.5 * number / (len(weights) + len(beside)), f"hashing {file}")
                    found = (staged / file).stat()
                    files[file] = (found.st_size, found.st_mtime_ns, file_hash(staged / file))
                model = BaseModel.of(staged, name)
                same = next((b for b in self.all() if _identity(b.card) == (model.weights_hash, model.tokenizer_hash)), None)
                if same is not None:
                    shutil.rmtree(staged)
                    return same
                final = self.folder / name
                if final.exists() or final.is_symlink():
                    raise TrainingProblem(
                        f"there is another base called {name}", f"give this one a --name, or `octod base rm {name}` first"
                    )
                card = replace(card, weights=model.weights_hash, tokenizer=model.tokenizer_hash, files=files)
                _write(staged / CARD, card.to_json())
                sync_folder(staged)
                staged.rename(final)
                sync_folder(self.folder)
                return Added(name, final, card, shared)
        except OSError as error:
            raise TrainingProblem(
                f"cannot write {self.folder}: {error.strerror}", "free some space, or set OCTOD_HOME to another disk"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a base and its files; TrainingProblem when there is none."""
        folder = self.folder / name
        if not _NAME.fullmatch(name) or not folder.is_dir():
            raise TrainingProblem(f"no base is called {name!r}", "`octod base list` shows those that were added")
        with self._writing():
            away = self.folder / f"{_TEMPORARY}{os.getpid()}-{os.urandom(4).hex()}"
            folder.rename(away)
            sync_folder(self.folder)
            shutil.rmtree(away)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time; what is temporary when it begins was left by a killed one, and what fails leaves nothing."""
        private_folder(self.folder)
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._clear()
            try:
                yield
            finally:
                self._clear()
        finally:
            os.close(handle)

    def _clear(self) -> None:
        for entry in self.folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(entry, ignore_errors=True)


def base_of(setting: str, paths: Paths) -> BaseModel:
    """The base that the setting ``base`` means: nothing the bundled one, a name an added one, else a folder.

    Raises:
        TrainingProblem: there is no such base.
    """
    if not setting or setting == BUNDLED:
        return bundled_base()
    added = Bases(paths).get(setting)
    if added is not None:
        return added.model()
    if "/" not in setting:
        raise TrainingProblem(
            f"no base is called {setting!r}", f"`octod base list` shows them, `octod base use {BUNDLED}` goes back"
        )
    return BaseModel.of(Path(setting).expanduser())


def base_name(source: str) -> str:
    """A name for what a folder or a hub id is called: its last part in small letters."""
    last = source.rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._-]+", "-", last)).strip("-._")[:100] or "base"


def _identity(card: BaseCard) -> tuple[str, str]:
    return card.weights, card.tokenizer


def _share(source: Path, target: Path) -> str:
    """Let ``target`` have the content of ``source`` with as little room as the file system allows; says how."""
    source = source.resolve()  # the hub's cache is made of links
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as made, source.open("rb") as original, contextlib.suppress(OSError):
        fcntl.ioctl(made.fileno(), _FICLONE, original.fileno())
        os.fsync(made.fileno())
        return "reflink"
    target.unlink()
    try:
        os.link(source, target)
    except OSError:  # another file system, or a file of somebody else
        _copy(source, target)
        return "copy"
    return "hard link"


def _copy(source: Path, target: Path) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as made, source.open("rb") as original:
        shutil.copyfileobj(original, made, 1 << 20)
        made.flush()
        os.fsync(made.fileno())


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
