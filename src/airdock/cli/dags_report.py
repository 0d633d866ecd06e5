"""`airdock dags report`: what each DAG file of a folder defines, and how long it takes to load."""

import json
import time
from pathlib import Path
from typing import Any, Final

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.cli.units import render_seconds

__all__ = ["report"]

_COLUMNS: Final = (
    Column("FILE"),
    Column("TOOK", right=True),
    Column("DAGS", right=True),
    Column("TASKS", right=True),
    Column("IDS"),
)


@click.command()
@click.argument("folder", metavar="FOLDER|FILE", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def report(session: Session, /, folder: Path, *, as_json: bool) -> None:
    """Load each DAG file below FOLDER in a container, one after the other: how long it took, its DAGs and tasks.

    The exit code is 1 where a file can't be loaded; airdock dags import says why and what to do.

    \b
    Examples:
      airdock dags report dags/
      airdock dags report dags/ --json | jq 'max_by(.seconds)'
    """
    rows: list[dict[str, Any]] = []
    with session.app() as app:
        app.open()
        began = time.monotonic()
        for path, loaded in app.loads.load_folder(folder):
            dags = loaded if isinstance(loaded, list) else []
            seconds, began = time.monotonic() - began, time.monotonic()
            rows.append(
                {
                    "file": str(path),
                    "seconds": round(seconds, 3),
                    "dags": {dag.dag_id: len(dag.tasks) for dag in dags},
                    "error": None if isinstance(loaded, list) else loaded.message,
                }
            )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(render_table(_COLUMNS, [_cells(row) for row in rows]))
    click.get_current_context().exit(1 if any(row["error"] for row in rows) else 0)


def _cells(row: dict[str, Any]) -> list[str]:
    found: dict[str, int] = row["dags"]
    said = ", ".join(found) if row["error"] is None else "can't be loaded"
    return [row["file"], render_seconds(row["seconds"]), str(len(found)), str(sum(found.values())), said]
