"""A tiny environment: three distributions, one of them excluded, one of them held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

LIBRARY = '''
"""A library that others call."""


class Session:
    """Keeps a connection."""

    def __init__(self, base_url, *, timeout=5):
        self.base_url = base_url

    def fetch(self, path: str, /, params: dict | None = None, *, retries=3, **options):
        """Fetch a page."""
        return path

    def close(self):
        """Close it."""

    @property
    def closed(self):
        return False


def connect(url, timeout=10):
    """Connect."""
    return Session(url)


def listen(port):
    """Listen."""
'''

USER = '''"""An application, number {number}."""

import wires


def main_{number}(count):
    session = wires.connect("http://host{number}", timeout={number})
    page = session.fetch("/index{number}", params={{"n": count}})
    total_{number} = len(page) + {number}

    with wires.Session("http://other{number}") as other:
        other.fetch(
            "/deep{number}",
            retries={number},
        )
    session.close()
    return total_{number}
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Return a function that installs a distribution of the given files into `tmp_path / "site"`."""

    def installing(name: str, files: dict[str, str], metadata: str = "License-Expression: MIT\n") -> None:
        site = tmp_path / "site"
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}\n")
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)

    return installing


@pytest.fixture
def site(tmp_path: Path, install: Install) -> Path:
    """A site-packages folder with a library, its users and a source that must never be learnt."""
    install("wires", {"wires/__init__.py": LIBRARY})
    install("users", {f"users/app{number}.py": USER.format(number=number) for number in range(12)})
    install("others", {f"others/app{number}.py": USER.format(number=number) for number in range(20, 24)})
    install("seaborn", {"seaborn/secret.py": "SECRET_OF_SEABORN = 'must not be learnt'\n" * 9})
    return tmp_path / "site"
