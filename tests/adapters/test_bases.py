"""Added bases are complete or not there, keep their identity, and take no room that they can share."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from octod.adapters import bases as module
from octod.adapters.bases import BUNDLED, Added, BaseCard, Bases, base_name, base_of
from octod.adapters.identity import BaseModel, bundled_base
from octod.core.errors import TrainingProblem
from octod.core.paths import Paths

CARD = BaseCard("llama", 1, "F32", "", "mit", "/somewhere", "2026-01-01T00:00:00+00:00")
WEIGHTS, BESIDE = ("model.safetensors",), ("config.json", "tokenizer.json")


def add(base: BaseModel, name: str = "tiny") -> Added:
    """Add the tiny base of conftest."""
    return Bases(Paths.of()).add(name, base.folder, WEIGHTS, BESIDE, CARD)


def test_an_added_base_has_the_identity_of_its_folder(base: BaseModel) -> None:
    """Hashes are those of the original, files are private, and the card tells where it came from."""
    added = add(base)
    assert (base.weights_hash, base.tokenizer_hash) == (added.card.weights, added.card.tokenizer)
    assert BaseModel("tiny", added.folder, base.weights_hash, base.tokenizer_hash) == added.model()
    assert added.model() == BaseModel.of(added.folder, "tiny") == base_of("tiny", Paths.of())
    assert ("mit", "/somewhere") == (added.card.licence, added.card.source)
    assert 0o700 == stat.S_IMODE(added.folder.stat().st_mode)
    assert 0o600 == stat.S_IMODE((added.folder / "base.json").stat().st_mode)
    assert (added.folder.name,) == tuple(one.name for one in Bases(Paths.of()).all())
    assert [".lock", "tiny"] == sorted(p.name for p in Bases(Paths.of()).folder.iterdir())


def test_the_weights_outlive_the_original(base: BaseModel) -> None:
    """The folder that was added from may be deleted."""
    added = add(base)
    assert added.shared in ("reflink", "hard link")
    shutil.rmtree(base.folder)
    assert added.unchanged
    assert base.weights_hash == BaseModel.of(added.folder).weights_hash


def test_links_are_followed_as_the_hubs_cache_has_them(base: BaseModel, tmp_path: Path) -> None:
    """A snapshot is made of symbolic links; what is added is the files."""
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in (*WEIGHTS, *BESIDE):
        (snapshot / name).symlink_to(base.folder / name)
    added = Bases(Paths.of()).add("tiny", snapshot, WEIGHTS, BESIDE, CARD)
    assert [] == [path.name for path in added.folder.iterdir() if path.is_symlink()]


def test_another_file_system_gets_a_copy(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be shared the weights are copied, privately."""

    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(module.fcntl, "ioctl", refused)
    monkeypatch.setattr(module.os, "link", refused)
    added = add(base)
    assert "copy" == added.shared
    found = (added.folder / WEIGHTS[0]).stat()
    assert (1, 0o600) == (found.st_nlink, stat.S_IMODE(found.st_mode))


def test_the_same_content_again_is_what_is_there(base: BaseModel) -> None:
    """Under whatever name; nothing is added."""
    first = add(base)
    again = add(base, "other")
    assert ("tiny", "", first.card) == (again.name, again.shared, again.card)
    assert 1 == len(Bases(Paths.of()).all())


def test_a_name_that_is_taken_or_none_is_refused(base: BaseModel) -> None:
    """Other content under a taken name, the bundled one's name, and what would leave the folder; nothing is left."""
    add(base)
    (base.folder / "config.json").write_text((base.folder / "config.json").read_text().replace("600", "601"))
    for name in ("tiny", BUNDLED, "../evil", "A b", ".hidden", ""):
        with pytest.raises(TrainingProblem) as refused:
            add(base, name)
        assert "name" in refused.value.hint
    assert [".lock", "tiny"] == sorted(p.name for p in Bases(Paths.of()).folder.iterdir())


def test_a_changed_file_changes_the_identity(base: BaseModel) -> None:
    """Recorded hashes count only while size and time of change are the recorded ones."""
    added = add(base)
    (added.folder / "tokenizer.json").write_text("[]")
    assert not added.unchanged
    assert base.tokenizer_hash != added.model().tokenizer_hash
    assert base.weights_hash == added.model().weights_hash


def test_no_room_leaves_nothing(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told with what to do."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(TrainingProblem, match="No space left"):
        add(base)
    assert [".lock"] == [p.name for p in Bases(Paths.of()).folder.iterdir()]


def test_removing_and_asking_for_what_is_not_there(base: BaseModel) -> None:
    """A removed base is gone with its files; the setting then names nothing."""
    added = add(base)
    Bases(Paths.of()).remove("tiny")
    assert not added.folder.exists()
    for name in ("tiny", "../data"):
        with pytest.raises(TrainingProblem):
            Bases(Paths.of()).remove(name)
    with pytest.raises(TrainingProblem, match="no base is called 'tiny'"):
        base_of("tiny", Paths.of())


def test_the_setting_means_the_bundled_one_an_added_one_or_a_folder(base: BaseModel) -> None:
    """In that order."""
    added = add(base)
    assert bundled_base() == base_of("", Paths.of()) == base_of(BUNDLED, Paths.of())
    assert added.model() == base_of("tiny", Paths.of())
    assert base == base_of(str(base.folder), Paths.of())


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("Qwen/Qwen2.5-Coder-0.5B", "qwen2.5-coder-0.5b"),
        ("/models/My Model/", "my-model"),
        ("..", "base"),
        ("a/b..c", "b.c"),
    ],
)
def test_a_name_is_made_from_the_last_part(source: str, name: str) -> None:
    """Small letters, and nothing that a folder's name must not have."""
    assert name == base_name(source)


ADDING = """
import os, signal, sys
from pathlib import Path
from octod.adapters import bases
from octod.core.paths import Paths
moment, count = sys.argv[2], 0
def dying(name):
    own = getattr(*name)
    def call(*arguments, **named):
        global count
        count += 1
        if count == int(moment):
            os.kill(os.getpid(), signal.SIGKILL)
        return own(*arguments, **named)
    setattr(*name, call)
for name in ((bases.os, "open"), (bases.os, "fsync"), (bases.os, "link"), (bases.Path, "rename"), (bases.shutil, "rmtree")):
    dying(name)
card = bases.BaseCard("llama", 1, "F32", "", "", "x", "now")
bases.Bases(Paths.of()).add("tiny", Path(sys.argv[1]), ["model.safetensors"], ["config.json", "tokenizer.json"], card)
"""


@pytest.mark.slow
def test_a_killed_add_leaves_all_or_nothing_and_the_next_one_works(base: BaseModel) -> None:
    """SIGKILL at every system call that changes something: what is listed is complete, and what was left is cleared."""
    outcomes = set()
    for moment in range(1, 40):
        ended = subprocess.run(
            [sys.executable, "-c", ADDING, str(base.folder), str(moment)], env=dict(os.environ), check=False
        )
        listed = Bases(Paths.of()).all()
        assert ended.returncode in (0, -signal.SIGKILL)
        for one in listed:
            assert (base.weights_hash, base.tokenizer_hash) == (one.card.weights, one.card.tokenizer)
            assert BaseModel.of(one.folder, "tiny") == one.model()
        outcomes.add((ended.returncode == 0, bool(listed)))
        again = add(base)
        assert [".lock", "tiny"] == sorted(p.name for p in Bases(Paths.of()).folder.iterdir())
        Bases(Paths.of()).remove(again.name)
        if ended.returncode == 0:
            break
    assert {(False, False), (False, True), (True, True)} == outcomes
