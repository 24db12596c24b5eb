"""Environments and distributions, read as text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from octod.core.errors import EnvironmentProblem
from octod.core.symbols import LibraryId
from octod.indexer.environment import distributions, find_environment, module_of, standard_library
from packages import install, make_environment


def test_an_interpreter_that_is_a_link_belongs_to_its_own_folder(tmp_path: Path) -> None:
    """``env/bin/python`` is a link to the system's Python; the environment is still ``env``."""
    environment = make_environment(tmp_path / "env")
    (tmp_path / "env" / "bin").mkdir()
    (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)
    assert find_environment(tmp_path / "env" / "bin" / "python") == environment


def test_a_link_to_an_interpreter_elsewhere_leads_to_its_environment(tmp_path: Path) -> None:
    """``~/bin/python-of-work`` may point at ``work/.venv/bin/python``."""
    environment = make_environment(tmp_path / "env")
    (tmp_path / "env" / "bin").mkdir()
    (tmp_path / "env" / "bin" / "python").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "env" / "bin" / "python")
    assert find_environment(tmp_path / "link") == environment


@pytest.mark.parametrize("hint", ["env", "env/lib/python3.11/site-packages", "."])
def test_folders_lead_to_their_environment(tmp_path: Path, hint: str) -> None:
    """The prefix, its site-packages and the project around ``venv`` all name the same environment."""
    made = make_environment(tmp_path / ("venv" if hint == "." else "env"))
    assert find_environment(tmp_path / hint) == made


def test_without_a_hint_the_nearest_venv_wins_over_the_active_one(tmp_path: Path) -> None:
    """A file's own project says more than the shell the editor was started from."""
    other = make_environment(tmp_path / "other")
    near = make_environment(tmp_path / "project" / ".venv")
    start = tmp_path / "project" / "src"
    start.mkdir()
    environ = {"VIRTUAL_ENV": str(other.root)}
    assert find_environment(None, start, environ) == near
    assert find_environment(None, tmp_path, environ) == other
    assert find_environment(None, tmp_path, {}).root == Path(sys.prefix)


def test_a_hint_that_leads_nowhere_says_what_to_name(tmp_path: Path) -> None:
    """The error names the path and what is expected there."""
    with pytest.raises(EnvironmentProblem, match="does not exist") as caught:
        find_environment(tmp_path / "missing")
    assert "virtual environment" in caught.value.hint
    with pytest.raises(EnvironmentProblem, match="no installed Python packages"):
        find_environment(tmp_path)


def test_system_packages_are_added_when_the_environment_says_so(tmp_path: Path) -> None:
    """``include-system-site-packages = true`` appends the base installation's folder."""
    base = tmp_path / "base" / "lib" / "python3.11" / "site-packages"
    base.mkdir(parents=True)
    make_environment(tmp_path / "env")
    text = f"home = {tmp_path}/base/bin\ninclude-system-site-packages = true\nversion = 3.11.7\n"
    (tmp_path / "env" / "pyvenv.cfg").write_text(text)
    own = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    assert find_environment(tmp_path / "env").site_packages == (own, base)


def test_two_environments_have_different_keys(tmp_path: Path) -> None:
    """The key names the index's file, so it is stable, short and differs by path."""
    first, second = make_environment(tmp_path / "a"), make_environment(tmp_path / "b")
    assert first.key == find_environment(tmp_path / "a").key
    assert (len(first.key), first.key != second.key) == (12, True)


def test_a_distribution_is_read_from_its_metadata(tmp_path: Path) -> None:
    """Name normalised, version, files by RECORD, import names by the files, licence by its expression."""
    environment = make_environment(tmp_path)
    files = {"ham_eggs/__init__.py": "", "ham_eggs/more.pyi": "", "single.py": "", "ham_eggs/data.txt": "", "_fast.so": b""}
    install(environment, "Ham_Eggs", "1.2", files, "License-Expression: MIT")
    ((made,), problems) = distributions(environment)
    site = environment.site_packages[0]
    assert (made.library.distribution, made.library.version, len(made.library.record)) == ("ham-eggs", "1.2", 64)
    assert made.import_names == ("_fast", "ham_eggs", "single")
    assert made.files == (site / "ham_eggs/__init__.py", site / "ham_eggs/more.pyi", site / "single.py")
    assert (made.compiled, made.licence, problems) == (("_fast",), "MIT", [])


def test_the_record_hash_changes_with_the_contents(tmp_path: Path) -> None:
    """The same version with another file is another library."""
    environment = make_environment(tmp_path)
    install(environment, "ham", "1", {"ham.py": "a = 1"})
    before = distributions(environment)[0][0].library
    install(environment, "ham", "1", {"ham.py": "a = 2"})
    assert distributions(environment)[0][0].library != before


def test_one_namespace_can_have_several_distributions(tmp_path: Path) -> None:
    """``google`` is provided by whoever has a part of it."""
    environment = make_environment(tmp_path)
    install(environment, "google-a", "1", {"google/a/__init__.py": ""})
    install(environment, "google-b", "1", {"google/b/__init__.py": ""})
    assert [d.import_names for d in distributions(environment)[0]] == [("google",), ("google",)]


def test_paths_that_leave_the_folder_are_not_read(tmp_path: Path) -> None:
    """A RECORD may list scripts outside, and a hostile one anything."""
    environment = make_environment(tmp_path)
    install(environment, "ham", "1", {"ham.py": ""})
    record = environment.site_packages[0] / "ham-1.dist-info" / "RECORD"
    record.write_text(record.read_text() + "../../../bin/ham.py,,\n/etc/secret.py,,\n")
    assert [f.name for f in distributions(environment)[0][0].files] == ["ham.py"]


def test_an_editable_install_is_followed_to_its_sources(tmp_path: Path) -> None:
    """``direct_url.json`` and the ``.pth`` beside it say where the code is; nothing in the ``.pth`` runs."""
    environment = make_environment(tmp_path / "env")
    project = tmp_path / "project"
    (project / "src" / "ham").mkdir(parents=True)
    (project / "src" / "ham" / "__init__.py").write_text("")
    direct = json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}})
    files = {"_ham.pth": f"import os; os.abort()\n{project}/src\n", "ham-1.dist-info/direct_url.json": direct}
    install(environment, "ham", "1", files)
    made = distributions(environment)[0][0]
    assert (made.editable, made.root, made.import_names) == (project, project / "src", ("ham",))
    assert [made.module(f) for f in made.files] == ["ham"]


def test_the_mapping_of_a_generated_finder_is_read_as_text(tmp_path: Path) -> None:
    """setuptools writes ``MAPPING = {...}`` into a module; octod reads the literal and runs nothing."""
    environment = make_environment(tmp_path / "env")
    project = tmp_path / "project"
    (project / "core").mkdir(parents=True)
    (project / "core" / "__init__.py").write_text("")
    (project / "core" / "text.py").write_text("")
    direct = json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}})
    finder = f"MAPPING: dict[str, str] = {{'ham.core': '{project}/core'}}\nraise SystemExit\n"
    install(environment, "ham", "1", {"__editable___ham_finder.py": finder, "ham-1.dist-info/direct_url.json": direct})
    made = distributions(environment)[0][0]
    assert [made.module(f) for f in made.files] == ["ham.core", "ham.core.text"]


def test_an_editable_library_changes_with_its_files(tmp_path: Path) -> None:
    """Its RECORD never changes, so path, size and time of the files stand in for it."""
    environment = make_environment(tmp_path / "env")
    source = tmp_path / "project" / "ham" / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text("a = 1\n")
    direct = json.dumps({"url": (tmp_path / "project").as_uri(), "dir_info": {"editable": True}})
    install(environment, "ham", "1", {"ham-1.dist-info/direct_url.json": direct})
    before = distributions(environment)[0][0].library
    source.write_text("a = 1\nb = 2\n")
    assert distributions(environment)[0][0].library != before


def test_a_legacy_install_without_record_is_walked(tmp_path: Path) -> None:
    """An ``egg-info`` folder names its top-level modules only."""
    environment = make_environment(tmp_path)
    site = environment.site_packages[0]
    (site / "ham.egg-info").mkdir()
    (site / "ham.egg-info" / "PKG-INFO").write_text("Name: Ham\nVersion: 2\n")
    (site / "ham.egg-info" / "top_level.txt").write_text("ham\n")
    (site / "ham").mkdir()
    (site / "ham" / "__init__.py").write_text("")
    ((made,), problems) = distributions(environment)
    assert (made.library.distribution, made.library.version, made.files) == ("ham", "2", (site / "ham/__init__.py",))
    assert problems == []


def test_unreadable_metadata_is_a_problem_not_an_error(tmp_path: Path) -> None:
    """One broken package does not hide the others."""
    environment = make_environment(tmp_path)
    install(environment, "good", "1", {"good.py": ""})
    install(environment, "bad", "1", {"bad.py": "", "bad-1.dist-info/direct_url.json": "{"})
    found, problems = distributions(environment)
    assert [d.library.distribution for d in found] == ["good"]
    assert len(problems) == 1 and "bad-1.dist-info" in problems[0]


def test_the_standard_library_is_a_library(tmp_path: Path) -> None:
    """Typeshed's stubs, found beside jedi without importing it, with the version asked for."""
    made = standard_library("3.12")
    assert made.library == LibraryId("stdlib", "3.12", "")
    assert {"json", "os", "typing", "builtins"} <= set(made.import_names)
    assert made.module(made.root / "os" / "path.pyi") == "os.path"
    assert all(f.suffix == ".pyi" for f in made.files)


def test_module_names_by_path() -> None:
    """Stub packages count as what they describe; what cannot be imported has no name."""
    root = Path("/site")
    names = ["ham/eggs.py", "ham-stubs/eggs.pyi", "ham/__init__.py", "ham/my-file.py", "fast.cpython-311.so"]
    assert [module_of(root / n, root) for n in names] == ["ham.eggs", "ham.eggs", "ham", None, "fast"]
    assert module_of(Path("/else/ham.py"), root) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_told(tmp_path: Path) -> None:
    """No permission on site-packages is a problem with the folder's name."""
    environment = make_environment(tmp_path)
    environment.site_packages[0].chmod(0)
    try:
        found, problems = distributions(environment)
    finally:
        environment.site_packages[0].chmod(0o700)
    assert (found, len(problems)) == ([], 1)
