"""`airdock db`: look after the metadata database."""

import json
from collections.abc import Sequence
from datetime import datetime

import click

from airdock.cli.confirm import confirm
from airdock.cli.dags_test import parse_date
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.errors import StoreError
from airdock.scheduler.owner import Owner

__all__ = ["db"]

_COLUMNS = (Column("TABLE"), Column("ROWS", right=True))


@click.group()
def db() -> None:
    """Look after the metadata database, where runs, DAGs, variables and connections are kept."""


@db.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def migrate(session: Session, /, *, as_json: bool) -> None:
    """Make the database, or bring it to the version of this Airdock.

    Every command does so by itself when it opens an older database; this one does nothing else.

    \b
    Examples:
      airdock db migrate
      airdock db migrate --json
    """
    with session.app() as app:
        found = app.orchestrator.store_info()
    if as_json:
        told = {"kind": found.kind, "place": found.place, "version": found.version, "from": found.migrated_from}
        click.echo(json.dumps(told, indent=2))
    elif found.migrated_from is None:
        click.echo(f"{found.place} is at version {found.version}")
    else:
        before = f"from version {found.migrated_from} " if found.migrated_from else ""
        click.echo(f"{found.place} was {'migrated' if before else 'made'} {before}at version {found.version}")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def check(session: Session, /, *, as_json: bool) -> None:
    """Say whether the database can be read and is sound, and who serves on it; exit code 1 if it isn't sound.

    \b
    Examples:
      airdock db check
    """
    with session.app() as app:
        found, wrong = app.orchestrator.store_info(), app.orchestrator.check_store()
        serving = app.orchestrator.schedulers()
    if wrong:
        raise StoreError("; ".join(wrong), where=found.place, hint="go back to a copy of it, or move it away")
    told = [(Owner.parse(each.owner).label, each.seen.isoformat(timespec="seconds")) for each in serving]
    if as_json:
        schedulers = [{"owner": owner, "seen": seen} for owner, seen in told]
        document = {"kind": found.kind, "place": found.place, "version": found.version, "schedulers": schedulers}
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"{found.place} is sound, at version {found.version}")
    for owner, seen in told:
        click.echo(f"{owner} serves on it, last seen {seen}")


@db.command()
@click.option(
    "--before",
    "--clean-before-timestamp",
    "before",
    metavar="DATE",
    callback=parse_date,
    required=True,
    help="Rows that are older go.",
)
@click.option("--table", "tables", metavar="NAME", multiple=True, help="Only this table; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def clean(
    session: Session, /, *, before: datetime, tables: Sequence[str], dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Remove runs that ended before a date, and what else is that old.

    Each DAG keeps its newest run and the last of its schedule. Tables are runs, asset_events, backfills, dag_index
    (DAGs whose file is gone), log, schedulers, states and dags (versions of DAGs that no run has). Logs of tasks stay.

    \b
    Examples:
      airdock db clean --before 2026-01-01 --dry-run
      airdock db clean --before 2026-01-01 --table runs --table dags --yes
    """
    with session.app() as app:
        given = {"tables": tables} if tables else {}
        if not dry_run:
            confirm([f"what is older than {before.isoformat()}"], force=yes)
        found = app.orchestrator.clean_store(before=before, pretend=dry_run, **given)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(render_table(_COLUMNS, [[name, str(number)] for name, number in found.items()]))
