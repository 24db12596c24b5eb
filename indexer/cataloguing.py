"""Cataloguing: what a build does for search, in a process of its own where there is much to do."""

from __future__ import annotations

from pathlib import Path

from octod.indexer.pool import run_tasks
from octod.indexer.segments import Piece
from octod.indexer.store import Index

__all__ = ["catalogue"]

_INLINE = 48  # packs that are catalogued sooner than a process is started


def catalogue(index: Index, processes: int | None, problems: list[str]) -> None:
    """Store what search needs of the packs that were written since this was done, where they are more than a few.

    ``processes`` of 0 works in this process: a hundred libraries take 10 s of it and 300 MB.
    """
    due = index.uncatalogued()
    if due is None:
        return
    low, packs = due
    outside = processes != 0 and packs > _INLINE
    for _, piece, reason in run_tasks(_piece, [(index.path, low)], 1 if outside else 0):
        if piece is None:
            problems.append(f"search finds things later than it should: {reason}")
        else:
            index.put_piece(piece)


def _piece(task: tuple[Path, int]) -> Piece:
    path, low = task
    with Index.open_snapshot(path) as index:
        return index.piece(low)
