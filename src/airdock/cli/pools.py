"""`airdock pools`: how many slots tasks share."""

import json

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.errors import ConfigError

__all__ = ["pools"]

_COLUMNS = (Column("POOL"), Column("SLOTS", right=True))


@click.group()
def pools() -> None:
    """Bound how many tasks run at one time, whatever DAG they are of.

    A task takes pool_slots of its pool while it is queued or runs; without one named it is of default_pool.
    """


@pools.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_pools(session: Session, /, *, as_json: bool) -> None:
    """List pools by name, with their slots.

    \b
    Examples:
      airdock pools list
      airdock pools list --json
    """
    with session.app() as app:
        found = app.orchestrator.pools()
    if as_json:
        click.echo(json.dumps([{"name": pool.name, "slots": pool.slots} for pool in found], indent=2))
    else:
        rows = [[pool.name, "unlimited" if pool.slots < 0 else str(pool.slots)] for pool in found]
        click.echo(render_table(_COLUMNS, rows))


@pools.command()
@click.argument("name")
@pass_session
def get(session: Session, /, name: str) -> None:
    """Print the slots of a pool; -1 is unlimited.

    \b
    Examples:
      airdock pools get default_pool
    """
    with session.app() as app:
        found = next((pool for pool in app.orchestrator.pools() if pool.name == name), None)
    if found is None:
        raise ConfigError(f"there is no pool {name!r}")
    click.echo(str(found.slots))


@pools.command()
@click.argument("name")
@pass_session
def delete(session: Session, /, name: str) -> None:
    """Remove a pool. Tasks that ask for it can't run until it's there again; default_pool stays.

    \b
    Examples:
      airdock pools delete database
    """
    with session.app() as app:
        if not app.store.delete_pool(name):
            raise ConfigError(f"expected a pool that can go, found {name!r}", hint="airdock pools list")
    click.echo(name)


@pools.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("slots", type=click.IntRange(min=-1))
@pass_session
def set_pool(session: Session, /, name: str, slots: int) -> None:
    """Make a pool, or give it another number of slots; -1 is unlimited.

    Tasks that run already go on, also where there are fewer slots then.

    \b
    Examples:
      airdock pools set database 4
      airdock pools set default_pool -1
    """
    with session.app() as app:
        app.orchestrator.set_pool(name, slots=slots)
    click.echo(name)
