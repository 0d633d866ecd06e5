"""The first process of a container: sets the inside up, starts the command, and stays as its pid 1.

It is a fork of the launcher, not a program of its own, and not the command itself either: the command as pid 1 would
ignore SIGTERM unless it has a handler, and would leave orphans as zombies; a second fork of a small process costs half
a millisecond. What it keeps is CAP_KILL. Its memory is the launcher's, so it is hidden from the container.

    launcher                       pid 1                              command
    clone ───────────────────────▶ waits for its ids and its cgroup
    writes id maps, attaches ────▶ mounts, pivots, finds the user
                                   fork ────────────────────────────▶ gives up privileges
    learns pid from the sender  ◀──────────────── "P" ──────────────── just before execve
    `failed` closes: it runs                                          runs
    signals ── control ──────────▶ passes them on
    exit status ◀── control ────── reaps everybody, ends with it
"""

import fcntl
import os
import select
import signal
import socket
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from airdock.errors import AirdockError, ContainerError
from airdock.runtime.command import Privileges, drop_privileges, execute, make_environment, restore_signals
from airdock.runtime.ops import Inside, Op
from airdock.runtime.syscalls import CLONE_NEWCGROUP, Syscalls
from airdock.runtime.users import User, find_user
from airdock.runtime.wire import dump_error, pack, send_with_descriptors

__all__ = ["Job", "close_others", "run_child"]

_CAP_KILL: Final = 1 << 5
_SIGNALFD_INFO_BYTES: Final = 128
_EXIT: Final = struct.Struct("=ci")
NOT_STARTED: Final = 125


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Everything a container's first process needs, made before the fork.

    `go` gives a byte when ids and cgroup are there, `failed` takes an error and closes when the command runs,
    `control` carries signals in and news out. `id_mapped` is false where the container shares the machine's ids.
    """

    config: Mapping[str, Any]
    setup: Sequence[Op]
    root: int
    trees: tuple[int, ...]
    stdio: tuple[int, int, int]
    go: int
    failed: int
    control: socket.socket
    privileges: Privileges
    id_mapped: bool

    def descriptors(self) -> list[int]:
        return [self.root, *self.trees, *self.stdio, self.go, self.failed, self.control.fileno()]


def run_child(job: Job, syscalls: Syscalls) -> NoReturn:
    """Be the first process of a container; never returns and never raises."""
    try:
        close_others(job.descriptors())
        if not os.read(job.go, 1):
            os._exit(NOT_STARTED)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _isolate(job, syscalls)
        inside = Inside(syscalls=syscalls, root=job.root, trees=job.trees)
        _set_up(job, inside)
        user = find_user(job.config)
        terminal = syscalls.open_terminal("/dev/pts") if job.config["process"].get("terminal") else None
        _tell(job.control, inside.mount_points, terminal)
        pid = syscalls.fork()
        if pid == 0:
            _command(job, syscalls, user, terminal[1] if terminal else -1)
        os._exit(_reap(pid, job, syscalls))
    except BaseException as error:
        _fail(job.failed, error)


def _isolate(job: Job, syscalls: Syscalls) -> None:
    os.setsid()
    os.umask(0o022)
    if job.id_mapped:
        syscalls.set_ids(0, 0, () if job.privileges.can_set_groups else None)
    syscalls.hide_memory()
    syscalls.die_with_parent()  # after the ids: changing them clears it
    syscalls.set_name("airdock-init")
    try:
        syscalls.join_new_session_keyring()
    except OSError:
        pass  # the kernel has no keyrings, or the quota is used up: the filter forbids keyctl(2) anyway
    syscalls.unshare(CLONE_NEWCGROUP)


def _set_up(job: Job, inside: Inside) -> None:
    for op in job.setup:
        try:
            op.apply(inside)
        except OSError as error:
            raise ContainerError(
                f"can't set up the container: {error.filename or type(op).__name__}: {error.strerror}",
                where=type(op).__name__,
            ) from error


def _tell(control: socket.socket, mount_points: list[str], terminal: tuple[int, int] | None) -> None:
    send_with_descriptors(control, b"M" + "\0".join(mount_points).encode(), [terminal[0]] if terminal else [])
    if terminal:
        os.close(terminal[0])


def _command(job: Job, syscalls: Syscalls, user: User, terminal: int) -> NoReturn:
    try:
        os.setsid()
        _own_stdio(job.stdio, user)
        for number, descriptor in enumerate((terminal, terminal, terminal) if terminal >= 0 else job.stdio):
            os.dup2(descriptor, number)
        if terminal >= 0:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            os.fchown(0, user.uid, -1)
        process = job.config["process"]
        _enter(process["cwd"])
        drop_privileges(syscalls, user, job.privileges, lambda: _announce(job.control))
        restore_signals()
        execute(syscalls, process["args"], make_environment(process.get("env", ()), user.home))
    except BaseException as error:
        _fail(job.failed, error)


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise ContainerError(f"can't enter the working folder {folder}: {error.strerror}", where=folder) from error


def _announce(control: socket.socket) -> None:
    """The kernel tells the launcher who sent this, by the pid that it has there."""
    control.send(b"P")


def _own_stdio(stdio: Sequence[int], user: User) -> None:
    """Let the user open /dev/stdout again: pipes belong to whoever made them, who is nobody in here."""
    for descriptor in stdio:
        if os.fstat(descriptor).st_mode & 0o170000 == 0o010000:
            try:
                os.fchown(descriptor, user.uid, -1)
            except OSError:
                continue  # not ours to give: writing to the open descriptor still works


def _reap(command: int, job: Job, syscalls: Syscalls) -> int:
    """Be pid 1: wait for everybody, pass signals on, end when the command does or the launcher is gone."""
    syscalls.capset(_CAP_KILL, _CAP_KILL, 0)
    os.close(job.failed)
    _forget_stdio(job)
    events = syscalls.signalfd(frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP})
    poll = select.poll()
    poll.register(events, select.POLLIN)
    poll.register(job.control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != events:
                news = job.control.recv(16)
                if not news:
                    return 128 + signal.SIGKILL
                _forward(command, news[0])
                continue
            (number,) = struct.unpack_from("=I", os.read(events, _SIGNALFD_INFO_BYTES))
            if number != signal.SIGCHLD:
                _forward(command, number)
                continue
            status = _wait_for_all(command)
            if status is not None:
                job.control.send(_EXIT.pack(b"X", status))
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _wait_for_all(command: int) -> int | None:
    """Reap whoever ended; gives the status of the command if it was among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = status


def _forward(command: int, number: int) -> None:
    try:
        os.kill(command, number)
    except OSError:
        pass  # it has just ended


def _forget_stdio(job: Job) -> None:
    """A reader of the command's output must not wait for pid 1 too."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    close_others([job.control.fileno()])


def _fail(descriptor: int, error: BaseException) -> NoReturn:
    try:
        code = error.exit_code if isinstance(error, AirdockError) else NOT_STARTED
        os.write(descriptor, pack(dump_error(error)))
        os._exit(code)
    finally:
        os._exit(NOT_STARTED)


def close_others(kept: Sequence[int]) -> None:
    """Close every descriptor but the standard three and those given."""
    first = 3
    for descriptor in sorted({number for number in kept if number > 2}):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 1 << 30)
