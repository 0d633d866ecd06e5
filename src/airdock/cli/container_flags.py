"""What `container run`, `create` and `exec` have in common: flags, streams, and standing by until it ends."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from airdock.cli.attend import Signals, attend, open_terminal
from airdock.cli.parameters import to_env
from airdock.errors import ContainerError

if TYPE_CHECKING:
    from airdock.runtime.exec import Execution
    from airdock.runtime.launcher import Container

__all__ = ["PASS_ON", "check_terminal", "open_input", "process_options", "stand_by", "terminal_environment"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

PASS_ON: Final = {"allow_interspersed_args": False, "help_option_names": ["--help"]}
"""Flags after IMAGE are the container's; `-h` is the host name, as with Docker."""

_OPTIONS: Final = (
    click.option("-i", "--interactive", is_flag=True, help="Give it our stdin."),
    click.option("-t", "--tty", is_flag=True, help="Give it a terminal."),
    click.option(
        "-e",
        "--env",
        multiple=True,
        callback=to_env,
        metavar="NAME[=VALUE]",
        help="Set a variable; NAME alone takes ours.",
    ),
    click.option(
        "--env-file",
        "env_files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Set the variables of a file with NAME=VALUE lines.",
    ),
    click.option("-w", "--workdir", default="", metavar="PATH", help="Where the command starts."),
    click.option("-u", "--user", default="", metavar="NAME|UID[:GID]", help="As whom it runs."),
)


def process_options(command: _Command) -> _Command:
    """Give a command the flags of a process: streams, variables, folder, user."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def open_input(interactive: bool) -> Iterator[int]:
    """Our stdin where the container is to have it, else nothing to read."""
    if interactive:
        yield sys.stdin.fileno()
        return
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield nothing
    finally:
        os.close(nothing)


def check_terminal(*, interactive: bool, tty: bool) -> None:
    """Docker's check: who gives a terminal our stdin needs one there. Raises ContainerError."""
    if tty and interactive and not sys.stdin.isatty():
        raise ContainerError("expected a terminal at stdin for -it, found none", hint="leave out -t")


def terminal_environment(env_files: tuple[Path, ...], env: dict[str, str], *, terminal: bool) -> dict[str, str]:
    """The variables that flags give: those of files, over them those of `-e`, and TERM where there is a terminal."""
    from airdock.cli.parameters import load_env_file  # most commands have no file

    given: dict[str, str] = {}
    for path in env_files:
        given |= load_env_file(path)
    given |= env
    return {"TERM": os.environ.get("TERM", "xterm"), **given} if terminal else given


def stand_by(running: "Container | Execution", signals: Signals, *, interactive: bool) -> None:
    """Pass signals and the terminal on until it has ended."""
    if running.terminal < 0:
        attend(running, signals=signals)
    else:
        with open_terminal(running.terminal, interactive=interactive) as terminal:
            attend(running, signals=signals, terminal=terminal)
