"""`airdock tasks test`: one task alone, with nothing kept but its log."""

from datetime import datetime

import click

from airdock.cli.dags_test import parse_date
from airdock.cli.feed import Feed
from airdock.cli.run import parse_conf, parse_target
from airdock.cli.session import Session, pass_session
from airdock.cli.summary import Summary
from airdock.cli.views import make_view
from airdock.cli.words import Tail
from airdock.clock import SystemClock
from airdock.model.states import RunState

__all__ = ["test"]


@click.command()
@click.argument("target", metavar="FILE[:DAG_ID]")
@click.argument("task_id", metavar="TASK")
@click.argument("date", metavar="DATE", required=False, callback=parse_date)
@click.option("--conf", metavar="JSON", help="What the run is given, as a JSON object: dag_run.conf.")
@click.option("--plain", is_flag=True, help="Lines, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, and a last one that sums up.")
@pass_session
def test(
    session: Session,
    /,
    target: str,
    task_id: str,
    date: datetime | None,
    *,
    conf: str | None,
    plain: bool,
    as_json: bool,
) -> None:
    """Run one task alone, once, in its own container, whatever it waits for, and keep nothing but its log.

    What other tasks would have pushed isn't there. The exit code is 0 only when the task succeeded.

    \b
    Examples:
      airdock tasks test etl.py extract
      airdock tasks test etl.py:nightly extract 2026-01-31
    """
    given = parse_conf(conf)
    path, dag_id = parse_target(target)
    context = click.get_current_context()
    with session.app() as app:
        app.open()
        tail = Tail(folder=app.config.home / "logs", lines=app.config.logging.tail_lines)
        feed = Feed(make_view(as_json=as_json, plain=plain, color=context.color, tail=tail), clock=SystemClock())
        try:
            ended = app.test_task(path, task_id, dag_id=dag_id, conf=given, logical_date=date, report=feed)
        except BaseException:
            feed.close()
            raise
        feed.close(
            lambda board: Summary(
                board=board,
                dag_id=ended.key.dag_id,
                run_id=ended.key.run_id,
                state=ended.state,
                seconds=feed.elapsed_s,
                isolation=ended.isolation,
                workspace=ended.workspace,
                tail=tail,
                last=ended.last,
            )
        )
    context.exit(0 if ended.state is RunState.SUCCESS else 1)
