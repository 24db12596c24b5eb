"""The counts that come with octod: read as they were written, added where they know more, small and free of arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.adapters.priors import Priors, with_prior, write
from octod.core.errors import OctodError
from octod.indexer.usage import ReceiverUsage

SHEET = ReceiverUsage(
    9, {"turn": 6, "press": 3}, {"assign:flat": {"press": 2}, "context:loop": {"turn": 4}}, {"turn": {"1": 3}}, {"turn": {"times": 2}}
)


def test_counts_are_read_as_they_were_written_without_arguments(tmp_path: Path) -> None:
    """Receivers of all chunks, and names; a receiver that is not there is unknown."""
    many = {f"folds.m{n:04}": ReceiverUsage(n, {f"f{n}": n}, {"assign:" + "x" * 40: {f"f{n}": 2}}) for n in range(1, 2_000)}
    path = tmp_path / "priors.bin"
    size = write(path, {**many, "folds.Sheet()": SHEET}, {"turn": 7})
    priors = Priors(path)
    assert path.stat().st_size == size
    assert priors.of("folds.Sheet()") == ReceiverUsage(9, SHEET.members, SHEET.features, {}, SHEET.keywords)
    assert all(priors.of(key) == usage for key, usage in many.items())
    assert [None, None, None] == [priors.of(key) for key in ("aaa", "folds.m0500x", "zzz")]
    assert {"turn": 7} == priors.names


def test_no_receivers_at_all_are_fine(tmp_path: Path) -> None:
    """A file of nothing answers nothing."""
    write(tmp_path / "priors.bin", {}, {})
    assert Priors(tmp_path / "priors.bin").of("numpy") is None


@pytest.mark.parametrize("data", [b"", b"octod priors 1\n", b"octod priors 1\n\0\0\0\x04abcd", b"x" * 100])
def test_another_file_is_refused_with_what_to_do(tmp_path: Path, data: bytes) -> None:
    """Damage is told."""
    (tmp_path / "priors.bin").write_bytes(data)
    with pytest.raises(OctodError, match="install octod again"):
        Priors(tmp_path / "priors.bin")


def test_a_fifth_of_the_environments_own_counts_is_added_to_the_shipped_ones() -> None:
    """What was called at all stays called; arguments are the environment's own; whoever is alone stands for itself."""
    own = ReceiverUsage(
        52, {"turn": 11, "fold": 41}, {"assign:flat": {"fold": 6}, "context:": {"fold": 1}}, {"fold": {"2": 1}}, {"turn": {"times": 1}}
    )
    assert SHEET is with_prior(None, SHEET)
    assert own is with_prior(own, None)
    assert with_prior(None, None) is None
    both = with_prior(own, SHEET)
    assert both is not None
    assert (21, {"turn": 9, "press": 3, "fold": 9}) == (both.calls, both.members)
    assert {"assign:flat": {"press": 2, "fold": 2}, "context:loop": {"turn": 4}, "context:": {"fold": 1}} == dict(both.features)
    assert 3 == len(both.features)
    assert {"fold": {"2": 1}} == both.arguments
    assert {"turn": {"times": 3}} == both.keywords


def test_what_is_shipped_is_small_and_knows_the_usual() -> None:
    """At most three megabytes; numpy's most called function is one that everybody calls."""
    priors = Priors.shipped()
    assert (Path(__file__).parents[2] / "adapters" / "priors.bin").stat().st_size <= 3_000_000
    numpy = priors.of("numpy")
    assert numpy is not None
    assert "array" in sorted(numpy.members, key=lambda m: -numpy.members[m])[:3]
    assert not numpy.arguments


def test_what_is_shipped_holds_names_and_numbers_alone() -> None:
    """No string literal, no path: every text is an identifier, a dotted name or a feature of identifiers."""
    priors = Priors.shipped()
    for key in ("numpy", "os", "requests", "flask", "pandas.core.frame.DataFrame()"):
        usage = priors.of(key)
        assert usage is not None
        texts = {*usage.members, *(k for names in usage.keywords.values() for k in names)}
        texts |= {feature.partition(":")[2].removesuffix("()") for feature in usage.features}
        assert {t for t in texts if not t.isidentifier() and t not in ("-", "")} == set()
