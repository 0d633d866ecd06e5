"""What a container really used, and who counted it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

__all__ = ["Resources", "Usage", "UsageSource"]


class UsageSource(StrEnum):
    """Where the numbers come from. `rusage` misses what was mapped but shared, and peaks of processes side by side."""

    CGROUP = "cgroup"
    RUSAGE = "rusage"
    KUBELET = "kubelet"


@dataclass(frozen=True, kw_only=True, slots=True)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a task asks for: bytes of memory, processors (1.5 is one and a half), processes. None is no limit."""

    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"memory_bytes": self.memory_bytes, "cpus": self.cpus, "pids": self.pids}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(memory_bytes=value["memory_bytes"], cpus=value["cpus"], pids=value["pids"])
