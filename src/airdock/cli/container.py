"""`airdock container`: Docker's verbs, flags, columns and exit codes for containers."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.attend import Signals, attend, open_terminal
from airdock.cli.errors import render_error, tell, tell_before
from airdock.cli.names import complete_containers, complete_images
from airdock.cli.network_flags import network_options
from airdock.cli.parameters import load_env_file, to_env, to_mount, to_name, to_size
from airdock.cli.session import DockerCommand, Session, pass_session
from airdock.cli.tables import fit
from airdock.cli.template import render_rows
from airdock.cli.units import render_age, render_memory
from airdock.errors import AirdockError, ContainerError
from airdock.model.usage import Resources

if TYPE_CHECKING:
    from airdock.engine import RunRequest
    from airdock.runtime.exec import Execution
    from airdock.runtime.launcher import Container, Ended
    from airdock.runtime.state import ContainerState

__all__ = ["container"]

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
_PASS_ON: Final = {"allow_interspersed_args": False, "help_option_names": ["--help"]}
"""Flags after IMAGE are the container's; `-h` is the host name, as with Docker."""


_ENV = click.option(
    "-e",
    "--env",
    multiple=True,
    callback=to_env,
    metavar="NAME[=VALUE]",
    help="Set a variable; NAME alone takes ours.",
)
_INTERACTIVE = click.option("-i", "--interactive", is_flag=True, help="Give it our stdin.")
_TTY = click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
_WORKDIR = click.option("-w", "--workdir", default="", metavar="PATH", help="Where the command starts.")
_USER = click.option("-u", "--user", default="", metavar="NAME|UID[:GID]", help="As whom it runs.")


@click.group()
def container() -> None:
    """Run containers, look into them, remove them.

    There is no daemon: a container lives as long as the command that runs it.
    """


@container.command(cls=DockerCommand, context_settings=_PASS_ON)
@click.argument("image", shell_complete=complete_images)
@click.argument("argv", metavar="[COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended.")
@_INTERACTIVE
@_TTY
@_ENV
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Set the variables of a file with NAME=VALUE lines.",
)
@click.option("-v", "--volume", "mounts", multiple=True, type=to_mount, metavar="SRC:DST[:ro]", help="Bind a path.")
@click.option("--tmpfs", multiple=True, metavar="PATH", help="Mount memory at PATH.")
@_WORKDIR
@_USER
@click.option("--entrypoint", metavar="PROGRAM", help="Replace the image's ENTRYPOINT; its CMD is dropped then.")
@network_options
@click.option("-m", "--memory", type=to_size, metavar="SIZE", help="Most memory, such as 512m.")
@click.option("--cpus", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Most processors, such as 1.5.")
@click.option("--pids-limit", type=click.IntRange(min=1), metavar="N", help="Most processes.")
@click.option("--name", default="", metavar="NAME", type=to_name, help="A name for ps, exec and rm.")
@click.option("-h", "--hostname", default="", metavar="NAME", help="What it calls itself.")
@click.option("--read-only", is_flag=True, help="Let it write only to volumes.")
@pass_session
def run(session: Session, /, image: str, *, interactive: bool, tty: bool, remove: bool, **options: Any) -> None:
    """Run a command in a new container of IMAGE and come back when it ended.

    COMMAND replaces the image's CMD. The exit code is the command's: 126 when it can't be executed, 127 when it isn't
    there, 128 and the number when a signal killed it, 125 when the container could not be run. Signals are passed on.

    \b
    Examples:
      airdock container run --rm host python3 --version
      airdock container run --rm -it -v .:/src -w /src host bash
      airdock container run --rm --network none --memory 256m -e MODE=test chart
    """
    _check_terminal(interactive=interactive, tty=tty)
    with session.app() as app:
        app.open()  # it gets ready while we do
        request = _request(terminal=tty, image_name=image, transient=remove, **options)
        found = app.engine.find(image)
        with Signals() as signals:
            with _input(interactive) as stdin:
                made = app.engine.run(found, request, stdin=stdin, stdout=1, stderr=2)
            if made.lacking:
                tell(f"warning: limits don't hold: {made.lacking}\n  do: airdock doctor says what to do")
            try:
                _attend(made, signals, interactive=interactive)
                ended = made.wait()
            finally:
                if remove:
                    made.remove()
        assert ended is not None
        if ended.oom:
            _tell_memory(ended)
    click.get_current_context().exit(ended.exit_code)


@container.command("exec", context_settings=_PASS_ON)
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.argument("argv", metavar="COMMAND [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
@_INTERACTIVE
@_TTY
@_ENV
@_WORKDIR
@_USER
@pass_session
def exec_(
    session: Session, /, name: str, argv: tuple[str, ...], *, interactive: bool, tty: bool, **options: Any
) -> None:
    """Run one more command in a running container.

    \b
    Examples:
      airdock container exec -it web sh
      airdock container exec -u nobody web id
    """
    from airdock.engine import RunRequest  # help and completion go without it

    _check_terminal(interactive=interactive, tty=tty)
    env = _environment(options.pop("env"), terminal=tty)
    request = RunRequest(argv=argv, env=env, terminal=tty, **options)
    with session.app() as app, Signals() as signals:
        with _input(interactive) as stdin:
            running = app.engine.exec(name, request, stdin=stdin, stdout=1, stderr=2)
        _attend(running, signals, interactive=interactive)
        code = running.wait()
    click.get_current_context().exit(code)


@container.command()
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
        states = [state for state in app.engine.containers() if every or state.alive]
    now = datetime.now(UTC)
    rows = [_row(state, now, whole=no_trunc) for state in states]
    text = "\n".join(row["ID"] for row in rows) if quiet else render_rows(rows, template or _TABLE, _TITLES)
    if text:
        click.echo(text)


@container.command()
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=complete_containers)
@click.option("-f", "--force", is_flag=True, help="Kill it first if it runs.")
@pass_session
def rm(session: Session, /, names: tuple[str, ...], *, force: bool) -> None:
    """Remove containers that ended, with what they wrote.

    \b
    Examples:
      airdock container rm web
      airdock container rm -f $(airdock container ps -aq)
    """
    failed: AirdockError | None = None
    with session.app() as app:
        for name in names:
            try:
                app.engine.remove(name, force=force)
            except ContainerError as error:
                failed = tell_before(failed, error)
                continue
            click.echo(name)
    if failed:
        tell(render_error(failed), color=session.color)
        click.get_current_context().exit(1)  # as Docker's, whatever the reason


def _request(*, argv: tuple[str, ...], terminal: bool, **options: Any) -> "RunRequest":
    from airdock.engine import RunRequest  # help and completion go without it

    env: dict[str, str] = {}
    for path in options.pop("env_files"):
        env |= load_env_file(path)
    env = _environment(env | options.pop("env"), terminal=terminal)
    entrypoint = options.pop("entrypoint")
    resources = Resources(memory_bytes=options.pop("memory"), cpus=options.pop("cpus"), pids=options.pop("pids_limit"))
    return RunRequest(
        argv=argv or None,
        entrypoint=None if entrypoint is None else (entrypoint,) if entrypoint else (),
        env=env,
        resources=resources,
        terminal=terminal,
        read_only_root=options.pop("read_only"),
        **options,
    )


@contextmanager
def _input(interactive: bool) -> Iterator[int]:
    """Our stdin where the container is to have it, else nothing to read."""
    if interactive:
        yield sys.stdin.fileno()
        return
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield nothing
    finally:
        os.close(nothing)


def _check_terminal(*, interactive: bool, tty: bool) -> None:
    if tty and interactive and not sys.stdin.isatty():
        raise ContainerError("expected a terminal at stdin for -it, found none", hint="leave out -t")


def _environment(given: dict[str, str], *, terminal: bool) -> dict[str, str]:
    return {"TERM": os.environ.get("TERM", "xterm"), **given} if terminal else given


def _attend(running: "Container | Execution", signals: Signals, *, interactive: bool) -> None:
    if running.terminal < 0:
        attend(running, signals=signals)
    else:
        with open_terminal(running.terminal, interactive=interactive) as terminal:
            attend(running, signals=signals, terminal=terminal)


def _tell_memory(ended: "Ended") -> None:
    limit = (
        f"its limit was {render_memory(ended.memory_limit_bytes)}" if ended.memory_limit_bytes else "a limit around it"
    )
    peak = f"its peak {render_memory(ended.usage.memory_peak_bytes)}"
    tell(f"error: the container ran out of memory: {limit}, {peak}\n  do: give it more with --memory")


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
