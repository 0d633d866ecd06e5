"""`airdock container start`, `stop`, `rm` and whatever else changes the life of containers."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from airdock.cli.confirm import confirm
from airdock.cli.container_keeping import to_signal
from airdock.cli.errors import render_error, tell, tell_before
from airdock.cli.names import complete_containers
from airdock.cli.parameters import to_name
from airdock.cli.session import DockerCommand, Session, pass_session
from airdock.cli.units import render_size
from airdock.errors import AirdockError, ContainerError

__all__ = [
    "attach",
    "for_each",
    "kill",
    "pause",
    "prune",
    "rename",
    "restart",
    "rm",
    "start",
    "stop",
    "unpause",
    "wait",
]

_NAMES = click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=complete_containers)
_NAME = click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
_SIGNAL = click.option("-s", "--signal", "number", type=to_signal, metavar="SIGNAL", help="What asks it to end.")
_TIME = click.option(
    "-t", "--timeout", "--time", "grace_s", type=int, metavar="SECONDS", help="Kill it after that; -1 never does."
)


@click.command()
@_NAMES
@click.option("-a", "--attach", "attached", is_flag=True, help="Stay with it: output, signals, exit code.")
@click.option("-i", "--interactive", is_flag=True, help="Give it our stdin.")
@click.option("--detach-keys", default="", metavar="KEYS", help="The keys that leave it. [default: ctrl-p,ctrl-q]")
@pass_session
def start(session: Session, /, names: tuple[str, ...], *, attached: bool, interactive: bool, detach_keys: str) -> None:
    """Start containers that don't run; what they wrote is still there.

    \b
    Examples:
      airdock container start web
      airdock container start -ai shell
    """
    if not (attached or interactive):
        for_each(session, names, lambda app, name: _start_one(app, name))
        return
    if len(names) > 1:
        raise click.UsageError("expected one container with --attach or --interactive, got several.")
    from airdock.cli.attach import Attachment
    from airdock.cli.attend import Signals
    from airdock.containers.detach_keys import DEFAULT_KEYS, parse_keys

    keys = parse_keys(detach_keys or DEFAULT_KEYS)
    with session.app() as app, Signals() as signals:
        app.open()
        known = app.engine.containers.find(names[0])
        assert known.record is not None or known.state.alive
        terminal = bool(known.record and known.record.tty)
        takes = interactive and bool(known.record and known.record.open_stdin)
        line, _ = app.engine.containers.start(known.id, attach={"stdin": takes, "last": takes and not terminal})
        line = line or app.engine.containers.attach(known.id, stdin=takes)
        with line:
            staying = Attachment(line, interactive=takes, terminal=terminal, detach_keys=keys)
            news = staying.stay(signals)
    click.get_current_context().exit(int(news["exit_code"]) if news else 0)


def _start_one(app: Any, name: str) -> None:
    line, said = app.engine.containers.start(name)
    for note in said.get("notes", ()):
        tell(f"note: {note}")
    if line is not None:
        line.close()


@click.command()
@_NAMES
@_SIGNAL
@_TIME
@pass_session
def stop(session: Session, /, names: tuple[str, ...], *, number: int | None, grace_s: int | None) -> None:
    """Ask containers to end, and kill those that don't within ten seconds.

    \b
    Examples:
      airdock container stop web
      airdock container stop -t 60 database
    """
    for_each(session, names, lambda app, name: app.engine.containers.stop(name, number=number, grace_s=grace_s))


@click.command()
@_NAMES
@click.option(
    "-s", "--signal", "number", type=to_signal, default="KILL", show_default=True, metavar="SIGNAL", help="Which one."
)
@pass_session
def kill(session: Session, /, names: tuple[str, ...], *, number: int) -> None:
    """Send a signal to running containers: KILL, if nothing else is said.

    \b
    Examples:
      airdock container kill web
      airdock container kill -s HUP web
    """
    for_each(session, names, lambda app, name: app.engine.containers.kill(name, number=number or signal.SIGKILL))


@click.command()
@_NAMES
@_SIGNAL
@_TIME
@pass_session
def restart(session: Session, /, names: tuple[str, ...], *, number: int | None, grace_s: int | None) -> None:
    """Stop containers, if they run, and start them again.

    \b
    Example:
      airdock container restart web
    """
    for_each(session, names, lambda app, name: app.engine.containers.restart(name, number=number, grace_s=grace_s))


@click.command()
@_NAMES
@pass_session
def pause(session: Session, /, names: tuple[str, ...]) -> None:
    """Stop every process of containers where it is.

    \b
    Example:
      airdock container pause web
    """
    for_each(session, names, lambda app, name: app.engine.containers.pause(name))


@click.command()
@_NAMES
@pass_session
def unpause(session: Session, /, names: tuple[str, ...]) -> None:
    """Let paused containers go on.

    \b
    Example:
      airdock container unpause web
    """
    for_each(session, names, lambda app, name: app.engine.containers.unpause(name))


@click.command()
@_NAMES
@pass_session
def wait(session: Session, /, names: tuple[str, ...]) -> None:
    """Wait until containers have ended, and print their exit codes.

    \b
    Example:
      airdock container wait job
    """
    for_each(session, names, lambda app, name: app.engine.containers.wait(name))


@click.command()
@_NAME
@click.argument("new", metavar="NEW_NAME", type=to_name)
@pass_session
def rename(session: Session, /, name: str, new: str) -> None:
    """Give a container another name.

    \b
    Example:
      airdock container rename web web-old
    """
    with session.app() as app:
        app.engine.containers.rename(name, new)


@click.command(cls=DockerCommand)
@_NAME
@click.option("--no-stdin", is_flag=True, help="Give it no input.")
@click.option("--detach-keys", default="", metavar="KEYS", help="The keys that leave it. [default: ctrl-p,ctrl-q]")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Whether our signals are its signals.")
@pass_session
def attach(session: Session, /, name: str, *, no_stdin: bool, detach_keys: str, sig_proxy: bool) -> None:
    """See what a running container prints from now on, and type into it; the exit code is its.

    \b
    Examples:
      airdock container attach shell
      airdock container attach --no-stdin --no-sig-proxy web
    """
    from airdock.cli.attach import Attachment
    from airdock.cli.attend import Signals
    from airdock.containers.detach_keys import DEFAULT_KEYS, parse_keys

    keys = parse_keys(detach_keys or DEFAULT_KEYS)
    with session.app() as app:
        known = app.engine.containers.find(name)
        takes = not no_stdin and bool(known.record and known.record.open_stdin)
        line = app.engine.containers.attach(known.id, stdin=takes)
    terminal = bool(known.record and known.record.tty)
    with line, Signals() as signals:
        staying = Attachment(line, interactive=takes, terminal=terminal, detach_keys=keys, sig_proxy=sig_proxy)
        news = staying.stay(signals)
    click.get_current_context().exit(int(news["exit_code"]) if news else 0)


@click.command()
@_NAMES
@click.option("-f", "--force", is_flag=True, help="Kill it first if it runs.")
@click.option("-v", "--volumes", is_flag=True, help="Its anonymous volumes too.")
@pass_session
def rm(session: Session, /, names: tuple[str, ...], *, force: bool, volumes: bool) -> None:
    """Remove containers that ended, with what they wrote.

    \b
    Examples:
      airdock container rm web
      airdock container rm -f $(airdock container ps -aq)
    """
    for_each(session, names, lambda app, name: app.engine.remove(name, force=force, volumes=volumes))


@click.command()
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some: label, until.")
@pass_session
def prune(session: Session, /, *, force: bool, filters: tuple[str, ...]) -> None:
    """Remove every container that doesn't run.

    \b
    Examples:
      airdock container prune
      airdock container prune -f --filter until=24h
    """
    from airdock.containers.choose import PRUNE_FILTERS, choose, parse_container_filters

    wanted = parse_container_filters(filters, PRUNE_FILTERS)
    confirm(["all stopped containers"], force=force)
    removed: list[str] = []
    freed = 0
    with session.app() as app:
        containers = app.engine.containers
        found = choose(containers.list(), wanted, find=containers.find, now=datetime.now(UTC))
        for known in found:
            if known.is_running:
                continue
            try:
                size = containers.size(known.id)
                containers.remove(known.id)
            except ContainerError:
                continue  # started, or removed, meanwhile
            removed.append(known.id)
            freed += size
    if removed:
        click.echo("Deleted Containers:\n" + "\n".join(removed) + "\n")
    click.echo(f"Total reclaimed space: {render_size(freed)}")


def for_each(session: Session, names: tuple[str, ...], act: Callable[[Any, str], object]) -> None:
    """Do it to each and print its name, or what comes back; failures are told and don't keep the others from it."""
    failed: AirdockError | None = None
    with session.app() as app:
        for name in names:
            try:
                value = act(app, name)
            except ContainerError as error:
                failed = tell_before(failed, error)
                continue
            click.echo(name if value is None else value)
    if failed:
        tell(render_error(failed), color=session.color)
        click.get_current_context().exit(1)  # as Docker's, whatever the reason
