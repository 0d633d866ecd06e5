"""What a container used: by its cgroup where there is one, else by what wait4(2) told."""

from dataclasses import replace
from resource import struct_rusage
from typing import Protocol, Self

from airdock.model.usage import Usage, UsageSource
from airdock.record import record

__all__ = ["Measured", "Stats", "from_rusage", "measure"]


@record
class Stats:
    """What a container uses now; None is what nobody counts. Bytes, seconds of processor time since its start, and
    `pids` with every thread. Without a limit, `memory_limit_bytes` and `pids_limit` are None."""

    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    cpu_s: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    pids: int | None = None
    pids_limit: int | None = None

    def filled(self, other: Self) -> Self:
        """With the other's word on what these don't know."""
        lacking = {name: getattr(other, name) for name in self.__dataclass_fields__ if getattr(self, name) is None}
        return replace(self, **lacking)


class Measured(Protocol):
    """A cgroup, as far as measuring goes; None is what it can't tell."""

    def memory_peak_bytes(self) -> int | None: ...

    def cpu_s(self) -> float | None: ...


def from_rusage(rusage: struct_rusage) -> Usage:
    """Use of a process and of those children of it that were waited for; the memory is that of the largest one.

    `ru_maxrss` is in KiB on Linux: getrusage(2).
    """
    return Usage(
        memory_peak_bytes=rusage.ru_maxrss * 1024,
        cpu_s=rusage.ru_utime + rusage.ru_stime,
        source=UsageSource.RUSAGE,
    )


def measure(cgroup: Measured | None, rusage: struct_rusage) -> Usage:
    """The better count of memory and of time; "cgroup" only where both come from it. Ask before it is removed."""
    told = from_rusage(rusage)
    if cgroup is None:
        return told
    memory, cpu = cgroup.memory_peak_bytes(), cgroup.cpu_s()
    return Usage(
        memory_peak_bytes=memory if memory is not None else told.memory_peak_bytes,
        cpu_s=cpu if cpu is not None else told.cpu_s,
        source=UsageSource.CGROUP if memory is not None and cpu is not None else UsageSource.RUSAGE,
    )
