"""What a process of ours gives up on its way into a container, and how it says that it didn't get there."""

import os
import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from airdock.errors import AirdockError
from airdock.runtime.wire import dump_error, pack

if TYPE_CHECKING:
    from airdock.runtime.syscalls import Syscalls

__all__ = ["GO", "NEWS_EXIT", "NOT_STARTED", "close_others", "drop_stdio", "fail", "forbid_imports", "own_keyring"]

NEWS_EXIT: Final = struct.Struct("=ci")
"""What the control socket carries at the end: b"X" and the status of waitpid(2)."""

GO: Final = b"G"
"""To the helper of an exec: it is in the container's cgroup."""

NOT_STARTED: Final = 125
"""The exit code of a process that never became a command; Docker's for "the container could not be run"."""


def close_others(kept: Sequence[int]) -> None:
    """Close every descriptor but the standard three and those given."""
    first = 3
    for descriptor in sorted({number for number in kept if number > 2}):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 1 << 30)


def drop_stdio() -> None:
    """Have nothing for the standard three: a reader of a command's output must not wait for who looks after it.

    To be called while the machine's /dev is there.
    """
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


def forbid_imports() -> None:
    """Whatever is imported late would come out of the container's files: an image could have us run anything."""
    sys.meta_path.clear()
    sys.path.clear()


def own_keyring(syscalls: "Syscalls") -> None:
    """Leave the session keyring of whoever started us."""
    try:
        syscalls.join_new_session_keyring()
    except OSError:
        pass  # the kernel has no keyrings, or the quota is used up: the filter forbids keyctl(2) anyway


def fail(descriptor: int, error: BaseException) -> NoReturn:
    """Tell what went wrong on the way to a command, and end."""
    try:
        code = error.exit_code if isinstance(error, AirdockError) else NOT_STARTED
        os.write(descriptor, pack(dump_error(error)))
        os._exit(code)
    finally:
        os._exit(NOT_STARTED)
