"""The root command: every command is reachable, errors are told in two lines, exit codes are kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import Result
from octod.cli.root import COMMANDS, octod
from octod.core.errors import DaemonError, OctodError, UsageError

Call = Callable[..., Result]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(call: Call, name: str) -> None:
    """``octod NAME --help`` works and its first line is a sentence."""
    result = call(name, "--help")
    assert 0 == result.exit_code
    command = octod.get_command(click.Context(octod), name)
    assert command is not None
    assert command.help is not None
    assert command.help.strip().partition("\n")[0].endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_listed_with_a_short_text(call: Call, name: str) -> None:
    """The list in ``octod --help`` fits 80 columns."""
    line = next(line for line in call("--help").output.splitlines() if line.split()[:1] == [name])
    assert COMMANDS[name][1] in line
    assert len(line) < 80


@pytest.mark.parametrize(
    ("error", "code"),
    [(OctodError("it broke", "mend it"), 1), (UsageError("odd"), 2), (DaemonError("gone"), 3)],
)
def test_an_error_is_told_in_two_lines_with_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: OctodError, code: int
) -> None:
    """``Error:`` and ``hint:`` on stderr, nothing on stdout, no traceback."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(octod, "get_command", lambda ctx, name: click.Command(name, callback=fail))
    result = call("start")
    hint = f"  hint: {error.hint}\n" if error.hint else ""
    assert (code, "", f"Error: {error.message}\n{hint}") == (result.exit_code, result.stdout, result.stderr)


def test_a_fault_of_octod_is_told_without_a_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other exception becomes exit code 1 and asks for a report."""

    def fail() -> None:
        raise ValueError("nobody expected this")

    monkeypatch.setattr(octod, "get_command", lambda ctx, name: click.Command(name, callback=fail))
    result = call("start")
    assert 1 == result.exit_code
    assert "Error: this is a fault in octod: ValueError: nobody expected this" in result.stderr
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--debug`` the exception comes through."""

    def fail() -> None:
        raise OctodError("it broke")

    monkeypatch.setattr(octod, "get_command", lambda ctx, name: click.Command(name, callback=fail))
    assert isinstance(call("--debug", "start").exception, OctodError)


def test_an_unknown_command_names_the_nearest_one(call: Call) -> None:
    """A slip of the finger is exit code 2 and a suggestion."""
    result = call("serach")
    assert 2 == result.exit_code
    assert "search" in result.stderr


def test_version_is_the_installed_one(call: Call) -> None:
    """``octod --version`` prints what importlib.metadata knows."""
    from importlib.metadata import version

    assert f"octod {version('octod')}\n" == call("--version").output


def test_a_closed_pipe_is_no_failure() -> None:
    """``octod --help | head -1`` ends quietly."""
    code = f"{sys.executable} -c 'from octod.cli import main; main()' --help | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", code], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
