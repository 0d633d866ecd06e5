"""`airdock variables`: values that tasks ask for by name."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from airdock.cli.confirm import confirm
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.errors import SecretsError

__all__ = ["variables"]

_COLUMNS: Final = (Column("NAME"), Column("DESCRIPTION"))


@click.group()
def variables() -> None:
    """Keep values that tasks ask for by name, encrypted.

    The environment comes first: AIRFLOW_VAR_NAME or AIRDOCK_VAR_NAME.
    """


@variables.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_variables(session: Session, /, *, as_json: bool) -> None:
    """List variables by name, without their values.

    \b
    Examples:
      airdock variables list
    """
    with session.app() as app:
        found = app.vault.variables()
    if as_json:
        click.echo(json.dumps([{"name": each.name, "description": each.description} for each in found], indent=2))
    else:
        click.echo(render_table(_COLUMNS, [[each.name, each.description] for each in found]))


@variables.command()
@click.argument("name")
@click.option("--default", metavar="TEXT", help="What to print where there is no such variable.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with name and value.")
@pass_session
def get(session: Session, /, name: str, *, default: str | None, as_json: bool) -> None:
    """Print the value of a variable.

    \b
    Examples:
      airdock variables get bucket
    """
    with session.app() as app:
        found = app.vault.variable(name)
        known = ", ".join(each.name for each in app.vault.variables())
    value = default if found is None else found
    if value is None:
        raise SecretsError(f"there is no variable {name!r}", hint=f"there are: {known}" if known else "")
    click.echo(json.dumps({"name": name, "value": value}) if as_json else value)


@variables.command("set")
@click.argument("name")
@click.argument("value", required=False)
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--json", "is_json", is_flag=True, help="The value has to be JSON.")
@pass_session
def set_variable(session: Session, /, name: str, value: str | None, *, description: str | None, is_json: bool) -> None:
    """Keep a value under a name; without one, or with -, it is read from standard input.

    \b
    Examples:
      airdock variables set bucket s3://sales
      airdock variables set settings --json < settings.json
    """
    text = sys.stdin.read().rstrip("\n") if value in (None, "-") else str(value)
    if is_json:
        try:
            json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f"expected JSON: {error}.") from error
    with session.app() as app:
        app.vault.set_variable(name, text, description=description)
    click.echo(name)


@variables.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_session
def delete(session: Session, /, name: str, *, yes: bool, as_json: bool) -> None:
    """Forget a variable.

    \b
    Examples:
      airdock variables delete bucket
    """
    with session.app() as app:
        confirm([f"variable {name}"], force=yes)
        if not app.vault.delete_variable(name):
            raise SecretsError(f"there is no variable {name!r} to delete", hint="airdock variables list")
    click.echo(json.dumps({"name": name, "deleted": True}) if as_json else name)


@variables.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The names as a JSON array.")
@pass_session
def import_variables(session: Session, /, file: Path, *, as_json: bool) -> None:
    """Keep all variables of a JSON file, as Airflow's export writes it: an object of names and values.

    \b
    Examples:
      airdock variables import variables.json
    """
    try:
        document: Any = json.loads(file.read_text())
    except ValueError as error:
        raise click.BadParameter(f"expected JSON in {file}: {error}.") from error
    if not isinstance(document, dict):
        raise click.BadParameter(f"expected an object of names and values in {file}.")
    with session.app() as app:
        for name, given in document.items():
            has_words = isinstance(given, dict) and set(given) <= {"value", "description"} and "value" in given
            value = given["value"] if has_words else given
            text = value if isinstance(value, str) else json.dumps(value)
            app.vault.set_variable(name, text, description=given.get("description") if has_words else None)
    click.echo(json.dumps(list(document), indent=2) if as_json else f"{len(document)} variables")


@variables.command()
@click.option("--json", is_flag=True, expose_value=False, help="What it prints without this too.")
@pass_session
def export(session: Session, /) -> None:
    """Print all variables with their values as a JSON object, which `import` reads. They aren't encrypted in it.

    \b
    Examples:
      airdock variables export > variables.json
    """
    with session.app() as app:
        found = {each.name: app.vault.variable(each.name) for each in app.vault.variables()}
    click.echo(json.dumps(found, indent=2))
