"""One running container, as the launcher holds it: made from a bundle, reaped at its end, nothing left of it."""

import errno
import os
import signal
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airdock.errors import ContainerError, IsolationError
from airdock.runtime.cgroups import Cgroup
from airdock.runtime.child import Job, run_child
from airdock.runtime.idmaps import write_container_maps
from airdock.runtime.machine import Machine
from airdock.runtime.plan import plan
from airdock.runtime.spec import resources_of
from airdock.runtime.syscalls import CLONE_NEWUSER
from airdock.runtime.usage import measure
from airdock.runtime.wire import dump_error

__all__ = ["ContainerProcess", "Started"]

_STATUS: Final = struct.Struct("=ci")
_CREDENTIALS: Final = struct.Struct("3i")
_MOST_NEWS_BYTES: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A command that runs. `command_pid` is its pid outside; `terminal` the master of its terminal, or -1."""

    pid: int
    command_pid: int
    mount_points: tuple[str, ...]
    terminal: int
    cgroups: Mapping[str, str]
    lacking: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "command_pid": self.command_pid,
            "mount_points": list(self.mount_points),
            "cgroups": dict(self.cgroups),
            "lacking": self.lacking,
        }


class ContainerProcess:
    """Starts on construction; raises AirdockError or OSError with nothing left behind.

    `pidfd` becomes readable at its end, `failed` when its command runs or could not be started: then `error` says why
    after `read_start`. `reap` must be called once.
    """

    def __init__(self, machine: Machine, bundle: Mapping[str, Any], stdio: tuple[int, int, int]) -> None:
        self._machine = machine
        self._resources = resources_of(bundle["config"])
        self.error: dict[str, Any] | None = None
        self._own: list[int] = []
        self._killed = False
        self._cgroup: Cgroup | None = None
        config = bundle["config"]
        if not config.get("hostname"):
            config = {**config, "hostname": bundle["id"][:12]}
        steps = plan(config, machine.facts)
        lent: list[int] = []  # the child's: closed here once it has them
        try:
            prepare_folder(bundle["folder"], machine.shift)
            root = machine.mounts.open_root(bundle["layers"], bundle["folder"])
            lent.append(root)
            for tree in steps.trees:
                lent.append(machine.mounts.open_bind(tree.source, read_only=tree.read_only))
            self._cgroup = machine.cgroups.create(bundle["id"], self._resources)
            go_read, go = os.pipe2(os.O_CLOEXEC)
            self.failed, failed = os.pipe2(os.O_CLOEXEC)
            self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
            self._own += [self.failed]
            lent += [go_read, failed]
            self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            _lend_stdio(stdio, machine.shift)
            job = Job(
                config=config,
                setup=steps.setup,
                root=root,
                trees=tuple(lent[1 : 1 + len(steps.trees)]),
                stdio=stdio,
                go=go_read,
                failed=failed,
                control=control,
                privileges=machine.privileges(config),
                id_mapped=bool(steps.namespaces & CLONE_NEWUSER),
            )
            self.pid, self.pidfd = machine.syscalls.clone(steps.namespaces)
            if self.pid == 0:
                run_child(job, machine.syscalls)
            self._own.append(self.pidfd)
            control.close()
            self._let_go(go, mapped=job.id_mapped)
        except BaseException:
            self._abandon()
            raise
        finally:
            for descriptor in lent:
                os.close(descriptor)

    def _let_go(self, go: int, *, mapped: bool) -> None:
        """Give the child its ids and its cgroup, then let it run; closing `go` without a byte ends it."""
        try:
            if mapped:
                write_container_maps(self.pid, self._machine.mapping)
            assert self._cgroup is not None
            self._cgroup.attach(self.pid)
            os.write(go, b"1")
        finally:
            os.close(go)

    def read_start(self) -> Started | None:
        """What became of the start, once `failed` is readable: None is a failure, told in `error`."""
        answer = b""
        while part := os.read(self.failed, _MOST_NEWS_BYTES):
            answer += part
        if answer:
            self.error = _first_frame(answer)
            return None
        mount_points: tuple[str, ...] = ()
        command_pid, terminal, told = self.pid, -1, False
        for data, sender, descriptors in self._news():
            if data[:1] == b"M":
                mount_points = tuple(data[1:].decode().split("\0")) if data[1:] else ()
                terminal = descriptors[0] if descriptors else -1
            elif data[:1] == b"P":
                command_pid, told = sender, True
            elif data[:1] == b"X":
                (_, self._status) = _STATUS.unpack(data)
        if not told:
            self.error = dump_error(ContainerError("the container was killed while it was being set up"))
            return None
        assert self._cgroup is not None
        return Started(
            pid=self.pid,
            command_pid=command_pid,
            mount_points=mount_points,
            terminal=terminal,
            cgroups=self._cgroup.folders,
            lacking=self._cgroup.lacking,
        )

    _status: int | None = None

    def _news(self) -> list[tuple[bytes, int, list[int]]]:
        """Messages of the container's first processes that have come in: (data, pid of the sender, descriptors)."""
        found: list[tuple[bytes, int, list[int]]] = []
        room = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4)
        while True:
            try:
                data, ancillary, _, _ = self._control.recvmsg(
                    _MOST_NEWS_BYTES, room, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, ConnectionError):
                return found
            if not data:
                return found
            sender, descriptors = 0, []
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    sender = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.append(struct.unpack("i", content[:4])[0])
            found.append((data, sender, descriptors))

    def signal(self, number: int) -> None:
        """Send a signal to the command; SIGKILL ends everybody in the container."""
        if number == signal.SIGKILL:
            self.kill()
            return
        try:
            self._control.send(bytes([number]), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has just ended

    def kill(self) -> None:
        self._killed = True
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def reap(self) -> dict[str, Any]:
        """Wait for the end, free everything, give what `Ended` needs."""
        _, status, rusage = os.wait4(self.pid, 0)
        for data, _, _ in self._news():
            if data[:1] == b"X":
                (_, self._status) = _STATUS.unpack(data)
        code = os.waitstatus_to_exitcode(self._status if self._status is not None else status)
        cgroup, limit = self._cgroup, self._resources.memory_bytes
        usage = measure(cgroup, rusage)
        oom = cgroup is not None and cgroup.oom_killed()
        self._free()
        return {
            "exit_code": code if code >= 0 else 128 - code,
            "signal": -code if code < 0 else None,
            "oom": oom,
            "memory_limit_bytes": limit,
            "usage": usage.to_dict(),
        }

    def _abandon(self) -> None:
        """Undo a start that failed half-way."""
        if hasattr(self, "pid") and self.pid > 0:
            self.kill()
            os.waitpid(self.pid, 0)
        self._free()

    def _free(self) -> None:
        if hasattr(self, "_control"):
            self._control.close()
        while self._own:
            os.close(self._own.pop())
        if self._cgroup is not None:
            self._cgroup.remove()
            self._cgroup = None


def prepare_folder(folder: str, shift: int) -> None:
    """Make the folders of an overlay in a bundle's folder; `upper` becomes the container's "/" and its owner's."""
    for name in ("upper", "work"):
        path = os.path.join(folder, name)
        os.makedirs(path, mode=0o755, exist_ok=True)
        if shift and name == "upper" and os.stat(path).st_uid != shift:
            os.chown(path, shift, shift)


def _lend_stdio(stdio: tuple[int, int, int], shift: int) -> None:
    """Make pipes the container's root's, so that it can open /dev/stdout again or hand them on to its user."""
    if not shift:
        return
    for descriptor in stdio:
        if os.fstat(descriptor).st_mode & 0o170000 == 0o010000:
            try:
                os.fchown(descriptor, shift, shift)
            except OSError as error:
                if error.errno not in {errno.EPERM, errno.EROFS}:
                    raise


def _first_frame(answer: bytes) -> dict[str, Any]:
    import json

    value: dict[str, Any] = json.loads(answer[4:])
    return value


def explain_clone(error: OSError) -> IsolationError:
    return IsolationError(f"this machine forbids containers: {error.strerror}", where="namespaces")
