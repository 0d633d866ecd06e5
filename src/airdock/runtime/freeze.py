"""Stopping every process of a container where it stands, and letting them go on.

By its cgroup where that can freeze: then nothing inside can tell. Elsewhere by SIGSTOP, which the container's parents
may see in their children's states, and which an exec that comes meanwhile doesn't get. A container that is stopped
either way can be killed.
"""

import os
import signal
import time
from typing import Final

from airdock.errors import ContainerError
from airdock.runtime.cgroups import open_cgroup
from airdock.runtime.processes import processes_of
from airdock.runtime.state import ContainerState

__all__ = ["freeze", "is_frozen", "thaw"]

_ROUNDS: Final = 100
_WAIT_S: Final = 1.0
"""Who waits for a disk stops when it is done with that."""


def freeze(state: ContainerState) -> None:
    """Stop it; nothing happens to one that is stopped. Raises ContainerError where somebody can't be stopped."""
    if open_cgroup(state.cgroups).freeze():
        return
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        found = set(processes_of(state)) - stopped
        if not found:
            _wait_until_stopped(stopped)
            return
        if found & {1, os.getpid(), os.getppid()}:
            raise ContainerError(f"expected container {state.id[:12]} to have processes of its own, found ours in it")
        # Its first process last: it would be missed least, and by it `is_frozen` knows.
        for pid in sorted(found, key=lambda pid: pid == state.pid):
            _signal(pid, signal.SIGSTOP)
        stopped |= found
    thaw(state)
    raise ContainerError(f"container {state.id[:12]} forks faster than its processes can be stopped")


def thaw(state: ContainerState) -> None:
    """Let it go on. Harmless where it does."""
    cgroup = open_cgroup(state.cgroups)
    if cgroup.is_frozen():
        cgroup.thaw()
        return
    for pid in processes_of(state):
        _signal(pid, signal.SIGCONT)


def is_frozen(state: ContainerState) -> bool:
    """Whether it is stopped now."""
    return open_cgroup(state.cgroups).is_frozen() or _state_of(state.pid) == b"T"


def _wait_until_stopped(pids: set[int]) -> None:
    """The signal is taken when a process next looks; nothing tells us when, as they aren't our children."""
    deadline = time.monotonic() + _WAIT_S
    for pid in pids:
        while _state_of(pid) not in (b"T", b"Z", b"") and time.monotonic() < deadline:
            time.sleep(0.001)


def _state_of(pid: int) -> bytes:
    """The letter of proc_pid_stat(5); nothing where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return b""


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise ContainerError(
            f"process {pid} of the container can't be stopped: {error.strerror}",
            hint="only the account that started a container can pause it",
        ) from error
