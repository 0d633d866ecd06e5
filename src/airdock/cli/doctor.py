"""`airdock doctor`: what this machine can do for containers, and which switch is off where it can't."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import width
from airdock.cli.words import paint
from airdock.model.states import TaskState

if TYPE_CHECKING:
    from airdock.runtime.probe import Check

__all__ = ["doctor", "render_checks"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_session
def doctor(session: Session, *, as_json: bool) -> None:
    """Say what this machine can do for containers; for each thing it can't, which switch to turn.

    The exit code is 1 when containers can't run here at all.

    \b
    Examples:
      airdock doctor
      airdock doctor --json | jq '.checks[] | select(.ok | not)'
    """
    from airdock.networks.checks import check_networks
    from airdock.runtime.probe import check, gather  # help and completion go without it

    config = session.config()
    checks = [*check(gather(home=str(config.home))), *check_networks(config.network.uplink)]
    able = all(one.ok for one in checks if one.needed)
    if as_json:
        click.echo(json.dumps({"containers": able, "checks": [one.to_dict() for one in checks]}, indent=2))
    else:
        click.echo(render_checks(checks, able))
    click.get_current_context().exit(0 if able else 1)


def render_checks(checks: Sequence["Check"], able: bool) -> str:
    """What was found, a line each, with what to do below what isn't there."""
    cells = max((width(one.name) for one in checks), default=0)
    lines = [line for one in checks for line in _lines(one, cells)]
    verdict = "Containers can run here." if able else "Containers can't run here: mend what is marked NO."
    return "\n".join([*lines, "", paint(verdict, TaskState.SUCCESS if able else TaskState.FAILED)])


def _lines(one: "Check", cells: int) -> Iterator[str]:
    if one.ok:
        mark = paint("ok", TaskState.SUCCESS)
    else:
        mark = paint("NO", TaskState.FAILED) if one.needed else paint("no", TaskState.UP_FOR_RETRY)
    yield f"{mark}   {one.name:{cells}}   {one.found}"
    if not one.ok and one.hint:
        first, *rest = one.hint.splitlines()
        yield f"{'':{cells + 8}}do: {first}"
        yield from (f"{'':{cells + 12}}{line}" for line in rest)
