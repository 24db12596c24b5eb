"""Bundles of small byte strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from octod.indexer.bundles import Bundle, Damaged, bundled, groups


@given(st.dictionaries(st.text(max_size=6), st.binary(max_size=30), max_size=8), st.none() | st.lists(st.integers()))
def test_a_bundle_gives_back_what_was_put_in(parts: dict[str, bytes], notes: object) -> None:
    """Names, parts and notes; by range too."""
    ordered = dict(sorted((n.encode("utf-8", "replace").decode(), p) for n, p in parts.items()))
    bundle = Bundle(bundled(list(ordered), list(ordered.values()), notes))
    assert (bundle.parts(), bundle.notes) == (ordered, notes)
    assert dict(bundle.between("b", "c")) == {n: p for n, p in ordered.items() if "b" <= n < "c"}


@pytest.mark.parametrize("data", [b"", b"no zlib", bundled(["a"], [b"123"])[:-5], bundled(["a"], [])])
def test_other_bytes_are_damage(data: bytes) -> None:
    """Nothing else is raised."""
    with pytest.raises(Damaged):
        Bundle(data)


def test_groups_keep_the_order_and_the_size() -> None:
    """An entry that is too large stands alone."""
    entries = [("a", b"12"), ("b", b"12"), ("c", b"1" * 20), ("d", b"")]
    assert [[name for name, _ in group] for group in groups(entries, 6)] == [["a", "b"], ["c"], ["d"]]
