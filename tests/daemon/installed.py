"""A small environment on disk: a virtual environment's skeleton with distributions written as text."""

from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path

__all__ = ["Installed"]

CLIENT = '''
"""Talk to shops."""

class Basket:
    """What will be bought."""

    def add(self, item: str, *, count: int = 1) -> "Basket":
        """Put an item in."""
        return self

    def checkout(self, address: str, express: bool = False) -> None:
        """Buy everything."""

    def _secret(self): ...


def open_basket(owner: str, *, currency: str = "EUR") -> Basket:
    """A new basket of its owner."""
    return Basket()


def list_shops(country: str | None = None) -> list[str]:
    """Names of shops."""
    return []
'''


class Installed:
    """A virtual environment at ``root`` whose packages a test writes, upgrades and removes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packages = root / "lib" / "python3.11" / "site-packages"
        self.packages.mkdir(parents=True)
        (root / "bin").mkdir()
        (root / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
        (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")

    @classmethod
    def at(cls, root: Path) -> Installed:
        """One that is there already."""
        made = cls.__new__(cls)
        made.root, made.packages = root, root / "lib" / "python3.11" / "site-packages"
        return made

    @property
    def python(self) -> str:
        """The interpreter an editor would name; starting it fails."""
        return str(self.root / "bin" / "python")

    def install(self, name: str, version: str, files: dict[str, str]) -> None:
        """Write a distribution as pip does: files, then dist-info with METADATA and RECORD; an older one goes first."""
        self.remove(name)
        record = []
        for path, text in files.items():
            target = self.packages / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(text.encode())}")
        info = self.packages / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n"
        )
        (info / "RECORD").write_text(
            "\n".join([*record, f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]) + "\n"
        )

    def remove(self, name: str) -> None:
        """Take a distribution away as pip does."""
        for info in self.packages.glob(f"{name}-*.dist-info"):
            for line in (info / "RECORD").read_text().splitlines():
                (self.packages / line.split(",")[0]).unlink(missing_ok=True)
            shutil.rmtree(info, ignore_errors=True)
