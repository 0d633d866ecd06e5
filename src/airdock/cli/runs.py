"""`airdock runs`: what ran, when, and how it ended."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.cli.units import render_age, render_seconds
from airdock.cli.words import paint
from airdock.model.states import RunState, TaskState
from airdock.scheduler.owner import Owner

if TYPE_CHECKING:
    from airdock.store.records import Run

__all__ = ["runs"]

_COLUMNS = (Column("RUN"), Column("DAG"), Column("STATE"), Column("CREATED"), Column("TOOK", right=True))


@click.group()
def runs() -> None:
    """Look at past runs."""


@runs.command("list")
@click.option("--dag", "dag_id", metavar="DAG_ID", help="Only runs of this DAG.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_runs(session: Session, *, dag_id: str | None, as_json: bool) -> None:
    """List runs, the newest first.

    One that is "stopped" was interrupted or killed; airdock run FILE --resume RUN finishes it.

    \b
    Examples:
      airdock runs list
      airdock runs list --dag weather --json
    """
    with session.app() as app:
        listed = [row for row in app.orchestrator.runs() if dag_id is None or row.key.dag_id == dag_id]
    if as_json:
        click.echo(json.dumps([_dict(row) for row in listed], indent=2))
    else:
        now = datetime.now(UTC)
        click.echo(render_table(_COLUMNS, [_cells(row, now) for row in listed]))


def _cells(row: "Run", now: datetime) -> list[str]:
    shown = {
        RunState.SUCCESS: TaskState.SUCCESS,
        RunState.FAILED: TaskState.FAILED,
        RunState.RUNNING: TaskState.RUNNING,
    }
    took = _took(row)
    return [
        row.key.run_id,
        row.key.dag_id,
        "stopped" if _is_stopped(row) else paint(row.state.value, shown.get(row.state, TaskState.NONE)),
        f"{render_age(now - row.created)} ago",
        render_seconds(took) if took is not None else "",
    ]


def _is_stopped(row: "Run") -> bool:
    """Whether it goes on only by `airdock run --resume`: nobody works on it, or who did is dead."""
    return row.state is RunState.RUNNING and (not row.owner or Owner.parse(row.owner).is_dead())


def _took(row: "Run") -> float | None:
    return (row.ended - row.started).total_seconds() if row.started and row.ended else None


def _dict(row: "Run") -> dict[str, Any]:
    return {
        "dag_id": row.key.dag_id,
        "run_id": row.key.run_id,
        "state": row.state.value,
        "stopped": _is_stopped(row),
        "reason": row.reason,
        "conf": dict(row.conf),
        "created": row.created.isoformat(),
        "started": row.started.isoformat() if row.started else None,
        "ended": row.ended.isoformat() if row.ended else None,
        "seconds": _took(row),
    }
