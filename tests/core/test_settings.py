"""Settings come from the user's own file alone, and a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.core.errors import UsageError
from octod.core.settings import Settings, change_setting


def test_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    """Nothing needs to be configured."""
    assert Settings() == Settings.read(tmp_path)


def test_known_keys_are_taken(tmp_path: Path) -> None:
    """A key that is known changes its setting, whole numbers stand for decimals."""
    (tmp_path / "config.toml").write_text('engine = "none"\nghost_threshold = 1\n')
    assert Settings(engine="none", ghost_threshold=1.0) == Settings.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [("speed = 3", "speed"), ('engine_threads = "two"', "engine_threads"), ('engine = "gpu"', "gpu"), ("=", "config.toml")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    """The message says which file and key, and exit code 2 follows."""
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UsageError, match=named) as caught:
        Settings.read(tmp_path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'base = "x y"\n'),
        ("# mine\nengine_threads = 3  # few\n", '# mine\nengine_threads = 3  # few\nbase = "x y"\n'),
        ('base = "old"\nlearn = false', 'base = "x y"\nlearn = false'),
        ("  base='old' # why\n", 'base = "x y"\n'),
    ],
)
def test_one_setting_is_changed_and_the_other_lines_stay(tmp_path: Path, before: str, after: str) -> None:
    """Comments and other settings are the user's."""
    path = tmp_path / "config.toml"
    path.write_text(before)
    change_setting(tmp_path, "base", "x y")
    assert after == path.read_text()
    assert "x y" == Settings.read(tmp_path).base
    assert ["config.toml"] == [p.name for p in tmp_path.iterdir()]


def test_a_linked_file_stays_linked_and_a_new_one_is_private(tmp_path: Path) -> None:
    """People keep their settings in a repository of their own."""
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("learn = false\n")
    (tmp_path / "octod").mkdir(mode=0o700)
    (tmp_path / "octod" / "config.toml").symlink_to(kept)
    change_setting(tmp_path / "octod", "base", "tiny")
    assert (tmp_path / "octod" / "config.toml").is_symlink()
    assert Settings(learn=False, base="tiny") == Settings.read(tmp_path / "octod")
    change_setting(tmp_path / "new", "base", "tiny")
    assert 0o600 == (tmp_path / "new" / "config.toml").stat().st_mode & 0o777


def test_what_cannot_be_changed_line_by_line_is_left_alone(tmp_path: Path) -> None:
    """A value over several lines: the user is told what to write."""
    text = 'base = """\nold"""\n'
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UsageError, match='write `base = "new"`'):
        change_setting(tmp_path, "base", "new")
    assert text == (tmp_path / "config.toml").read_text()
