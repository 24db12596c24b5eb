"""Two versions of a library side by side, both read from folders as an installer leaves them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from octod.core.errors import NotInstalled, OctodError, UsageError
from octod.indexer.api import Api, decode_api, encode_api
from octod.indexer.build import build
from octod.indexer.diff import ApiDiff, compare
from octod.indexer.environment import Environment
from octod.indexer.history import History
from octod.indexer.versions import find_version, keep_leaving
from packages import few_standard_modules, install, make_environment


@pytest.fixture(autouse=True)
def small_standard_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A build takes milliseconds."""
    monkeypatch.setattr("octod.indexer.build.standard_library", few_standard_modules)
    yield


class Two:
    """Two environments, each with a version of ``ham``."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = make_environment(folder / "old"), make_environment(folder / "new")
        self.history = History(folder / "history")
        self.indexes = folder / "indexes"

    def api(self, environment: Environment, wanted: str | None = None) -> Api:
        """The API of ``ham`` there."""
        return find_version("ham", wanted or str(environment.root), environment, self.history, self.indexes, processes=0)

    def diff(self, old: str | dict[str, str], new: str | dict[str, str]) -> ApiDiff:
        """What changed between two sources of ``ham/__init__.py``, or two sets of files."""
        for environment, version, files in ((self.old, "1.0", old), (self.new, "2.0", new)):
            install(environment, "ham", version, {"ham/__init__.py": files} if isinstance(files, str) else files)
        return compare(self.api(self.old), self.api(self.new))


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """Two empty environments."""
    return Two(tmp_path)


def renamed(diff: ApiDiff) -> dict[str, str]:
    """Removed paths with their successors, wherever these are."""
    every = [*diff.renamed, *diff.removed]
    return {item.path: item.successor.path for item in every if item.successor is not None}


def test_added_and_removed_names_are_told_by_public_path(two: Two) -> None:
    """A class that an inner module defines is known by the path that the package exports; private names do not count."""
    old = {"ham/__init__.py": "from ham._a import Egg\n", "ham/_a.py": "class Egg:\n    def boil(self): ...\n    def _x(self): ...\n"}
    new = {"ham/__init__.py": "from ham.b import Egg\n", "ham/b.py": "class Egg:\n    def fry(self, pan, oil, heat): ...\n"}
    found = two.diff(old, new)
    assert [item.path for item in found.removed] == ["ham.Egg.boil"]
    assert found.added == (("ham.Egg.fry", True), ("ham.b", True))
    assert (found.renamed, found.changed, found.deprecated) == ((), (), ())


def test_members_of_a_private_base_are_those_of_the_public_class(two: Two) -> None:
    """pandas.DataFrame.append is gone, although a private base class had it."""
    body = "class _Base:\n    def boil(self): ...\n    {}\nclass Egg(_Base): ...\n"
    found = two.diff(body.format("def append(self, other): ..."), body.format(""))
    assert [item.path for item in found.removed] == ["ham.Egg.append"]


def test_with_a_class_its_members_go_in_one_line(two: Two) -> None:
    """Nobody wants to read all of them."""
    found = two.diff("class Egg:\n    def boil(self): ...\n    def fry(self): ...\n", "")
    assert [item.path for item in found.removed] == ["ham.Egg"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # the deprecation text of the old version, in its words
        ('class E:\n    def iteritems(self):\n        """Old.\n\n        .. deprecated:: 1.5\n            Use .items instead."""\n    def items(self): ...',
         "class E:\n    def items(self): ...", {"ham.E.iteritems": "ham.E.items"}),
        ('import warnings\nclass E:\n    def append(self):\n        warnings.warn("Use ham.concat instead.", FutureWarning)\ndef concat(): ...',
         "class E: ...\ndef concat(): ...", {"ham.E.append": "ham.concat"}),
        # a table in the new version
        ("float_ = 1.0\nfloat64 = 1.0", '__expired_attributes__ = {"float_": "Use `np.float64` instead."}\nfloat64 = 1.0',
         {"ham.float_": "ham.float64"}),
        # the same but for case and underscores
        ("Inf = 1.0\ninf = 1.0", "inf = 1.0", {"ham.Inf": "ham.inf"}),
        # alike in name and parameters, and new
        ("def trapz(y, x, dx, axis): ...", "def trapezoid(y, x, dx, axis): ...", {"ham.trapz": "ham.trapezoid"}),
        ("class E:\n    def applymap(self, func, na_action, **kw): ...", "class E:\n    def map(self, func, na_action, **kw): ...",
         {"ham.E.applymap": "ham.E.map"}),
        # alike, but it was there before: another thing
        ("def boil(egg, water): ...\ndef boils(egg, water): ...", "def boils(egg, water): ...", {}),
        # a version number in the name is no spelling
        ("under1p1 = True", "under2p1 = True", {}),
        # two names of one function
        ("class E:\n    def ffill(self, axis): ...\n    pad = ffill", "class E:\n    def ffill(self, axis): ...", {"ham.E.pad": "ham.E.ffill"}),
        ("def product(*args, **kwargs):\n    return prod(*args, **kwargs)\ndef prod(a, axis): ...\nwarn = DeprecationWarning",
         "def prod(a, axis): ...", {"ham.product": "ham.prod"}),
        # a text whose name leads on to something else
        ('def get_value(a):\n    """Old.\n\n    .. deprecated:: 1\n        Use Series[key] instead."""\nclass Series: ...', "class Series: ...", {}),
    ],
)  # fmt: skip
def test_successors(two: Two, old: str, new: str, expected: dict[str, str]) -> None:
    """By what the library says, by two names of one thing, by likeness; and not by accident."""
    assert renamed(two.diff(old, new)) == expected


def test_what_moved_is_found_at_its_new_place(two: Two) -> None:
    """``pkg.util.testing.check`` may be ``pkg.testing.check``, and an error may have gone into ``exceptions``."""
    old = {"ham/__init__.py": "class AxisError(ValueError): ...\n", "ham/util/__init__.py": "", "ham/util/testing.py": "def check(a, b): ...\n"}
    new = {"ham/__init__.py": "", "ham/exceptions.py": "class AxisError(ValueError): ...\n", "ham/util/__init__.py": "",
           "ham/testing.py": "def check(a, b): ...\n"}  # fmt: skip
    found = two.diff(old, new)
    assert renamed(found) == {"ham.AxisError": "ham.exceptions.AxisError"}
    assert [item.path for item in found.removed] == ["ham.AxisError", "ham.util.testing"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a, b", "a", ("b removed",)),
        ("a", "a, b=1", ("b added",)),
        ("a", "a, b", ("b added, required",)),
        ("a, b=1", "a, b", ("b is required",)),
        ("a, b=1", "a, *, b=1", ("b is keyword-only",)),
        ("a, b=1", "a, b=2", ("b=1 is now b=2",)),
        ("a, b='x'", 'a, b="x"', ()),
        ("a, b=lib.no_default", "a, b=None", ()),
        ("line_terminator=None, b=1", "b=1, lineterminator=None", ("line_terminator renamed to lineterminator",)),
        ("a, multi_cmd", "a, group", ("multi_cmd renamed to group",)),
        ("a, b=1", "a, **kwargs", ()),
        ("a, **kwargs", "a", ("**kwargs is gone: other keywords are refused",)),
        ("a", "a, /", ("a is positional-only",)),
    ],
)
def test_changed_signatures(two: Two, old: str, new: str, expected: tuple[str, ...]) -> None:
    """Each change is one sentence; what may still work is no change."""
    found = two.diff(f"def boil({old}): ...\n", f"def boil({new}): ...\n")
    assert [c.changes for c in found.changed] == ([expected] if expected else [])


def test_a_keyword_that_the_old_version_took_under_an_older_name(two: Two) -> None:
    """pandas 1.5 still took ``line_terminator`` through a decorator."""
    old = '@deprecate_kwarg(old_arg_name="line_terminator", new_arg_name="lineterminator")\ndef save(path, lineterminator=None): ...\n'
    (changed,) = two.diff(old, "def save(path, lineterminator=None, *, mode='w'): ...\n").changed
    assert changed.renames == (("line_terminator", "lineterminator"),)


def test_newly_deprecated_names_come_with_what_replaces_them(two: Two) -> None:
    """By decorator, and by a module's ``__getattr__`` that still gives the name."""
    new = (
        "import warnings\nclass M:\n    @deprecated('The `dict` method is deprecated; use `model_dump` instead.')\n    def dict(self): ...\n"
        "    def model_dump(self): ...\nclass Command: ...\n"
        "def __getattr__(name):\n    if name == 'BaseCommand':\n        warnings.warn(\"'BaseCommand' is deprecated. Use 'Command' instead.\")\n"
        "        return Command\n    raise AttributeError(name)\n"
    )
    found = two.diff("class M:\n    def dict(self): ...\nclass BaseCommand: ...\nclass Command: ...\n", new)
    pairs = {item.path: item.successor.path for item in found.deprecated if item.successor is not None}
    assert pairs == {"ham.M.dict": "ham.M.model_dump", "ham.BaseCommand": "ham.Command"}
    assert (found.removed, found.renamed) == ((), ())


def test_a_class_with_an_unknown_new_base_may_still_have_everything(two: Two) -> None:
    """Unknown is not gone."""
    found = two.diff("class E:\n    def a(self): ...\n", "from elsewhere import Base\nclass E(Base): ...\n")
    assert (found.removed, found.renamed) == ((), ())


# versions ----------------------------------------------------------------------------------------------------------


def test_an_api_survives_being_kept(two: Two) -> None:
    """Bytes and back; damaged ones are refused."""
    two.diff("class E:\n    def a(self, x, /, y=1, *z, w, **k): ...\n    b: int = 1\n", "")
    api = two.api(two.old)
    again = decode_api(encode_api(api))
    assert (again.library, again.entries, again.aliases, again.notes) == (api.library, api.entries, api.aliases, api.notes)
    for damaged in (b"", b"x", encode_api(api)[:-4], encode_api(api)[:20] + b"\0\0" + encode_api(api)[22:]):
        with pytest.raises(ValueError, match="not a kept API"):
            decode_api(damaged)


def test_the_api_of_a_replaced_version_is_kept(two: Two) -> None:
    """The files are gone, the API is not: the version can be named."""
    index = two.indexes / "x.db"
    two.indexes.mkdir()
    install(two.old, "ham", "1.0", {"ham/__init__.py": "def boil(a, b): ...\n"})
    leaving = keep_leaving(two.history)
    build(two.old, index, processes=0, mining=None, leaving=leaving)
    install(two.old, "ham", "2.0", {"ham/__init__.py": "def fry(x): ...\n"})
    build(two.old, index, processes=0, mining=None, leaving=leaving)
    diff = compare(two.api(two.old, "1.0"), two.api(two.old, "installed"))
    assert ([r.path for r in diff.removed], diff.old.version, diff.new.version) == (["ham.boil"], "1.0", "2.0")


def test_history_is_bounded_and_private(two: Two, tmp_path: Path) -> None:
    """A few versions of a library, some megabytes in all; a damaged file is as if it were not there."""
    history = History(tmp_path / "kept", most_versions=2)
    for version in ("1", "2", "3"):
        install(two.old, "ham", version, {"ham/__init__.py": "a = 1\n"})
        history.keep(two.api(two.old))
    assert [api.library.version for api in history.versions("ham")] == ["3", "2"]
    files = sorted((tmp_path / "kept").iterdir())
    assert {(f.stat().st_mode & 0o777) for f in files} == {0o600}
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    files[0].write_bytes(b"damaged")
    assert len(history.versions("ham")) == 1
    small = History(tmp_path / "kept", largest=1)
    small.keep(two.api(two.old))
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_hostile_version_is_no_path(two: Two, tmp_path: Path) -> None:
    """Name and version are whatever a METADATA file says."""
    install(two.old, "ham", "1", {"ham/__init__.py": "a = 1\n"})
    info = two.old.site_packages[0] / "ham-1.dist-info" / "METADATA"
    info.write_text("Name: ham\nVersion: ../../../../evil\n")
    history = History(tmp_path / "kept")
    history.keep(two.api(two.old))
    assert [api.library.version for api in history.versions("ham")] == ["../../../../evil"]
    assert [p.parent for p in tmp_path.rglob("*.api") if p.parent.name != "history"] == [tmp_path / "kept"]


def wheel(path: Path, files: dict[str, str]) -> Path:
    """A wheel of ``ham`` 3.0."""
    every = {**files, "ham-3.0.dist-info/METADATA": "Name: ham\nVersion: 3.0\n"}
    every["ham-3.0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in every)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in every.items():
            archive.writestr(name, text)
    return path


def test_a_wheel_is_read_as_a_zip_of_text(two: Two, tmp_path: Path) -> None:
    """Also with members that want to be elsewhere; nothing of it is executed."""
    made = wheel(tmp_path / "ham-3.0-py3-none-any.whl", {"ham/__init__.py": "raise SystemExit\ndef boil(): ...\n", "../evil.py": "", "ham/x.so": ""})
    api = two.api(two.old, str(made))
    assert (api.library.version, "ham.boil" in api.entries) == ("3.0", True)
    assert not (tmp_path / "evil.py").exists()


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ("9.9", NotInstalled, "no ham 9.9 is known .known are 1.0"),
        ("./nowhere", UsageError, "nowhere does not exist"),
        ("nowhere.whl", UsageError, "nowhere.whl does not exist"),
        ("broken.whl", OctodError, "broken.whl cannot be read"),
        ("other.whl", NotInstalled, "other.whl has no ham .it holds "),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_what_to_name(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, error: type[OctodError], message: str
) -> None:
    """The versions that are known, or what is wrong with a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.whl").write_bytes(b"PK")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("eggs-1.dist-info/METADATA", "Name: eggs\nVersion: 1\n")
        archive.writestr("eggs-1.dist-info/RECORD", "")
    install(two.old, "ham", "1.0", {"ham/__init__.py": ""})
    with pytest.raises(error) as caught:
        two.api(two.old, wanted)
    import re

    assert re.search(message, str(caught.value))


def test_a_version_of_another_indexed_environment_can_be_named(two: Two) -> None:
    """Two environments side by side: each knows the other's version by its number."""
    two.indexes.mkdir()
    install(two.old, "ham", "1.0", {"ham/__init__.py": "def boil(): ...\n"})
    install(two.new, "ham", "2.0", {"ham/__init__.py": ""})
    build(two.old, two.indexes / f"{two.old.key}.db", processes=0, mining=None)
    assert "ham.boil" in two.api(two.new, "1.0").entries
