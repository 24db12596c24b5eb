"""Fetch the releases of a project and print a table of them: the sample that `make try` completes."""

import httpx
import numpy as np
import requests
from rich.console import Console
from rich.table import Table

URL = "https://pypi.org/pypi/octod/json"


def releases(url: str, timeout: float = 5.0) -> dict[str, list[dict[str, str]]]:
    """The files of each release."""
    session = requests.Session()
    response = session.get(url, timeout=timeout)
    response.raise_for_status()
    return response.json()["releases"]


def mirrors(urls: list[str]) -> list[int]:
    """What each mirror answers."""
    with httpx.Client(timeout=5.0, follow_redirects=True) as client:
        return [client.get(url).status_code for url in urls]


def show(found: dict[str, list[dict[str, str]]]) -> None:
    """A table of the releases and how large they are."""
    table = Table(title="Releases")
    table.add_column("version")
    table.add_column("files", justify="right")
    for version, files in found.items():
        table.add_row(version, str(len(files)))
    sizes = np.array([len(files) for files in found.values()])
    table.caption = f"{np.mean(sizes):.1f} files each"
    console = Console()
    console.print(table)


if __name__ == "__main__":
    show(releases(URL))
