"""A container's cgroup where each controller has a hierarchy of its own (cgroup v1, and hybrid machines).

    <memory>/<own>/airdock-<id>/     memory.limit_in_bytes memory.memsw.limit_in_bytes memory.oom_control
    <cpuacct>/<own>/airdock-<id>/    cpuacct.usage
    <cpu>/<own>/airdock-<id>/        cpu.cfs_quota_us       only where processors are limited
    <pids>/<own>/airdock-<id>/       pids.max               only where processes are limited

Source: Documentation/admin-guide/cgroup-v1.
"""

import contextlib
import os
import signal

from airdock.model.usage import Resources
from airdock.runtime.cgroup_base import Cgroup

__all__ = ["PERIOD_US", "CgroupV1", "controllers_for", "quota_us"]

PERIOD_US = 100_000
"""The kernel's default period for processor quotas."""
ROUNDS = 1000


def controllers_for(resources: Resources) -> list[str]:
    """What has to be opened: memory and cpuacct always, to measure; each further one costs half a millisecond."""
    wanted = ["memory", "cpuacct"]
    if resources.cpus is not None:
        wanted.append("cpu")
    if resources.pids is not None:
        wanted.append("pids")
    return wanted


def quota_us(cpus: float) -> int:
    """Processor time per period; the kernel takes no less than a millisecond."""
    return max(1000, round(cpus * PERIOD_US))


class CgroupV1(Cgroup):
    """`folders` has one entry for each controller that could be opened."""

    def limit(self, resources: Resources) -> None:
        memory, cpus, pids = resources.memory_bytes, resources.cpus, resources.pids
        self.limits = Resources(
            memory_bytes=memory if memory is not None and self._limit_memory(memory) else None,
            cpus=cpus if cpus is not None and self._set("cpu", "cpu.cfs_quota_us", quota_us(cpus)) else None,
            pids=pids if pids is not None and self._set("pids", "pids.max", pids) else None,
        )

    def memory_peak_bytes(self) -> int | None:
        return self._number(f"{self.folders.get('memory')}/memory.max_usage_in_bytes")

    def cpu_s(self) -> float | None:
        nanoseconds = self._number(f"{self.folders.get('cpuacct')}/cpuacct.usage")
        return nanoseconds / 1e9 if nanoseconds is not None else None

    def oom_kills(self) -> int:
        return self._field(f"{self.folders.get('memory')}/memory.oom_control", "oom_kill") or 0

    def kill(self) -> None:
        """Forbids forks where pids can be limited, then kills until nobody is left."""
        if "pids" in self.folders:
            with contextlib.suppress(OSError):  # gone already
                self._tree.write(f"{self.folders['pids']}/pids.max", "0")
        for _ in range(ROUNDS):
            pids = self.processes()
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._tree.wait_until_empty("", 0.001)

    def _limit_memory(self, limit: int) -> bool:
        """Memory may at no time be above memory and swap together, which may have a limit from before."""
        swap = f"{self.folders.get('memory')}/memory.memsw.limit_in_bytes"
        if not self._tree.exists(swap):  # swap isn't counted, or the controller isn't there
            return self._set("memory", "memory.limit_in_bytes", limit)
        files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        if limit > (self._number(swap) or 0):
            files.reverse()
        return all(self._set("memory", file, limit) for file in files)

    def _set(self, controller: str, file: str, value: int) -> bool:
        folder = self.folders.get(controller)
        if folder is None:
            self.lacking = self.lacking or f"the {controller} controller of cgroup v1 can't be used here"
            return False
        try:
            self._tree.write(f"{folder}/{file}", str(value))
        except OSError as error:
            self.lack(f"{file} could not be set to {value}", error)
            return False
        return True
