"""A user's own settings, read from ``config.toml``; a project's files never set any of these (DESIGN: trust)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from octod.core.errors import UsageError

__all__ = ["EngineKind", "Settings"]

EngineKind = Literal["embedded", "none"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may choose.

    ==================  =========================================================================
    ``engine``          ``embedded`` (default) or ``none``: the menu from the index alone, no ghost text
    ``engine_threads``  threads of the embedded engine (default 2)
    ``base``            folder of another base model; empty means the bundled one
    ``menu_model_ms``   milliseconds after its question until a menu waits for the model's scores no longer
    ``ghost_ms``        how long ghost text may take before it stays silent, in milliseconds
    ``learn``           whether what you accept from menus orders later ones (default true); kept on this machine,
                        shown by ``octod learned``
    ``ghost_threshold`` mean probability of a token below which ghost text stays silent, 0 to 1
    ==================  =========================================================================
    """

    engine: EngineKind = "embedded"
    engine_threads: int = 2
    base: str = ""
    menu_model_ms: int = 40
    ghost_ms: int = 300
    ghost_threshold: float = 0.2
    learn: bool = True

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """The settings in ``folder/config.toml``; the defaults where it is missing.

        Raises UsageError naming the file, the key and what it takes.
        """
        path = folder / "config.toml"
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}", "mend or remove it") from error
        known = {f.name: f for f in fields(cls)}
        for key, value in data.items():
            if key not in known:
                raise UsageError(f"{path}: unknown setting {key!r}", f"known are {', '.join(sorted(known))}")
            wanted = type(known[key].default)
            if wanted is float and type(value) is int:
                data[key] = float(value)
            elif type(value) is not wanted:
                raise UsageError(f"{path}: {key} must be {wanted.__name__}, not {value!r}", "mend the file")
        found = cls(**data)
        if found.engine not in get_args(EngineKind):
            raise UsageError(f"{path}: engine is {found.engine!r}", f"take one of {', '.join(get_args(EngineKind))}")
        return found
