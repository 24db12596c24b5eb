"""Publishes, removes and cleans up without end, to be killed: `publisher.py FOLDER SEED`, OCTOD_HOME in the environment.

Prints a line when it begins, so the killer's clock starts there.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from octod.adapters.card import Card
from octod.adapters.registry import Registry
from octod.core.paths import Paths
from octod.core.symbols import LibraryId


def main(folder: Path, seed: int) -> None:
    """Work on the registry until killed."""
    rng = random.Random(seed)
    sources = sorted(folder.iterdir())
    with Registry.open(Paths.of()) as registry:
        print("ready", flush=True)
        while True:
            card = Card(
                LibraryId("folds", f"1.{rng.randrange(10**9)}", ""),
                "tiny",
                "w",
                "t",
                created=str(rng.random()),
            )
            registry.publish(rng.choice(sources), card)
            if rng.random() < 0.5:
                registry.remove(rng.choice(registry.adapters()).name)
            if rng.random() < 0.1:
                registry.gc()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
