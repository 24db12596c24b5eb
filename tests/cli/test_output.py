"""Tables and progress without a terminal."""

from __future__ import annotations

import json

import pytest
from octod.cli import output


def test_without_a_terminal_a_table_is_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Text to the left, numbers to the right, no colours, no trailing blanks."""
    output.show_table(("name", "score"), [("get", 0.5), ("raise_for_status", 12.25)])
    expected = "name               score\nget                0.500\nraise_for_status  12.250\n"
    assert expected == capsys.readouterr().out


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The headings alone would tell a person nothing."""
    output.show_table(("name",), [], empty="nothing here")
    assert "nothing here\n" == capsys.readouterr().out


def test_json_is_readable_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Text that is not ASCII stays itself."""
    output.show_json({"name": "Größe"})
    text = capsys.readouterr().out
    assert "Größe" in text
    assert {"name": "Größe"} == json.loads(text)


def test_short_work_shows_no_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is done before the first line is due leaves no noise behind."""
    with output.progress("index") as step:
        step(0.5, "rich")
        step(1.0, "click")
    assert ("", "") == tuple(capsys.readouterr())


def test_progress_lines_come_at_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand steps in a moment are one line, not a thousand."""
    clock = iter(range(10_000))
    monkeypatch.setattr(output, "monotonic", lambda: next(clock) / 100)
    with output.progress("index") as step:
        for number in range(1000):
            step(number / 1000, "")
    lines = capsys.readouterr().err.splitlines()
    assert 4 <= len(lines) <= 12
    assert "index: 100%" == lines[-1]


@pytest.mark.parametrize(("size", "expected"), [(7, "7 B"), (3_400_000, "3.4 MB"), (5e12, "5000.0 GB")])
def test_sizes_are_read_by_people(size: float, expected: str) -> None:
    """Powers of a thousand, one decimal."""
    assert expected == output.size_text(size)
