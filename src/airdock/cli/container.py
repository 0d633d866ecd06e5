"""`airdock container`: Docker's verbs, flags, columns and exit codes; each verb is imported when it is called."""

from typing import Final

import click

from airdock.cli.lazy import LazyGroup

__all__ = ["container"]

_COMMANDS: Final = {
    "run": ("airdock.cli.container_run:run", "Run a command in a new container of IMAGE."),
    "create": ("airdock.cli.container_run:create", "Make a container of IMAGE without starting it."),
    "exec": ("airdock.cli.container_exec:exec_", "Run one more command in a running container."),
    "cp": ("airdock.cli.container_files:cp", "Copy files between a container and this machine."),
    "diff": ("airdock.cli.container_files:diff", "Say what a container changed in its files."),
    "export": ("airdock.cli.container_files:export", "Write a container's root as a tar."),
    "commit": ("airdock.cli.container_files:commit", "Make an image of a container."),
    "ps": ("airdock.cli.container_look:ps", "List containers, the newest first."),
    "rm": ("airdock.cli.container_life:rm", "Remove containers that ended, with what they wrote."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def container() -> None:
    """Run containers, look into them, remove them.

    There is no daemon: a container lives as long as the command that runs it.
    """
