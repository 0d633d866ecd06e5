"""One try while it runs: its files, its channel, its log, and what was seen of it."""

import contextlib
import dataclasses
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airdock.clock import Clock
from airdock.errors import RunnerError
from airdock.model.keys import TryKey
from airdock.model.outcome import Times
from airdock.model.workload import Workload
from airdock.runner.base import RUNNER_NAME, Emit, Running
from airdock.runner.channel import VERSION, Channel, open_listener
from airdock.runner.endings import Seen, parse_ending
from airdock.runner.logs import LogFile, LogStream, log_url
from airdock.runner.secrets import find_secrets
from airdock.runner.steps import first_step, second_step

if TYPE_CHECKING:
    from airdock.runner.watch import Watch

__all__ = ["Attempt", "Pipe"]

_CHUNK: Final = 64 * 1024


@dataclass(slots=True)
class Pipe:
    """The reading end of an output of the try."""

    descriptor: int
    stream: LogStream

    def read(self) -> bool:
        """Take what is there, at most one chunk; False once nothing more will come."""
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return True
        self.stream.feed(data)
        return bool(data)

    def close(self) -> None:
        """Take what is still in the pipe and close it."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, _CHUNK):
                self.stream.feed(data)
        self.stream.finish()
        os.close(self.descriptor)


@dataclass(kw_only=True, slots=True, eq=False)
class Attempt:
    """Belongs to the supervisor's loop, except while it is opened and closed."""

    workload: Workload
    """What runs now: of a try of two steps the first, then the second."""
    run_info: Mapping[str, Any]
    emit: Emit
    clock: Clock
    times: Times
    folder: Path | None = None
    seen: Seen = field(default_factory=Seen)
    log: LogFile | None = None
    listener: socket.socket | None = None
    channel: Channel | None = None
    pipes: dict[int, Pipe] = field(default_factory=dict)
    stdout: LogStream | None = None
    running: Running | None = None
    watch: "Watch | None" = None
    second: Workload | None = None
    """What comes after the step that runs."""
    was_put_off: bool = False
    """It waits for room on this machine, and that was said."""

    @property
    def key(self) -> TryKey:
        return self.workload.key

    @property
    def is_command(self) -> bool:
        """Whether the try's own program runs, with no runner and no channel."""
        return bool(self.workload.payload.get("mode", "command") == "command")

    @property
    def pushes_last_line(self) -> bool:
        return self.is_command and bool(self.workload.payload.get("push_last_line"))

    @property
    def digest(self) -> str:
        """The image of the task's own work."""
        return (self.second or self.workload).digest

    def begin_first(self, digest: str) -> None:
        """Let what runs be the first of two steps, on the host image `digest`."""
        self.second, self.workload = self.workload, first_step(self.workload, digest)

    def begin_second(self) -> None:
        """Let what runs be the second step, as the first one said; the log goes on."""
        assert self.seen.prepared is not None
        self.workload, self.second = self.seen.prepared, None
        self.seen = Seen(stop=self.seen.stop)
        self.folder = self.channel = self.running = self.watch = None
        self.mark(user_code=None, user_ended=None, ended=None)

    def mark(self, **times: datetime | None) -> None:
        """Remember when a phase began."""
        self.times = dataclasses.replace(self.times, **times)

    def open(self, runner: Path) -> tuple[int, int]:
        """Make pipes and channel; returns the writing ends for stdout and stderr, which the caller closes.

        Both are one pipe, so that lines stay in order, except where the last line of stdout is wanted.
        """
        assert self.log is not None
        assert self.folder is not None
        self.stdout, stdout = self._pipe(self.log)
        stderr = self._pipe(self.log)[1] if self.pushes_last_line else os.dup(stdout)
        if not self.is_command:
            _place(runner, self.folder / RUNNER_NAME)
            self.listener = open_listener(self.folder)
        return stdout, stderr

    def _pipe(self, log: LogFile) -> tuple[LogStream, int]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        stream = LogStream(log)
        self.pipes[reading] = Pipe(reading, stream)
        return stream, writing

    def accept(self) -> Channel | None:
        """Take the runner's connection; there is only one, and nothing else can connect after it."""
        assert self.listener is not None
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return None
        self.listener.close()
        self.listener = None
        self.channel = Channel(connection)
        return self.channel

    def greet(self, message: Mapping[str, Any], paths: Mapping[str, str]) -> None:
        """Answer the runner's hello with what it has to do. RunnerError where it speaks another version."""
        if message.get("version") != VERSION:
            raise RunnerError(f"expected version {VERSION} of the channel, found {message.get('version')!r}")
        if self.seen.heard:
            raise RunnerError("expected one hello, found a second")
        self.seen.heard = True
        assert self.channel is not None
        self.channel.send(
            {
                "type": "start",
                "version": VERSION,
                "key": self.key.to_dict(),
                "payload": dict(self.workload.payload),
                "run": dict(self.run_info),
                "paths": {**paths, "log_url": log_url(self.log.path) if self.log is not None else ""},
            }
        )

    def take_result(self, message: Mapping[str, Any]) -> None:
        """Remember the ending that the runner reports. RunnerError where it isn't one."""
        if self.seen.result is not None or self.seen.prepared is not None:
            raise RunnerError("expected one result, found a second")
        said = message.get("ending")
        if self.second is not None and isinstance(said, Mapping) and said.get("kind") == "prepared":
            self.seen.prepared = second_step(self.second, said)
            return
        ending = parse_ending(said)
        self.seen.result = self.log.mask.ending(ending) if self.log is not None else ending

    def hide(self, request: Mapping[str, Any], value: Any) -> None:
        """Keep the secrets in the answer to a request out of the log, before the task has them."""
        if self.log is not None:
            self.log.mask.add(find_secrets(request, value))

    def drain(self) -> None:
        """Take what is still in the channel after the runner's end: it can hold the result."""
        if self.listener is not None:
            self.accept()
        if self.channel is None or self.seen.result is not None or self.seen.broken:
            return
        try:
            for message in self.channel.receive():
                if message["type"] == "user_ended":
                    self.mark(user_ended=self.clock.now())
                elif message["type"] == "result":
                    self.take_result(message)
        except RunnerError as error:
            self.seen.broken = error.message

    def close(self) -> None:
        """Close channel and pipes; what was in them is in the log."""
        for pipe in self.pipes.values():
            pipe.close()
        self.pipes.clear()
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        if self.channel is not None:
            self.channel.close()


def _place(runner: Path, target: Path) -> None:
    try:
        os.link(runner, target)
    except OSError:  # another file system, or links to others' files forbidden (fs.protected_hardlinks)
        shutil.copyfile(runner, target)
        target.chmod(0o644)
