"""Asking before something is removed; only people are asked."""

import sys
from collections.abc import Sequence

import click

__all__ = ["confirm"]


def confirm(removed: Sequence[str], *, force: bool) -> None:
    """Say what would be removed and ask, on a terminal and without `force`; raises click.Abort for a no."""
    if force or not sys.stdin.isatty():
        return
    lines = "".join(f"  - {line}\n" for line in removed)
    click.echo(f"WARNING! This will remove:\n{lines}", err=True)
    click.confirm("Are you sure you want to continue?", abort=True, err=True)
