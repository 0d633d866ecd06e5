"""`airdock doctor`: what this machine can do for containers, and which switch is off where it can't."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from airdock.cli.session import Session, pass_session
from airdock.cli.tables import width
from airdock.cli.words import paint
from airdock.model.states import TaskState

if TYPE_CHECKING:
    from airdock.runtime.probe import Check

__all__ = ["doctor"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_session
@click.pass_context
def doctor(ctx: click.Context, session: Session, /, *, as_json: bool) -> None:
    """Say what this machine can do for containers; for each thing it can't, which switch to turn.

    The exit code is 1 when containers can't run here at all.

    \b
    Examples:
      airdock doctor
      airdock doctor --json | jq '.checks[] | select(.ok | not)'
    """
    from airdock.runtime.probe import can_run, probe  # help and completion go without it

    checks = probe()
    able = can_run(checks)
    if as_json:
        listed = [{"name": one.name, "ok": one.ok, "found": one.found, "hint": one.hint} for one in checks]
        click.echo(json.dumps({"containers": able, "checks": listed}, indent=2))
    else:
        click.echo(_render(checks, able))
    ctx.exit(0 if able else 1)


def _render(checks: Sequence["Check"], able: bool) -> str:
    cells = max((width(one.name) for one in checks), default=0)
    lines = []
    for one in checks:
        mark = (
            paint("ok", TaskState.SUCCESS)
            if one.ok
            else paint("no", TaskState.UP_FOR_RETRY if able else TaskState.FAILED)
        )
        lines.append(f"{mark}   {one.name:{cells}}   {one.found}")
        if not one.ok and one.hint:
            lines += [
                f"{'':{cells + 8}}do: {line}" if not index else f"{'':{cells + 12}}{line}"
                for index, line in enumerate(one.hint.splitlines())
            ]
    verdict = "containers can run here" if able else "containers can't run here"
    return "\n".join([*lines, "", paint(verdict, TaskState.SUCCESS if able else TaskState.FAILED)])
