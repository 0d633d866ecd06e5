"""The launcher's own process: single-threaded, waits on descriptors, forks containers, never blocks on one of them.

Each request is a session (see `wire`). A running container is a session with three more descriptors: a pidfd that
becomes readable at its end, `failed` that closes when its command runs, and the control socket of its pid 1.
"""

import errno
import gc
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from airdock.errors import AirdockError, ContainerError
from airdock.runtime import removal
from airdock.runtime.calls import answer_call, find_function
from airdock.runtime.join import joined_namespaces
from airdock.runtime.machine import Machine
from airdock.runtime.process import ContainerProcess, FirstProcess, kind_of
from airdock.runtime.refusal import RefusedError
from airdock.runtime.shed import close_others
from airdock.runtime.syscalls import Syscalls
from airdock.runtime.title import set_title
from airdock.runtime.wire import FrameReader, dump_error, pack, receive_descriptors, send_with_descriptors

__all__ = ["serve"]

_SIGNALFD_INFO_BYTES: Final = 128
_IDLE_S: Final = 0.005
"""Longer than a short container lives: the next one, on its way into a cgroup, holds up the removal of this one's."""


def serve(
    descriptors: list[int],
    *,
    owner: int,
    folder: str,
    userns: str,
    user_namespace: str = "",
    spare: bool = True,
    child: int = 0,
) -> NoReturn:
    """Be the launcher of process `owner` until it ends or closes the control socket; never returns.

    `child` is a process of ours that will end by itself. `spare` is whether to have the next container's first process
    ready: four megabytes for some milliseconds.
    """
    code = 1
    try:
        (control,) = descriptors
        os.setsid()
        close_others([control])
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
        os.umask(0o022)
        set_title("airdock-launcher")
        _quiet_stdin()
        server = _Server(
            socket.socket(fileno=control),
            owner,
            Machine(Syscalls(), folder=folder, userns=userns, user_namespace=user_namespace),
            child,
            spare,
        )
        server.run()
        code = 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


def _quiet_stdin() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


class _Session:
    """One request, from its socket's arrival until its last answer."""

    def __init__(self, sock: socket.socket, descriptors: list[int]) -> None:
        self.sock = sock
        self.reader = FrameReader(sock)
        self.descriptors = descriptors
        self.container: ContainerProcess | None = None

    def send(self, message: Mapping[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send a small frame; a client that is gone or doesn't read gets nothing."""
        try:
            send_with_descriptors(self.sock, pack(message), descriptors, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            pass  # the session's own end is seen where it is read

    def close(self) -> None:
        self.sock.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class _Server:
    def __init__(self, control: socket.socket, owner: int, machine: Machine, child: int, spare: bool) -> None:
        self._control = control
        self._owner = os.pidfd_open(owner)
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._sessions: dict[int, _Session] = {}
        self._calls: dict[int, int] = {child: child} if child else {}
        self._stopping = False
        self._spare: FirstProcess | None = None
        self._wanted: Mapping[str, Any] | None = None
        self._has_spare = spare
        self._serial = 0
        self._syscalls = machine.syscalls
        self._machine = machine

    def run(self) -> None:
        try:
            ready = self._machine.enter()
        except (AirdockError, RefusedError) as error:
            self._tell({"error": dump_error(error)})
            return
        _raise_open_files()
        signals = self._syscalls.signalfd(frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}))
        self._watch(self._control.fileno(), self._accept)
        self._watch(self._owner, self._stop)
        self._watch(signals, lambda: self._on_signal(signals))
        self._tell({"ready": ready})
        gc.disable()  # a collection would copy every page that is shared with the owner
        while not self._stopping:
            self._turn()
        self._end_all()

    def _tell(self, message: Mapping[str, Any]) -> None:
        try:
            self._control.send(pack(message), socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            self._stopping = True  # stopped before it was needed

    def _turn(self) -> None:
        events = self._poll.poll(_IDLE_S if self._wanted is not None else None)
        if not events:
            self._make_spare()
        # Handlers close and open descriptors: one that has got another handler meanwhile isn't ready.
        ready = [(number, self._handlers[number]) for number, _ in events if number in self._handlers]
        for number, act in ready:
            if self._handlers.get(number) is act:
                act()

    def _watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._poll.register(descriptor, select.EPOLLIN)
        self._handlers[descriptor] = handler

    def _unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def _stop(self) -> None:
        self._stopping = True

    def _on_signal(self, descriptor: int) -> None:
        number = int.from_bytes(os.read(descriptor, _SIGNALFD_INFO_BYTES)[:4], sys.byteorder)
        if number == signal.SIGTERM:
            self._stopping = True
        # SIGCHLD only wakes us: callers' children are waited for here, containers by their pidfd.
        for pid in list(self._calls):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._calls[pid]

    def _accept(self) -> None:
        try:
            data, descriptors = receive_descriptors(self._control, 16)
        except ConnectionResetError:  # the owner left with something of ours unread, and so without a word
            data, descriptors = b"", []
        if not data:
            self._stopping = True
            return
        session = _Session(socket.socket(fileno=descriptors[0]), descriptors[1:])
        session.sock.setblocking(False)
        self._sessions[session.sock.fileno()] = session
        self._watch(session.sock.fileno(), lambda: self._read(session))
        self._read(session)

    def _read(self, session: _Session) -> None:
        session.reader.receive(socket.MSG_DONTWAIT)
        while (message := session.reader.next()) is not None:
            try:
                self._handle(session, message)
            except Exception as error:  # the edge of the loop: one request that goes wrong doesn't end the others
                session.send({"error": dump_error(error)})
                self._drop(session)
                return
        if session.reader.closed and session.sock.fileno() >= 0:
            if session.container is not None:
                # Nobody is left to wait for it.
                session.container.kill()
                self._unwatch(session.sock.fileno())
            else:
                self._drop(session)

    def _drop(self, session: _Session) -> None:
        self._unwatch(session.sock.fileno())
        self._sessions.pop(session.sock.fileno(), None)
        session.close()

    def _handle(self, session: _Session, message: Mapping[str, Any]) -> None:
        operation = message["op"]
        if operation == "signal":
            if session.container is not None:
                session.container.signal(message["number"])
        elif operation == "run":
            self._run(session, message["bundle"])
        elif operation == "call":
            self._call(session, message["function"], message["arguments"])
        elif operation == "remove":
            self._remove(session, message["folder"], message["keep_upper"])
        else:
            raise ContainerError(f"expected a request that the launcher knows, found {operation!r}")

    def _call(self, session: _Session, name: str, arguments: Mapping[str, Any]) -> None:
        function = find_function(name)
        pid = os.fork()
        if pid == 0:
            answer_call(function, arguments, session.sock, session.descriptors)
        self._calls[pid] = pid
        self._drop(session)

    def _remove(self, session: _Session, folder: str, keep_upper: bool) -> None:
        if not removal.remove_small_bundle(folder, keep_upper):
            self._call(session, "airdock.runtime.removal:remove_bundle", {"folder": folder, "keep_upper": keep_upper})
            return
        session.send({"value": None})
        self._drop(session)

    def _run(self, session: _Session, bundle: Mapping[str, Any]) -> None:
        stdio = (session.descriptors[0], session.descriptors[1], session.descriptors[2])
        first = self._take_first(bundle["config"])
        container = ContainerProcess(self._machine, first, bundle, stdio)
        session.container = container
        for descriptor in session.descriptors:
            os.close(descriptor)
        session.descriptors = []
        self._watch(container.failed, lambda: self._on_started(session, container))
        self._watch(container.pidfd, lambda: self._on_ended(session, container))

    def _take_first(self, config: Mapping[str, Any]) -> FirstProcess:
        """The process that was made ahead, if it can become this container, else a new one."""
        if joined_namespaces(config):
            return self._make_first(config)
        spare, self._spare = self._spare, None
        if spare is not None and spare.kind == kind_of(config) and spare.is_waiting():
            return spare
        if spare is not None:
            spare.discard()
        return self._make_first(config)

    def _make_first(self, config: Mapping[str, Any], *, is_ahead: bool = False) -> FirstProcess:
        self._serial += 1
        return FirstProcess(self._machine, f"{os.getpid()}-{self._serial}", config, is_ahead=is_ahead)

    def _make_spare(self) -> None:
        """In a quiet moment, have the next container's first process ready, of the kind that was last asked for."""
        wanted, self._wanted = self._wanted, None
        if self._spare is None and wanted is not None:
            try:
                self._spare = self._make_first(wanted, is_ahead=True)
            except (RefusedError, OSError):
                pass  # whoever asks for a container next is told

    def _on_started(self, session: _Session, container: ContainerProcess) -> None:
        """Either the command runs, or `failed` says why not."""
        self._unwatch(container.failed)
        started = container.read_start()
        if started is None:
            return  # told when it is reaped: by then nothing of it is left
        session.send({"started": started.to_dict()}, (started.terminal,) if started.terminal >= 0 else ())
        if started.terminal >= 0:
            os.close(started.terminal)
        if self._has_spare and not joined_namespaces(container.config):  # each of those is a kind of its own
            self._wanted = container.config

    def _on_ended(self, session: _Session, container: ContainerProcess) -> None:
        if container.failed in self._handlers:
            self._on_started(session, container)
        self._unwatch(container.pidfd)
        ended = container.reap()
        session.send({"error": container.error} if container.error else {"ended": ended})
        self._drop(session)

    def _end_all(self) -> None:
        """Kill every container and wait until its processes, mounts and cgroup are gone."""
        running = [session.container for session in self._sessions.values() if session.container is not None]
        for container in running:
            container.kill()
        for container in running:
            container.reap()
        if self._spare is not None:
            self._spare.discard()
        self._machine.cgroups.close()


def _raise_open_files() -> None:
    """Each container takes a handful of descriptors here; its command gets the limit that we had."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in {errno.EPERM, errno.EINVAL}:
            raise
