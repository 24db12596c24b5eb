"""``octod diff`` on two small wheels."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[str, str]:
    """Two versions of ``petstore``."""
    sources = {
        "1.0": "def adopt(name, *, years=1): ...\nclass Pet:\n    def iteritems(self): ...\n    def feed(self): ...\n",
        "2.0": "def adopt(name, *, age, years=2): ...\nclass Pet:\n    def iter_items(self): ...\ndef release(): ...\n",
    }
    made = []
    for version, source in sources.items():
        path = tmp_path / f"petstore-{version}-py3-none-any.whl"
        info = f"petstore-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("petstore.py", source)
            archive.writestr(f"{info}/METADATA", f"Name: petstore\nVersion: {version}\n")
            archive.writestr(f"{info}/RECORD", "petstore.py,,\n")
        made.append(str(path))
    return made[0], made[1]


def test_diff_tells_what_breaks_first(call: Call, wheels: tuple[str, str]) -> None:
    """Counts, then renamed, removed, changed and added names."""
    result = call("diff", "Petstore", *wheels)
    assert (0, "") == (result.exit_code, result.stderr)
    assert [
        "petstore 1.0 → 2.0: 1 removed, 1 renamed, 1 changed, 0 deprecated, 1 added",
        "",
        "renamed",
        "  petstore.Pet.iteritems → petstore.Pet.iter_items",
        "",
        "removed",
        "  petstore.Pet.feed",
        "",
        "changed",
        "  petstore.adopt: years=1 is now years=2; age added, required",
        "",
        "added",
        "  petstore.release",
    ] == result.stdout.splitlines()


def test_diff_as_json_has_everything(call: Call, wheels: tuple[str, str]) -> None:
    """For programs."""
    found = json.loads(call("diff", "petstore", *wheels, "--json").stdout)
    assert ("1.0", "2.0") == (found["old"]["version"], found["new"]["version"])
    assert ["petstore.Pet.feed"] == [item["path"] for item in found["removed"]]
    assert {"path": "petstore.Pet.iter_items", "why": "alike"} == found["renamed"][0]["successor"]


@pytest.mark.usefixtures("indexed")
def test_diff_of_a_version_that_nobody_knows_says_what_is_known(call: Call, environment: Path) -> None:
    """Exit code 1, the versions there are, and what else can be named."""
    result = call("diff", "petstore", "0.1", "installed", "--env", str(environment))
    assert 1 == result.exit_code
    assert "Error: no petstore 0.1 is known" in result.stderr
    assert "known are 1.2" in result.stderr


@pytest.mark.usefixtures("indexed")
def test_diff_of_a_library_that_is_not_installed(call: Call, environment: Path) -> None:
    """Exit code 1 and where it was looked for."""
    result = call("diff", "nothing", "installed", "installed", "--env", str(environment))
    assert (1, True) == (result.exit_code, "has no nothing" in result.stderr)


@pytest.mark.usefixtures("indexed")
def test_doctor_says_which_environment_a_folder_uses_and_why(call: Call, environment: Path) -> None:
    """What led to it, in words."""
    found = json.loads(call("doctor", "--env", str(environment), "--json").stdout)
    (check,) = [c for c in found if c["name"] == "environment"]
    assert f"found through: {environment} was named" in check["found"]
