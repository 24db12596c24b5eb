"""Who an adapter is for and what it is called: base models, content hashes, names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from octod.core.errors import AdapterRefused, TrainingProblem
from octod.core.symbols import LibraryId

__all__ = ["BaseModel", "adapter_name", "bundled_base", "content_hash", "file_hash", "valid_name"]

LONGEST_NAME = 200  # leaves room for a suffix within the 255 bytes of a file name
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A Hugging Face model folder (safetensors, ``config.json``, ``tokenizer.json``) and the hashes that identify it.

    ``weights_hash`` covers the weights and the shape-giving config, ``tokenizer_hash`` the tokenizer; the folder
    and the name may change without the identity changing.
    """

    name: str
    folder: Path
    weights_hash: str
    tokenizer_hash: str

    @classmethod
    def of(cls, folder: Path, name: str | None = None) -> BaseModel:
        """Read a base model's identity; TrainingProblem when the folder is no such model."""
        weights = sorted(folder.glob("*.safetensors"))
        tokenizer, config = folder / "tokenizer.json", folder / "config.json"
        if not weights or not tokenizer.is_file() or not config.is_file():
            raise TrainingProblem(
                f"{folder} is no base model",
                "it needs config.json, tokenizer.json and safetensors weights; check the setting of the base model",
            )
        digest = hashlib.sha256()
        digest.update(_architecture(config))
        for path in weights:
            digest.update(bytes.fromhex(file_hash(path)))
        return cls(name or folder.name, folder, digest.hexdigest(), file_hash(tokenizer))

    def config(self) -> dict[str, object]:
        """``config.json`` as a dictionary."""
        data: dict[str, object] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return data


def bundled_base() -> BaseModel:
    """The base model that ships with octod."""
    return BaseModel.of(Path(__file__).parent / "base" / "bundled", "octod-base")


def adapter_name(library: LibraryId, digest: str) -> str:
    """``<distribution>-<version>-<first 12 of the content hash>``, other characters replaced by ``-``."""
    readable = re.sub(r"[^a-z0-9._-]+", "-", f"{library.distribution}-{library.version}".lower())
    readable = re.sub(r"\.{2,}", ".", readable).strip("-.")[: LONGEST_NAME - 13]
    return valid_name(f"{readable}-{digest[:12]}")


def valid_name(name: str) -> str:
    """``name`` itself, when it can be a folder's name and nothing else; else AdapterRefused."""
    if not _NAME.fullmatch(name) or ".." in name or len(name) > LONGEST_NAME:
        raise AdapterRefused(
            f"{name!r} is not an adapter's name",
            "names consist of a-z, 0-9, '.', '_' and '-'; `octod adapters list` shows them",
        )
    return name


def content_hash(files: Iterable[Path]) -> str:
    """sha256 over the names and contents of files, in any order given."""
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda p: p.name):
        digest.update(f"{path.name}\0{_sha256(path)}\n".encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file that is read often and changes seldom, cached by its size and time of change."""
    found = path.stat()
    return _cached(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _cached(path: Path, size: int, changed: int) -> str:
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _architecture(config: Path) -> bytes:
    """The config without the keys that tools rewrite when they merely save it again."""
    try:
        data = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingProblem(f"{config} is not JSON: {error}", "copy the base model again") from error
    for key in ("transformers_version", "_name_or_path", "torch_dtype", "dtype", "use_cache"):
        data.pop(key, None)
    return json.dumps(data, sort_keys=True).encode()
