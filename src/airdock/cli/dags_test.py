"""`airdock dags test`: one run in the foreground for a date, as `airdock run` shows it."""

from datetime import UTC, datetime

import click

from airdock.cli.run import run
from airdock.cli.session import Session, pass_session

__all__ = ["parse_date", "test"]


def parse_date(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A date or time in ISO 8601; without a zone it is UTC."""
    if value is None:
        return None
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"expected a date such as 2026-01-31 or 2026-01-31T02:00, got {value!r}.") from None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


@click.command()
@click.argument("target", metavar="FILE[:DAG_ID]")
@click.argument("date", metavar="DATE", required=False, callback=parse_date)
@click.option("--conf", metavar="JSON", help="What the run is given, as a JSON object: dag_run.conf.")
@click.option("--plain", is_flag=True, help="Lines, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, and a last one that sums up.")
@pass_session
def test(
    session: Session, /, target: str, date: datetime | None, *, conf: str | None, plain: bool, as_json: bool
) -> None:
    """Run a DAG once in the foreground, for the logical date DATE (now, where it is left out).

    It is a run like others, and is kept; a DAG has one for a date. The exit code is 0 only when it succeeded.

    \b
    Examples:
      airdock dags test etl.py
      airdock dags test etl.py:nightly 2026-01-31 --conf '{"full": true}'
    """
    context = click.get_current_context()
    context.invoke(
        run,
        target=target,
        conf=conf,
        plain=plain,
        as_json=as_json,
        resume=None,
        executor=None,
        parallelism=None,
        isolation=None,
        logical_date=date,
    )
