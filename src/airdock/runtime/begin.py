"""The launcher's first steps, while it imports the rest of itself.

Moving a process into a cgroup makes the kernel wait until every processor has passed a point of rest, some ten
milliseconds, unless another process was moved just before. So one is moved at once, into where it is already: by the
time the first container's process moves, nobody waits any more.
"""

import os
from typing import Any, NoReturn

__all__ = ["move", "serve"]


def serve(descriptors: list[int], **arguments: Any) -> NoReturn:
    """Become the launcher: `server.serve`."""
    moving = os.fork()
    if moving == 0:
        move()
    from airdock.runtime import server  # beside the move, which is why it's here

    server.serve(descriptors, child=moving, **arguments)


def move(proc: str = "/proc/self/cgroup", mounts: str = "/sys/fs/cgroup") -> NoReturn:
    """Move this process into its own cgroup, of whichever hierarchy allows it, and end."""
    try:
        with open(proc) as file:
            places = [line.rstrip("\n").split(":", 2)[1:] for line in file]
        for controllers, path in places:
            if _write(f"{mounts}/{controllers}{path}/cgroup.procs"):
                break
    finally:
        os._exit(0)


def _write(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False  # mounted elsewhere, or not ours to change
    try:
        os.write(descriptor, b"0")
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
