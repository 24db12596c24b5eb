"""``octod complete`` and ``octod try``: places, and what is shown of the daemon's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from octod.cli import complete
from octod.cli.asking import Asked
from octod.cli.tour import cut_at, sites
from octod.core.answers import AdapterUse, Ghost, Menu, MenuItem
from octod.core.errors import UsageError

Call = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose second line has a character outside ASCII before the dot."""
    path = tmp_path / "shop.py"
    path.write_bytes("import petstore\r\ngrößer = petstore.\r\n".encode())
    return path


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("2:19", len("import petstore\r\ngrößer = petstore.")),
        ("2", len("import petstore\r\ngrößer = petstore.")),
        ("2:1", len("import petstore\r\n")),
        ("1:16", len("import petstore")),
        ("3", len("import petstore\r\ngrößer = petstore.\r\n")),
    ],
)
def test_line_and_column_count_from_one_in_characters(
    file: Path, environment: Path, place: str, expected: int
) -> None:
    """The cursor stands before the character of that column; without a column at the end of the line."""
    assert expected == complete.parse_place(f"{file}:{place}", str(environment)).offset


@pytest.mark.parametrize(
    "place", ["shop.py", "shop.py:x", "shop.py:0", "shop.py:4", "shop.py:1:17", "shop.py:1:0"]
)
def test_a_place_outside_the_file_is_a_usage_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Exit code 2, and which lines and columns there are."""
    monkeypatch.chdir(file.parent)
    with pytest.raises(UsageError):
        complete.parse_place(place, None)


def test_a_file_that_is_not_there_is_told(call: Call, tmp_path: Path) -> None:
    """The message names the file; no daemon is started for it."""
    result = call("complete", f"{tmp_path}/none.py:1:1")
    assert 1 == result.exit_code
    assert f"Error: cannot read {tmp_path}/none.py: No such file or directory" in result.stderr


def test_an_answer_is_shown_with_scores_ghost_and_adapters(capsys: pytest.CaptureFixture[str]) -> None:
    """Receiver, ranked menu, ghost text, adapters and milliseconds are all there."""
    uses = (AdapterUse("petstore-1.2-0123456789ab", 1.0),)
    menu = Menu(
        (MenuItem("feed", "function", "petstore.Pet.feed", "(food)", "petstore 1.2", score=0.75),),
        start=5,
        receiver="petstore.Pet",
        adapters=uses,
        model=True,
        milliseconds=12.4,
    )
    complete.show_answer(Asked(menu, Ghost('feed("bone")', 5, 0.81, uses, milliseconds=85.0)), 10)
    text = capsys.readouterr().out
    for part in (
        "petstore.Pet",
        "12 ms",
        "usage and model",
        "0.750",
        'feed("bone")',
        "85 ms",
        "0.81",
        f"{uses[0].name} (1.00)",
    ):
        assert part in text


def test_silence_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is known a person reads that, not an empty screen."""
    complete.show_answer(Asked(None, None), 10)
    assert (
        "menu      nothing is known here\nghost     silent\nadapters  none (base model)\n"
        == capsys.readouterr().out
    )


def test_the_calls_of_a_file_are_found_where_the_editor_would_be() -> None:
    """Offsets are code points just after the dot and the bracket, also behind other alphabets."""
    text = 'x = "größer"; y = x.upper()\nprint(y)\nz = (x\n  .split("e", 1)\n  [0])\n'
    found = [
        (text[: site.dot][-2:], text[site.dot : site.open], text[site.open : site.close])
        for site in sites(text)
    ]
    assert [("x.", "upper(", ")"), (" .", "split(", '"e", 1)')] == found


def test_a_file_cut_at_a_place_ends_its_line_there() -> None:
    """What follows on the line is not typed yet; the lines below are there."""
    assert "a.\nb\n" == cut_at("a.b(c)\nb\n", 2)
    assert "a." == cut_at("a.b(c)", 2)
