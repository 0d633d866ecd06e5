"""`airdock connections`: where other services are, and how to get in."""

import json
import sys
from typing import Any, Final

import click

from airdock.cli.confirm import confirm
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.errors import SecretsError

__all__ = ["connections"]

_COLUMNS: Final = (Column("ID"), Column("TYPE"), Column("DESCRIPTION"))
_FIELDS: Final = ("conn_type", "host", "login", "password", "schema", "port", "extra")
_HIDDEN: Final = "***"


@click.group()
def connections() -> None:
    """Keep where other services are and how to get in, encrypted.

    The environment comes first: AIRFLOW_CONN_ID or AIRDOCK_CONN_ID, a URI or JSON.
    """


@connections.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_connections(session: Session, /, *, as_json: bool) -> None:
    """List connections by id, without what is secret of them.

    \b
    Examples:
      airdock connections list
    """
    with session.app() as app:
        found = app.vault.connections()
    if as_json:
        told = [{"id": each.name, "type": each.kind, "description": each.description} for each in found]
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(render_table(_COLUMNS, [[each.name, each.kind, each.description] for each in found]))


@connections.command()
@click.argument("conn_id", metavar="ID")
@click.option("--show-password", is_flag=True, help="With password and extra, which are hidden else.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def get(session: Session, /, conn_id: str, *, show_password: bool, as_json: bool) -> None:
    """Print the fields of a connection.

    \b
    Examples:
      airdock connections get warehouse
    """
    with session.app() as app:
        found = app.vault.connection(conn_id)
        known = ", ".join(each.name for each in app.vault.connections())
    if found is None:
        raise SecretsError(f"there is no connection {conn_id!r}", hint=f"there are: {known}" if known else "")
    shown: dict[str, Any] = {name: value for name, value in found.items() if value not in (None, "")}
    for name in ("password", "extra"):
        if name in shown and not show_password:
            shown[name] = _HIDDEN
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    else:
        width = max(map(len, shown))
        click.echo("\n".join(f"{name.ljust(width)}  {value}" for name, value in shown.items()))


@connections.command()
@click.argument("conn_id", metavar="ID")
@click.option(
    "--uri",
    "--conn-uri",
    metavar="URI",
    help="All of it, such as postgres://login:password@host:5432/schema; - is stdin.",
)
@click.option("--conn-json", "document", metavar="JSON", help="All of it as a JSON object; - is standard input.")
@click.option("--conn-type", metavar="TYPE", help="What kind of service it is.")
@click.option("--host", "--conn-host", metavar="HOST")
@click.option("--login", "--conn-login", metavar="NAME")
@click.option("--password", "--conn-password", metavar="TEXT", help="- is standard input: others can't read it there.")
@click.option("--schema", "--conn-schema", metavar="NAME")
@click.option("--port", "--conn-port", type=int)
@click.option("--extra", "--conn-extra", metavar="JSON", help="What else there is to say, as a JSON object.")
@click.option("--description", "--conn-description", metavar="TEXT", help="What it is for.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def add(
    session: Session,
    /,
    conn_id: str,
    *,
    uri: str | None,
    document: str | None,
    description: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Keep a connection, over the one there may be: by a URI, as JSON, or by its fields.

    \b
    Examples:
      airdock connections add warehouse --uri postgres://etl@db:5432/sales
      airdock connections add api --conn-type http --host https://example.com --password - < token
    """
    given = {name: fields[name] for name in _FIELDS if fields[name] is not None}
    if sum((uri is not None, document is not None, bool(given))) != 1:
        raise click.UsageError("expected one of --uri, --conn-json, and fields such as --conn-type and --host.")
    whole = uri if uri is not None else document
    if "-" in (whole, given.get("password")):
        text = sys.stdin.read().strip()
        whole = text if whole == "-" else whole
        given = {**given, "password": text} if given.get("password") == "-" else given
    with session.app() as app:
        app.vault.set_connection(conn_id, whole if whole is not None else given, description=description)
        made = next(each for each in app.vault.connections() if each.name == conn_id)
    told = {"id": made.name, "type": made.kind, "description": made.description}
    click.echo(json.dumps(told, indent=2) if as_json else conn_id)


@connections.command()
@click.argument("conn_id", metavar="ID")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def delete(session: Session, /, conn_id: str, *, yes: bool, as_json: bool) -> None:
    """Forget a connection.

    \b
    Examples:
      airdock connections delete warehouse
    """
    with session.app() as app:
        confirm([f"connection {conn_id}"], force=yes)
        if not app.vault.delete_connection(conn_id):
            raise SecretsError(f"there is no connection {conn_id!r} to delete", hint="airdock connections list")
    click.echo(json.dumps({"id": conn_id, "deleted": True}) if as_json else conn_id)
