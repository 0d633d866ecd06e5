"""`airdock container update`: other limits, and another restart policy, for containers that are there."""

from typing import Any

import click

from airdock.cli.confine_flags import limit_options
from airdock.cli.errors import tell
from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session

__all__ = ["update"]

_FIELDS = {
    "memory": "memory_bytes",
    "memory_swap": "memory_and_swap_bytes",
    "cpus": "cpus",
    "cpu_shares": "cpu_shares",
    "cpuset_cpus": "cpuset",
    "pids_limit": "pids",
}


@click.command()
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=complete_containers)
@limit_options
@click.option("--pids-limit", type=click.IntRange(min=-1), metavar="N", help="Most processes; -1 is no limit.")
@click.option("--restart", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped.")
@pass_session
def update(session: Session, /, names: tuple[str, ...], *, restart: str | None, **options: Any) -> None:
    """Change the limits and the restart policy of containers; what isn't named stays.

    Running ones get their limits at once, where their cgroup has the controller, others when they start.

    \b
    Examples:
      airdock container update -m 512m --cpus 1.5 web
      airdock container update --restart unless-stopped web database
    """
    limits = {_FIELDS[name]: value for name, value in options.items() if value is not None}
    if limits.get("pids") == 0:
        limits["pids"] = -1
    if not limits and restart is None:
        raise click.UsageError("expected at least one flag that says what to change, got none.")
    from airdock.cli.container_life import for_each
    from airdock.containers.restart import parse_restart

    policy = None if restart is None else parse_restart(restart)

    def change(app: Any, name: str) -> None:
        lacking = app.engine.containers.update(name, limits=limits, restart=policy)
        if lacking:
            tell(f"warning: the limits of {name} hold from its next start: {lacking}")

    for_each(session, names, change)
