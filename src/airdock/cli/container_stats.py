"""`airdock container stats` and `top`: what containers use, and their processes."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_rows
from airdock.cli.units import render_size
from airdock.errors import ContainerError

if TYPE_CHECKING:
    from airdock.containers.containers import Containers
    from airdock.containers.known import Known
    from airdock.runtime.usage import Stats

__all__ = ["stats", "top"]

_TITLES: Final = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_TABLE: Final = "table " + "\t".join(
    f"{{{{.{name}}}}}" for name in ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
)
_CLEAR: Final = "\x1b[2J\x1b[H"
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_FIRST_WAIT_S: Final = 0.25


@click.command()
@click.argument("names", metavar="[CONTAINER...]", nargs=-1, shell_complete=complete_containers)
@click.option("-a", "--all", "every", is_flag=True, help="Also those that don't run.")
@click.option("--no-stream", is_flag=True, help="Once, not again and again.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option("--format", "template", metavar="TEMPLATE", help="json, '{{.Name}}', or 'table {{.ID}}\\t{{.CPUPerc}}'.")
@pass_session
def stats(
    session: Session, /, names: tuple[str, ...], *, every: bool, no_stream: bool, no_trunc: bool, template: str | None
) -> None:
    """Show what containers use: processors, memory, network, disks, processes.

    \b
    Fields for --format: Container ID Name CPUPerc MemUsage MemPerc NetIO BlockIO PIDs
    Examples:
      airdock container stats
      airdock container stats --no-stream --format json web
    """
    with session.app() as app:
        containers = app.engine.containers
        found = _chosen(containers, names, every=every)
        before, then = _read(found), time.monotonic()
        wait_s = _FIRST_WAIT_S
        try:
            while True:
                time.sleep(wait_s)
                found = _chosen(containers, names, every=every)
                after, now = _read(found), time.monotonic()
                span_s = now - then
                rows = [_row(known, before.get(known.id), after.get(known.id), span_s, no_trunc) for known in found]
                text = render_rows(rows, template or _TABLE, _TITLES)
                is_live = not no_stream and sys.stdout.isatty() and template is None
                click.echo(_CLEAR + text if is_live else text)
                if no_stream:
                    return
                before, then, wait_s = after, now, 1.0
        except KeyboardInterrupt:
            return


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.argument("options", metavar="[PS OPTIONS]", nargs=-1, type=click.UNPROCESSED)
@pass_session
def top(session: Session, /, name: str, options: tuple[str, ...]) -> None:
    """List the processes of a container, by the columns of ps(1).

    \b
    Examples:
      airdock container top web
      airdock container top web -o pid,rss,comm
    """
    with session.app() as app:
        processes = set(app.engine.containers.processes(name))
    argv = ["ps", "-e", *options] if options else ["ps", "-ef"]
    try:
        listed = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ContainerError("expected the program ps, found none", hint="apt-get install procps") from error
    heading, *lines = listed.stdout.splitlines() or [""]
    if listed.returncode or "PID" not in heading.split():
        raise ContainerError(
            f"expected options of ps that list a PID column, found {' '.join(options)}", where=listed.stderr.strip()
        )
    column = heading.split().index("PID")
    click.echo(heading)
    for line in lines:
        words = line.split(None, column + 1)
        if len(words) > column and words[column].isdigit() and int(words[column]) in processes:
            click.echo(line)


def _chosen(containers: "Containers", names: Sequence[str], *, every: bool) -> "Sequence[Known]":
    if names:
        return [containers.find(name) for name in names]
    return [known for known in containers.list() if every or known.is_running]


def _read(found: "Sequence[Known]") -> "Mapping[str, Stats]":
    from airdock.runtime.processes import read_stats

    return {known.id: read_stats(known.state) for known in found if known.state.alive}


def _row(known: "Known", before: "Stats | None", after: "Stats | None", span_s: float, whole: bool) -> dict[str, Any]:
    row = {"Container": known.id[:12], "ID": known.id if whole else known.id[:12], "Name": known.name}
    if after is None:
        return row | {name: "--" for name in _TITLES if name not in row} | {"MemUsage": "-- / --"}
    used_s = (after.cpu_s or 0) - ((before.cpu_s or 0) if before else 0)
    limit = after.memory_limit_bytes or _machine_memory()
    memory = after.memory_bytes or 0
    received, sent = _traffic(known)
    return row | {
        "CPUPerc": f"{100 * max(used_s, 0) / span_s:.2f}%" if after.cpu_s is not None else "--",
        "MemUsage": f"{_binary(memory)} / {_binary(limit)}",
        "MemPerc": f"{100 * memory / limit:.2f}%",
        "NetIO": f"{render_size(received)} / {render_size(sent)}",
        "BlockIO": f"{render_size(after.read_bytes or 0)} / {render_size(after.written_bytes or 0)}",
        "PIDs": str(after.pids if after.pids is not None else "--"),
    }


def _traffic(known: "Known") -> tuple[int, int]:
    """Bytes received and sent over all interfaces but loopback: proc_pid_net(5)."""
    if known.record is None or known.record.network.get("mode") == "host":
        return 0, 0
    try:
        with open(f"/proc/{known.state.command_pid}/net/dev") as file:
            lines = file.read().splitlines()[2:]
    except OSError:
        return 0, 0
    counted = [line.partition(":")[2].split() for line in lines if line.partition(":")[0].strip() != "lo"]
    return sum(int(words[0]) for words in counted), sum(int(words[8]) for words in counted)


def _machine_memory() -> int:
    with open("/proc/meminfo") as file:
        return int(file.readline().split()[1]) * 1024


def _binary(count: float) -> str:
    """Bytes in steps of 1024, as Docker prints memory: "1.5MiB"."""
    power = 0
    while count >= 1024 and power < len(_BINARY) - 1:
        count /= 1024
        power += 1
    return f"{count:.4g}{_BINARY[power]}"
