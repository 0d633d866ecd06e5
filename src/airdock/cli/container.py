"""`airdock container`: Docker's verbs, flags, columns and exit codes; each verb is imported when it is called."""

from typing import Final

import click

from airdock.cli.lazy import LazyGroup

__all__ = ["container"]

_COMMANDS: Final = {
    "run": ("airdock.cli.container_run:run", "Run a command in a new container of IMAGE."),
    "create": ("airdock.cli.container_run:create", "Make a container of IMAGE without starting it."),
    "start": ("airdock.cli.container_life:start", "Start containers that don't run."),
    "exec": ("airdock.cli.container_exec:exec_", "Run one more command in a running container."),
    "cp": ("airdock.cli.container_files:cp", "Copy files between a container and this machine."),
    "diff": ("airdock.cli.container_files:diff", "Say what a container changed in its files."),
    "export": ("airdock.cli.container_files:export", "Write a container's root as a tar."),
    "commit": ("airdock.cli.container_files:commit", "Make an image of a container."),
    "attach": ("airdock.cli.container_life:attach", "See what a running container prints, and type into it."),
    "ps": ("airdock.cli.container_look:ps", "List containers, the newest first."),
    "logs": ("airdock.cli.container_logs:logs", "Print what a container printed."),
    "inspect": ("airdock.cli.container_look:inspect", "Print all there is to know of containers."),
    "stats": ("airdock.cli.container_stats:stats", "Show what containers use, live."),
    "top": ("airdock.cli.container_stats:top", "List a container's processes."),
    "port": ("airdock.cli.container_look:port", "Say where a container's ports are reached."),
    "stop": ("airdock.cli.container_life:stop", "Ask containers to end, and kill those that don't."),
    "kill": ("airdock.cli.container_life:kill", "Send a signal to running containers."),
    "restart": ("airdock.cli.container_life:restart", "Stop containers, and start them again."),
    "update": ("airdock.cli.container_update:update", "Change the limits and the restart policy of containers."),
    "pause": ("airdock.cli.container_life:pause", "Stop every process of containers where it is."),
    "unpause": ("airdock.cli.container_life:unpause", "Let paused containers go on."),
    "wait": ("airdock.cli.container_life:wait", "Wait until containers have ended, and print their exit codes."),
    "rename": ("airdock.cli.container_life:rename", "Give a container another name."),
    "rm": ("airdock.cli.container_life:rm", "Remove containers that ended, with what they wrote."),
    "prune": ("airdock.cli.container_life:prune", "Remove every container that doesn't run."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def container() -> None:
    """Run containers, look into them, remove them.

    There is no daemon: each container that outlives its command has a small process of its own that looks after it.
    """
