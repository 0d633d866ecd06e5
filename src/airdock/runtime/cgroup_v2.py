"""A container's cgroup in the one hierarchy of cgroup v2, and where in it containers' cgroups can be made.

    <own>/                       our cgroup when we came
    <own>/airdock-self/          we ourselves, once <own> hands controllers on
    <own>/airdock-<id>/          a container: memory.max memory.swap.max cpu.max pids.max cgroup.kill

A cgroup that hands controllers on may hold no processes of its own, except the root: so we step down into a leaf, or,
where others live with us, put containers beside us. Source: Documentation/admin-guide/cgroup-v2.rst.
"""

import contextlib
import errno
import os
import select
import signal
from collections.abc import Callable

from airdock.model.usage import Resources
from airdock.record import record
from airdock.runtime.cgroup_base import Cgroup, Tree
from airdock.runtime.cgroup_v1 import PERIOD_US, ROUNDS, quota_us
from airdock.runtime.usage import Stats

__all__ = ["LEAF", "CgroupV2", "Place", "UnifiedTree", "choose_place", "leave_place", "take_place", "weight_of"]

LEAF = "airdock-self"
CONTROLLERS = ("memory", "cpu", "pids")
WELCOME = ("cpuset", "io")
"""Handed on too where we have them: to choose processors, and to count what is read and written."""


class UnifiedTree(Tree):
    """cgroup v2 tells when a cgroup becomes empty: cgroup.events is pollable."""

    def wait_until_empty(self, folder: str, timeout_s: float) -> None:
        try:
            descriptor = os.open(f"{folder}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLPRI)
            # Reading arms the poll; what changed before the read is seen by it.
            if b"populated 1" in os.read(descriptor, 4096):
                poll.poll(1000 * max(timeout_s, 0.1))
            else:
                super().wait_until_empty(folder, timeout_s)
        finally:
            os.close(descriptor)


class CgroupV2(Cgroup):
    """`folders` has the one entry "unified"."""

    @property
    def folder(self) -> str:
        return self.folders["unified"]

    def limit(self, resources: Resources) -> None:
        memory, cpus, pids = resources.memory_bytes, resources.cpus, resources.pids
        shares, cpuset, swap = resources.cpu_shares, resources.cpuset, resources.swap_bytes
        word = "max" if pids is not None and pids < 0 else str(pids)
        self.limits = Resources(
            memory_bytes=memory if memory is not None and self._limit_memory(memory, swap or 0) else None,
            swap_bytes=swap,
            cpu_shares=shares if shares is not None and self._set("cpu.weight", str(weight_of(shares))) else None,
            cpuset=cpuset if cpuset is not None and self._set("cpuset.cpus", cpuset) else None,
            cpus=cpus if cpus is not None and self._set("cpu.max", f"{quota_us(cpus)} {PERIOD_US}") else None,
            pids=pids if pids is not None and self._set("pids.max", word) else None,
        )

    def memory_peak_bytes(self) -> int | None:
        """memory.peak came with Linux 5.19."""
        return self._number(f"{self.folder}/memory.peak")

    def cpu_s(self) -> float | None:
        microseconds = self._field(f"{self.folder}/cpu.stat", "usage_usec")
        return microseconds / 1e6 if microseconds is not None else None

    def oom_kills(self) -> int:
        return self._field(f"{self.folder}/memory.events", "oom_kill") or 0

    def stats(self) -> Stats:
        folder = self.folder
        counted = self._io()
        return Stats(
            memory_bytes=self._used(f"{folder}/memory.current", f"{folder}/memory.stat", "inactive_file"),
            memory_limit_bytes=self._number(f"{folder}/memory.max"),
            cpu_s=self.cpu_s(),
            read_bytes=counted and counted[0],
            written_bytes=counted and counted[1],
            pids=self._number(f"{folder}/pids.current"),
            pids_limit=self._number(f"{folder}/pids.max"),
        )

    def freeze(self) -> bool:
        return self._write(f"{self.folder}/cgroup.freeze", "1")

    def thaw(self) -> bool:
        return self._write(f"{self.folder}/cgroup.freeze", "0")

    def is_frozen(self) -> bool:
        return self._word(f"{self.folder}/cgroup.freeze") == "1"

    def _io(self) -> tuple[int, int] | None:
        """Read and written on all devices: lines of "8:0 rbytes=1 wbytes=2 …"."""
        if not self._tree.exists(f"{self.folder}/io.stat"):
            return None
        words = [word.partition("=") for word in self._word(f"{self.folder}/io.stat").split()]
        read, written = (
            sum(int(value) for name, _, value in words if name == wanted) for wanted in ("rbytes", "wbytes")
        )
        return read, written

    def kill(self) -> None:
        """cgroup.kill came with Linux 5.14; before, freeze, kill everyone, and thaw."""
        try:
            self._tree.write(f"{self.folder}/cgroup.kill", "1")
            return
        except OSError:
            with contextlib.suppress(OSError):
                self._tree.write(f"{self.folder}/cgroup.freeze", "1")
        for _ in range(ROUNDS):
            pids = self.processes()
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._tree.wait_until_empty(self.folder, 0.001)
        with contextlib.suppress(OSError):
            self._tree.write(f"{self.folder}/cgroup.freeze", "0")

    def _limit_memory(self, limit: int, more: int) -> bool:
        if not self._set("memory.max", str(limit)):
            return False
        if self._tree.exists(f"{self.folder}/memory.swap.max"):  # absent where the kernel has no swap
            self._set("memory.swap.max", "max" if more < 0 else str(more))
        return True

    def _set(self, file: str, value: str) -> bool:
        try:
            self._tree.write(f"{self.folder}/{file}", value)
        except FileNotFoundError:
            controller = file.partition(".")[0]
            self.lacking = self.lacking or f"the {controller} controller isn't handed to us"
            return False
        except OSError as error:
            self.lack(f"{file} could not be set to {value!r}", error)
            return False
        return True


@record
class Place:
    """Where containers' cgroups go: below `folder`, with `controllers`; `moving` are processes that must step down.

    `folder` is "" where there's no place; then, or where a controller is missing, `reason` says why.
    """

    folder: str = ""
    controllers: frozenset[str] = frozenset()
    moving: tuple[int, ...] = ()
    reason: str = ""
    welcome: frozenset[str] = frozenset()


def choose_place(own: str, *, mount: str, tree: Tree, is_ours: Callable[[int], bool]) -> Place:
    """Find a place for containers, changing nothing. `is_ours` says whether a process may be moved along with us.

    In order: our own cgroup if it needs no move, our own after stepping down, beside us in the cgroup above.
    """
    own = own.removesuffix(f"/{LEAF}")
    here = _words(tree, f"{own}/cgroup.controllers")
    offered, welcome = here & frozenset(CONTROLLERS), here & frozenset(WELCOME)
    writable = tree.is_writable(own) and tree.is_writable(f"{own}/cgroup.subtree_control")
    is_root = not tree.exists(f"{own}/cgroup.type")
    if writable and (is_root or not offered or offered <= _words(tree, f"{own}/cgroup.subtree_control")):
        return _place(own, offered, welcome=welcome)
    if writable:
        living = tuple(int(word) for word in tree.read(f"{own}/cgroup.procs").split())
        if own == mount or all(is_ours(pid) for pid in living):
            return _place(own, offered, moving=living, welcome=welcome)
    above = os.path.dirname(own)
    if own != mount and tree.is_writable(above) and tree.is_writable(f"{above}/cgroup.procs"):
        return _place(above, frozenset(CONTROLLERS) & _words(tree, f"{above}/cgroup.subtree_control"))
    return Place(reason=f"the cgroup {own} isn't ours to divide")


def _place(
    folder: str,
    controllers: frozenset[str],
    moving: tuple[int, ...] = (),
    welcome: frozenset[str] = frozenset(),
) -> Place:
    missing = [name for name in CONTROLLERS if name not in controllers]
    reason = f"{folder} has no {', '.join(missing)} controller" if missing else ""
    return Place(folder=folder, controllers=controllers, moving=moving, reason=reason, welcome=welcome)


def take_place(place: Place, tree: Tree) -> None:
    """Step down into the leaf where that's needed, and hand the controllers on. Idempotent; raises OSError."""
    if place.moving:
        with contextlib.suppress(FileExistsError):
            tree.make(f"{place.folder}/{LEAF}")
        # Until none is left: a process may fork while we move its parent.
        while living := tree.read(f"{place.folder}/cgroup.procs").split():
            _move(living, f"{place.folder}/{LEAF}", tree)
    handed_on = _words(tree, f"{place.folder}/cgroup.subtree_control")
    if not place.controllers <= handed_on:
        wanted = " ".join(f"+{name}" for name in sorted(place.controllers - handed_on))
        tree.write(f"{place.folder}/cgroup.subtree_control", wanted)
    for name in sorted(place.welcome - handed_on):
        with contextlib.suppress(OSError):
            tree.write(f"{place.folder}/cgroup.subtree_control", f"+{name}")


def leave_place(place: Place, tree: Tree) -> None:
    """Undo `take_place`, unless containers or another launcher still need it. Idempotent; raises OSError."""
    leaf = f"{place.folder}/{LEAF}"
    if not place.moving or tree.children(place.folder) != [leaf]:
        return
    tree.write(
        f"{place.folder}/cgroup.subtree_control", " ".join(f"-{name}" for name in sorted(_handed_on(place, tree)))
    )
    while living := tree.read(f"{leaf}/cgroup.procs").split():
        _move(living, place.folder, tree)
    with contextlib.suppress(FileNotFoundError):
        tree.remove(leaf)


def _handed_on(place: Place, tree: Tree) -> frozenset[str]:
    return _words(tree, f"{place.folder}/cgroup.subtree_control") & (place.controllers | place.welcome)


def weight_of(shares: int) -> int:
    """cpu.weight (1 to 10,000) for cpu.shares (2 to 262,144), as OCI runtimes convert it."""
    return 1 + ((min(max(shares, 2), 262_144) - 2) * 9_999) // 262_142


def _move(pids: list[str], folder: str, tree: Tree) -> None:
    for pid in pids:
        try:
            tree.write(f"{folder}/cgroup.procs", pid)
        except ProcessLookupError:
            pass  # it ended
        except OSError as error:
            if error.errno != errno.EINVAL:  # a kernel thread, in the root cgroup only
                raise


def _words(tree: Tree, path: str) -> frozenset[str]:
    try:
        return frozenset(tree.read(path).split())
    except OSError:
        return frozenset()
