"""Routing: imports and the receiver choose, what is installed decides, refusals are told."""

from __future__ import annotations

from pathlib import Path

from octod.adapters.identity import BaseModel
from octod.adapters.registry import Adapter
from octod.adapters.routing import choose
from octod.core.symbols import LibraryId

ALPHA, BETA = LibraryId("alpha", "1.0", "a"), LibraryId("beta", "2.0", "b")
INSTALLED = {"alpha": (ALPHA,), "beta": (BETA,), "bt": (BETA,)}
BASE = BaseModel("tiny", Path("/nowhere"), "w", "t")


def adapter(library: LibraryId, name: str = "", weights: str = "w", tokenizer: str = "t") -> Adapter:
    """An adapter for a library as the registry lists it."""
    name = name or f"{library.distribution}-{library.version}-000000000000"
    return Adapter(name, Path("/nowhere") / name, library, "tiny", weights, tokenizer, "0" * 64, 16, 32.0, "")


def test_the_receivers_library_gets_the_weight() -> None:
    """Other imports get nothing unless asked for."""
    choice = choose(["beta", "alpha"], "alpha", [adapter(BETA), adapter(ALPHA)], INSTALLED, base=BASE)
    assert (("alpha-1.0-000000000000", 1.0),) == choice.mixture
    assert () == choice.refused


def test_other_imports_get_their_weight_when_it_is_set() -> None:
    """The receiver's adapter comes first."""
    choice = choose(["bt", "alpha"], "alpha", [adapter(BETA), adapter(ALPHA)], INSTALLED, import_weight=0.2)
    assert (("alpha-1.0-000000000000", 1.0), ("beta-2.0-000000000000", 0.2)) == choice.mixture


def test_unknown_receiver_shares_the_weight_among_the_imports() -> None:
    """Nothing else is known of the cursor."""
    choice = choose(["alpha", "beta"], None, [adapter(BETA), adapter(ALPHA)], INSTALLED)
    assert (("alpha-1.0-000000000000", 0.5), ("beta-2.0-000000000000", 0.5)) == choice.mixture


def test_receiver_without_an_adapter_gets_none_of_another_library() -> None:
    """The wrong library's adapter never stands in."""
    assert () == choose(["alpha", "beta"], "beta", [adapter(ALPHA)], INSTALLED).mixture


def test_not_imported_is_not_chosen() -> None:
    """An adapter needs an import or the receiver."""
    assert () == choose([], None, [adapter(ALPHA)], INSTALLED).mixture


def test_upgraded_library_refuses_its_adapter_visibly() -> None:
    """The reason names both versions and the command."""
    old = adapter(LibraryId("alpha", "0.9", "old"))
    choice = choose(["alpha"], "alpha", [old], INSTALLED)
    assert () == choice.mixture
    assert ["trained for alpha 0.9, installed is 1.0: run `octod train alpha`"] == [
        r.reason for r in choice.refused
    ]


def test_same_version_with_other_files_is_refused() -> None:
    """The RECORD hash counts, not the version alone."""
    choice = choose(["alpha"], "alpha", [adapter(LibraryId("alpha", "1.0", "patched"))], INSTALLED)
    assert ["trained for other files of alpha 1.0 than those installed: run `octod train alpha`"] == [
        r.reason for r in choice.refused
    ]


def test_removed_library_refuses_its_adapter() -> None:
    """A receiver that is no longer installed."""
    choice = choose([], "gone", [adapter(LibraryId("gone", "1", ""))], INSTALLED)
    assert ["gone is not installed in this environment"] == [r.reason for r in choice.refused]


def test_other_base_and_other_tokenizer_are_refused() -> None:
    """Each with its own reason."""
    rows = [adapter(ALPHA, "alpha-1.0-aa", weights="x"), adapter(ALPHA, "alpha-1.0-bb", tokenizer="x")]
    choice = choose(["alpha"], "alpha", rows, INSTALLED, base=BASE)
    assert () == choice.mixture
    assert [
        "trained for another base model (tiny): run `octod train alpha`",
        "trained with another tokenizer: run `octod train alpha`",
    ] == [r.reason for r in choice.refused]


def test_an_old_adapter_beside_a_fitting_one_is_no_news() -> None:
    """The newest that fits serves, the older one is not reported."""
    rows = [adapter(LibraryId("alpha", "0.9", "old")), adapter(ALPHA)]
    choice = choose(["alpha"], "alpha", rows, INSTALLED)
    assert (("alpha-1.0-000000000000", 1.0),) == choice.mixture
    assert () == choice.refused


def test_the_number_of_adapters_is_limited() -> None:
    """A file that imports everything does not slow each step down."""
    libraries = [LibraryId(f"l{n}", "1", "") for n in range(9)]
    installed = {library.distribution: (library,) for library in libraries}
    choice = choose(
        list(installed), "l3", [adapter(each) for each in libraries], installed, import_weight=0.1
    )
    assert 4 == len(choice.mixture)
    assert ("l3-1-000000000000", 1.0) == choice.mixture[0]
