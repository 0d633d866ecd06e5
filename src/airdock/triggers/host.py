"""One process that runs triggers, in a container of the host image: started, spoken with, ended.

AIRDOCK_HOME/run/triggers/<owner>-<count>/
    channel.sock    where it connects: once to be told and to tell, once to ask
    pid             where it is a plain process
"""

import contextlib
import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

from airdock.clock import Clock
from airdock.errors import AirdockError, RunnerError
from airdock.model.keys import TryKey
from airdock.model.mount import Mount
from airdock.model.workload import Workload
from airdock.record import record
from airdock.runner.attempt import Pipe
from airdock.runner.base import Launch, Running, Starter
from airdock.runner.channel import Channel, open_listener
from airdock.runner.loop import READ, WRITE, Loop
from airdock.runner.secrets import find_secrets
from airdock.runner.spool import Process, remove_folder
from airdock.triggers.logs import TriggerLogs

__all__ = ["Host", "Surroundings", "clear_abandoned"]

_LABEL: Final = TryKey(dag_id="airdock", run_id="triggers", task_id="triggers")
_GRACE_S: Final = 5.0
_log = logging.getLogger(__name__)
_count = itertools.count()


@record
class Surroundings:
    """What all processes of a triggerer share.

    `image` gives the host image's digest, and may take its time; `work` runs what may block. `logs` is
    where the log of each try lies. `hear` is told of triggers, `ask` answers them, `ended` is told once with the host.
    """

    starter: Starter
    image: Callable[[], str]
    folder: Path
    logs: Path
    loop: Loop
    work: Executor
    hear: Callable[["Host", Mapping[str, Any]], None]
    ask: Callable[["Host", Mapping[str, Any]], dict[str, Any]]
    ended: Callable[["Host"], None]
    clock: Clock


class Host:
    """Belongs to the loop: all methods are called from its thread. `is_ready` once it takes triggers.

    `watches` says that these are of assets, not of deferred tasks.
    """

    def __init__(self, surroundings: Surroundings, place: Sequence[Mount], *, watches: bool = False) -> None:
        self.place = tuple(place)
        self.watches = watches
        self.is_ready = False
        self._with = surroundings
        self._loop = surroundings.loop
        self._folder = surroundings.folder / f"{Process.of(os.getpid())}-{next(_count):x}"
        self._channels: list[Channel] = []
        self._main: Channel | None = None
        self._running: Running | None = None
        self._pipe: Pipe | None = None
        self._logs: TriggerLogs | None = None
        self._listener: Any = None
        self._is_ended = self._is_stopped = False

    def begin(self) -> None:
        """Start it; it says "ready" some time later, or has ended."""
        self._with.work.submit(self._start)

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell it something; what isn't ready yet hears nothing."""
        if self._main is not None:
            if message["type"] == "add" and self._logs is not None:
                self._logs.begin(message)
            self._main.send(message)
            self._talk(self._main)

    def stop(self) -> None:
        """Let it end: it cleans up its triggers, and is killed if it takes too long. Idempotent."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._running is not None and not self._is_ended:
            if self._main is None:
                self._running.signal(signal.SIGKILL)
            else:
                self._hang_up()

    def _hang_up(self) -> None:
        assert self._main is not None
        assert self._running is not None
        running = self._running
        self._drop(self._main)
        self._loop.at(self._loop.time() + _GRACE_S, lambda: None if self._is_ended else running.signal(signal.SIGKILL))

    # In another thread

    def _start(self) -> None:
        try:
            self._launch()
        except (AirdockError, OSError) as error:
            _log.warning("the process for triggers could not be started: %s", getattr(error, "message", error))
            self._loop.post(self._end)
        except Exception:
            _log.exception("the process for triggers could not be started")
            self._loop.post(self._end)

    def _launch(self) -> None:
        self._folder.mkdir(parents=True)
        self._folder.chmod(0o755)  # whatever the umask: ids of a container come in through its mount
        self._listener = open_listener(self._folder)
        self._logs = TriggerLogs(self._with.logs, self._with.clock)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        self._pipe = Pipe(reading, self._logs.own)
        workload = Workload(
            key=_LABEL,
            digest=self._with.image(),
            argv=(sys.executable, "-P", "-m", "airdock.triggers.inside"),
            payload={"mode": "command"},
            mounts=self.place,
        )
        try:
            self._running = self._with.starter.start(
                Launch(id=self._folder.name, workload=workload, folder=self._folder, stdout=writing, stderr=writing)
            )
        finally:
            os.close(writing)
        self._loop.post(self._watch)

    # In the loop

    def _watch(self) -> None:
        assert self._pipe is not None
        assert self._running is not None
        running = self._running
        self._loop.watch(self._pipe.descriptor, READ, self._read)
        self._loop.watch(self._listener.fileno(), READ, self._accept)
        self._loop.watch(running.fileno(), READ, self._end)
        if self._is_stopped:
            running.signal(signal.SIGKILL)

    def _read(self) -> None:
        if self._pipe is not None and not self._pipe.read():
            self._loop.unwatch(self._pipe.descriptor)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            channel = Channel(self._listener.accept()[0])
            self._channels.append(channel)
            self._loop.watch(channel.fileno(), READ, lambda: self._talk(channel))

    def _talk(self, channel: Channel, *, reads: int | None = 1) -> None:
        """Send and hear on. After so many reads the others have their turn: one that prints can go on without end."""
        if channel not in self._channels:
            return
        try:
            channel.flush()
            for message in channel.receive(reads=reads):
                self._hear(channel, message)
        except RunnerError as error:
            _log.warning("the process for triggers broke its contract: %s", error.message)
            if self._running is not None:
                self._running.signal(signal.SIGKILL)
            return
        if channel.is_open:
            events = READ | WRITE if channel.has_unsent else READ
            self._loop.watch(channel.fileno(), events, lambda: self._talk(channel))
        else:
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        self._loop.unwatch(channel.fileno())
        if channel in self._channels:
            self._channels.remove(channel)
            channel.close()
        if channel is self._main:
            self._main, self.is_ready = None, False

    def _hear(self, channel: Channel, message: Mapping[str, Any]) -> None:
        assert self._logs is not None
        match message["type"]:
            case "request":
                self._with.work.submit(self._answer, channel, message)
                return
            case "log":
                self._logs.write(message["id"], message["text"])
                return
            case "done":
                self._logs.end(message["id"])
                return
            case "ready" if not self._is_stopped:
                self._main, self.is_ready = channel, True
            case "failed":
                message = {**message, "error": self._logs.mask.text(str(message.get("error") or ""))}
        self._with.hear(self, message)

    def _answer(self, channel: Channel, request: Mapping[str, Any]) -> None:
        try:
            response = self._with.ask(self, request)
            assert self._logs is not None
            self._logs.mask.add(find_secrets(request, response.get("value")))
        except Exception as error:  # whoever asks waits for an answer
            _log.exception("a trigger could not be answered")
            response = {"type": "response", "id": request.get("id"), "ok": False, "error": str(error)}

        def reply() -> None:
            if channel in self._channels:
                channel.send(response)
                self._talk(channel)

        self._loop.post(reply)

    def _end(self) -> None:
        """It has ended, or never began."""
        if self._is_ended:
            return
        self._is_ended = True
        for channel in list(self._channels):
            self._talk(channel, reads=None)  # it may have told something before it ended
            self._drop(channel)
        for descriptor in (self._running, self._listener):
            if descriptor is not None:
                self._loop.unwatch(descriptor.fileno())
        if self._pipe is not None:
            self._loop.unwatch(self._pipe.descriptor)
        self._with.work.submit(self._remove)

    def _remove(self) -> None:
        try:
            if self._running is not None:
                self._running.end()
                self._running.remove()
        except AirdockError as error:
            _log.warning("the process for triggers could not be cleaned up: %s", error.message)
        finally:
            for each in (self._pipe, self._listener, self._logs):
                if each is not None:
                    each.close()
            remove_folder(self._folder)
            self._loop.post(lambda: self._with.ended(self))


def clear_abandoned(folder: Path, starter: Starter) -> None:
    """End and remove what dead owners left below `folder`."""
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        owner = Process.parse(each.name.partition("-")[0])
        if owner is not None and not owner.is_alive:
            starter.clear(each)
            remove_folder(each)
