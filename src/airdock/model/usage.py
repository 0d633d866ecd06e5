"""What a container really used, and who counted it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Self

from airdock.record import record

__all__ = ["Resources", "Usage", "UsageSource"]

_FURTHER: Final = ("swap_bytes", "cpu_shares", "cpuset")


class UsageSource(StrEnum):
    """Where the numbers come from. `rusage` misses what was mapped but shared, and peaks of processes side by side."""

    CGROUP = "cgroup"
    RUSAGE = "rusage"
    KUBELET = "kubelet"


@record
class Usage:
    """Memory in bytes at its highest, processor time in seconds."""

    memory_peak_bytes: int
    cpu_s: float
    source: UsageSource

    def to_dict(self) -> dict[str, Any]:
        return {"memory_peak_bytes": self.memory_peak_bytes, "cpu_s": self.cpu_s, "source": self.source.value}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            memory_peak_bytes=value["memory_peak_bytes"], cpu_s=value["cpu_s"], source=UsageSource(value["source"])
        )


@record
class Resources:
    """What a task asks for: bytes of memory, processors (1.5 is one and a half), processes. None is no limit.

    A limit of -1 processes takes one away from a cgroup that has it. `swap_bytes` is what may be swapped out beside
    that memory, none where it isn't said and -1 without end. `cpu_shares` counts against others' where processors are
    short, 1024 is the usual weight; `cpuset` names the processors to run on, such as "0-2,4".
    """

    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None
    swap_bytes: int | None = None
    cpu_shares: int | None = None
    cpuset: str | None = None

    def to_dict(self) -> dict[str, Any]:
        further = {name: getattr(self, name) for name in _FURTHER if getattr(self, name) is not None}
        return {"memory_bytes": self.memory_bytes, "cpus": self.cpus, "pids": self.pids, **further}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        further = {name: value.get(name) for name in _FURTHER}
        return cls(memory_bytes=value["memory_bytes"], cpus=value["cpus"], pids=value["pids"], **further)
