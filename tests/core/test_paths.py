"""P3: folders are private, and the socket's path is short enough for every system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from octod.core.errors import OctodError
from octod.core.paths import LONGEST_SOCKET_PATH, Paths, private_folder


@pytest.mark.parametrize("umask", [0, 0o077])
def test_a_private_folder_is_0700_under_any_umask(tmp_path: Path, umask: int) -> None:
    """Every folder made on the way is for its owner alone."""
    before = os.umask(umask)
    try:
        made = private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [0o700, 0o700] == [folder.stat().st_mode & 0o777 for folder in (made, made.parent)]


def test_a_folder_open_to_others_is_closed(tmp_path: Path) -> None:
    """A folder of ours that others may enter becomes private."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    assert 0o700 == private_folder(folder).stat().st_mode & 0o777


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """A runtime folder that leads elsewhere is not used."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OctodError, match="symbolic link"):
        private_folder(tmp_path / "link")


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is told, not removed."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OctodError, match="not a folder"):
        private_folder(tmp_path / "file")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ownership decides, whatever the mode."""
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OctodError, match="another user"):
        private_folder(tmp_path)


def test_a_home_of_200_characters_gets_a_short_socket() -> None:
    """Where the socket's path would be too long, a short folder of this user stands in, the same each time."""
    home = {"HOME": "/home/" + "x" * 200}
    found = Paths.of(home)
    assert len(os.fsencode(found.socket)) <= LONGEST_SOCKET_PATH
    assert found.runtime == Paths.of(home).runtime
    assert found.runtime != Paths.of({"HOME": "/home/" + "y" * 200}).runtime


def test_octod_home_holds_everything() -> None:
    """With OCTOD_HOME nothing lies elsewhere."""
    found = Paths.of({"OCTOD_HOME": "/o", "HOME": "/h", "XDG_CACHE_HOME": "/x"})
    assert {Path("/o")} == {
        folder.parent for folder in (found.data, found.cache, found.state, found.runtime, found.config)
    }
