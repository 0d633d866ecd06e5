"""What a person sees when something goes wrong: the message, where it happened, what to do, and the exit code."""

import errno
import os
import sys
from typing import Final

import click
from click.exceptions import NoArgsIsHelpError

from airdock.errors import AirdockError, StepFailedError

__all__ = [
    "FAULT",
    "INTERRUPTED",
    "PIPE_CLOSED",
    "render_error",
    "render_fault",
    "render_machine",
    "render_usage",
    "tell",
    "tell_before",
]

FAULT: Final = 70
"""EX_SOFTWARE of sysexits.h: a mistake in Airdock, not in what was asked."""
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

_OUTPUT_LINES: Final = 20
_ROOM: Final = "make room there, or keep Airdock's files elsewhere (AIRDOCK_HOME)"
_ACCESS: Final = "let this account write there, or keep Airdock's files elsewhere (AIRDOCK_HOME)"
_MACHINE: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: _ACCESS,
    errno.EBADF: "send standard output somewhere: it was closed",
    errno.EIO: "look at the disk: dmesg says more",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files (sysctl fs.file-max)",
    errno.EAGAIN: "allow more processes (ulimit -u), or run fewer tasks at once (core.parallelism)",
    errno.ENOMEM: "run fewer tasks at once (core.parallelism)",
    errno.ENOTDIR: "expected a folder there (AIRDOCK_HOME)",
    errno.EEXIST: "expected a folder there (AIRDOCK_HOME)",
}


def render_error(error: AirdockError) -> str:
    """The error in lines, the place and the advice on lines of their own."""
    lines = [f"error: {_hang(error.message, ' ' * 7)}"]
    if error.where:
        lines.append(f"  where: {_hang(error.where, ' ' * 9)}")
    if isinstance(error, StepFailedError) and error.output and error.output.strip() not in error.message:
        lines += [f"  | {line}" for line in error.output.rstrip().splitlines()[-_OUTPUT_LINES:]]
    if error.hint:
        lines.append(f"  do: {_hang(error.hint, ' ' * 6)}")
    return "\n".join(lines)


def render_usage(error: click.ClickException) -> str:
    """A command line that can't be understood, and where to read how it should be."""
    if isinstance(error, NoArgsIsHelpError):
        return error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    advice = f"\n  do: {context.command_path} --help" if context else ""
    return f"error: {_hang(error.format_message(), ' ' * 7)}{advice}"


def render_machine(error: OSError) -> str | None:
    """What the machine refused, where that is nobody's mistake but has to be mended; None for any other error."""
    advice = _MACHINE.get(error.errno or 0)
    if advice is None:
        return None
    where = f"\n  where: {error.filename}" if error.filename else ""
    return f"error: {error.strerror}{where}\n  do: {advice}"


def render_fault(error: BaseException) -> str:
    """A mistake of ours in two lines, or with its whole trace where AIRDOCK_DEBUG is set."""
    import traceback  # most commands end well

    if os.environ.get("AIRDOCK_DEBUG"):
        return "".join(traceback.format_exception(error)).rstrip()
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return (
        f"error: Airdock made a mistake: {what[-1] if what else type(error).__name__}\n"
        "  do: set AIRDOCK_DEBUG=1 and run it again to see where; please report that trace"
    )


def tell(text: str, *, color: bool | None = None) -> None:
    """Put an error on stderr, its first word in red where colours are on (None asks the terminal)."""
    first, colon, rest = text.partition(":")
    if first == "error":
        text = click.style(first + colon, fg="red", bold=True) + rest
    try:
        click.echo(text, err=True, color=color)
    except BrokenPipeError:
        # Nobody listens any more; the exit code still tells.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - stays open until the interpreter ends


def tell_before(earlier: AirdockError | None, error: AirdockError) -> AirdockError:
    """Of several failures all but the last are told here; the last is for the caller to raise."""
    if earlier is not None:
        tell(render_error(earlier))
    return error


def _hang(text: str, indent: str) -> str:
    return f"\n{indent}".join(text.strip().splitlines())
