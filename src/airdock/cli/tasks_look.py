"""`airdock tasks list|states`."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.dag_target import find_dag, kind_of, mapped_mark
from airdock.cli.names import complete_dags, complete_runs
from airdock.cli.runs_words import is_stopped, run_state, until_text
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, fit, render_table
from airdock.cli.units import render_seconds
from airdock.cli.words import paint, printable, word
from airdock.model.states import TaskState, is_finished

if TYPE_CHECKING:
    from airdock.dag.serialized import SerializedDag, SerializedTask
    from airdock.scheduler.waits import Wait
    from airdock.store.records import Instance

__all__ = ["list_tasks", "states"]

_TASKS = (Column("TASK"), Column("OPERATOR"), Column("ENVIRONMENT"), Column("KIND"), Column("WAITS FOR"))
_STATES = (Column("TASK"), Column("STATE"), Column("TRY", right=True), Column("TOOK", right=True), Column("WAITS FOR"))
_CELLS = 50


@click.command("list")
@click.argument("target", metavar="FILE[:DAG_ID]|DAG_ID", shell_complete=complete_dags)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_tasks(session: Session, /, target: str, *, as_json: bool) -> None:
    """List the tasks of a DAG, each after those that it waits for.

    \b
    Examples:
      airdock tasks list etl.py
      airdock tasks list nightly --json | jq -r '.[].task_id'
    """
    with session.app() as app:
        dag = find_dag(app, target)
    if as_json:
        click.echo(json.dumps([_task_dict(task) for task in dag.tasks], indent=2))
    else:
        click.echo(render_table(_TASKS, [_task_cells(dag, task) for task in dag.tasks]))


def _task_cells(dag: "SerializedDag", task: "SerializedTask") -> list[str]:
    return [
        " ".join(filter(None, (task.task_id, mapped_mark(dag.expansion(task))))),
        task.operator,
        fit(task.environment.label, _CELLS),
        kind_of(task),
        fit(", ".join(task.upstream), _CELLS),
    ]


def _task_dict(task: "SerializedTask") -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "operator": task.operator,
        "environment": task.environment.label,
        "upstream": list(task.upstream),
        "trigger_rule": task.trigger_rule,
        "retries": task.retries,
        "pool": task.pool,
        "pool_slots": task.pool_slots,
        "priority_weight": task.priority_weight,
        "is_mapped": task.is_mapped,
        "map_group": task.map_group,
    }


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.option("--waiting", is_flag=True, help="Only those that wait.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def states(session: Session, /, run_id: str, *, waiting: bool, as_json: bool) -> None:
    """Say how the tasks of a run stand, and for those that wait what they wait for.

    That is a task upstream, a pool, a limit, a slot, a time, or an image that is being built.

    \b
    Examples:
      airdock tasks states manual__2026-01-31T02:00:00
      airdock tasks states weather/manual__2026-01-31T02:00:00 --waiting
      airdock tasks states manual__2026-01-31T02:00:00 --json | jq '.[] | select(.waits_for.kind == "pool")'
    """
    with session.app() as app:
        run = app.orchestrator.find_run(run_id)
        waits = app.orchestrator.waits(run.key)
        order = {task.task_id: number for number, task in enumerate(app.orchestrator.dag_of(run.key).tasks)}
        rows = app.orchestrator.states(run.key)
    rows = [row for row in rows if row.key in waits or not waiting]
    rows.sort(key=lambda row: (order.get(row.key.task_id, len(order)), row.key.map_index))
    if as_json:
        click.echo(json.dumps([_state_dict(row, waits.get(row.key)) for row in rows], indent=2))
        return
    click.echo(f"{run.key.dag_id} {run.key.run_id}: {run_state(run)}")
    if is_stopped(run):
        click.echo("nobody works on it: airdock run FILE --resume finishes it")
    click.echo(f"\n{render_table(_STATES, [_state_cells(row, waits.get(row.key)) for row in rows])}")


def _state_cells(row: "Instance", wait: "Wait | None") -> list[str]:
    took = _took_s(row)
    return [
        _shown_label(row),
        paint(word(row.state), row.state),
        str(row.try_number) if row.try_number else "",
        render_seconds(took) if took is not None else "",
        until_text(wait) if wait else "",
    ]


def _shown_label(row: "Instance") -> str:
    """The task, with its index and what its `map_index_template` says of it."""
    said = fit(printable(" ".join(row.label.split())), _CELLS)
    return f"{row.key.label} ({said})" if said else row.key.label


def _took_s(row: "Instance") -> float | None:
    """Seconds of the latest try, up to now where it runs."""
    if row.started is None or not (is_finished(row.state) or row.state is TaskState.RUNNING):
        return None
    end = row.ended if is_finished(row.state) and row.ended else datetime.now(UTC)
    return max((end - row.started).total_seconds(), 0.0)


def _state_dict(row: "Instance", wait: "Wait | None") -> dict[str, Any]:
    return {
        "task_id": row.key.task_id,
        "map_index": row.key.map_index,
        "rendered_map_index": row.label or None,
        "state": row.state.value,
        "try_number": row.try_number,
        "max_tries": row.max_tries,
        "pool": row.pool,
        "started": row.started.isoformat() if row.started else None,
        "ended": row.ended.isoformat() if row.ended else None,
        "waits_for": None
        if wait is None
        else {"kind": wait.kind, "text": wait.text, "until": wait.until.isoformat() if wait.until else None},
    }
