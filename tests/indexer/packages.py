"""Makes small environments of packages as an installer leaves them, for the tests of this folder."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from octod.indexer.environment import Distribution, Environment, find_environment, standard_library

__all__ = ["few_standard_modules", "install", "make_environment", "uninstall"]


def few_standard_modules(python: str | None = None) -> Distribution:
    """Three modules stand for the standard library, so that a build takes milliseconds."""
    whole = standard_library(python)
    wanted = ("json", "builtins", "os")
    files = tuple(f for f in whole.files if (whole.module(f) or "").split(".")[0] in wanted)
    return replace(whole, files=files, import_names=wanted)


def make_environment(folder: Path) -> Environment:
    """An empty virtual environment, without an interpreter."""
    (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
    return find_environment(folder)


def install(
    environment: Environment, name: str, version: str, files: Mapping[str, str | bytes], headers: str = ""
) -> None:
    """Put a distribution into an environment: its files, METADATA and RECORD."""
    site = environment.site_packages[0]
    uninstall(environment, name)
    info = f"{name}-{version}.dist-info"
    every = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}\nText\n"}
    lines = []
    for path, content in every.items():
        data = content.encode() if isinstance(content, str) else content
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}")
    (site / info / "RECORD").write_text("\n".join([*lines, f"{info}/RECORD,,"]) + "\n")


def uninstall(environment: Environment, name: str) -> None:
    """Remove a distribution and the files that its RECORD lists."""
    site = environment.site_packages[0]
    for info in site.glob(f"{name}-*.dist-info"):
        for line in (info / "RECORD").read_text().splitlines():
            (site / line.split(",")[0]).unlink(missing_ok=True)
        shutil.rmtree(info)
