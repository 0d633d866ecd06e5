"""The client's side of the launcher: start one, run containers, wait for them, and call functions inside its mapping.

The launcher (`server`) is a child of whoever needs containers. It is forked from a process with one thread, which costs
a millisecond, and spawned as a fresh interpreter otherwise, as forking a process with threads is a gamble. It dies with
its owner, whatever kills that, and its containers with it. `run` and `call` may be used from several threads.
"""

import contextlib
import errno
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final, Self

from airdock.errors import AirdockError, ContainerError, LauncherDiedError
from airdock.model.usage import Usage
from airdock.record import record
from airdock.runtime.kill import kill_container
from airdock.runtime.offspring import start_process
from airdock.runtime.refusal import RefusedError, explain_refusal
from airdock.runtime.state import ContainerState, process_start, save_state
from airdock.runtime.wire import FrameReader, dump_error, load_error, pack, receive_descriptors, send_with_descriptors

__all__ = ["Bundle", "Container", "Ended", "Launcher"]

_DIED: Final = "the launcher died while it was starting"
_STARTS: Final = 3
"""How often one request starts a launcher that dies again."""
_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF})


@record
class Bundle:
    """A container to run: `config` as `spec.make_config` makes it, `layers` unpacked folders, lowest first, and
    `folder` its own, which is made where it's missing. `name`, `image`, `image_digest` and `created` (RFC 3339, empty
    for now) are only remembered."""

    id: str
    config: Mapping[str, Any]
    layers: tuple[Path, ...]
    folder: Path
    name: str = ""
    image: str = ""
    image_digest: str = ""
    created: str = ""


@record
class Ended:
    """How a container ended. `exit_code` is 128+n for signal n; `oom` is the kernel's word, not a guess from 137."""

    exit_code: int
    signal: int | None
    oom: bool
    memory_limit_bytes: int | None
    usage: Usage

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{**value, "usage": Usage.from_dict(value["usage"])})


class Launcher:
    """Starts on `start` or when first needed; `stop` kills what still runs, `join` waits until nothing is left of it.

    One that was killed takes its containers with it; the next request starts another.

    `userns="host"` gives up user namespaces, for root only and only where the user says so. `user_namespace` is the
    path of one to live in, for ordinary accounts whose containers join what belongs to it. `spare` is whether the next
    container is made ready ahead of its time: it's not worth its memory where there is only one. Facts of the machine
    (`mapping`, `id_shift`) and its refusals (IsolationError) are known once the launcher is ready; whoever asks first
    waits for that.
    """

    def __init__(self, *, folder: Path, userns: str = "auto", user_namespace: str = "", spare: bool = True) -> None:
        self._folder = folder
        self._userns = userns
        self._user_namespace = user_namespace
        self._spare = spare
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._pid = 0
        self._ready: dict[str, Any] | None = None
        self._refusal: Exception | None = None
        self._stopped = False

    def inside(self, user_namespace: str) -> "Launcher":
        """A launcher like this one that lives in the user namespace at that path."""
        return Launcher(folder=self._folder, userns=self._userns, user_namespace=user_namespace, spare=self._spare)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments for one like this, as JSON."""
        return {"folder": str(self._folder.absolute()), "userns": self._userns}

    @property
    def pid(self) -> int:
        """The launcher's pid; 0 before `start` and after `join`."""
        return self._pid

    @property
    def mapping(self) -> str:
        """ "root", "ranges" or "one": see `idmaps`."""
        return str(self._facts()["mapping"])

    @property
    def id_shift(self) -> int:
        """What to subtract from owners found in a container's upper folder."""
        return int(self._facts()["id_shift"])

    @property
    def ranges_reason(self) -> str:
        """Why an ordinary account has one id only, or nothing."""
        return str(self._facts()["reason"])

    def start(self) -> None:
        """Start the launcher and come back at once. Harmless when it is started."""
        with self._lock:
            if self._control is not None:
                return
            self._stopped = False
            self._refusal = None
            own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            arguments = {
                "owner": os.getpid(),
                "folder": str(self._folder.absolute() / "mounts"),
                "userns": self._userns,
                "user_namespace": self._user_namespace,
                "spare": self._spare,
            }
            self._folder.mkdir(parents=True, exist_ok=True)
            with theirs:
                self._pid = start_process("airdock.runtime.begin:serve", arguments, [theirs.fileno()])
            self._control = own

    def stop(self) -> None:
        """Ask the launcher to kill what runs and end. Harmless before `start` and when repeated."""
        with self._lock:
            control, self._control = self._control, None
            self._ready = None
            self._stopped = True
        if control is not None:
            # Closing alone would not do: a fork of this process may hold another copy.
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
            control.close()

    def join(self) -> None:
        """Wait until the launcher and all its containers are gone; call `stop` first."""
        with self._lock:
            pid, self._pid = self._pid, 0
        if pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def run(self, bundle: Bundle, *, stdin: int, stdout: int, stderr: int) -> "Container":
        """Start a container; returns once its command was executed. The descriptors stay the caller's.

        Raises CommandNotFoundError (127), NotExecutableError (126), IsolationError, ContainerError; then nothing is
        left but its folder.
        """
        bundle.folder.mkdir(parents=True, exist_ok=True)
        message = {
            "op": "run",
            "bundle": {
                "id": bundle.id,
                "config": bundle.config,
                "layers": [str(path) for path in bundle.layers],
                "folder": str(bundle.folder.absolute()),
            },
        }
        session = self._open_session(message, [stdin, stdout, stderr])
        try:
            reader = FrameReader(session)
            answer = _wait_for_frame(reader)
            if "error" in answer:
                raise self._error(answer["error"])
            started = answer["started"]
            state = _state_of(bundle, started, self.mapping)
            save_state(state)
            return Container(self, session, reader, state, lacking=started["lacking"])
        except BaseException:
            session.close()
            raise

    def call(self, function: str, arguments: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """Run "airdock.module:function" where the account has all its ids; JSON in, JSON out; its errors are raised.

        It gets copies of `descriptors`, if there are any, as the argument of that name.
        """
        return self._ask({"op": "call", "function": function, "arguments": dict(arguments)}, descriptors)

    def remove(self, folder: Path, *, keep_upper: bool = False) -> None:
        """Remove the folder of a container that has ended, or all of it but `upper`."""
        self._ask({"op": "remove", "folder": str(folder.absolute()), "keep_upper": keep_upper})

    def _ask(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        with self._open_session(message, descriptors) as session:
            answer = _wait_for_frame(FrameReader(session))
        if "error" in answer:
            raise self._error(answer["error"])
        return answer["value"]

    def _error(self, value: Mapping[str, Any]) -> Exception:
        """What the launcher told, with the reason where this machine forbids something."""
        error = load_error(value)
        return explain_refusal(error, self._folder) if isinstance(error, RefusedError) else error

    def _open_session(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> socket.socket:
        """Begin a request; where the launcher was killed, with another one."""
        session = self._try_session(message, descriptors) or self._try_session(message, descriptors)
        if session is None:
            raise LauncherDiedError("the launcher has died", where=f"process {self._pid}")
        return session

    def _try_session(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> socket.socket | None:
        self._facts()
        control = self._control
        if control is None:
            if self._stopped:
                raise ContainerError("the launcher was stopped")
            return None  # another thread has buried it
        own, theirs = socket.socketpair()
        try:
            with theirs:
                send_with_descriptors(control, b"S", [theirs.fileno(), *descriptors], socket.MSG_NOSIGNAL)
            own.sendall(pack(message))
        except OSError as error:
            own.close()
            if error.errno not in _GONE:
                raise ContainerError(f"the launcher can't be asked: {error.strerror}") from error
            self._bury(control)
            return None
        return own

    def _bury(self, control: socket.socket) -> None:
        """Forget a launcher that died, unless another thread did. Its containers are dead by then, or dying."""
        with self._lock:
            if self._control is control:
                self._forget(control)

    def _forget(self, control: socket.socket) -> None:
        self._control, self._ready = None, None
        control.close()
        pid, self._pid = self._pid, 0
        if pid:  # 0, of one that was joined already, would mean any child of ours
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _facts(self) -> dict[str, Any]:
        """What the launcher found out when it started; waits for it the first time, and for another if that dies."""
        for _ in range(_STARTS):
            if (ready := self._ready or self._wait_until_ready()) is not None:
                return ready
        raise LauncherDiedError(_DIED)

    def _wait_until_ready(self) -> dict[str, Any] | None:
        """None where it died meanwhile, whichever thread was told so."""
        if self._stopped:
            raise ContainerError("the launcher was stopped")
        self.start()
        with self._lock:
            if self._ready is None and (control := self._control) is not None:
                try:
                    self._ready = self._hear(control)
                except LauncherDiedError:
                    self._forget(control)
            return self._ready

    def _hear(self, control: socket.socket) -> dict[str, Any]:
        """The launcher's first word; a refusal is said once by it, and to everybody who asks by us."""
        if self._refusal is None:
            try:
                return self._read_ready(control)
            except LauncherDiedError:  # which says nothing of the next
                raise
            except (AirdockError, OSError) as error:
                self._refusal = error
        raise self._refusal

    def _read_ready(self, control: socket.socket) -> dict[str, Any]:
        data, _ = receive_descriptors(control, 1 << 18)
        answer: dict[str, Any] = json.loads(data[4:]) if data else {"error": dump_error(LauncherDiedError(_DIED))}
        if "error" in answer:
            raise self._error(answer["error"])
        ready: dict[str, Any] = answer["ready"]
        return ready


class Container:
    """A running container, or one that has ended. `remove` it at the end; until then its folder stays."""

    def __init__(
        self,
        launcher: Launcher,
        session: socket.socket,
        reader: FrameReader,
        state: ContainerState,
        *,
        lacking: str = "",
    ) -> None:
        self._launcher = launcher
        self._session = session
        self._reader = reader
        self._lock = threading.Lock()
        self._ended: Ended | None = None
        self.state = state
        self.id = state.id
        self.pid = state.pid
        self.mount_points = tuple(path.lstrip("/") for path in state.mount_points)
        """Paths that were made to mount on, relative to "/": a layer made of `upper` leaves them out."""
        self.upper = Path(state.folder, "upper")
        self.lacking = lacking
        """Why a limit that was asked for doesn't hold, or nothing."""
        self.terminal = reader.descriptors.pop() if reader.descriptors else -1
        """The master of the container's terminal, where it has one; the caller closes it."""
        self.notes: tuple[str, ...] = ()
        """Sentences for whoever asked for it."""
        self.release: Callable[[], None] = lambda: None
        """What gives back what it held outside the launcher; called once it has ended and is removed."""

    def fileno(self) -> int:
        """Readable once the container has ended, and from then on."""
        return self._session.fileno()

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        """Wait for the end; None when it didn't come in time. Any thread may wait, also at the same time.

        Raises LauncherDiedError when the launcher died: by then the container is gone too.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._ended is None:
            if not _is_readable(self._session, deadline):
                return None
            with self._lock:
                if self._ended is None:
                    self._read_end()
        return self._ended

    def _read_end(self) -> None:
        if not _is_readable(self._session, time.monotonic()):
            return
        self._reader.receive(socket.MSG_DONTWAIT)
        message = self._reader.next()
        if message is not None and "ended" in message:
            self._ended = Ended.from_dict(message["ended"])
            # Our end closes too, so that `fileno` is readable from now on.
            with contextlib.suppress(OSError):
                self._session.shutdown(socket.SHUT_RDWR)
            self.state = self.state.ended_with(self._ended.exit_code)
            if os.path.isdir(self.state.folder):
                with contextlib.suppress(OSError):  # on a full disk its record says "dead", as it does of the killed
                    save_state(self.state)
        elif message is not None:
            raise load_error(message["error"])
        elif self._reader.closed:
            kill_container(self.state)  # its death is on the way; who hears of it may rely on it
            raise LauncherDiedError(
                "the launcher has died, and the container with it", where=f"container {self.id[:12]}"
            )

    def signal(self, number: int) -> None:
        """Send a signal to the command; SIGKILL ends every process of the container. Harmless after the end."""
        with contextlib.suppress(OSError):
            self._session.send(pack({"op": "signal", "number": int(number)}), socket.MSG_NOSIGNAL)

    def stop(self, grace_s: float = 10.0, *, number: int = SIGTERM) -> Ended:
        """Ask the command to end, wait `grace_s` seconds, kill it."""
        self.signal(number)
        ended = self.wait(grace_s)
        if ended is None:
            self.signal(SIGKILL)
            ended = self.wait()
        assert ended is not None
        return ended

    def close(self) -> None:
        """Let go of one that has ended; its folder stays. Harmless when repeated."""
        self._session.close()
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1

    def remove(self, keep_upper: bool = False) -> None:
        """Kill it if it runs, and remove its folder; with `keep_upper` that folder stays. Harmless when repeated."""
        if self._session.fileno() >= 0:
            try:
                self.stop(0)
            except ContainerError:
                pass  # the launcher died: what is left is the folder
        self.close()
        self.release()
        self._launcher.remove(Path(self.state.folder), keep_upper=keep_upper)


def _state_of(bundle: Bundle, started: Mapping[str, Any], mapping: str) -> ContainerState:
    return ContainerState(
        id=bundle.id,
        folder=str(bundle.folder.absolute()),
        name=bundle.name,
        image=bundle.image,
        image_digest=bundle.image_digest,
        command=tuple(bundle.config["process"]["args"]),
        created=bundle.created or datetime.now(UTC).isoformat(),
        status="running",
        pid=started["pid"],
        pid_start=process_start(started["pid"]),
        command_pid=started["command_pid"],
        command_start=process_start(started["command_pid"]),
        mapping=mapping,
        config=bundle.config,
        cgroups=started["cgroups"],
        mount_points=tuple(started["mount_points"]),
    )


def _wait_for_frame(reader: FrameReader) -> dict[str, Any]:
    while True:
        message = reader.next()
        if message is not None:
            return message
        if reader.closed:
            raise LauncherDiedError("the launcher died before it answered")
        reader.receive()


def _is_readable(sock: socket.socket, deadline: float | None) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    left_ms = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
    return bool(poll.poll(left_ms))
