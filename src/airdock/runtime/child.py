"""The first two processes of a container: its pid 1, and the one that sets the inside up and becomes the command.

Pid 1 is a fork of the launcher, not a program of its own, and not the command itself either: the command as pid 1
would ignore SIGTERM unless it has a handler, and would leave orphans as zombies. The second fork is made ahead of the
orders, so it costs a start nothing. Pid 1 keeps CAP_KILL. Its memory is the launcher's, so it is hidden from the
container, and so is the launcher's command line.

    launcher                       pid 1                              command
    clone, writes id maps ───────▶ takes its ids, joins its cgroup
                                   fork ────────────────────────────▶ waits
    gives orders ────────────────────────────────────────────────────▶ mounts, pivots, finds the user
                                                                      gives up privileges
    learns pid from the sender  ◀──────────────── "P" ──────────────── just before execve
    `failed` closes: it runs                                          runs
    signals ── control ──────────▶ passes them on
    exit status ◀── control ────── reaps everybody, ends with it
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from airdock.errors import ContainerError
from airdock.record import record
from airdock.runtime.command import (
    drop_privileges,
    enter_folder,
    execute,
    make_environment,
    restore_signals,
    take_stdio,
)
from airdock.runtime.machine import Machine
from airdock.runtime.ops import Inside, MountNew, Op
from airdock.runtime.plan import plan
from airdock.runtime.refusal import RefusedError
from airdock.runtime.shed import NEWS_EXIT, NOT_STARTED, close_others, drop_stdio, fail, forbid_imports, own_keyring
from airdock.runtime.spec import RUNTIME_ANNOTATION
from airdock.runtime.syscalls import CLONE_NEWCGROUP, Syscalls
from airdock.runtime.users import find_config_user
from airdock.runtime.wire import FrameReader, send_with_descriptors

__all__ = ["READY", "Lines", "run_child"]

READY: Final = b"R"
"""Comes behind the configuration, with the descriptors."""

_CAP_KILL: Final = 1 << 5
_SIGNALFD_INFO_BYTES: Final = 128


@record
class Lines:
    """What connects a container's first process with the launcher.

    `orders` gives a byte when the ids are there, the configuration when it is known, and when all is prepared READY
    with the descriptors of stdio, root and binds. `failed` takes an error and closes when the command runs; `control`
    carries signals in and news out; `doors` are the files by which to move into the cgroup, `sysfs` the tree for /sys
    in a network namespace that was joined. `rehearsal` is a configuration like the one to come, where the orders will
    be a while.
    """

    orders: socket.socket
    failed: int
    control: socket.socket
    doors: tuple[int, ...]
    sysfs: int = -1
    rehearsal: Mapping[str, Any] | None = None

    def descriptors(self) -> list[int]:
        known = [self.orders.fileno(), self.failed, self.control.fileno(), *self.doors]
        return known if self.sysfs < 0 else [*known, self.sysfs]


def run_child(machine: Machine, lines: Lines) -> NoReturn:
    """Be the first process of a container; never returns and never raises."""
    try:
        close_others(lines.descriptors())
        forbid_imports()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if not lines.orders.recv(1):
            os._exit(NOT_STARTED)
        _isolate(machine, lines)
        drop_stdio()
        pid = machine.syscalls.fork()
        if pid == 0:
            _become_command(machine, lines)
        # The root changes under whoever is there when the container is pivoted; a folder elsewhere would be kept.
        os.chdir("/")
        os.close(lines.failed)
        os._exit(_reap(pid, lines.control, machine.syscalls))
    except BaseException as error:
        fail(lines.failed, error)


def _become_command(machine: Machine, lines: Lines) -> NoReturn:
    """Wait for orders, set the inside up, be the command."""
    try:
        if lines.rehearsal is not None:
            _rehearse(machine, lines.rehearsal)
        reader = FrameReader(lines.orders)
        config = _receive_config(reader)
        is_others = bool(config.get("annotations", {}).get(RUNTIME_ANNOTATION))
        steps = () if is_others else plan(config, machine.facts).setup
        *stdio, root = (descriptors := _receive_descriptors(reader))[:4]
        trees = tuple(descriptors[4:])
        calls = machine.syscalls
        if is_others:
            # Loaded by the launcher before it forked: here nothing may be imported any more.
            from airdock.runtime.oci_runtime import become_runtime

            become_runtime(
                calls,
                config,
                root=root,
                trees=trees,
                stdio=stdio,
                control=lines.control,
                failed=lines.failed,
                mapping=machine.mapping,
                open_files=machine.open_files,
            )
        inside = Inside(syscalls=calls, root=root, trees=trees, sysfs=lines.sysfs)
        _set_up(steps, inside)
        user = find_config_user(config)
        terminal = calls.open_terminal("/dev/pts") if config["process"].get("terminal") else None
        _tell(lines.control, inside.mount_points, terminal)
        take_stdio(stdio, user, terminal[1] if terminal else -1)
        process = config["process"]
        enter_folder(process["cwd"])
        drop_privileges(calls, user, machine.privileges(config), lambda: _announce(lines.control))
        restore_signals()
        execute(calls, process["args"], make_environment(process.get("env", ()), user.home))
    except BaseException as error:
        fail(lines.failed, error)


def _rehearse(machine: Machine, config: Mapping[str, Any]) -> None:
    """Go through the motions with calls that do nothing.

    A fork copies a page of memory when it first writes to it, and Python writes to whatever it looks at, since it
    counts references. What a start will look at, some thousand pages, is so copied before it matters.
    """
    from airdock.runtime.recorder import Recorder  # loaded by the launcher before it forked

    with contextlib.suppress(Exception):  # the real one will tell
        inside = Inside(syscalls=Recorder(), root=0, trees=tuple(range(len(config["mounts"]))))
        _set_up(plan(json.loads(json.dumps(config)), machine.facts).setup, inside)
        find_config_user(config)
        make_environment(config["process"].get("env", ()), "/")


def _receive_config(reader: FrameReader) -> Mapping[str, Any]:
    while (config := reader.next()) is None:
        _receive(reader)
    return config


def _receive(reader: FrameReader) -> None:
    reader.receive()
    if reader.closed:
        os._exit(NOT_STARTED)  # discarded


def _receive_descriptors(reader: FrameReader) -> list[int]:
    while not reader.descriptors:
        _receive(reader)
    reader.close()
    return reader.descriptors


def _isolate(machine: Machine, lines: Lines) -> None:
    syscalls = machine.syscalls
    os.setsid()
    os.umask(0o022)
    if machine.user_flag:
        syscalls.set_ids(0, 0, () if machine.mapping != "one" else None)
    syscalls.hide_memory()
    syscalls.die_with_parent()  # after the ids: changing them clears it
    syscalls.set_name("airdock-init")
    own_keyring(syscalls)
    _join_cgroup(lines)
    syscalls.unshare(CLONE_NEWCGROUP)


def _join_cgroup(lines: Lines) -> None:
    for door in lines.doors:
        try:
            os.write(door, b"0")
        except OSError as error:
            lines.control.send(f"L{error.errno}".encode())
        os.close(door)


def _set_up(setup: Sequence[Op], inside: Inside) -> None:
    for op in setup:
        try:
            op.apply(inside)
        except OSError as error:
            if isinstance(op, MountNew) and error.errno == errno.EPERM:
                raise RefusedError(error.errno, op.fstype, op.target) from error
            raise ContainerError(
                f"can't set up the container: {error.filename or type(op).__name__}: {error.strerror}",
                where=type(op).__name__,
            ) from error


def _tell(control: socket.socket, mount_points: list[str], terminal: tuple[int, int] | None) -> None:
    send_with_descriptors(control, b"M" + "\0".join(mount_points).encode(), [terminal[0]] if terminal else [])
    if terminal:
        os.close(terminal[0])


def _announce(control: socket.socket) -> None:
    """The kernel tells the launcher who sent this, by the pid that it has there."""
    control.send(b"P")


def _reap(command: int, control: socket.socket, syscalls: Syscalls) -> int:
    """Be pid 1: wait for everybody, pass signals on, end when the command does or the launcher is gone."""
    syscalls.capset(_CAP_KILL, _CAP_KILL, 0)
    close_others([control.fileno()])
    events = syscalls.signalfd(frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP})
    poll = select.poll()
    poll.register(events, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != events:
                news = control.recv(16)
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
                control.send(NEWS_EXIT.pack(b"X", status))
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
