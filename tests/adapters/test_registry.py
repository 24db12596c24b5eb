"""The registry: publishing is all or nothing, files are private, what a crash leaves is cleaned up."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from octod.adapters.card import Card, Figure
from octod.adapters.identity import BaseModel, adapter_name
from octod.adapters.registry import Registry
from octod.core.errors import AdapterRefused, OctodError, RegistryProblem
from octod.core.paths import Paths
from octod.core.symbols import LibraryId

Make = Callable[..., Path]


@pytest.fixture
def paths(sealed: Path) -> Paths:
    """The sealed home's folders."""
    return Paths.of()


@pytest.fixture
def registry(paths: Paths) -> Iterator[Registry]:
    """An empty registry."""
    with Registry.open(paths) as opened:
        yield opened


def test_published_adapter_is_listed_shown_and_verified(
    registry: Registry, adapter_folder: Make, card: Card, base: BaseModel
) -> None:
    """Name, library, rank, scaling and card are those that were given."""
    card = replace(card, figures=(Figure("base", "member", 9, top1=0.5, mrr=0.6),), kinds={"member": 3})
    adapter = registry.publish(adapter_folder(4), card)
    assert adapter.name == adapter_name(card.library, adapter.content_hash)
    assert adapter.name.startswith("folds-1.2.0-")
    assert (adapter,) == registry.adapters()
    assert (4, 1.0) == (adapter.rank, adapter.scaling)
    assert card == registry.card(adapter.name)
    assert 4 == registry.verify(adapter.name, base).rank
    assert adapter == registry.for_library(card.library, base)
    assert adapter == registry.get("folds")


def test_other_version_record_or_base_is_not_found_for_the_library(
    registry: Registry, adapter_folder: Make, card: Card, base: BaseModel
) -> None:
    """An adapter belongs to one version, one RECORD, one base and one tokenizer."""
    registry.publish(adapter_folder(), card)
    assert registry.for_library(replace(card.library, version="1.2.1"), base) is None
    assert registry.for_library(replace(card.library, record="cd" * 32), base) is None
    assert registry.for_library(card.library, replace(base, weights_hash="x")) is None
    assert registry.for_library(card.library, replace(base, tokenizer_hash="x")) is None


def test_same_content_again_is_the_same_adapter(registry: Registry, adapter_folder: Make, card: Card) -> None:
    """Publishing twice leaves one folder."""
    first = registry.publish(adapter_folder(), card)
    assert first == registry.publish(adapter_folder(), card)
    assert [first.name] == [p.name for p in first.folder.parent.iterdir()]


def test_newest_adapter_of_a_library_comes_first(
    registry: Registry, adapter_folder: Make, card: Card, base: BaseModel
) -> None:
    """Training again replaces the older one in use, not on disk."""
    newer = replace(card, created="2025-02-01T00:00:00+00:00")
    latest = registry.publish(adapter_folder(4, 2), newer)
    registry.publish(adapter_folder(4, 1), card)
    assert latest == registry.for_library(card.library, base)
    assert 2 == len(registry.adapters())


@pytest.mark.parametrize("mask", [0, 0o077])
def test_everything_is_private_under_any_umask(
    mask: int, paths: Paths, adapter_folder: Make, card: Card
) -> None:
    """Folders 0700, files 0600 (P3)."""
    before = os.umask(mask)
    try:
        with Registry.open(paths) as registry:
            registry.publish(adapter_folder(), card)
            found = {p: stat.S_IMODE(p.stat().st_mode) for p in [paths.data, *paths.data.rglob("*")]}
    finally:
        os.umask(before)
    assert 8 <= len(found)
    assert {} == {p: oct(m) for p, m in found.items() if m != (0o700 if p.is_dir() else 0o600)}


def test_durable_settings_are_in_force(registry: Registry) -> None:
    """WAL, synchronous FULL (2), foreign keys, no trusted schema, STRICT tables."""
    execute = registry._connection.execute
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "user_version")
    assert ["wal", 2, 1, 0, 1] == [execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas]
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        execute(
            "INSERT INTO adapters VALUES ('n', 'd', 'v', 'r', 'b', 'w', 't', 'c', 'four', 1.0, '')",
        )


def test_removed_adapter_is_gone_with_its_folder(
    registry: Registry, adapter_folder: Make, card: Card
) -> None:
    """A beginning of the name is enough when it fits one."""
    adapter = registry.publish(adapter_folder(), card)
    registry.remove("folds-1.2")
    assert () == registry.adapters()
    assert not adapter.folder.exists()


def test_unknown_and_ambiguous_names_say_so(registry: Registry, adapter_folder: Make, card: Card) -> None:
    """Both name the command that lists adapters."""
    with pytest.raises(RegistryProblem, match="no adapter is called 'nothing'"):
        registry.get("nothing")
    registry.publish(adapter_folder(4, 1), card)
    registry.publish(adapter_folder(4, 2), card)
    with pytest.raises(RegistryProblem, match="several adapters begin with 'folds'"):
        registry.remove("folds")


def test_gc_removes_what_belongs_to_nobody(
    registry: Registry, adapter_folder: Make, card: Card, paths: Paths
) -> None:
    """A temp folder, a folder that is no adapter, a link, a row without its folder; the good adapter stays."""
    good = registry.publish(adapter_folder(4, 1), card)
    lost = registry.publish(adapter_folder(4, 2), card)
    shutil.rmtree(lost.folder)
    (paths.adapters / ".tmp-1-abc").mkdir()
    (paths.adapters / "half-1.0-aaaaaaaaaaaa").mkdir()
    (paths.adapters / "link").symlink_to(good.folder)
    assert sorted([".tmp-1-abc", "half-1.0-aaaaaaaaaaaa", "link", lost.name]) == registry.gc()
    assert (good,) == registry.adapters()
    assert [good.name] == [p.name for p in paths.adapters.iterdir()]
    assert [] == registry.gc()


def test_complete_folder_without_a_row_is_listed_again(
    adapter_folder: Make, card: Card, paths: Paths
) -> None:
    """A lost database costs no training."""
    with Registry.open(paths) as registry:
        adapter = registry.publish(adapter_folder(), card)
    for path in paths.data.glob("registry.db*"):
        path.unlink()
    with Registry.open(paths) as registry:
        assert () == registry.adapters()
        assert [] == registry.gc()
        assert (adapter,) == registry.adapters()


def test_damaged_database_says_what_to_do(paths: Paths, adapter_folder: Make, card: Card) -> None:
    """The message names the file and the way back."""
    with Registry.open(paths) as registry:
        registry.publish(adapter_folder(), card)
    for path in paths.data.glob("registry.db-*"):
        path.unlink()
    paths.registry.write_bytes(b"no database" * 1000)
    with pytest.raises(
        RegistryProblem, match=r"damaged.*move .*registry.db away and run `octod adapters gc`"
    ):
        Registry.open(paths)


def test_registry_of_a_newer_octod_is_left_alone(paths: Paths) -> None:
    """Nothing is migrated downwards."""
    with Registry.open(paths) as registry:
        registry._connection.execute("PRAGMA user_version=99")
    with pytest.raises(RegistryProblem, match="newer octod"):
        Registry.open(paths)


def test_folder_that_is_no_adapter_is_not_published(
    registry: Registry, tmp_path: Path, card: Card, paths: Paths
) -> None:
    """Nothing is left behind."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterRefused, match="lacks"):
        registry.publish(tmp_path / "empty", card)
    assert [] == list(paths.adapters.iterdir())


def test_full_disk_leaves_nothing_and_says_so(
    registry: Registry, adapter_folder: Make, card: Card, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P14: the message names the way out."""
    folder = adapter_folder()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("octod.adapters.registry.shutil.copyfileobj", full)
    with pytest.raises(RegistryProblem, match=r"no space left \(free some space"):
        registry.publish(folder, card)
    assert [] == list(paths.adapters.iterdir())


def test_library_named_like_a_path_gets_a_harmless_name(
    registry: Registry, adapter_folder: Make, card: Card
) -> None:
    """A hostile version in METADATA cannot leave the folder."""
    hostile = replace(card, library=LibraryId("../../evil", "1..2/../x", ""))
    adapter = registry.publish(adapter_folder(), hostile)
    assert ".." not in adapter.name and "/" not in adapter.name
    assert adapter.folder.is_dir()


def test_publishers_in_threads_take_turns(paths: Paths, adapter_folder: Make, card: Card) -> None:
    """Eight at once, with gc between them: all are listed and sound."""
    folders = [adapter_folder(2, seed) for seed in range(8)]
    troubles: list[Exception] = []

    def publish(folder: Path) -> None:
        try:
            with Registry.open(paths) as registry:
                registry.publish(folder, card)
                registry.gc()
        except (OctodError, OSError, sqlite3.Error) as error:
            troubles.append(error)

    threads = [threading.Thread(target=publish, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == troubles
    with Registry.open(paths) as registry:
        names = [adapter.name for adapter in registry.adapters()]
        assert 8 == len(names)
        for name in names:
            registry.verify(name)
