"""`airdock container run` and `create`: a new container of an image, with Docker's flags and exit codes.

What runs in the foreground and is wanted no longer than that (`--rm`, no terminal) is run by the command itself, its
streams straight through. Everything else gets a monitor of its own, which the command then attaches to.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from airdock.cli.attend import Signals
from airdock.cli.confine_flags import confine_options, read_confinement, read_resources
from airdock.cli.container_flags import (
    PASS_ON,
    check_terminal,
    open_input,
    process_options,
    stand_by,
    terminal_environment,
)
from airdock.cli.container_keeping import keeping_options, make_options, needs_monitor
from airdock.cli.errors import tell
from airdock.cli.names import complete_images
from airdock.cli.network_flags import network_options
from airdock.cli.parameters import to_hostname, to_name
from airdock.cli.session import DockerCommand, Session, pass_session
from airdock.cli.units import render_memory
from airdock.cli.volume_flags import take_volumes, volume_options
from airdock.errors import ContainerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airdock.app import App
    from airdock.containers.base import RunRequest
    from airdock.containers.known import Known
    from airdock.images.image import Image

__all__ = ["create", "run"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.argument("image", shell_complete=complete_images),
    click.argument("argv", metavar="[COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED),
    click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended."),
    process_options,
    volume_options,
    click.option("--entrypoint", metavar="PROGRAM", help="Replace the image's ENTRYPOINT; its CMD is dropped then."),
    network_options,
    confine_options,
    click.option("--name", default="", metavar="NAME", type=to_name, help="A name for ps, exec and rm."),
    click.option("-h", "--hostname", default="", metavar="NAME", type=to_hostname, help="What it calls itself."),
    click.option("--read-only", is_flag=True, help="Let it write only to volumes."),
    keeping_options,
    click.option(
        "--pull",
        type=click.Choice(["always", "missing", "never"]),
        default="missing",
        show_default=True,
        help="When to fetch the image.",
    ),
    click.option("--platform", metavar="OS/ARCH", help="Of an image for several platforms, this one."),
    click.option(
        "-a",
        "--attach",
        "attached",
        multiple=True,
        type=click.Choice(["stdin", "stdout", "stderr"], case_sensitive=False),
        help="Which streams to stay with. [default: stdout and stderr]",
    ),
)


def _container_options(command: _Command) -> _Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=DockerCommand, context_settings=PASS_ON)
@_container_options
@click.option("-d", "--detach", is_flag=True, help="Come back at once, and print its id.")
@click.option("--detach-keys", default="", metavar="KEYS", help="The keys that leave it. [default: ctrl-p,ctrl-q]")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Whether our signals are its signals.")
@pass_session
def run(
    session: Session,
    /,
    image: str,
    *,
    interactive: bool,
    tty: bool,
    remove: bool,
    detach: bool,
    detach_keys: str,
    sig_proxy: bool,
    pull: str,
    platform: str | None,
    attached: tuple[str, ...],
    **options: Any,
) -> None:
    """Run a command in a new container of IMAGE and come back when it ended.

    COMMAND replaces the image's CMD. The exit code is the command's: 126 when it can't be executed, 127 when it isn't
    there, 128 and the number when a signal killed it, 125 when the container could not be run. Signals are passed on.

    \b
    Examples:
      airdock container run --rm host python3 --version
      airdock container run --rm -it -v .:/src -w /src host bash
      airdock container run -d --name web -p 8080:80 --restart unless-stopped nginx
      airdock container run --rm --network none --memory 256m -e MODE=test chart
    """
    if detach and attached:
        raise click.UsageError("conflicting options: --attach and --detach; expected one of them.")
    if not detach:
        check_terminal(interactive=interactive, tty=tty)
    is_direct = remove and not (tty or detach or attached or detach_keys) and sig_proxy and not needs_monitor(options)
    with session.app() as app:
        app.open()  # it gets ready while we do
        found = _find(app, image, pull=pull, platform=platform)
        if is_direct and (options["no_healthcheck"] or not found.config.healthcheck):
            code = _run_directly(app, found, image, interactive=interactive, options=options)
        else:
            stay = {
                "interactive": interactive,
                "detach_keys": detach_keys,
                "sig_proxy": sig_proxy,
                "attached": attached,
            }
            kept = {"terminal": tty, "remove": remove, "detach": detach}
            code = _run_watched(app, found, image, stay=stay, options=options, **kept)
    click.get_current_context().exit(code)


@click.command(cls=DockerCommand, context_settings=PASS_ON)
@_container_options
@pass_session
def create(
    session: Session,
    /,
    image: str,
    *,
    interactive: bool,
    tty: bool,
    remove: bool,
    pull: str,
    platform: str | None,
    attached: tuple[str, ...],
    **options: Any,
) -> None:
    """Make a container of IMAGE without starting it, and print its id.

    \b
    Examples:
      airdock container create --name job chart
      airdock container start -a job
    """
    with session.app() as app:
        app.open()
        found = _find(app, image, pull=pull, platform=platform)
        made = _create(app, found, image, interactive=interactive, terminal=tty, remove=remove, options=options)
    click.echo(made.id)


def _find(app: "App", image: str, *, pull: str, platform: str | None) -> "Image":
    if pull != "always" and platform is None and app.engine.has(image):
        return app.engine.find(image)
    from airdock.cli.transfer_view import TransferView  # most images are here
    from airdock.oci.index import parse_platform

    wanted = parse_platform(platform) if platform else None
    with TransferView("pulling") as view:
        return app.engine.obtain(image, pull=pull, platform=wanted, tell=view)


def _run_directly(app: "App", found: "Image", image: str, *, interactive: bool, options: dict[str, Any]) -> int:
    """Run it with our own streams; it ends with us, and nothing of it stays."""
    cidfile = options["cidfile"]
    _check_cidfile(cidfile)
    for name in _KEEPING:
        options.pop(name)
    request = _request(terminal=False, image_name=image, transient=True, **options)
    with Signals() as signals:
        with open_input(interactive) as stdin:
            made = app.engine.run(found, request, stdin=stdin, stdout=1, stderr=2)
        _tell_notes(made.notes, made.lacking)
        try:
            if cidfile:
                cidfile.write_text(made.id)
            stand_by(made, signals, interactive=interactive)
            ended = made.wait()
        finally:
            made.remove()
    assert ended is not None
    if ended.oom:
        _tell_memory(ended.memory_limit_bytes, ended.usage.memory_peak_bytes)
    return ended.exit_code


def _run_watched(
    app: "App",
    found: "Image",
    image: str,
    *,
    terminal: bool,
    remove: bool,
    detach: bool,
    stay: "Mapping[str, Any]",
    options: dict[str, Any],
) -> int:
    """Run it under a monitor; we attach to it, or leave it alone."""
    from airdock.cli.attach import Attachment
    from airdock.containers.detach_keys import DEFAULT_KEYS, parse_keys

    keys = parse_keys(stay["detach_keys"] or DEFAULT_KEYS)
    interactive = stay["interactive"]
    with Signals() as signals:
        made = _create(app, found, image, interactive=interactive, terminal=terminal, remove=remove, options=options)
        attach = None if detach else {"stdin": interactive, "last": interactive and not terminal}
        line, said = app.engine.containers.start(made.id, attach=attach)
        _tell_notes(said.get("notes", ()), said.get("lacking", ""))
        assert line is not None
        with line:
            if detach:
                click.echo(made.id)
                return 0
            streams = stay["attached"] or ("stdout", "stderr")
            staying = Attachment(
                line,
                interactive=interactive and (not stay["attached"] or "stdin" in streams),
                terminal=terminal,
                detach_keys=keys,
                sig_proxy=stay["sig_proxy"],
                streams=streams,
            )
            news = staying.stay(signals)
    if news is None:
        return 0
    if news["oom"]:
        _tell_memory(news["limit"], news["peak"])
    return int(news["exit_code"])


def _create(
    app: "App",
    found: "Image",
    image: str,
    *,
    interactive: bool,
    terminal: bool,
    remove: bool,
    options: dict[str, Any],
) -> "Known":
    cidfile = options.pop("cidfile")
    _check_cidfile(cidfile)
    life = make_options(options, found, auto_remove=remove, open_stdin=interactive)
    request = _request(terminal=terminal, image_name=image, transient=False, remove_volumes=remove, **options)
    made = app.engine.containers.create(found, request, life)
    if cidfile:
        cidfile.write_text(made.id)
    return made


def _check_cidfile(path: Path | None) -> None:
    if path is not None and path.exists():
        raise ContainerError(
            f"expected no file at {path}, found one", where="--cidfile", hint="remove it, or name another"
        )
    if path is not None and not os.access(path.parent, os.W_OK):
        raise ContainerError(f"expected a folder that we may write to at {path.parent}, found none", where="--cidfile")


_KEEPING: Final = (
    "restart",
    "stop_signal",
    "stop_timeout",
    "labels",
    "label_files",
    "log_driver",
    "log_options",
    "cidfile",
    "health_cmd",
    "health_interval",
    "health_timeout",
    "health_retries",
    "health_start_period",
    "health_start_interval",
    "no_healthcheck",
)


def _request(*, argv: tuple[str, ...], terminal: bool, **options: Any) -> "RunRequest":
    from airdock.containers.base import RunRequest  # help and completion go without it

    env = terminal_environment(options.pop("env_files"), options.pop("env"), terminal=terminal)
    entrypoint = options.pop("entrypoint")
    return RunRequest(
        argv=argv or None,
        entrypoint=None if entrypoint is None else (entrypoint,) if entrypoint else (),
        env=env,
        resources=read_resources(options),
        confinement=read_confinement(options),
        terminal=terminal,
        read_only_root=options.pop("read_only"),
        **take_volumes(options),
        **options,
    )


def _tell_notes(notes: "Sequence[str]", lacking: str) -> None:
    for note in notes:
        tell(f"note: {note}")
    if lacking:
        tell(f"warning: limits don't hold: {lacking}\n  do: airdock doctor says what to do")


def _tell_memory(limit_bytes: int | None, peak_bytes: int) -> None:
    limit = f"its limit was {render_memory(limit_bytes)}" if limit_bytes else "a limit around it"
    peak = f"its peak {render_memory(peak_bytes)}"
    tell(f"error: the container ran out of memory: {limit}, {peak}\n  do: give it more with --memory")
