"""The pages say what is so: commands exist, links lead somewhere, invariants name tests, modules are listed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def shell_lines(page: Path) -> list[str]:
    """The lines of a page's ``sh`` blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if shlex.split(line, comments=True)]


COMMANDS = [
    (page.name, line)
    for page in PAGES
    if page.name != "cli.md"
    for line in shell_lines(page)
    if line.startswith(("octod ", "make "))
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_in_a_page_exists_with_its_options(page: str, line: str) -> None:
    """Each ``octod`` line parses, each ``make`` line names a target."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[1] in targets
        return
    from octod.cli.root import octod

    command: click.Command = octod
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"{page}: octod has no command {rest[0]}"
        command, rest = found, rest[1:]
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    assert set() == {word for word in rest if word.startswith("-")} - options
    assert not isinstance(command, click.Group)


@pytest.mark.parametrize("script", ["commands.py", "modules.py"])
def test_what_is_written_by_a_script_is_fresh(script: str) -> None:
    """docs/cli.md says what the commands say, ARCHITECTURE.md lists the modules that exist; ``make docs`` writes both."""
    ended = subprocess.run(
        [sys.executable, ROOT / "docs" / script, "--check"], capture_output=True, text=True, check=False
    )
    assert (0, "") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    """A link or picture without a scheme is a file that is there."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert [] == missing


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST_NAME.findall(ARCHITECTURE))))
def test_a_test_that_the_architecture_names_exists(file: str, name: str) -> None:
    """The function is in the file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_every_invariant_names_its_test() -> None:
    """A claim of ARCHITECTURE.md without a test that can fail is no invariant."""
    section = ARCHITECTURE.partition("## Invariants")[2].partition("\n## ")[0]
    claims = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    assert len(claims) >= 10
    assert [] == [claim for claim in claims if not TEST_NAME.search(claim)]


def test_the_makefile_is_short() -> None:
    """Forty lines are read in a minute."""
    assert len((ROOT / "Makefile").read_text(encoding="utf-8").splitlines()) <= 40


def test_editor_files_are_well_formed() -> None:
    """JSON and TOML parse, and each starts ``octod lsp``."""
    package = json.loads((ROOT / "editors/vscode/package.json").read_text(encoding="utf-8"))
    helix = tomllib.loads((ROOT / "editors/helix/languages.toml").read_text(encoding="utf-8"))
    assert "./extension.js" == package["main"]
    server = helix["language-server"]["octod"]
    assert ["octod", "lsp"] == [server["command"], *server["args"]]


def test_versions_agree() -> None:
    """The package, the changelog and the VS Code extension are of one version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    package = json.loads((ROOT / "editors/vscode/package.json").read_text(encoding="utf-8"))
    assert version == package["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
