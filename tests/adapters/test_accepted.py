"""What the user accepted: kept privately, fading, bounded, cleared, and never in the way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from octod.adapters import accepted
from octod.adapters.accepted import FADING, Accepted
from octod.core.paths import Paths

WRITER = """
import sys
from pathlib import Path
from octod.adapters.accepted import Accepted
store = Accepted(Path(sys.argv[1]))
for number in range(1_000_000):
    store.note(f"folds.Sheet{number % 50}()", f"turn{number % 7}")
    print(number, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Accepted:
    """An empty one in a folder that is not there yet."""
    return Accepted(tmp_path / "data" / "learned.db")


def test_nothing_is_made_before_something_is_accepted(store: Accepted) -> None:
    """Asking makes no file."""
    assert {} == dict(store.of("folds.Sheet()"))
    assert [] == store.listing()
    assert 0 == store.clear()
    assert not store.path.exists()


def test_counts_fade_when_something_else_of_the_receiver_is_accepted(store: Accepted) -> None:
    """Each acceptance takes a twentieth off the receiver's counts; other receivers keep theirs."""
    for member in ("turn", "turn", "press"):
        store.note("folds.Sheet()", member)
    store.note("folds.Book()", "open")
    assert {"turn": pytest.approx((1 + FADING) * FADING), "press": 1.0} == dict(store.of("folds.Sheet()"))
    assert {"open": 1.0} == dict(store.of("folds.Book()"))
    assert ["folds.Book()", "folds.Sheet()", "folds.Sheet()"] == [receiver for receiver, _, _ in store.listing()]
    assert ["open", "turn", "press"] == [member for _, member, _ in store.listing()]


def test_an_old_habit_goes_and_the_sum_stays_bounded(store: Accepted) -> None:
    """After some dozens of others an entry is forgotten, and counts of one receiver never exceed twenty."""
    store.note("folds.Sheet()", "turn")
    for _ in range(200):
        store.note("folds.Sheet()", "press")
    counts = store.of("folds.Sheet()")
    assert ["press"] == list(counts)
    assert counts["press"] < 1 / (1 - FADING) + 1e-9


def test_the_file_is_private_under_any_umask(store: Accepted) -> None:
    """0600 in a folder of 0700, with the files that SQLite puts beside it."""
    before = os.umask(0)
    try:
        store.note("folds.Sheet()", "turn")
    finally:
        os.umask(before)
    assert 0o700 == stat.S_IMODE(store.path.parent.stat().st_mode)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}


def test_the_oldest_receivers_go(store: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many receivers are kept, those used last."""
    monkeypatch.setattr(accepted, "_MOST_RECEIVERS", 20)
    for number in range(50):
        store.note(f"folds.Sheet{number:02}()", "turn")
    kept = [receiver for receiver, _, _ in store.listing()]
    assert len(kept) <= 20
    assert "folds.Sheet49()" == kept[-1]


def test_clearing_reaches_another_process_and_the_disk(store: Accepted) -> None:
    """A daemon that has the file open sees the next answer empty; the names are gone from the file."""
    store.note("folds.Sheet()", "turn")
    assert {"turn": 1.0} == dict(store.of("folds.Sheet()"))
    other = Accepted(store.path)
    assert 1 == other.clear()
    other.close()
    assert {} == dict(store.of("folds.Sheet()"))
    store.close()
    assert b"folds.Sheet" not in b"".join(path.read_bytes() for path in store.path.parent.iterdir())


def test_a_file_that_is_no_database_is_replaced(store: Accepted) -> None:
    """These counts only order menus: damage costs no answer."""
    store.path.parent.mkdir(mode=0o700)
    store.path.write_bytes(b"no database at all " * 400)
    assert {} == dict(store.of("folds.Sheet()"))
    store.note("folds.Sheet()", "turn")
    assert {"turn": 1.0} == dict(store.of("folds.Sheet()"))


def test_a_file_that_goes_away_is_made_again(store: Accepted) -> None:
    """Deleting it under a daemon forgets everything and breaks nothing."""
    store.note("folds.Sheet()", "turn")
    for path in list(store.path.parent.iterdir()):
        path.unlink()
    assert {} == dict(store.of("folds.Sheet()"))
    store.note("folds.Sheet()", "press")
    assert {"press": 1.0} == dict(store.of("folds.Sheet()"))


def test_a_killed_writer_leaves_a_sound_file(store: Accepted) -> None:
    """kill -9 in the middle of writing: what was told is there, and it can be written again."""
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.path)], stdout=subprocess.PIPE, text=True, env=os.environ
        ) as writer:
            assert writer.stdout is not None
            for _ in range(20):
                assert writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        before = len(store.listing())
        assert before >= 20
        store.note("folds.Other()", "turn")
        assert store.of("folds.Other()")["turn"] >= 1.0


def test_the_users_own_lies_in_the_data_folder(tmp_path: Path) -> None:
    """Beside the adapters."""
    paths = Paths.of({"OCTOD_HOME": str(tmp_path)})
    assert tmp_path / "data" / "learned.db" == Accepted.at(paths).path
