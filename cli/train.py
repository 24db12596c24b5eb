"""``octod train PACKAGE``: an adapter for one installed library."""

from __future__ import annotations

import click

__all__ = ["train"]


@click.command()
def train() -> None:
    """Train an adapter for an installed package."""
