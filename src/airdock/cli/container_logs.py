"""`airdock container logs`: what a container printed, to the streams it was printed to."""

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session
from airdock.errors import ContainerError

if TYPE_CHECKING:
    from airdock.containers.log_read import LogEntry, LogReader

__all__ = ["logs", "to_time"]

_RELATIVE: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def to_time(text: str) -> str:
    """A time as the log has it: RFC 3339, a date, seconds since the epoch, or an age such as 10m."""
    match = _RELATIVE.fullmatch(text)
    try:
        if text and match and any(match.groups()):
            days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
            moment = datetime.now(UTC) - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        elif re.fullmatch(r"\d+(\.\d+)?", text):
            moment = datetime.fromtimestamp(float(text), UTC)
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"expected a time such as 2026-01-31T12:00:00Z or 10m, got {text!r}.") from error
    return moment.isoformat().replace("+00:00", "Z")


def _to_tail(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return max(int(text), -1) if int(text) >= 0 else None
    except ValueError as error:
        raise click.BadParameter(f"expected a number of lines or all, got {text!r}.") from error


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints, until it ends.")
@click.option("-n", "--tail", type=_to_tail, default="all", show_default=True, metavar="N", help="The last N lines.")
@click.option("-t", "--timestamps", is_flag=True, help="When each line was printed.")
@click.option("--since", type=to_time, default=None, metavar="TIME", help="Nothing before that: a time, or 10m.")
@click.option("--until", type=to_time, default=None, metavar="TIME", help="Nothing after that: a time, or 10m.")
@click.option("--details", is_flag=True, hidden=True)
@pass_session
def logs(
    session: Session,
    /,
    name: str,
    *,
    follow: bool,
    tail: int | None,
    timestamps: bool,
    since: str | None,
    until: str | None,
    details: bool,
) -> None:
    """Print what a container printed: its stdout to stdout, its stderr to stderr.

    \b
    Examples:
      airdock container logs --tail 100 web
      airdock container logs -f --since 10m -t web
    """
    from airdock.containers.line import connect
    from airdock.containers.log_read import LogReader
    from airdock.containers.record import log_path

    with session.app() as app:
        known = app.engine.containers.find(name)
    if known.record is None or known.record.log.driver == "none":
        why = "it runs in the foreground of another command" if known.record is None else "its log driver is none"
        raise ContainerError(f"expected a container that keeps a log, found that {known.name} has none: {why}")
    reader = LogReader(log_path(known.folder), since=since or "", until=until or "")
    # Asked before the first read, so that nothing falls between the two.
    line = connect(known.folder) if follow else None
    try:
        if line is not None:
            line.request("follow")
        for entry in reader.read(tail):
            _print(entry, timestamps=timestamps)
        while line is not None and (frame := line.frames.wait()) is not None and frame[0] != b"X":
            _print_more(reader, timestamps=timestamps)
        if line is not None:
            _print_more(reader, timestamps=timestamps)
    except KeyboardInterrupt:
        click.get_current_context().exit(130)
    finally:
        reader.close()
        if line is not None:
            line.close()


def _print_more(reader: "LogReader", *, timestamps: bool) -> None:
    for entry in reader.more():
        _print(entry, timestamps=timestamps)


def _print(entry: "LogEntry", *, timestamps: bool) -> None:
    text = f"{entry.time} {entry.text}" if timestamps else entry.text
    data = text.encode()
    descriptor = 1 if entry.stream == "stdout" else 2
    while data:
        data = data[os.write(descriptor, data) :]
