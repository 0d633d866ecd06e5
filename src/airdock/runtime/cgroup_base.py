"""What a container's cgroup can do, whichever version of cgroups the machine has, and the few file calls it needs."""

import contextlib
import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from airdock.model.usage import Resources, Usage, UsageSource
from airdock.runtime.usage import Stats

__all__ = ["Cgroup", "NoCgroup", "Tree"]

REMOVAL_S = 2.0
"""How long to try to remove a folder whose last process is on its way out."""


class Tree:
    """The calls on a cgroup filesystem. Every one raises OSError; tests give a pretended one."""

    def make(self, folder: str) -> None:
        os.mkdir(folder)

    def remove(self, folder: str) -> None:
        os.rmdir(folder)

    def read(self, path: str) -> str:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(descriptor, 65536):
                parts.append(part)
            return b"".join(parts).decode()
        finally:
            os.close(descriptor)

    def write(self, path: str, text: str) -> None:
        # Not open(path, "w"): creating files is another error on cgroupfs than the file's absence.
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def children(self, folder: str) -> list[str]:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_writable(self, path: str) -> bool:
        return os.access(path, os.W_OK)

    def wait_until_empty(self, folder: str, timeout_s: float) -> None:
        """Returns when something may have changed, at the latest after `timeout_s`."""
        time.sleep(timeout_s)


class Cgroup(ABC):
    """The cgroup of one container: made with its limits, joined by its first process, removed after its last.

    Nothing here fails a container: what can't be set is left out of `limits`, and `lacking` says why, or "". Ask for
    use and out-of-memory kills before `remove`. `folders` are by controller.
    """

    def __init__(self, *, folders: Mapping[str, str], tree: Tree) -> None:
        self.folders = dict(folders)
        self.limits = Resources()
        self.lacking = ""
        self._tree = tree

    @property
    def places(self) -> dict[str, str]:
        """What `open_cgroup` needs to find it again."""
        return self.folders

    @abstractmethod
    def limit(self, resources: Resources) -> None:
        """Set what is asked for, as far as it can be set. A limited container gets no swap beyond its memory."""

    @abstractmethod
    def stats(self) -> Stats:
        """What its processes use now, as far as the kernel counts it."""

    def freeze(self) -> bool:
        """Stop every process in it where it stands, killable still; False where this cgroup can't."""
        return False

    def thaw(self) -> bool:
        """Let them go on; False where this cgroup can't. Harmless where they do."""
        return False

    def is_frozen(self) -> bool:
        return False

    def attach(self, pid: int) -> None:
        """Move the process into the cgroup; a process that is gone already is no error. Before exec, so all counts."""
        for folder in self._distinct():
            try:
                self._tree.write(f"{folder}/cgroup.procs", str(pid))
            except ProcessLookupError:
                return
            except OSError as error:
                self.limits = Resources()
                self.lack(f"process {pid} could not join {folder}", error)

    @abstractmethod
    def memory_peak_bytes(self) -> int | None:
        """The most memory its processes had together so far; None where the kernel doesn't say."""

    @abstractmethod
    def cpu_s(self) -> float | None:
        """Processor time of all its processes so far, ended ones included; None where the kernel doesn't say."""

    def usage(self) -> Usage | None:
        """What its processes used so far, or None where it can't tell both memory and processor time."""
        memory, cpu = self.memory_peak_bytes(), self.cpu_s()
        if memory is None or cpu is None:
            return None
        return Usage(memory_peak_bytes=memory, cpu_s=cpu, source=UsageSource.CGROUP)

    @abstractmethod
    def oom_kills(self) -> int:
        """How many of its processes the kernel killed because memory ran out."""

    def oom_killed(self) -> bool:
        return self.oom_kills() > 0

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL every process in it, also those forked meanwhile. Harmless when it is empty or gone."""

    def remove(self) -> None:
        """Remove its folders and any below them; waits up to two seconds for processes that are just ending.

        Harmless when they're gone already. Raises OSError (EBUSY) where processes go on living in it.
        """
        deadline = time.monotonic() + REMOVAL_S
        for folder in self._distinct():
            self._remove(folder, deadline)

    def lack(self, what: str, error: OSError) -> None:
        """Note what could not be done; the first lack is the one that counts."""
        self.lacking = self.lacking or f"{what}: {error.strerror or error}"

    def processes(self) -> list[int]:
        """Ids of the processes in it, as our pid namespace sees them."""
        found: set[int] = set()
        for folder in self._distinct():
            with contextlib.suppress(OSError):  # gone, and so are its processes
                found.update(int(line) for line in self._tree.read(f"{folder}/cgroup.procs").split())
        return sorted(found)

    def _distinct(self) -> list[str]:
        return list(dict.fromkeys(self.folders.values()))  # cpu and cpuacct are often one hierarchy

    def _remove(self, folder: str, deadline: float) -> None:
        wait_s = 0.0002
        while True:
            try:
                self._tree.remove(folder)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                    raise
            for child in self._children(folder):
                self._remove(child, deadline)
            self._tree.wait_until_empty(folder, wait_s)
            wait_s = min(wait_s * 2, 0.02)

    def _children(self, folder: str) -> list[str]:
        try:
            return self._tree.children(folder)
        except FileNotFoundError:
            return []

    def _number(self, path: str) -> int | None:
        try:
            return int(self._tree.read(path))
        except (OSError, ValueError):
            return None

    def _field(self, path: str, name: str) -> int | None:
        """The number behind `name` in a file of "name number" lines."""
        try:
            lines = self._tree.read(path).splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), None)

    def _used(self, now: str, details: str, field: str) -> int | None:
        """Memory without the files that the kernel could drop at once, which is what Docker shows."""
        used = self._number(now)
        return None if used is None else max(0, used - (self._field(details, field) or 0))

    def _write(self, path: str, text: str) -> bool:
        try:
            self._tree.write(path, text)
        except OSError:
            return False
        return True

    def _word(self, path: str) -> str:
        try:
            return self._tree.read(path).strip()
        except OSError:
            return ""


class NoCgroup(Cgroup):
    """Stands where no cgroup can be made: sets nothing, counts nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(folders={}, tree=Tree())
        self._reason = reason

    def limit(self, resources: Resources) -> None:
        if resources != Resources():
            self.lacking = self._reason

    def stats(self) -> Stats:
        return Stats()

    def memory_peak_bytes(self) -> int | None:
        return None

    def cpu_s(self) -> float | None:
        return None

    def oom_kills(self) -> int:
        return 0

    def kill(self) -> None:
        """There is nothing to kill by: end the container's pid 1."""
