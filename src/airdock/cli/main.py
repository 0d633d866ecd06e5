"""The `airdock` command: global flags, the table of commands, and the one place where exceptions become exit codes."""

import atexit
import os
import select
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final, NoReturn

import click

from airdock import __version__
from airdock.cli.errors import (
    FAULT,
    INTERRUPTED,
    PIPE_CLOSED,
    render_error,
    render_fault,
    render_machine,
    render_usage,
    tell,
)
from airdock.cli.lazy import LazyGroup
from airdock.cli.session import Session
from airdock.cli.signals import unwind
from airdock.errors import AirdockError

__all__ = ["PROGRAM", "airdock", "main"]

PROGRAM: Final = "airdock"

_COMMANDS: Final = {
    "run": ("airdock.cli.run:run", "Run a DAG file, every task in its own container."),
    "dags": ("airdock.cli.dags:dags", "Look at DAGs and try them."),
    "runs": ("airdock.cli.runs:runs", "Look at runs, past ones and those that go on."),
    "tasks": ("airdock.cli.tasks:tasks", "Look at tasks and try them."),
    "assets": ("airdock.cli.assets:assets", "Look at data that tasks make and DAGs wait for."),
    "variables": ("airdock.cli.variables:variables", "Keep values that tasks ask for by name."),
    "connections": ("airdock.cli.connections:connections", "Keep where other services are, and how to get in."),
    "pools": ("airdock.cli.pools:pools", "Bound how many tasks run at one time."),
    "db": ("airdock.cli.db:db", "Look after the metadata database."),
    "scheduler": ("airdock.cli.scheduler:scheduler", "Watch the DAG folder, and run what is due."),
    "up": ("airdock.cli.scheduler:up", "Start everything there is, in one process tree."),
    "image": ("airdock.cli.image:image", "Build, list, tag, inspect and remove images."),
    "container": ("airdock.cli.container:container", "Run containers, look into them, remove them."),
    "network": ("airdock.cli.network:network", "Make networks on which containers find each other by name."),
    "volume": ("airdock.cli.volume:volume", "Keep files of containers when these are gone."),
    "system": ("airdock.cli.system:system", "See what takes room on the disk, and get it back."),
    "doctor": ("airdock.cli.doctor:doctor", "Say what this machine can do, and how to mend what it can't."),
    "config": ("airdock.cli.config:config", "Print every setting and where it came from."),
    "completion": ("airdock.cli.completion:completion", "Print the completion script for a shell."),
}


class _PipeClosedError(Exception):
    """Whoever read our output stopped; click would end with 1, as if something had failed."""


class _Root(LazyGroup):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            if sys.stdout:  # None where it was closed before us
                sys.stdout.flush()
        except BrokenPipeError as error:
            if any(_has_no_reader(number) for number in (1, 2)):
                raise _PipeClosedError from error
            raise  # a pipe or socket of ours, which is no reason to end without a word
        return result


def _has_no_reader(number: int) -> bool:
    poll = select.poll()
    poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


@click.group(
    cls=_Root,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: airdock doctor, then airdock run FILE",
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.option(
    "--home", metavar="FOLDER", help="Where images, logs and runs are kept. [default: AIRDOCK_HOME, else ~/.airdock]"
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours; 'auto' asks the terminal and NO_COLOR.",
)
@click.pass_context
def airdock(ctx: click.Context, home: str | None, color: str) -> None:
    """Airflow DAGs with every task in its own container: no Docker, no daemon, no root."""
    session = ctx.ensure_object(Session)
    session.home = home
    if color == "always":
        session.color = True
    elif color == "never" or os.environ.get("NO_COLOR"):
        session.color = False
    ctx.color = session.color


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if (argv or sys.argv[1:]) == ["--version"]:
        print(f"{PROGRAM} {__version__}")  # noqa: T201 - scripts ask this often, so it's answered before anything else
        sys.exit(0)
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _fill_streams()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, unwind)
    signal.signal(signal.SIGHUP, unwind)
    _leave(_run(argv))


def _fill_streams() -> None:
    """Have something in place of standard streams that were closed before us; else the next file opened would be one.

    What is read there ends at once, what is said goes nowhere, and results can't be written: nobody would have them.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - it is for as long as we live


def _leave(code: int) -> NoReturn:
    """End, with what is registered for it, but without taking the interpreter apart: a short command's 6 ms."""
    if threading.active_count() > 1:
        sys.exit(code)  # somebody is at work, and is waited for
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the descriptor was closed before us
            stream.flush()
    except (OSError, ValueError):
        os._exit(code or 1)  # told already, where there was somebody to tell
    os._exit(code)


def _run(argv: list[str] | None) -> int:
    session = Session()
    try:
        code = airdock.main(argv, prog_name=PROGRAM, obj=session, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        tell(render_usage(error), color=session.color)
        return session.failure_code or error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except AirdockError as error:
        tell(render_error(error), color=session.color)
        return error.exit_code if error.exit_code > 2 else session.failure_code or error.exit_code
    except _PipeClosedError:
        # The interpreter flushes stdout once more at its end; give it somewhere that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    except Exception as error:
        machine = render_machine(error) if isinstance(error, OSError) and not os.environ.get("AIRDOCK_DEBUG") else None
        tell(machine or render_fault(error), color=session.color)
        return session.failure_code or (1 if machine else FAULT)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """The first Ctrl-C cleans up; while that goes on, the next only says so."""
    signal.signal(number, _wait_for_me)
    raise KeyboardInterrupt


def _wait_for_me(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.default_int_handler)
    # Not through sys.stderr, which may be in the middle of a write.
    os.write(2, b"stopping; Ctrl-C once more stops at once and may leave things behind\n")
