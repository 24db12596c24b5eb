"""Settings come from the user's own file alone, and a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from octod.core.errors import UsageError
from octod.core.settings import Settings


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
