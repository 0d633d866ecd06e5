"""`airdock container run`: a new container of an image, with Docker's flags and exit codes."""

from typing import TYPE_CHECKING, Any

import click

from airdock.cli.attend import Signals
from airdock.cli.container_flags import (
    PASS_ON,
    check_terminal,
    open_input,
    process_options,
    stand_by,
    terminal_environment,
)
from airdock.cli.errors import tell
from airdock.cli.names import complete_images
from airdock.cli.network_flags import network_options
from airdock.cli.parameters import to_mount, to_name, to_size
from airdock.cli.session import DockerCommand, Session, pass_session
from airdock.cli.units import render_memory
from airdock.model.usage import Resources

if TYPE_CHECKING:
    from airdock.engine import RunRequest
    from airdock.runtime.launcher import Ended

__all__ = ["run"]


@click.command(cls=DockerCommand, context_settings=PASS_ON)
@click.argument("image", shell_complete=complete_images)
@click.argument("argv", metavar="[COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended.")
@process_options
@click.option("-v", "--volume", "mounts", multiple=True, type=to_mount, metavar="SRC:DST[:ro]", help="Bind a path.")
@click.option("--tmpfs", multiple=True, metavar="PATH", help="Mount memory at PATH.")
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
    check_terminal(interactive=interactive, tty=tty)
    with session.app() as app:
        app.open()  # it gets ready while we do
        request = _request(terminal=tty, image_name=image, transient=remove, **options)
        found = app.engine.find(image)
        with Signals() as signals:
            with open_input(interactive) as stdin:
                made = app.engine.run(found, request, stdin=stdin, stdout=1, stderr=2)
            for note in made.notes:
                tell(f"note: {note}")
            if made.lacking:
                tell(f"warning: limits don't hold: {made.lacking}\n  do: airdock doctor says what to do")
            try:
                stand_by(made, signals, interactive=interactive)
                ended = made.wait()
            finally:
                if remove:
                    made.remove()
        assert ended is not None
        if ended.oom:
            _tell_memory(ended)
    click.get_current_context().exit(ended.exit_code)


def _request(*, argv: tuple[str, ...], terminal: bool, **options: Any) -> "RunRequest":
    from airdock.engine import RunRequest  # help and completion go without it

    env = terminal_environment(options.pop("env_files"), options.pop("env"), terminal=terminal)
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


def _tell_memory(ended: "Ended") -> None:
    limit = (
        f"its limit was {render_memory(ended.memory_limit_bytes)}" if ended.memory_limit_bytes else "a limit around it"
    )
    peak = f"its peak {render_memory(ended.usage.memory_peak_bytes)}"
    tell(f"error: the container ran out of memory: {limit}, {peak}\n  do: give it more with --memory")
