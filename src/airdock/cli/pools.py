"""`airdock pools`: how many slots tasks share."""

import json
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.errors import ConfigError

if TYPE_CHECKING:
    from airdock.store.records import Pool

__all__ = ["pools"]

_COLUMNS = (Column("POOL"), Column("SLOTS", right=True), Column("DEFERRED"), Column("DESCRIPTION"))


@click.group()
def pools() -> None:
    """Bound how many tasks run at one time, whatever DAG they are of.

    A task takes pool_slots of its pool while it is queued or runs; without one named it is of default_pool.
    """


@pools.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_pools(session: Session, /, *, as_json: bool) -> None:
    """List pools by name, with their slots, and whether tasks that wait for a trigger take some of them.

    \b
    Examples:
      airdock pools list
      airdock pools list --json
    """
    with session.app() as app:
        found = app.orchestrator.pools()
    if as_json:
        click.echo(json.dumps([_to_json(pool) for pool in found], indent=2))
    else:
        click.echo(render_table(_COLUMNS, [_row(pool) for pool in found]))


@pools.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="All there is of it, as a JSON object.")
@pass_session
def get(session: Session, /, name: str, *, as_json: bool) -> None:
    """Print the slots of a pool; -1 is unlimited.

    \b
    Examples:
      airdock pools get default_pool
    """
    with session.app() as app:
        found = next((pool for pool in app.orchestrator.pools() if pool.name == name), None)
    if found is None:
        raise ConfigError(f"there is no pool {name!r}", hint="airdock pools list")
    click.echo(json.dumps(_to_json(found), indent=2) if as_json else str(found.slots))


@pools.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def delete(session: Session, /, name: str, *, as_json: bool) -> None:
    """Remove a pool. Tasks that ask for it can't run until it's there again; default_pool stays.

    \b
    Examples:
      airdock pools delete database
    """
    with session.app() as app:
        if not app.store.delete_pool(name):
            raise ConfigError(f"expected a pool that can go, found {name!r}", hint="airdock pools list")
    click.echo(json.dumps({"name": name, "deleted": True}) if as_json else name)


@pools.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("slots", type=click.IntRange(min=-1))
@click.option("--description", metavar="TEXT", help="What it is for. [default: as it is]")
@click.option(
    "--include-deferred/--no-include-deferred",
    default=None,
    help="Whether tasks that wait for a trigger take slots too. [default: as it is, and for a new pool no]",
)
@click.option("--json", "as_json", is_flag=True, help="The pool as a JSON object.")
@pass_session
def set_pool(
    session: Session, /, name: str, slots: int, *, description: str | None, include_deferred: bool | None, as_json: bool
) -> None:
    """Make a pool, or give it another number of slots; -1 is unlimited.

    Tasks that run already go on, also where there are fewer slots then.

    \b
    Examples:
      airdock pools set database 4 --description "connections to the warehouse"
      airdock pools set warehouse 8 --include-deferred
      airdock pools set default_pool -1
    """
    with session.app() as app:
        app.orchestrator.set_pool(name, slots=slots, description=description, include_deferred=include_deferred)
        made = next(pool for pool in app.orchestrator.pools() if pool.name == name)
    click.echo(json.dumps(_to_json(made), indent=2) if as_json else name)


def _to_json(pool: "Pool") -> dict[str, Any]:
    return {
        "name": pool.name,
        "slots": pool.slots,
        "description": pool.description,
        "include_deferred": pool.include_deferred,
    }


def _row(pool: "Pool") -> list[str]:
    slots = "unlimited" if pool.slots < 0 else str(pool.slots)
    return [pool.name, slots, "take slots" if pool.include_deferred else "", pool.description]
