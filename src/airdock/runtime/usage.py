"""What a container used: by its cgroup where there is one, else by what wait4(2) told."""

from resource import struct_rusage
from typing import Protocol

from airdock.model.usage import Usage, UsageSource

__all__ = ["Measured", "from_rusage", "measure"]


class Measured(Protocol):
    """A cgroup, as far as measuring goes."""

    def usage(self) -> Usage | None:
        """What its processes used so far, or None where it can't tell both memory and processor time."""


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
    """The better of both sources. Ask before the cgroup is removed."""
    counted = cgroup.usage() if cgroup is not None else None
    return counted if counted is not None else from_rusage(rusage)
