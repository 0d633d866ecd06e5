"""The processes of a container as the machine sees them, and what they use by its books: for any account.

Source: proc_pid_stat(5), proc_pid_io(5), proc_pid_task(5).
"""

import os
from contextlib import suppress
from typing import Final

from airdock.runtime.cgroups import open_cgroup
from airdock.runtime.state import ContainerState
from airdock.runtime.usage import Stats

__all__ = ["processes_of", "read_stats"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def processes_of(state: ContainerState) -> list[int]:
    """The ids of its processes, its first one included, the oldest first as far as ids tell."""
    if not state.alive:
        return []
    found = set(open_cgroup(state.cgroups).processes())
    if state.pid not in found:  # it has no cgroup, or could not join it
        found |= _descendants(state.pid) | _neighbours(state.command_pid)
    return sorted(found)


def read_stats(state: ContainerState) -> Stats:
    """What it uses now: by its cgroup, and by /proc where that doesn't count."""
    counted = open_cgroup(state.cgroups).stats()
    if None not in (counted.memory_bytes, counted.cpu_s, counted.read_bytes, counted.pids):
        return counted
    return counted.filled(_by_proc(processes_of(state)))


def _descendants(pid: int) -> set[int]:
    """A process and all below it. Orphans become children of the container's first process, so nobody is missed."""
    found = {pid}
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                for child in file.read().split():
                    found |= _descendants(int(child))
    return found


def _neighbours(pid: int) -> set[int]:
    """Who shares the pid namespace of a process: what `exec` started has no parent in there.

    Nobody, where that namespace is ours: who is in it is no container's.
    """
    found: set[int] = set()
    with suppress(OSError):
        wanted = os.readlink(f"/proc/{pid}/ns/pid")
        if wanted == os.readlink("/proc/self/ns/pid"):
            return found
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") == wanted:
                    found.add(int(entry))
    return found


def _by_proc(pids: list[int]) -> Stats:
    """Sums over living processes. Memory that they share counts once for each of them; who ended isn't counted, and
    what is read and written only where the kernel lets us look."""
    memory = threads = 0
    ticks = 0
    read = written = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            threads += int(fields[17])
            memory += int(fields[21]) * _PAGE
            with open(f"/proc/{pid}/io", "rb") as file:
                numbers = {line.split(b":")[0]: int(line.split()[1]) for line in file}
            read += numbers[b"read_bytes"]
            written += numbers[b"write_bytes"]
    return Stats(memory_bytes=memory, cpu_s=ticks / _TICKS, read_bytes=read, written_bytes=written, pids=threads)
