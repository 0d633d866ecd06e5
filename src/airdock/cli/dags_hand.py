"""`airdock dags pause|unpause|delete|details|import-errors|backfill`: DAGs of a folder that a scheduler serves."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.confirm import confirm
from airdock.cli.dag_target import find_dag
from airdock.cli.dags_test import parse_date
from airdock.cli.names import complete_dags
from airdock.cli.run import parse_conf
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, fit, render_table

if TYPE_CHECKING:
    from airdock.dag.serialized import SerializedDag
    from airdock.hands import PlannedRun
    from airdock.store.records import DagRow

__all__ = ["backfill", "delete", "details", "import_errors", "pause", "unpause"]

_PROBLEMS: Final = (Column("FILE"), Column("ERROR"))
_DATES: Final = (Column("RUN"), Column("LOGICAL DATE"), Column("WHAT"))
_CELLS: Final = 100


@click.command()
@click.argument("dag_ids", metavar="DAG_ID...", nargs=-1, required=True, shell_complete=complete_dags)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def pause(session: Session, /, dag_ids: Sequence[str], *, as_json: bool) -> None:
    """Let DAGs begin no runs until they're unpaused. Tasks that run go on; no others are started meanwhile.

    \b
    Examples:
      airdock dags pause nightly
    """
    _set_paused(session, dag_ids, is_paused=True, as_json=as_json)


@click.command()
@click.argument("dag_ids", metavar="DAG_ID...", nargs=-1, required=True, shell_complete=complete_dags)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def unpause(session: Session, /, dag_ids: Sequence[str], *, as_json: bool) -> None:
    """Let DAGs that were paused begin runs again. Of dates that were missed the DAG's catchup decides.

    \b
    Examples:
      airdock dags unpause nightly
    """
    _set_paused(session, dag_ids, is_paused=False, as_json=as_json)


def _set_paused(session: Session, dag_ids: Sequence[str], *, is_paused: bool, as_json: bool) -> None:
    with session.app() as app:
        app.orchestrator.hands.pause(dag_ids, is_paused=is_paused)
    told = [{"dag_id": each, "is_paused": is_paused} for each in dag_ids]
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(dag_ids))


@click.command()
@click.argument("dag_id", shell_complete=complete_dags)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def delete(session: Session, /, dag_id: str, *, yes: bool, as_json: bool) -> None:
    """Remove a DAG with all its runs. While its file is in a folder that is served, it comes back with the next change.

    Logs of tasks stay.

    \b
    Examples:
      airdock dags delete old --yes
    """
    with session.app() as app:
        confirm([f"DAG {dag_id} and all its runs"], force=yes)
        count = app.orchestrator.hands.delete_dag(dag_id)
    line = f"{dag_id}: {count} run{'' if count == 1 else 's'} removed"
    click.echo(json.dumps({"dag_id": dag_id, "runs_removed": count}) if as_json else line)


@click.command()
@click.argument("target", metavar="FILE[:DAG_ID]|DAG_ID", shell_complete=complete_dags)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def details(session: Session, /, target: str, *, as_json: bool) -> None:
    """Say what a DAG says of itself: schedule, dates, limits, params, owners, tags; and whether it is paused.

    \b
    Examples:
      airdock dags details nightly
      airdock dags details etl.py --json
    """
    with session.app() as app:
        dag = find_dag(app, target)
        row = app.store.find_dag_row(dag.dag_id)
    told = _details(dag, row)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    width = max(map(len, told))
    for name, value in told.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value) if value != "" else ""
        click.echo(f"{name.ljust(width)}  {shown if not isinstance(value, str) else value}".rstrip())


def _details(dag: "SerializedDag", row: "DagRow | None") -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "display_name": dag.display_name or dag.dag_id,
        "file": dag.fileloc,
        "is_paused": row.is_paused if row else None,
        "is_served": row.is_active if row else False,
        "schedule": dag.schedule,
        "timetable": dict(dag.timetable),
        "assets": dict(dag.asset_condition) if dag.asset_condition else None,
        "start_date": dag.start_date or None,
        "end_date": dag.end_date or None,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "max_active_tasks": dag.max_active_tasks,
        "max_consecutive_failed_dag_runs": dag.max_consecutive_failed_dag_runs,
        "dagrun_timeout_s": dag.dagrun_timeout_s,
        "deadlines": [_deadline(each) for each in dag.deadlines],
        "params": dict(dag.params),
        "tasks": len(dag.tasks),
        "tags": list(dag.tags),
        "owners": list(dag.owners),
        "doc": dag.doc.strip(),
    }


def _deadline(alert: Mapping[str, Any]) -> str:
    """Since when, how long, and what is called: such as `queued_at + 0:15:00: package.module.name`."""
    reference, interval = dict(alert["reference"]), alert["interval"]
    since = reference.pop("type")
    given = f"({', '.join(map(str, reference.values()))})" if reference else ""
    name = f"{alert['name']}: " if alert["name"] else ""
    return f"{name}{since}{given} {_length(interval)}: {alert['callback']['path']}"


def _length(interval: Mapping[str, Any]) -> str:
    if "variable" in interval:
        return f"+ variable {interval['variable']}"
    length = timedelta(seconds=interval["seconds"])
    return f"{'-' if length < timedelta() else '+'} {abs(length)}"


@click.command("import-errors")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def import_errors(session: Session, /, *, as_json: bool) -> None:
    """List the files of the served folder that can't be loaded, and why. The exit code is 1 where there are any.

    \b
    Examples:
      airdock dags import-errors
    """
    with session.app() as app:
        found = app.store.list_problems()
    if as_json:
        told = [{"file": each.fileloc, "at": each.at.isoformat(), "error": dict(each.error)} for each in found]
        click.echo(json.dumps(told, indent=2))
    elif found:
        rows = [[each.fileloc, fit(str(each.error.get("message", "")).splitlines()[0], _CELLS)] for each in found]
        click.echo(render_table(_PROBLEMS, rows))
    click.get_current_context().exit(1 if found else 0)


@click.command()
@click.argument("target", metavar="DAG_ID|FILE[:DAG_ID]", shell_complete=complete_dags)
@click.option(
    "--from",
    "--from-date",
    "--start-date",
    "start",
    metavar="DATE",
    callback=parse_date,
    required=True,
    help="The first date.",
)
@click.option(
    "--to",
    "--to-date",
    "--end-date",
    "end",
    metavar="DATE",
    callback=parse_date,
    required=True,
    help="The last date, which counts.",
)
@click.option("--reverse", is_flag=True, help="The latest date first.")
@click.option("--max-active-runs", metavar="N", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--reprocess",
    type=click.Choice(["none", "failed", "completed"]),
    default="none",
    show_default=True,
    help="Which dates that have a run get it anew.",
)
@click.option("--conf", metavar="JSON", help="What each run is given, as a JSON object: dag_run.conf.")
@click.option("--dry-run", is_flag=True, help="Only say which runs there would be.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def backfill(
    session: Session,
    /,
    target: str,
    *,
    start: datetime,
    end: datetime,
    reverse: bool,
    max_active_runs: int,
    reprocess: str,
    conf: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the runs of a DAG that its schedule asks for between two dates; a scheduler that serves it works on them.

    \b
    Examples:
      airdock dags backfill nightly --from 2026-01-01 --to 2026-01-31 --dry-run
      airdock dags backfill nightly --from 2026-01-01 --to 2026-01-31 --reprocess failed --max-active-runs 3
    """
    given = parse_conf(conf)
    with session.app() as app:
        dag = find_dag(app, target)
        found = app.orchestrator.hands.backfill(
            dag,
            start=start,
            end=end,
            reverse=reverse,
            max_active_runs=max_active_runs,
            reprocess=reprocess,
            conf=given,
            dry_run=dry_run,
        )
    rows = [_date(each) for each in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(render_table(_DATES, [[row["run_id"], row["logical_date"], row["what"]] for row in rows]))


def _date(each: "PlannedRun") -> dict[str, str]:
    date = each.plan.logical_date
    return {
        "run_id": each.run.run_id if each.run else each.plan.run_id,
        "logical_date": date.isoformat() if date else "",
        "what": each.what,
    }
