"""The small process beside a container that outlives the command which started it.

It is forked by that command and belongs to nobody: it owns the launcher of its one container, keeps the log, lets
clients attach over a socket, probes the container's health, starts it again where its policy says so, writes down how
it goes, and leaves when all is over. When it is killed, its launcher and the container die with it.

    command ── fork ──▶ monitor ── owns ──▶ launcher ── clones ──▶ pid 1
                          │  ◀── monitor.sock ── attach, logs -f, wait, stop, kill
"""

import gc
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from airdock.containers.clients import Client, Clients
from airdock.containers.health import Health
from airdock.containers.log_write import LogWriter
from airdock.containers.names import release_name
from airdock.containers.place import Place
from airdock.containers.probing import Probing
from airdock.containers.record import SOCKET_FILE, ContainerRecord, Life, log_path
from airdock.containers.restart import Backoff
from airdock.containers.streams import Streams
from airdock.containers.template import circumstances
from airdock.errors import AirdockError, ContainerError
from airdock.runtime.launcher import Bundle, Container, Ended
from airdock.runtime.shed import close_others
from airdock.runtime.state import process_start
from airdock.runtime.title import set_title
from airdock.runtime.wire import dump_error

__all__ = ["serve"]

_KILLED: Final = 128 + signal.SIGKILL


def serve(
    descriptors: list[int],
    *,
    folder: str,
    settings: Mapping[str, Any],
    layers: list[str],
    attach: Mapping[str, Any] | None,
) -> NoReturn:
    """Be the monitor of the container in `folder`; never returns.

    The descriptors are a listening socket and the line to whoever started us. `settings` are those of `Place`,
    `layers` the unpacked folders of its image, `attach` what the line is for once the container runs.
    """
    code = 1
    try:
        if os.fork():
            os._exit(0)  # whoever started us waits for that one only
        os.setsid()
        close_others(descriptors)
        _settle()
        listening, line = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        monitor = _Monitor(Path(folder), settings, [Path(layer) for layer in layers], listening)
        code = monitor.run(line, attach)
    finally:
        os._exit(code)


def _settle() -> None:
    """Let go of all that belonged to the command: its folder, streams, signals."""
    os.chdir("/")
    os.umask(0o022)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for other in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        signal.signal(other, signal.SIG_DFL)
    set_title("airdock-monitor")
    gc.freeze()  # a collection would copy what is shared with the launcher and the container's pid 1


class _Monitor:
    """One container from its start until it is over; `run` is the loop."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], layers: list[Path], listening: socket.socket) -> None:
        record = ContainerRecord.load(folder)
        if record is None:
            raise ContainerError("expected a container's record, found none", where=str(folder))
        self._record = record
        self._folder = folder
        self._layers = layers
        self._listening = listening
        self._place = Place(settings)
        self._selector = selectors.DefaultSelector()
        self._clients = Clients(self._selector, self._hear, self._leave, self._hold)
        self._log = LogWriter(log_path(folder), record.log)
        self._streams: Streams | None = None
        self._container: Container | None = None
        self._probing: Probing | None = None
        self._backoff = Backoff()
        self._started_s = 0.0
        self._restart_due_s: float | None = None
        self._kill_due_s: float | None = None
        self._stopped = False
        self._is_over = False
        self._circumstances = circumstances()
        self._news: dict[str, Any] = {"exit_code": _KILLED, "oom": False}
        self._life = Life(status="starting", monitor=os.getpid(), monitor_start=process_start(os.getpid()))

    def run(self, line: socket.socket, attach: Mapping[str, Any] | None) -> int:
        """Start the container, tell it over `line`, stay until all is over; gives our exit code."""
        first = self._clients.add(line)
        signals = self._catch_signals()
        try:
            self._place.prepare()
            self._life.save(self._folder)
            if attach is not None:
                self._attach(first, attach)
            self._start()
        except (AirdockError, OSError) as error:
            self._fail(error)
            line.setblocking(True)
            first.frames.send(b"A", {"error": dump_error(error)})
            self._finish()
            return 1
        assert self._container is not None
        first.answer({"pid": self._container.pid, "lacking": self._container.lacking, "notes": self._place.notes})
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(signals, selectors.EVENT_READ, lambda: self._terminated(signals))
        try:
            while not self._is_over:
                self._turn()
        finally:
            self._finish()
        return 0

    def _turn(self) -> None:
        due = [due for due in (self._restart_due_s, self._kill_due_s, self._probing and self._probing.due_s) if due]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        for key, _ in self._selector.select(timeout):
            if self._selector.get_map().get(key.fd) == key:  # an earlier one may have closed it
                key.data()
        now = time.monotonic()
        if self._kill_due_s and now >= self._kill_due_s:
            self._kill_due_s = None
            self._signal(signal.SIGKILL)
        if self._probing and now >= self._probing.due_s:
            self._probing.act()
        if self._restart_due_s and now >= self._restart_due_s:
            self._restart_due_s = None
            self._start_again()

    # the container

    def _start(self) -> None:
        record = self._record
        streams = Streams(
            self._selector, self._log, self._clients.print, terminal=record.tty, open_stdin=record.open_stdin
        )
        self._streams = streams
        joined, launcher = self._place.attach(record)
        bundle = Bundle(
            id=record.id,
            config=joined.apply(record.config) if joined else record.config,
            layers=tuple(self._layers),
            folder=self._folder,
            name=record.name,
            image=record.image,
            image_digest=record.image_digest,
            created=record.created,
        )
        stdin, stdout, stderr = streams.theirs
        container = launcher.run(bundle, stdin=stdin, stdout=stdout, stderr=stderr)
        streams.started(container.terminal)
        self._container = container
        self._selector.register(container, selectors.EVENT_READ, self._ended)
        self._started_s = time.monotonic()
        health = None
        if record.health is not None:
            self._probing = Probing(self._selector, record.health, container.state, self._probed)
            health = self._probing.health
        self._note(
            status="running",
            started=_now(),
            health=health,
            error="",
            oom=False,
            network=joined.to_dict() if joined else None,
        )

    def _start_again(self) -> None:
        try:
            self._note(restarts=self._life.restarts + 1)
            self._start()
        except (AirdockError, OSError) as error:
            self._fail(error)
            self._is_over = True

    def _ended(self) -> None:
        assert self._container is not None
        container, self._container = self._container, None
        self._selector.unregister(container)
        try:
            ended = container.wait()
        except AirdockError:
            ended = None  # the launcher was killed
        if self._probing is not None:
            self._probing.close()
            self._probing = None
        assert self._streams is not None
        self._streams.drain()
        self._streams.close()
        self._streams = None
        container.close()
        self._kill_due_s = None
        self._decide(ended)

    def _decide(self, ended: Ended | None) -> None:
        code = ended.exit_code if ended else _KILLED
        uptime_s = time.monotonic() - self._started_s
        self._place.detach(self._record)
        again = self._record.restart.wants(exit_code=code, restarts=self._life.restarts, stopped=self._stopped)
        self._note(
            status="restarting" if again else "exited",
            finished=_now(),
            exit_code=code,
            oom=bool(ended and ended.oom),
            stopped=self._stopped,
        )
        self._news = {"exit_code": code, "oom": bool(ended and ended.oom)}
        if ended and ended.oom:
            self._news |= {"limit": ended.memory_limit_bytes, "peak": ended.usage.memory_peak_bytes}
        if again:
            self._clients.end(("attach",), self._news)
            self._backoff = self._backoff.after(uptime_s)
            self._restart_due_s = time.monotonic() + self._backoff.delay_s
        else:
            self._is_over = True

    def _fail(self, error: Exception) -> None:
        """What could not be started: the container stays, and says why."""
        if self._streams is not None:
            self._streams.close()
            self._streams = None
        self._place.detach(self._record)
        code = error.exit_code if isinstance(error, AirdockError) else 125
        self._news = {"exit_code": code, "oom": False}
        never = not self._life.started
        self._note(
            status="created" if never else "exited", exit_code=code, error=str(error), finished="" if never else _now()
        )

    def _finish(self) -> None:
        """Leave: what the container held is given back, then those who waited are told."""
        if self._container is not None:  # something went wrong here
            self._container.signal(signal.SIGKILL)
            self._ended()
        self._log.close()
        self._listening.close()
        self._folder.joinpath(SOCKET_FILE).unlink(missing_ok=True)
        self._place.close(remove=self._folder if self._record.auto_remove else None)
        if self._record.auto_remove:
            release_name(self._folder.parent.parent, self._record.name, self._record.id)
        self._clients.end(("attach", "follow", "wait", "stop"), self._news)
        self._clients.close()

    def _signal(self, number: int) -> None:
        if self._container is not None:
            self._container.signal(number)

    def _stop(self, number: int, grace_s: float) -> None:
        self._stopped = True
        if self._container is None:
            self._restart_due_s = None
            self._note(status="exited", stopped=True)
            self._is_over = True
            return
        self._signal(number)
        # Without end where it is negative, as with Docker.
        self._kill_due_s = time.monotonic() + grace_s if grace_s >= 0 else None

    # what is written down

    def _note(self, **changes: Any) -> None:
        self._life = replace(self._life, **changes)
        try:
            self._life.save(self._folder)
        except OSError:
            pass  # a full disk must not end the container

    def _probed(self, health: Health) -> None:
        self._note(health=health)

    # clients

    def _accept(self) -> None:
        try:
            sock, _ = self._listening.accept()
        except BlockingIOError:
            return
        self._clients.add(sock)

    def _hear(self, client: Client, kind: bytes, content: bytes) -> None:
        match kind:
            case b"R":
                self._answer(client, json.loads(content))
            case b"I" if client.sends_input and self._streams:
                self._streams.type(content)
            case b"C" if client.sends_input and self._streams:
                self._streams.end_input()
                client.is_last = False
            case b"W" if self._streams:
                self._streams.resize(*json.loads(content))
            case b"S":
                self._signal(int(content))
            case b"D":
                client.is_last = False

    def _answer(self, client: Client, request: Mapping[str, Any]) -> None:
        match request["op"]:
            case "attach":
                self._attach(client, request)
                client.answer({})
            case "follow" | "wait":
                client.mode = request["op"]
            case "stop":
                client.mode = "stop"
                self._stop(request["signal"], request["grace_s"])
            case "kill":
                if request["signal"] in (signal.SIGKILL, self._record.stop_signal):
                    self._stopped = True
                self._signal(request["signal"])
                client.answer({})
            case "fork":
                client.answer({"forked": self._fork(client, request)})
            case "changed":
                self._record = ContainerRecord.load(self._folder) or self._record
                client.answer({})

    def _fork(self, client: Client, request: Mapping[str, Any]) -> bool:
        """Have another monitor come out of this one, in the same circumstances: see `template`."""
        descriptors, client.frames.descriptors = client.frames.descriptors, []
        try:
            if request["circumstances"] != self._circumstances:
                return False
            pid = os.fork()
            if pid == 0:
                serve(descriptors, **request["arguments"])  # our objects stay referenced, so none closes what is its
            os.waitpid(pid, 0)
            return True
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _attach(self, client: Client, request: Mapping[str, Any]) -> None:
        client.mode = "attach"
        client.sends_input = bool(request.get("stdin"))
        client.is_last = bool(request.get("last"))

    def _leave(self, client: Client) -> None:
        if client.is_last and self._streams:
            self._streams.end_input()

    def _hold(self, wait: bool) -> None:
        if self._streams:
            self._streams.hold(wait)

    # our own signals

    def _catch_signals(self) -> int:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        return reading

    def _terminated(self, reading: int) -> None:
        """The machine is shut down, or somebody means the container: it is stopped as it wants to be."""
        os.read(reading, 64)
        self._stop(self._record.stop_signal, self._record.stop_timeout_s)


def _now() -> str:
    return datetime.now(UTC).isoformat()
