"""`airdock assets`: data that tasks make and DAGs wait for."""

import json
from typing import Any, Final

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.errors import DagError

__all__ = ["assets"]

_ASSETS: Final = tuple(
    Column(name) for name in ("ASSET", "URI", "MADE BY", "WATCHED BY", "WAITED FOR BY", "LAST MADE", "ACTIVE")
)
_EVENTS: Final = (Column("NUMBER", right=True), Column("ASSET"), Column("AT"), Column("BY"), Column("EXTRA"))


@click.group()
def assets() -> None:
    """Look at assets: what tasks make (outlets) and DAGs wait for (schedule)."""


@assets.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_assets(session: Session, /, *, as_json: bool) -> None:
    """List the assets of the DAGs that a scheduler has loaded, with who makes, watches and waits for them.

    An asset is inactive where another one, that was there before, has its name or its address; tasks that make or use
    it fail.

    \b
    Examples:
      airdock assets list
    """
    with session.app() as app:
        found = app.orchestrator.assets()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(render_table(_ASSETS, [_row(each) for each in found]))


@assets.command()
@click.argument("asset", metavar="[ASSET]", required=False)
@click.option("-n", "--limit", metavar="N", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def events(session: Session, /, asset: str | None, *, limit: int, as_json: bool) -> None:
    """List when assets were made, the latest last; of one, by its name or URI, where it is given.

    \b
    Examples:
      airdock assets events
      airdock assets events s3://sales/daily --json
    """
    with session.app() as app:
        found = [each for each in app.store.list_events() if asset in (None, each.name, each.uri)][-limit:]
    if as_json:
        click.echo(json.dumps([{"number": each.number, **each.to_dict()} for each in found], indent=2))
        return
    rows = []
    for each in found:
        other = "a watcher" if each.extra.get("from_trigger") else "by hand"
        source = f"{each.source.dag_id}/{each.source.run_id}/{each.source.label}" if each.source else other
        extra = json.dumps(dict(each.extra)) if each.extra else ""
        rows.append([str(each.number), each.name, each.at.isoformat(timespec="seconds"), source, extra])
    click.echo(render_table(_EVENTS, rows))


@assets.command()
@click.argument("asset", metavar="ASSET")
@click.option("--extra", metavar="JSON", help="What is told with it, as a JSON object.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def tell(session: Session, /, asset: str, *, extra: str | None, as_json: bool) -> None:
    """Say that an asset was made outside, by its name or URI; DAGs that wait for it run.

    \b
    Examples:
      airdock assets tell s3://sales/daily --extra '{"rows": 10}'
    """
    try:
        given: Any = json.loads(extra) if extra else {}
    except ValueError as error:
        raise click.BadParameter(f"expected a JSON object: {error}.") from error
    if not isinstance(given, dict):
        raise click.BadParameter("expected a JSON object.")
    with session.app() as app:
        found = [each for each in app.orchestrator.assets() if asset in (each["name"], each["uri"])]
        if not found:
            known = ", ".join(each["name"] for each in app.orchestrator.assets())
            raise DagError(f"there is no asset {asset!r}", hint=f"there are: {known}" if known else "")
        app.orchestrator.tell_asset(found[0]["name"], found[0]["uri"], extra=given)
    told = {"name": found[0]["name"], "uri": found[0]["uri"], "extra": given}
    click.echo(json.dumps(told, indent=2) if as_json else told["name"])


def _row(asset: dict[str, Any]) -> list[str]:
    triggers = [path.rpartition(".")[2] for path in asset["watched_by"]]
    people = [", ".join(each) for each in (asset["made_by"], triggers, asset["waited_for_by"])]
    return [asset["name"], asset["uri"], *people, asset["last"] or "", "yes" if asset["active"] else "no"]
