"""What an editor asks the daemon while someone types, asked from the terminal: shared by ``complete`` and ``try``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.core.answers import Ghost, Menu, from_json
from octod.core.errors import OctodError
from octod.core.paths import Paths

if TYPE_CHECKING:
    from octod.daemon.client import Connection

__all__ = ["Asked", "Place", "ask", "daemon", "get_ready", "read_file", "tell_adapters_changed", "tell_base_changed"]

# Seconds that an answer may take here; an editor waits less, but a person at a terminal wants the answer.
PATIENCE = 20.0
# Seconds between two signs of life while a new environment is indexed.
INDEX_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a text: ``offset`` in code points, ``environment`` the folder of the installed libraries."""

    path: Path
    text: str
    offset: int
    environment: Path
    version: int = 1

    def document(self) -> dict[str, Any]:
        """The document as the daemon's wire wants it."""
        return {
            "uri": self.path.as_uri(),
            "path": str(self.path),
            "version": self.version,
            "text": self.text,
            "environment": str(self.environment),
            "root": os.getcwd(),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What an editor gets at a place; None where the daemon stays silent."""

    menu: Menu | None
    ghost: Ghost | None


@contextmanager
def daemon() -> Iterator[Connection]:
    """A connection to the daemon, which is started when none runs."""
    from octod.daemon import client, lifecycle

    paths = Paths.of()
    lifecycle.start(paths)
    with client.connect(paths) as connection:
        yield connection


def get_ready(connection: Connection, environment: Path) -> Mapping[str, Any]:
    """Let the daemon index ``environment`` with progress shown, and return its report; quick when it is fresh."""
    from octod.cli.output import progress

    with progress("index") as step:

        def show(method: str, params: Mapping[str, Any]) -> None:
            if method == "progress":
                share = params.get("share")
                step(share if isinstance(share, (int, float)) else None, str(params.get("message", "")))

        found = connection.request(
            "index", {"environment": str(environment), "force": False}, INDEX_PATIENCE, on_notification=show
        )
    return found if isinstance(found, Mapping) else {}


def ask(connection: Connection, place: Place) -> Asked:
    """Warm, menu, ghost text with the menu's first entry selected: the order in which an editor asks."""
    params = {"document": place.document(), "offset": place.offset}
    connection.request("warm", params, PATIENCE)
    menu = _answer(connection.request("menu", params, PATIENCE))
    # ghost text goes on from a member; names, keywords and imports have no arguments
    members = isinstance(menu, Menu) and menu.route in ("index", "jedi")
    first = menu.items[0].name if isinstance(menu, Menu) and members and menu.items else None
    ghost = _answer(connection.request("ghost", {**params, "selected": first}, PATIENCE))
    return Asked(menu if isinstance(menu, Menu) else None, ghost if isinstance(ghost, Ghost) else None)


def _answer(data: object) -> object:
    """An answer of the daemon, or None for its silence."""
    return from_json(data) if isinstance(data, dict) else None


def read_file(path: Path) -> str:
    """The text of a file, as it is (no newline translation); OctodError when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise OctodError(f"cannot read {path}: {error.strerror}", "name a Python file") from error
    except UnicodeDecodeError as error:
        raise OctodError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8"
        ) from error


def tell_adapters_changed() -> None:
    """Tell a running daemon that the registry changed; without one there is nobody to tell."""
    _tell("adapters_changed")


def tell_base_changed() -> None:
    """Tell a running daemon that the settings name another base model."""
    _tell("base_changed", 120.0)  # a folder of many gigabytes is hashed first


def _tell(method: str, patience: float = 5.0) -> None:
    from octod.core.errors import DaemonError
    from octod.daemon import client

    try:
        with client.connect(Paths.of()) as connection:
            connection.request(method, {}, patience)
    except DaemonError:
        return  # it reads registry and settings when it starts
