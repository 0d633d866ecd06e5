"""A container's files, for work that must not trust them: in a process that has the container's ids and nothing else.

A running container is looked at through /proc/<pid>/root, from a process of its user namespace that keeps the machine's
mounts, so that nothing it imports or executes could come from the container. One that doesn't run gets its overlay, and
its binds, mounted for a moment where only that process sees them. The work itself is a function

    work(root: int, stream: int, **arguments) -> JSON

that gets the root as an open folder and one end of a stream; it runs without rights over the machine.
"""

import importlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

from airdock.containers.rooted import open_in
from airdock.errors import ContainerError, UnknownContainerError
from airdock.images.background import Background
from airdock.record import record
from airdock.runtime.idmaps import open_shifted_namespace
from airdock.runtime.machine import is_real_root
from airdock.runtime.mounts import Mounts
from airdock.runtime.offspring import start_process
from airdock.runtime.process import prepare_folder
from airdock.runtime.shed import close_others, drop_stdio, fail
from airdock.runtime.state import ContainerState, is_alive
from airdock.runtime.syscalls import CLONE_NEWNS, CLONE_NEWUSER, Syscalls
from airdock.runtime.wire import load_error

__all__ = ["Launch", "View", "Work", "mount_and_work", "serve_running"]

_WRITTEN: Final = 1 << 16


class Launch(Protocol):
    """What a view needs of `runtime.launcher.Launcher`."""

    @property
    def id_shift(self) -> int: ...

    @property
    def mapping(self) -> str: ...

    def call(self, function: str, arguments: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any: ...


class Work(Protocol):
    """Work that has been begun."""

    def result(self) -> Any:
        """Wait for its end; its errors are raised."""
        ...


@record
class View:
    """One container: `folder` is its own, `layers` those of its image, lowest first, `state` what runs, if it does."""

    folder: Path
    layers: Sequence[Path]
    mounts: Sequence[Mapping[str, Any]]
    state: ContainerState | None
    launcher: Launch
    work: Path
    """The folder that launchers mount in."""

    @property
    def is_running(self) -> bool:
        return self.state is not None and self.state.alive

    @property
    def hidden(self) -> list[str]:
        """Where something is mounted that isn't the container's own, relative to its root."""
        if self.is_running:
            assert self.state is not None
            return _mount_points(self.state.command_pid)
        return [str(mount["destination"]).lstrip("/") for mount in self.mounts]

    def begin(self, function: str, arguments: Mapping[str, Any], stream: int) -> Work:
        """Begin "airdock.module:function"(root, stream, **arguments). The stream stays the caller's, who closes it."""
        if self.is_running:
            assert self.state is not None
            return _Process(self.state, function, arguments, stream)
        given = {
            "folder": str(self.folder.absolute()),
            "layers": [str(path) for path in self.layers],
            "mounts": [dict(mount) for mount in self.mounts],
            "work": str(self.work.absolute()),
            "shift": self.launcher.id_shift,
            "function": function,
            "arguments": dict(arguments),
        }
        own = os.dup(stream)

        def call() -> Any:
            try:
                return self.launcher.call("airdock.containers.view:mount_and_work", given, [own])
            finally:
                os.close(own)

        return Background(call)

    def ask(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Work that needs no stream, to its end."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            return self.begin(function, arguments, nothing).result()
        finally:
            os.close(nothing)


class _Process:
    """Work in a process of the container's user namespace."""

    def __init__(self, state: ContainerState, function: str, arguments: Mapping[str, Any], stream: int) -> None:
        answer, write = os.pipe2(os.O_CLOEXEC)
        self._answer = answer
        given = {"state": state.to_dict(), "function": function, "arguments": dict(arguments)}
        try:
            self._pid = start_process("airdock.containers.view:serve_running", given, [write, stream])
        finally:
            os.close(write)

    def result(self) -> Any:
        with open(self._answer, "rb") as file:
            answer = file.read()
        os.waitpid(self._pid, 0)
        if answer[:1] == b"V":
            return json.loads(answer[1:])
        if answer:
            raise load_error(json.loads(answer[4:]))
        raise ContainerError("the process that looks into the container was killed")


def serve_running(
    descriptors: list[int], *, state: Mapping[str, Any], function: str, arguments: Mapping[str, Any]
) -> NoReturn:
    """Be the process that works on a running container; never returns."""
    answer, stream = descriptors
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        close_others([answer, stream])
        drop_stdio()
        known = ContainerState.from_dict(state)
        work = _find(function)
        root = _open_root(known)
        _join(Syscalls(), known)
        value = work(root, stream, **arguments)
        _write(answer, b"V" + json.dumps(value).encode())
        os._exit(0)
    except BaseException as error:
        fail(answer, error)


def _open_root(state: ContainerState) -> int:
    """The root of a container's command; of pid 1, a fork of the launcher, it would be hidden even from us."""
    try:
        root = os.open(f"/proc/{state.command_pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        root = -1
    if root < 0 or not is_alive(state.command_pid, state.command_start):
        raise UnknownContainerError(f"expected container {state.id[:12]} to be running, found its command ended")
    return root


def _join(calls: Syscalls, state: ContainerState) -> None:
    """Have the ids of the container and nobody else's rights."""
    path = f"/proc/{state.command_pid}/ns/user"
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if not is_alive(state.command_pid, state.command_start):
        raise UnknownContainerError(f"expected container {state.id[:12]} to be running, found its command ended")
    if os.readlink(path) != os.readlink("/proc/self/ns/user"):
        _become(calls, namespace, has_groups=state.mapping != "one")
    os.close(namespace)


def _become(calls: Syscalls, namespace: int, *, has_groups: bool) -> None:
    calls.hide_memory()
    calls.setns(namespace, CLONE_NEWUSER)
    calls.set_ids(0, 0, () if has_groups else None)


def mount_and_work(
    *,
    folder: str,
    layers: Sequence[str],
    mounts: Sequence[Mapping[str, Any]],
    work: str,
    shift: int,
    function: str,
    arguments: Mapping[str, Any],
    descriptors: Sequence[int],
) -> Any:
    """Work on a container that doesn't run: a call of the launcher (`Launcher.call`).

    A process of its own gives up its rights for the work, so the overlay can be cleared away afterwards.
    """
    os.umask(0)
    calls = Syscalls()
    found = _find(function)
    prepare_folder(folder, shift)
    calls.unshare(CLONE_NEWNS)
    shifted = open_shifted_namespace(calls) if shift else -1
    machine = Mounts(calls, folder=work, shifted=shifted, trusted=is_real_root())
    machine.enter()
    tree = machine.open_root(layers, folder)
    calls.move_mount(tree, "root")
    os.close(tree)
    root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for mount in mounts:
        if mount.get("type") == "bind" and "layers" not in mount and mount["source"] != "/sys":
            _attach(calls, machine, root, mount)
    root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            if shifted >= 0:
                _become(calls, shifted, has_groups=True)
            _write(writer, b"V" + json.dumps(found(root, descriptors[0], **arguments)).encode())
            os._exit(0)
        except BaseException as error:
            fail(writer, error)
    os.close(writer)
    for descriptor in descriptors:
        os.close(descriptor)
    with open(reader, "rb") as file:
        answer = file.read()
    os.waitpid(pid, 0)
    os.close(root)
    calls.umount("root")
    if answer[:1] == b"V":
        return json.loads(answer[1:])
    raise load_error(json.loads(answer[4:])) if answer else ContainerError("the process at work was killed")


def _attach(calls: Syscalls, machine: Mounts, root: int, mount: Mapping[str, Any]) -> None:
    """Bind a volume where the container would have it, if there is such a place; it's looked up inside its root."""
    try:
        tree = machine.open_bind(mount["source"], read_only="ro" in mount.get("options", ()))
    except ContainerError:
        return  # what it was bound to is gone
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            place = open_in(root, mount["destination"], os.O_PATH)
            calls.move_mount(tree, place)
            os.close(place)
    finally:
        os.close(tree)


def _mount_points(pid: int) -> list[str]:
    """Everything mounted below a process's root, relative to that: proc_pid_mountinfo(5)."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        points = [line.split()[4] for line in file]
    decoded = (os.fsdecode(point.decode("unicode_escape").encode("latin-1")) for point in points)
    return [point.lstrip("/") for point in decoded if point != "/"]


def _find(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _write(descriptor: int, data: bytes) -> None:
    for start in range(0, len(data), _WRITTEN):
        os.write(descriptor, data[start : start + _WRITTEN])
    with suppress(OSError):
        os.close(descriptor)
