"""Bits per byte on held-out text, the same text for every base, whatever its tokenizer and context are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from tokenizers import Tokenizer
    from torch import Tensor

__all__ = ["bits_per_byte", "nats", "pieces"]

BATCH = 8


def pieces(shard: Path, tokenizer: Tokenizer, count: int, tokens: int = 1200) -> list[str]:
    """`count` texts spread evenly over a shard of `octod.adapters.base.corpus`, about `tokens` tokens each.

    A text begins and ends at a line's end, lies within one file, and the same shard gives the same texts.
    Fewer where several fall into one short file.
    """
    ids, bounds = np.load(shard / "tokens.npy", mmap_mode="r"), np.load(shard / "documents.npy")
    found: dict[tuple[int, int], str] = {}
    for place in np.linspace(0, len(ids), count, endpoint=False).astype(int):
        document = int(np.searchsorted(bounds, place, side="right")) - 1
        begin, end = int(bounds[document]), int(bounds[document + 1])
        start = min(int(place), max(begin, end - tokens))
        stop = min(start + tokens, end)
        text = tokenizer.decode(ids[start:stop].tolist(), skip_special_tokens=False)
        if start > begin:
            text = text[text.find("\n") + 1 :]
        if stop < end:
            text = text[: text.rfind("\n") + 1]
        if text:
            found[start, stop] = text
    return list(found.values())


def nats(
    texts: Iterable[Sequence[int]],
    losses: Callable[[Tensor, Tensor], Tensor],
    first: int,
    context: int,
    device: str = "cpu",
) -> npt.NDArray[np.float64]:
    """The sum of the cross-entropies of each text's tokens, in nats.

    `losses` takes inputs and targets (batch, time) and gives (batch * time,); `first` stands before each text.
    What is longer than the context is read in windows that overlap by half, each token counted once.
    """
    import torch

    windows: list[tuple[int, list[int], list[int], int]] = []  # text, inputs, targets, first target that counts
    total = 0
    for total, tokens in enumerate(texts, 1):
        line, known = [first, *tokens], 0
        while known < len(tokens):
            start = max(0, known - context // 2) if known else 0
            stop = min(start + context, len(tokens))
            windows.append((total - 1, line[start:stop], line[start + 1 : stop + 1], known - start))
            known = stop
    sums = np.zeros(total)
    windows.sort(key=lambda w: -len(w[1]))  # rows of a batch are about as long
    for begin in range(0, len(windows), BATCH):
        group = windows[begin : begin + BATCH]
        longest = len(group[0][1])
        ids, targets = (torch.zeros((len(group), longest), dtype=torch.int64) for _ in range(2))
        for row, (_, inputs, wanted, _) in enumerate(group):
            ids[row, : len(inputs)] = torch.tensor(inputs)
            targets[row, : len(wanted)] = torch.tensor(wanted)
        with torch.no_grad():
            found = losses(ids.to(device), targets.to(device)).float().cpu().reshape(len(group), longest).numpy()
        for row, (text, inputs, _, counted) in enumerate(group):
            sums[text] += float(found[row, counted : len(inputs)].sum(dtype=np.float64))
    return sums


def bits_per_byte(sums: npt.NDArray[np.float64], texts: Sequence[str]) -> float:
    """Nats a text over the texts, as bits per byte of UTF-8."""
    return float(sums.sum() / math.log(2) / sum(len(text.encode()) for text in texts))
