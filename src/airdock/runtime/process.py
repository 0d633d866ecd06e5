"""Containers as the launcher holds them: a first process that waits for its orders, then a running container.

Moving a process into a cgroup makes the kernel wait for all processors, 10 ms on an idle machine. So the first process
moves itself, the launcher never waits for it, and the launcher keeps one ahead (`FirstProcess` in namespaces, ids and a
cgroup of its own): a container then starts with mounting.
"""

import importlib
import json
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

from airdock.errors import ContainerError
from airdock.model.usage import Resources
from airdock.record import record
from airdock.runtime import removal
from airdock.runtime.cgroups import Cgroup
from airdock.runtime.child import READY, Lines, run_child
from airdock.runtime.command import privileges_key
from airdock.runtime.idmaps import write_container_maps
from airdock.runtime.join import clone_joined, joined_namespaces
from airdock.runtime.machine import Machine
from airdock.runtime.names import choose_name_files, write_name_files
from airdock.runtime.plan import bind_trees, has_own, own_namespaces
from airdock.runtime.refusal import RefusedError
from airdock.runtime.shed import NEWS_EXIT
from airdock.runtime.spec import RUNTIME_ANNOTATION, resources_of
from airdock.runtime.usage import measure
from airdock.runtime.wire import dump_error, load_error, pack, send_with_descriptors

__all__ = ["ContainerProcess", "FirstProcess", "Started", "kind_of", "prepare_folder"]

_CREDENTIALS: Final = struct.Struct("3i")
_MOST_NEWS_BYTES: Final = 1 << 16
_KILLED: Final = dump_error(ContainerError("the container was killed while it was being set up"))


class FirstProcess:
    """The first process of a container that is to come: in its namespaces, with its ids, on its way into its cgroup.

    `kind` says which containers it can become. It is used by `ContainerProcess` or thrown away by `discard`.
    """

    def __init__(self, machine: Machine, name: str, config: Mapping[str, Any], *, is_ahead: bool = False) -> None:
        if is_ahead:
            importlib.import_module("airdock.runtime.recorder")  # for the child
        self.kind = kind_of(config)
        machine.rehearse(config)
        if _runtime_of(config):
            importlib.import_module("airdock.runtime.oci_runtime")  # for the child; most containers need none
        self.cgroup: Cgroup = machine.cgroups.create(name, resources_of(config))
        self.failed, failed = os.pipe2(os.O_CLOEXEC)
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders, orders = socket.socketpair()
        self.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        doors = self._open_doors()
        self.pid = self.pidfd = -1
        try:
            self.pid, self.pidfd, sysfs = self._clone(machine, own_namespaces(config), joined_namespaces(config))
            if self.pid == 0:
                run_child(
                    machine,
                    Lines(
                        orders=orders,
                        failed=failed,
                        control=control,
                        doors=doors,
                        sysfs=sysfs,
                        rehearsal=config if is_ahead else None,
                    ),
                )
            if machine.user_flag:
                write_container_maps(self.pid, machine.mapping)
            self.orders.send(b"1")
        except BaseException:
            self.discard()
            raise
        finally:
            for descriptor in (failed, *doors):
                os.close(descriptor)
            control.close()
            orders.close()

    def _clone(self, machine: Machine, flags: int, joined: Mapping[str, str]) -> tuple[int, int, int]:
        try:
            if joined:
                return clone_joined(machine.syscalls, joined, flags | machine.user_flag)
            return *machine.syscalls.clone(flags | machine.user_flag), -1
        except OSError as error:
            raise RefusedError(error.errno, "user namespace" if machine.user_flag else "namespaces") from error

    def _open_doors(self) -> tuple[int, ...]:
        """The files by which the process moves itself into its cgroup."""
        doors = []
        for folder in dict.fromkeys(self.cgroup.folders.values()):
            try:
                doors.append(os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            except OSError as error:
                self.cgroup.lack(f"a process could not join {folder}", error)
        return tuple(doors)

    def close(self) -> None:
        """Give back what is left once the process has been waited for."""
        self.control.close()
        self.orders.close()
        os.close(self.failed)
        if self.pidfd >= 0:
            os.close(self.pidfd)
        try:
            self.cgroup.remove()
        except OSError:
            pass  # whoever sits in there isn't ours; the next launcher sweeps

    def is_waiting(self) -> bool:
        """Whether it is still there; anybody may have killed it."""
        poll = select.poll()  # select(2) is limited to small descriptors
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def discard(self) -> None:
        """End a process that got no orders."""
        if self.pid > 0:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.close()


@record
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
    """Gives a first process its orders; raises AirdockError or OSError with nothing left behind.

    `pidfd` becomes readable at its end, `failed` when its command runs or could not be started: then `error` says why
    after `read_start`. `reap` must be called once.
    """

    def __init__(
        self, machine: Machine, first: FirstProcess, bundle: Mapping[str, Any], stdio: tuple[int, int, int]
    ) -> None:
        self._first = first
        self.pid, self.pidfd, self.failed = first.pid, first.pidfd, first.failed
        self.error: dict[str, Any] | None = None
        self._status: int | None = None
        config = bundle["config"]
        self.config = config
        self.resources = resources_of(config)
        if not config.get("hostname") and has_own(config, "uts"):
            config = {**config, "hostname": bundle["id"][:12]}
        config, files = choose_name_files(config, bundle["folder"])
        lent: list[int] = []  # the child's: closed here once it has them
        try:
            self._order(pack(config), [])  # it plans while we prepare
            write_name_files(files, bundle["folder"])
            trees = bind_trees(config)
            prepare_folder(bundle["folder"], machine.shift)
            lent.append(machine.mounts.open_root(bundle["layers"], bundle["folder"]))
            for tree in trees:
                if tree.layers:
                    prepare_folder(tree.scratch, machine.shift)
                    opened = machine.mounts.open_stack(tree.layers, tree.source, tree.scratch, read_only=tree.read_only)
                else:
                    opened = machine.mounts.open_bind(tree.source, read_only=tree.read_only, is_device=tree.is_device)
                lent.append(opened)
            first.cgroup.limit(self.resources)
            _lend_stdio(stdio, machine.shift)
            self._order(READY, [*stdio, *lent])
        except BaseException:
            first.discard()
            raise
        finally:
            for descriptor in lent:
                os.close(descriptor)

    def _order(self, message: bytes, descriptors: list[int]) -> None:
        """The process is there and reads: a message longer than the socket's buffer doesn't block for long."""
        try:
            sent = send_with_descriptors(self._first.orders, message, descriptors, socket.MSG_NOSIGNAL)
            if sent < len(message):  # having read all, the process closes, and even sending nothing would fail
                self._first.orders.sendall(message[sent:])
        except (BrokenPipeError, ConnectionResetError) as error:
            self.read_start()
            raise load_error(self.error or _KILLED) from error

    def read_start(self) -> Started | None:
        """What became of the start, once `failed` is readable: None is a failure, told in `error`."""
        answer = b""
        while part := os.read(self.failed, _MOST_NEWS_BYTES):
            answer += part
        if answer:
            self.error = json.loads(answer[4:])
            return None
        mount_points: tuple[str, ...] = ()
        command_pid, terminal = 0, -1
        for data, sender, descriptors in self._news():
            if data[:1] == b"M":
                mount_points = tuple(data[1:].decode().split("\0")) if data[1:] else ()
                terminal = descriptors[0] if descriptors else -1
            elif data[:1] == b"P":
                command_pid = sender
        if not command_pid:
            self.error = _KILLED
            return None
        return Started(
            pid=self.pid,
            command_pid=command_pid,
            mount_points=mount_points,
            terminal=terminal,
            cgroups=self._first.cgroup.places,
            lacking=self._first.cgroup.lacking,
        )

    def _news(self) -> list[tuple[bytes, int, list[int]]]:
        """Messages of the container's first processes that have come in: (data, pid of the sender, descriptors)."""
        found: list[tuple[bytes, int, list[int]]] = []
        room = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4)
        while True:
            try:
                data, ancillary, _, _ = self._first.control.recvmsg(
                    _MOST_NEWS_BYTES, room, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:
                continue  # a signal came too late to be read; what was sent before is still here
            except BlockingIOError:
                return found
            if not data:
                return found
            sender, descriptors = 0, []
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    sender = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
                elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.append(struct.unpack("i", content[:4])[0])
            self._note(data)
            found.append((data, sender, descriptors))

    def _note(self, data: bytes) -> None:
        if data[:1] == b"X":
            (_, self._status) = NEWS_EXIT.unpack(data)
        elif data[:1] == b"L":
            code = int(data[1:])
            self._first.cgroup.limits = Resources()
            self._first.cgroup.lack("the container could not join its cgroup", OSError(code, os.strerror(code)))

    def signal(self, number: int) -> None:
        """Send a signal to the command; SIGKILL ends everybody in the container."""
        if number == signal.SIGKILL:
            self.kill()
            return
        try:
            self._first.control.send(bytes([number]), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has just ended

    def kill(self) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def reap(self) -> dict[str, Any]:
        """Wait for the end, free everything, give what `Ended` needs."""
        _, status, rusage = os.wait4(self.pid, 0)
        self._news()
        code = os.waitstatus_to_exitcode(self._status if self._status is not None else status)
        cgroup = self._first.cgroup
        if self.error is _KILLED:
            self.error = dump_error(ContainerError(f"the container ended while it was being set up, with {code}"))
        usage = measure(cgroup, rusage)
        oom = cgroup.oom_killed()
        self._first.close()
        return {
            "exit_code": code if code >= 0 else 128 - code,
            "signal": -code if code < 0 else None,
            "oom": oom,
            "memory_limit_bytes": self.resources.memory_bytes,
            "usage": usage.to_dict(),
        }


def kind_of(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Which limits are asked for (the cgroup of one kind can take any values), and what privileges go by."""
    resources = resources_of(config)
    limits = [
        limit is None
        for limit in (resources.memory_bytes, resources.cpus, resources.pids, resources.cpu_shares, resources.cpuset)
    ]
    return (*limits, own_namespaces(config), privileges_key(config), _runtime_of(config))


def _runtime_of(config: Mapping[str, Any]) -> str:
    return str(config.get("annotations", {}).get(RUNTIME_ANNOTATION, ""))


def prepare_folder(folder: str, shift: int) -> None:
    """Make the folders of an overlay in a bundle's folder; `upper` becomes the container's "/" and its owner's.

    What another overlay left in `work` goes: it marks there that it wasn't synced, and no other may be mounted then.
    """
    removal.remove_tree(os.path.join(folder, "work"))
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
        # A named pipe is a file of somebody's, and would stay changed.
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
            try:
                os.fchown(descriptor, shift, shift)
            except PermissionError:
                continue  # root without CAP_CHOWN: writing to the open descriptor still works
