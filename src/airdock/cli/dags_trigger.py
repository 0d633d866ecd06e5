"""`airdock dags trigger`: make a run that a scheduler takes up."""

import json
from datetime import datetime

import click

from airdock.cli.dag_target import find_dag
from airdock.cli.dags_test import parse_date
from airdock.cli.names import complete_dags
from airdock.cli.run import parse_conf
from airdock.cli.runs_words import run_dict
from airdock.cli.session import Session, pass_session

__all__ = ["trigger"]


@click.command()
@click.argument("target", metavar="DAG_ID|FILE[:DAG_ID]", shell_complete=complete_dags)
@click.option("--conf", metavar="JSON", help="What the run is given, as a JSON object: dag_run.conf.")
@click.option("--run-id", metavar="RUN", help="What the run is called. [default: manual__ and the logical date]")
@click.option("--logical-date", metavar="DATE", callback=parse_date, help="What the run is for. [default: now]")
@click.option("--json", "as_json", is_flag=True, help="The run as a JSON object.")
@pass_session
def trigger(
    session: Session,
    /,
    target: str,
    *,
    conf: str | None,
    run_id: str | None,
    logical_date: datetime | None,
    as_json: bool,
) -> None:
    """Make a run of a DAG, and print its id; a scheduler that serves the DAG works on it.

    \b
    Examples:
      airdock dags trigger nightly
      airdock dags trigger nightly --conf '{"full": true}' --logical-date 2026-01-31
      airdock runs watch $(airdock dags trigger nightly)
    """
    given = parse_conf(conf)
    with session.app() as app:
        dag = find_dag(app, target)
        key = app.orchestrator.create_run(dag, conf=given, run_id=run_id, logical_date=logical_date)
        run = app.orchestrator.find_run(f"{key.dag_id}/{key.run_id}")
    click.echo(json.dumps(run_dict(run), indent=2) if as_json else key.run_id)
