"""`airdock network`: Docker's verbs, flags and columns for networks."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.confirm import confirm
from airdock.cli.errors import tell_before
from airdock.cli.names import complete_containers, complete_networks
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_documents, render_rows
from airdock.errors import AirdockError

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.networks.definitions import Network

__all__ = ["network"]

_TITLES: Final = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Internal": "INTERNAL",
    "Subnet": "SUBNET",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
_TABLE: Final = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}\t{{.Subnet}}"
_BUILT_IN: Final = {"host": "host", "none": "null", "private": "bridge"}
_ID_DIGITS: Final = 12
_FILTERS: Final = ("name", "id", "label", "driver", "type")


@click.group()
def network() -> None:
    """Make networks on which containers find each other by name.

    Three are always there: host, none and private, which has a way out and keeps its containers from each other.
    """


@network.command()
@click.argument("name")
@click.option("--subnet", default="", metavar="CIDR", help="Its addresses; a free range is chosen by itself.")
@click.option("--gateway", default="", metavar="ADDRESS", help="The router's address, the first of the subnet.")
@click.option("--internal", is_flag=True, help="No way out.")
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="A note on it.")
@click.option("-d", "--driver", type=click.Choice(["bridge"]), default="bridge", hidden=True)
@pass_session
def create(
    session: Session, /, name: str, *, subnet: str, gateway: str, internal: bool, labels: tuple[str, ...], driver: str
) -> None:
    """Make a network, and print its id.

    \b
    Examples:
      airdock network create app
      airdock network create --internal --subnet 10.77.0.0/24 backend
    """
    pairs = (label.partition("=") for label in labels)
    with session.app() as app:
        made = app.networks.create(
            name,
            subnet=subnet,
            gateway=gateway,
            internal=internal,
            labels={key: value for key, _, value in pairs},
            now=datetime.now(UTC),
        )
    click.echo(made.id)


@network.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="name, id, label, driver, type.")
@click.option("--format", "template", metavar="TEMPLATE", help="json, '{{.Name}}', or 'table {{.ID}}\\t{{.Subnet}}'.")
@pass_session
def list_(session: Session, /, *, quiet: bool, no_trunc: bool, filters: tuple[str, ...], template: str | None) -> None:
    """List networks.

    \b
    Fields for --format: ID Name Driver Scope Internal Subnet Labels CreatedAt
    Examples:
      airdock network ls
      airdock network ls --filter label=team --format '{{.Name}}'
    """
    with session.app() as app:
        made = app.networks.list()
    built_in = [_row(name, name, driver=driver) for name, driver in _BUILT_IN.items()]
    rows = [row for row in (*built_in, *map(_row_of, made)) if _passes(row, filters)]
    if not no_trunc:
        rows = [{**row, "ID": row["ID"][:_ID_DIGITS]} for row in rows]
    text = "\n".join(row["ID"] for row in rows) if quiet else render_rows(rows, template or _TABLE, _TITLES)
    if text:
        click.echo(text)


@network.command()
@click.argument("names", metavar="NETWORK...", nargs=-1, required=True, shell_complete=complete_networks)
@click.option("-f", "--format", "template", metavar="TEMPLATE", help="json, or a template of the fields.")
@pass_session
def inspect(session: Session, /, names: tuple[str, ...], *, template: str | None) -> None:
    """Say all that is known of networks, with the containers that run on them.

    \b
    Examples:
      airdock network inspect app
      airdock network inspect -f '{{json .Containers}}' app
    """
    failed: AirdockError | None = None
    documents = []
    with session.app() as app:
        for name in names:
            try:
                documents.append(_document(app, name))
            except AirdockError as error:
                failed = tell_before(failed, error)
    if documents or template is None:
        click.echo(render_documents(documents, template))
    if failed:
        raise failed


@network.command()
@click.argument("names", metavar="NETWORK...", nargs=-1, required=True, shell_complete=complete_networks)
@click.option("-f", "--force", is_flag=True, help="Say nothing of networks that there aren't.")
@pass_session
def rm(session: Session, /, names: tuple[str, ...], *, force: bool) -> None:
    """Remove networks that no running container is on.

    \b
    Example:
      airdock network rm app
    """
    from airdock.errors import UnknownNetworkError

    failed: AirdockError | None = None
    with session.app() as app:
        for name in names:
            try:
                app.networks.remove(name)
            except AirdockError as error:
                if not (force and isinstance(error, UnknownNetworkError)):
                    failed = tell_before(failed, error)
                continue
            click.echo(name)
    if failed:
        raise failed


@network.command()
@click.option("-f", "--force", is_flag=True, help="Ask nothing.")
@pass_session
def prune(session: Session, /, *, force: bool) -> None:
    """Remove all networks that no running container is on.

    \b
    Example:
      airdock network prune -f
    """
    with session.app() as app:
        confirm(["all networks that no running container is on"], force=force)
        removed = app.networks.prune()
    if removed:
        click.echo("\n".join(["Deleted Networks:", *(one.name for one in removed)]))


@network.command()
@click.argument("name", metavar="NETWORK", shell_complete=complete_networks)
@click.argument("container", shell_complete=complete_containers)
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="One more name of it there.")
@click.option("--ip", default="", metavar="ADDRESS", help="Its address there.")
@pass_session
def connect(session: Session, /, name: str, container: str, *, aliases: tuple[str, ...], ip: str) -> None:
    """Put a running container that has a network of its own on one more.

    It stays there until it ends.

    \b
    Example:
      airdock network connect --alias db app postgres
    """
    with session.app() as app:
        app.networks.connect(name, app.networks.running(container), aliases=aliases, ip=ip)


@network.command()
@click.argument("name", metavar="NETWORK", shell_complete=complete_networks)
@click.argument("container", shell_complete=complete_containers)
@click.option("-f", "--force", is_flag=True, hidden=True)
@pass_session
def disconnect(session: Session, /, name: str, container: str, *, force: bool) -> None:
    """Take a running container off a network.

    \b
    Example:
      airdock network disconnect app postgres
    """
    with session.app() as app:
        app.networks.disconnect(name, app.networks.running(container))


def _row(name: str, identifier: str, *, driver: str, **more: str) -> dict[str, str]:
    blank = {"Scope": "local", "Internal": "false", "Subnet": "", "Labels": "", "CreatedAt": ""}
    return {"ID": identifier, "Name": name, "Driver": driver, **blank, **more}


def _row_of(made: "Network") -> dict[str, str]:
    return _row(
        made.name,
        made.id,
        driver="bridge",
        Internal=json.dumps(made.internal),
        Subnet=str(made.subnet),
        Labels=",".join(f"{key}={value}" for key, value in made.labels.items()),
        CreatedAt=made.created,
    )


def _passes(row: Mapping[str, str], filters: Sequence[str]) -> bool:
    for text in filters:
        key, equals, value = text.partition("=")
        if key not in _FILTERS or not equals:
            raise click.UsageError(f"expected --filter {'|'.join(_FILTERS)}=VALUE, got {text!r}")
        labels = row["Labels"].split(",")
        kind = "builtin" if row["Name"] in _BUILT_IN else "custom"
        found = {
            "name": value in row["Name"],
            "id": row["ID"].startswith(value),
            "label": any(value in (label, label.partition("=")[0]) for label in labels),
            "driver": row["Driver"] == value,
            "type": kind == value,
        }
        if not found[key]:
            return False
    return True


def _document(app: "App", name: str) -> dict[str, Any]:
    """Docker's shape."""
    if name in _BUILT_IN:
        fields: dict[str, Any] = {"Name": name, "Id": name, "Created": "", "Driver": _BUILT_IN[name]}
        known = [one for one in app.networks.status().get("networks", ()) if one["name"] == name]
        pool = [{"Subnet": one["subnet"], "Gateway": one["gateway"]} for one in known]
        internal, labels = False, {}
    else:
        made = app.networks.find(name)
        name = made.name
        fields = {"Name": name, "Id": made.id, "Created": made.created, "Driver": "bridge"}
        pool = [{"Subnet": str(made.subnet), "Gateway": str(made.gateway)}]
        internal, labels = made.internal, dict(made.labels)
    return {
        **fields,
        "Scope": "local",
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Config": pool},
        "Internal": internal,
        "Containers": {user["id"]: _member(user, name) for user in app.networks.users(name)},
        "Options": {},
        "Labels": labels,
    }


def _member(user: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"Name": user["name"], "IPv4Address": user["addresses"][name], "Names": user["names"][name]}
