"""A user's own settings, read from ``config.toml``; a project's files never set any of these (DESIGN: trust)."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from octod.core.errors import UsageError
from octod.core.paths import private_folder

__all__ = ["EngineKind", "Settings", "change_setting"]

EngineKind = Literal["embedded", "vllm", "none"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may choose.

    ==================  =========================================================================
    ``engine``          ``embedded`` (default), ``vllm``, or ``none``: the menu from the index alone, no ghost text
    ``engine_threads``  threads of the embedded engine (default 2)
    ``engine_python``   with ``vllm``: the interpreter of an environment that has vLLM; empty means the one that
                        ``octod engine install vllm`` made
    ``engine_url``      with ``vllm``: a server that runs already, ``https://HOST:PORT`` or ``unix:/PATH``, instead of one
                        on this machine
    ``engine_token``    what that server wants to be told (its API key)
    ``engine_adapters`` the folder that this machine and that server both see, where adapters are put for it
    ``base``            another base model: the name of one that ``octod base add`` added, or a folder; empty means
                        the bundled one
    ``menu_model_ms``   milliseconds after its question until a menu waits for the model's scores no longer, at most 600;
                        0, the default, does not ask it: the bundled base orders no better what the index has ranked
    ``ghost_ms``        how long ghost text may take before it stays silent, in milliseconds
    ``learn``           whether what you accept from menus orders later ones (default true); kept on this machine,
                        shown by ``octod learned``
    ``ghost_threshold`` mean probability of a token below which ghost text stays silent, 0 to 1
    ==================  =========================================================================
    """

    engine: EngineKind = "embedded"
    engine_threads: int = 2
    engine_python: str = ""
    engine_url: str = ""
    engine_token: str = ""
    engine_adapters: str = ""
    base: str = ""
    menu_model_ms: int = 0
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
            with path.open("rb") as file:
                import tomllib

                data = tomllib.load(file)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:  # ValueError: neither UTF-8 nor TOML
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


def change_setting(folder: Path, key: str, value: str) -> None:
    """Write one setting of text into ``folder/config.toml`` and leave every other line as it is; all or nothing.

    Raises UsageError when the file cannot be read or cannot be changed line by line.
    """
    import tomllib

    Settings.read(folder)
    path = private_folder(folder) / "config.toml"
    path = path.resolve()  # people keep such files as links into a repository of their own
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    text, count = re.subn(rf"^[ \t]*{key}[ \t]*=.*$", lambda _: line, before, flags=re.MULTILINE)
    if not count:
        text = f"{before.rstrip()}\n{line}\n".lstrip() if before.strip() else f"{line}\n"
    try:
        changed = tomllib.loads(text) == tomllib.loads(before) | {key: value}
    except tomllib.TOMLDecodeError:
        changed = False
    if not changed:
        raise UsageError(f"{path} is written in a way that cannot be changed from here", f"write `{line}` into it")
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0o600
    made = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
