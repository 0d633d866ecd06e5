"""A container's cgroup where each controller has a hierarchy of its own (cgroup v1, and hybrid machines).

    <memory>/<own>/airdock-<id>/     memory.limit_in_bytes memory.memsw.limit_in_bytes memory.oom_control
    <cpuacct>/<own>/airdock-<id>/    cpuacct.usage
    <cpu>/<own>/airdock-<id>/        cpu.cfs_quota_us       only where processors are limited
    <cpu>/<own>/airdock-<id>/        cpu.shares             only where they are shared by weight
    <pids>/<own>/airdock-<id>/       pids.max               only where processes are limited
    <cpuset>/<own>/airdock-<id>/     cpuset.cpus            only where processors are chosen
    <unified>/<own>/airdock-<id>/    cgroup.freeze          on hybrid machines, once it is paused

A pause goes by the unified hierarchy where there is one and by signals otherwise: what the freezer of v1 holds can't be
killed, and would stay for ever when its launcher dies.

Source: Documentation/admin-guide/cgroup-v1.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping

from airdock.model.usage import Resources
from airdock.runtime.cgroup_base import REMOVAL_S, Cgroup, Tree
from airdock.runtime.usage import Stats

__all__ = ["PERIOD_US", "CgroupV1", "controllers_for", "quota_us"]

PERIOD_US = 100_000
"""The kernel's default period for processor quotas."""
ROUNDS = 1000
UNLIMITED = 1 << 62
"""What memory.limit_in_bytes says where there is no limit is a little less than 2**63."""


def controllers_for(resources: Resources) -> list[str]:
    """What has to be opened: memory and cpuacct always, to measure; each further one costs half a millisecond."""
    wanted = ["memory", "cpuacct"]
    if resources.cpus is not None or resources.cpu_shares is not None:
        wanted.append("cpu")
    if resources.cpuset is not None:
        wanted.append("cpuset")
    if resources.pids is not None:
        wanted.append("pids")
    return wanted


def quota_us(cpus: float) -> int:
    """Processor time per period; the kernel takes no less than a millisecond."""
    return max(1000, round(cpus * PERIOD_US))


class CgroupV1(Cgroup):
    """`folders` has one entry for each controller that could be opened; `freezer` is where in the unified hierarchy
    its processes go to be frozen, or nothing."""

    def __init__(self, *, folders: Mapping[str, str], tree: Tree, freezer: str = "") -> None:
        super().__init__(folders=folders, tree=tree)
        self._freezer = freezer

    @property
    def places(self) -> dict[str, str]:
        return {**self.folders, **({"freezer": self._freezer} if self._freezer else {})}

    def limit(self, resources: Resources) -> None:
        memory, cpus, pids = resources.memory_bytes, resources.cpus, resources.pids
        shares, cpuset, swap = resources.cpu_shares, resources.cpuset, resources.swap_bytes
        word = "max" if pids is not None and pids < 0 else str(pids)
        self.limits = Resources(
            memory_bytes=memory if memory is not None and self._limit_memory(memory, swap or 0) else None,
            swap_bytes=swap,
            cpu_shares=shares if shares is not None and self._set("cpu", "cpu.shares", shares) else None,
            cpuset=cpuset if cpuset is not None and self._choose_processors(cpuset) else None,
            cpus=cpus if cpus is not None and self._set("cpu", "cpu.cfs_quota_us", quota_us(cpus)) else None,
            pids=pids if pids is not None and self._set("pids", "pids.max", word) else None,
        )

    def memory_peak_bytes(self) -> int | None:
        return self._number(f"{self.folders.get('memory')}/memory.max_usage_in_bytes")

    def cpu_s(self) -> float | None:
        nanoseconds = self._number(f"{self.folders.get('cpuacct')}/cpuacct.usage")
        return nanoseconds / 1e9 if nanoseconds is not None else None

    def oom_kills(self) -> int:
        return self._field(f"{self.folders.get('memory')}/memory.oom_control", "oom_kill") or 0

    def stats(self) -> Stats:
        memory, pids = f"{self.folders.get('memory')}", f"{self.folders.get('pids')}"
        limit = self._number(f"{memory}/memory.limit_in_bytes")
        return Stats(
            memory_bytes=self._used(f"{memory}/memory.usage_in_bytes", f"{memory}/memory.stat", "total_inactive_file"),
            memory_limit_bytes=limit if limit is not None and limit < UNLIMITED else None,
            cpu_s=self.cpu_s(),
            pids=self._number(f"{pids}/pids.current"),
            pids_limit=self._number(f"{pids}/pids.max"),
        )

    def freeze(self) -> bool:
        if not self._freezer:
            return False
        with contextlib.suppress(OSError):  # it is there from another time
            self._tree.make(self._freezer)
        if not self._gather() or not self._write(f"{self._freezer}/cgroup.freeze", "1"):
            return False
        return self._gather()  # who was forked meanwhile

    def thaw(self) -> bool:
        return self._write(f"{self._freezer}/cgroup.freeze", "0")

    def is_frozen(self) -> bool:
        return bool(self._freezer) and self._word(f"{self._freezer}/cgroup.freeze") == "1"

    def remove(self) -> None:
        super().remove()
        if self._freezer and self._tree.exists(self._freezer):
            self._remove(self._freezer, time.monotonic() + REMOVAL_S)

    def _gather(self) -> bool:
        """Have all its processes in the freezer too."""
        for _ in range(ROUNDS):
            there = self._word(f"{self._freezer}/cgroup.procs").split()
            missing = [pid for pid in self.processes() if str(pid) not in there]
            if not missing:
                return True
            if not all(self._move(pid) for pid in missing):
                return False
        return False

    def _move(self, pid: int) -> bool:
        try:
            self._tree.write(f"{self._freezer}/cgroup.procs", str(pid))
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return True

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

    def _choose_processors(self, cpuset: str) -> bool:
        """A new cpuset has neither processors nor memory, and takes no process before it has both."""
        folder = self.folders.get("cpuset", "")
        nodes = self._word(f"{os.path.dirname(folder)}/cpuset.mems")
        return self._set("cpuset", "cpuset.mems", nodes) and self._set("cpuset", "cpuset.cpus", cpuset)

    def _limit_memory(self, limit: int, more: int) -> bool:
        """Memory may at no time be above memory and swap together, which may have a limit from before."""
        swap = f"{self.folders.get('memory')}/memory.memsw.limit_in_bytes"
        if not self._tree.exists(swap):  # swap isn't counted, or the controller isn't there
            return self._set("memory", "memory.limit_in_bytes", limit)
        values = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", -1 if more < 0 else limit + more)]
        if limit > (self._number(swap) or 0):
            values.reverse()
        return all(self._set("memory", file, value) for file, value in values)

    def _set(self, controller: str, file: str, value: int | str) -> bool:
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
