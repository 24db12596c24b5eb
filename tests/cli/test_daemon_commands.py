"""``octod start``, ``stop``, ``status``, ``logs`` and ``doctor`` with and without a daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from octod.cli.daemon import show_status
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


def test_status_is_read_by_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Engine, adapters, those refused with the reason, what runs, and a table of environments."""
    show_status(
        {
            "version": "0.1.0",
            "state": "ready",
            "pid": 7,
            "uptime": 300.0,
            "model": {
                "engine": "embedded",
                "ready": True,
                "base": "octod-base",
                "adapters": ["petstore-1.2-0123456789ab"],
                "refused": {"rich-14.0.0-0123456789ab": "rich 15.0.0 is installed"},
            },
            "routes": {"index": 0.9, "jedi": 0.1},
            "menus": 10,
            "jobs": [{"name": "Indexing venv", "state": "running", "share": 0.5, "message": "API of rich"}],
            "workspaces": [{"environment": "/home/me/venv", "python": "3.11", "libraries": 3, "ready": True, "menus": 10, "routes": {"index": 0.9, "jedi": 0.1}}],
        }
    )
    expected = """\
octod 0.1.0, ready, pid 7, up 5 min
engine    embedded, ready
base      octod-base
adapters  petstore-1.2-0123456789ab
refused   rich-14.0.0-0123456789ab: rich 15.0.0 is installed
menus     10: index 90%, jedi 10%
running   Indexing venv 50% API of rich

environment    python  libraries  index  projects  menus
/home/me/venv  3.11            3  fresh            10: index 90%, jedi 10%
"""
    assert expected == capsys.readouterr().out


def test_status_of_a_daemon_that_starts_or_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the service is up there is little to tell; when it cannot come up, why."""
    show_status(
        {"version": "0.1.0", "state": "failed", "pid": 7, "problem": {"message": "no base", "hint": "mend"}}
    )
    assert "octod 0.1.0, failed, pid 7, up 0 s\nproblem   no base\n  hint: mend\n" == capsys.readouterr().out


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
