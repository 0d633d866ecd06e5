"""`airdock config`: every setting, its value, and where that came from."""

import json
from typing import Any

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table

__all__ = ["config"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: name → value, source.")
@pass_session
def config(session: Session, as_json: bool) -> None:
    """Print every setting, its value, and where that came from.

    A setting is read from airdock.toml in the home folder, then from the environment, then from flags; the last
    one that says something counts.

    \b
    Examples:
      airdock config
      AIRDOCK__CORE__PARALLELISM=2 airdock config
      airdock config --json
    """
    rows = list(session.config().rows())
    if as_json:
        listed = {row.name: {"value": row.value, "source": row.source, "about": row.about} for row in rows}
        click.echo(json.dumps(listed, indent=2))
        return
    columns = (Column("SETTING"), Column("VALUE"), Column("SOURCE"), Column("WHAT IT IS"))
    click.echo(render_table(columns, [(row.name, _text(row.value), row.source, row.about) for row in rows]))


def _text(value: Any) -> str:
    if value is None:
        return "auto"
    return ", ".join(value) if isinstance(value, tuple) else str(value) or "-"
