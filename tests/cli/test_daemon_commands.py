"""``octod start``, ``stop``, ``status``, ``logs`` and ``doctor`` with and without a daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from octod.cli.daemon import flattened
from octod.core.paths import Paths

Call = Callable[..., Result]


@pytest.fixture
def stopped() -> Iterator[None]:
    """Whatever daemon a test has started is gone afterwards."""
    yield
    from octod.daemon import lifecycle

    lifecycle.stop(Paths.of())


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json")])
def test_status_without_a_daemon_is_exit_code_3(call: Call, arguments: tuple[str, ...]) -> None:
    """A script can tell "no daemon" from any other failure."""
    result = call(*arguments)
    assert (3, "") == (result.exit_code, result.stdout)
    assert "hint: start it with `octod start`" in result.stderr


def test_stop_without_a_daemon_is_no_failure(call: Call) -> None:
    """What was wanted is so already."""
    result = call("stop")
    assert (0, "octod is not running\n") == (result.exit_code, result.stdout)


@pytest.mark.slow
@pytest.mark.usefixtures("stopped")
def test_a_daemon_is_started_once_shown_and_stopped(call: Call) -> None:
    """The second start says that it runs; status knows its pid; after stop it is gone."""
    assert call("start").stdout.startswith("octod started (pid ")
    assert call("start").stdout.startswith("octod is running already (pid ")
    status = json.loads(call("status", "--json").stdout)
    assert str(status["pid"]) in call("status").stdout
    os.kill(status["pid"], 0)
    assert f"octod stopped (pid {status['pid']})\n" == call("stop").stdout
    assert 3 == call("status").exit_code


def test_logs_before_the_first_start_say_where_they_would_be(call: Call) -> None:
    """No log is a message, not an empty answer."""
    result = call("logs")
    assert 3 == result.exit_code
    assert str(Paths.of().log) in result.stderr


def test_logs_print_the_last_lines(call: Call) -> None:
    """``-n`` counts from the end."""
    log = Paths.of().log
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree\n", encoding="utf-8")
    assert "two\nthree\n" == call("logs", "-n", "2").stdout


def test_status_values_are_read_by_people() -> None:
    """Nested values become dotted rows; yes and no, sizes and lists are words."""
    found = {
        "ready": True,
        "index": {"bytes": 3_000_000, "names": ["a", "b"]},
        "jobs": [{"name": "x"}],
        "none": [],
    }
    expected = [
        ("ready", "yes"),
        ("index.bytes", "3.0 MB"),
        ("index.names", "a, b"),
        ("jobs.1.name", "x"),
        ("none", "none"),
    ]
    assert expected == flattened(found)


def checked(call: Call, environment: Path) -> dict[str, dict[str, str]]:
    """What ``octod doctor --json`` says, by the name of the check."""
    return {
        check["name"]: check
        for check in json.loads(call("doctor", "--env", str(environment), "--json").stdout)
    }


def test_doctor_tells_of_an_environment_that_is_not_indexed(call: Call, environment: Path) -> None:
    """A warning with the command that mends it."""
    assert ("warn", "octod index") == tuple(
        checked(call, environment)["index"][key] for key in ("state", "fix")
    )
    call("index", str(environment))
    assert "ok" == checked(call, environment)["index"]["state"]


def test_doctor_finds_a_folder_that_others_can_read(call: Call, environment: Path) -> None:
    """The fix is a command to copy."""
    folder = Paths.of().data
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    check = checked(call, environment)["folder data"]
    assert ("warn", f"chmod 700 {folder}") == (check["state"], check["fix"])


def test_doctor_finds_settings_that_cannot_be_read(call: Call, environment: Path) -> None:
    """A broken config.toml is a failed check and exit code 1; the other checks still run."""
    folder = Paths.of().config
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("engine = \n", encoding="utf-8")
    found = checked(call, environment)
    assert "fail" == found["settings"]["state"]
    assert "ok" == found["python"]["state"]
    assert 1 == call("doctor", "--env", str(environment)).exit_code


def test_doctor_finds_too_little_space(
    call: Call, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told before anything fails on it."""
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**10, 10**10, 1000))
    assert "fail" == checked(call, environment)["disk"]["state"]
