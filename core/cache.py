"""A cache that knows what its entries weigh: above a limit the ones that were used longest ago go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Cache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Values by key, up to ``most`` in weight (bytes, characters: whatever ``put`` is told); the newest stays whatever it weighs.

    ``dropped`` is called with each value that had to go.  Not for several threads at once.
    """

    def __init__(self, most: int, dropped: Callable[[V], None] | None = None) -> None:
        self.most, self.weight = most, 0
        self._dropped = dropped
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __getitem__(self, key: K) -> V:
        """The value, which counts as used now.  Raises KeyError."""
        found = self._entries[key][0]
        self._entries.move_to_end(key)
        return found

    def get(self, key: K) -> V | None:
        """The value, which counts as used now; None when there is none."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int) -> V:
        """Remember a value; returns it."""
        before = self._entries.pop(key, None)
        self._entries[key] = value, weight
        self.weight += weight - (before[1] if before is not None else 0)
        while self.weight > self.most and len(self._entries) > 1:
            gone, weight = self._entries.popitem(last=False)[1]
            self.weight -= weight
            if self._dropped is not None:
                self._dropped(gone)
        return value

    def values(self) -> list[V]:
        """What is there, used longest ago first."""
        return [value for value, _ in self._entries.values()]

    def clear(self) -> None:
        """Forget everything; nothing is told of it."""
        self._entries.clear()
        self.weight = 0
