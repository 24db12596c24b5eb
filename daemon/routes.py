"""How menus were found: counted by environment, told as shares."""

from __future__ import annotations

from collections import Counter
from typing import Any

from octod.core.answers import Route

__all__ = ["Routes"]


class Routes:
    """Menus since the daemon began."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Route]] = Counter()

    def count(self, environment: str, route: Route) -> None:
        """One menu in that environment."""
        self._counts[environment, route] += 1

    def told(self, environment: str | None = None) -> dict[str, Any]:
        """``menus`` and the share of each of the ``routes``, of one environment or of all."""
        counts: Counter[Route] = Counter()
        for (place, route), count in self._counts.items():
            if environment is None or place == environment:
                counts[route] += count
        total = counts.total()
        return {"menus": total, "routes": {route: round(n / total, 4) for route, n in sorted(counts.items())}}
