"""Safetensors files as numpy arrays, bf16 included, with no torch and nothing executed."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.core.errors import EngineProblem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

__all__ = ["Weights", "checkpoint_files", "open_checkpoint"]

# safetensors' own limit on its header (safetensors/src/tensor.rs, MAX_HEADER_SIZE).
_LARGEST_HEADER = 100_000_000
_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


class Weights(Mapping[str, "Array"]):
    """The tensors of one safetensors file, read on access and returned as fp32.

    Raises EngineProblem when the file is truncated, has overlapping or foreign offsets, or holds a number type
    other than F32, F16 or BF16. Format: https://github.com/huggingface/safetensors#format
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                if size < 8:
                    raise self._problem("it is truncated")
                length = int.from_bytes(file.read(8), "little")
                if length > min(_LARGEST_HEADER, size - 8):
                    raise self._problem("its header is longer than the file")
                header = json.loads(file.read(length))
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise EngineProblem(
                f"cannot read {path}: {error.strerror}", "check that the folder is complete"
            ) from error
        except ValueError as error:
            raise self._problem("its header is not JSON") from error
        if not isinstance(header, dict):
            raise self._problem("its header is not an object")
        self._start = 8 + length
        self._tensors: dict[str, tuple[str, tuple[int, ...], int]] = {}
        for name, entry in header.items():
            if name != "__metadata__":
                self._tensors[name] = self._entry(name, entry, size - self._start)

    def _entry(self, name: str, entry: Any, size: int) -> tuple[str, tuple[int, ...], int]:
        try:
            kind, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
            fits = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and begin <= end <= size
        except (KeyError, TypeError, ValueError) as error:
            raise self._problem(f"the entry of {name} is malformed") from error
        if kind not in _BYTES:
            raise EngineProblem(
                f"{self.path} is not usable: {name} is {kind}, not F32, F16 or BF16",
                "quantised weights are not served: take the checkpoint that they were made from",
            )
        if not fits or math.prod(shape) * _BYTES[kind] != end - begin:
            raise self._problem(f"the offsets of {name} do not fit, so it is truncated or damaged")
        return kind, shape, begin

    def _problem(self, reason: str) -> EngineProblem:
        return EngineProblem(f"{self.path} is not usable: {reason}", "fetch or make the file again")

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (number type, shape) of every tensor, without reading one."""
        return {name: (kind, shape) for name, (kind, shape, _) in self._tensors.items()}

    def __getitem__(self, name: str) -> Array:
        import numpy as np

        kind, shape, begin = self._tensors[name]
        count = math.prod(shape)
        raw: np.dtype[Any] = np.dtype({"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[kind])
        data = np.frombuffer(self._map, raw, count, self._start + begin) if count else np.zeros(0, raw)
        if kind == "BF16":  # bf16 is the upper half of an fp32
            return (data.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(shape)
        return data.astype(np.float32).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class _Sharded(Mapping[str, "Array"]):
    """Several files as one."""

    def __init__(self, files: list[Weights]) -> None:
        self._files = {name: file for file in files for name in file}

    def __getitem__(self, name: str) -> Array:
        return self._files[name][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def open_checkpoint(folder: Path) -> Mapping[str, Array]:
    """The tensors of a checkpoint folder, sharded or not.

    Raises EngineProblem when there are no safetensors in it (pickled weights are never read).
    """
    return _Sharded([Weights(file) for file in checkpoint_files(folder)])


def checkpoint_files(folder: Path) -> list[Path]:
    """The weight files of a checkpoint folder: those that its index names, else ``model.safetensors``."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise EngineProblem(f"{index} is not readable", "fetch the model again") from error
        if any(not isinstance(n, str) or Path(n).name != n for n in names):
            raise EngineProblem(f"{index} names files outside its folder", "fetch the model from its source")
        files = [folder / name for name in names]
    else:
        files = [folder / "model.safetensors"]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise EngineProblem(
            f"{folder} has no {missing[0]}",
            "point to a folder with config.json, model.safetensors, tokenizer.json",
        )
    return files
