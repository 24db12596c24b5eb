"""The ledger of usage."""

from __future__ import annotations

import random
from pathlib import Path

from octod.indexer.database import key_of
from octod.indexer.store import Index


def test_any_order_of_changes_gives_the_sums_of_what_is_left(tmp_path: Path) -> None:
    """Bundles are split, emptied and grown; every receiver is found where it is looked for (a model is compared)."""
    drawn = random.Random(1)
    model: dict[str, dict[str, bytes]] = {}
    names = [f"lib{n % 7}.m{n}" for n in range(400)]
    with Index.open(tmp_path / "x.db") as index:
        for step in range(30):
            source = f"s{drawn.randrange(6)}"
            if drawn.random() < 0.2:
                index.remove_usage(source)
                model.pop(source, None)
            else:
                chosen = drawn.sample(names, drawn.randrange(120))
                model[source] = {name: bytes([65 + step]) * drawn.randrange(1, 900) for name in chosen}
                index.put_usage(source, model[source])
            index.merge_usage(b"+".join)
            for name in drawn.sample(names, 40):
                parts = [model[source][name] for source in sorted(model) if name in model[source]]
                assert index.usage(name) == (b"+".join(parts) if parts else None)
        assert index.check() == []


def test_calls_are_told_by_qualified_name(tmp_path: Path) -> None:
    """Names called once or twice are left out."""
    with Index.open(tmp_path / "x.db") as index:
        index.put_usage("one", {"ham": b"get 3 put 2"})
        index.merge_usage(b" ".join, lambda receiver, entry: {f"{receiver}.get": 3, f"{receiver}.put": 2})
        assert index.calls() == {key_of("ham.get"): 3}
