"""`airdock container ps` and whatever else only looks."""

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import fit
from airdock.cli.template import render_rows
from airdock.cli.units import render_age

if TYPE_CHECKING:
    from airdock.runtime.state import ContainerState

__all__ = ["ps"]

_COMMAND_CELLS: Final = 20
_TITLES: Final = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "State": "STATE",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
}
_TABLE: Final = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="Also those that ended.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--no-trunc", is_flag=True, help="Whole ids and commands.")
@click.option("--format", "template", metavar="TEMPLATE", help="json, '{{.Names}}', or 'table {{.ID}}\\t{{.Status}}'.")
@pass_session
def ps(session: Session, /, *, every: bool, quiet: bool, no_trunc: bool, template: str | None) -> None:
    """List containers, the newest first: the running ones, or all.

    \b
    Fields for --format: ID Image Command CreatedAt RunningFor State Status Ports Names
    Examples:
      airdock container ps -a
      airdock container ps --format '{{.Names}}: {{.Status}}'
    """
    with session.app() as app:
        states = [state for state in app.engine.containers.states() if every or state.alive]
    now = datetime.now(UTC)
    rows = [_row(state, now, whole=no_trunc) for state in states]
    text = "\n".join(row["ID"] for row in rows) if quiet else render_rows(rows, template or _TABLE, _TITLES)
    if text:
        click.echo(text)


def _row(state: "ContainerState", now: datetime, *, whole: bool) -> dict[str, str]:
    command = f'"{shlex.join(state.command)}"'
    created = datetime.fromisoformat(state.created)
    return {
        "ID": state.id if whole else state.id[:12],
        "Image": state.image,
        "Command": command if whole else fit(command, _COMMAND_CELLS),
        "CreatedAt": created.isoformat(" ", "seconds"),
        "RunningFor": f"{render_age(now - created)} ago",
        "State": state.current_status,
        "Status": _status(state, now - created, now),
        "Ports": "",
        "Names": state.name,
    }


def _status(state: "ContainerState", age: timedelta, now: datetime) -> str:
    match state.current_status:
        case "running":
            return f"Up {render_age(age)}"
        case "exited" if state.ended:
            return f"Exited ({state.exit_code}) {render_age(now - datetime.fromisoformat(state.ended))} ago"
        case status:
            return status.capitalize()
