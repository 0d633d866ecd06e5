"""The way to a home's router: found, or started where there is none."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from airdock.errors import NetworkError
from airdock.runtime.offspring import start_process
from airdock.runtime.refusal import RefusedError, explain_refusal
from airdock.runtime.wire import FrameReader, load_error, pack, send_with_descriptors

__all__ = ["Line", "RouterClient"]

_TRIES: Final = 5


class Line:
    """A connection to the router. What was attached over it stays so until it closes."""

    def __init__(self, sock: socket.socket, home: Path) -> None:
        self._sock = sock
        self._home = home
        self._reader = FrameReader(sock)

    def ask(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """The router's answer; its errors are raised. Raises ConnectionError where it ended before it answered."""
        data = pack(message)
        sent = send_with_descriptors(self._sock, data, descriptors, socket.MSG_NOSIGNAL)
        self._sock.sendall(data[sent:], socket.MSG_NOSIGNAL)
        while (answer := self._reader.next()) is None:
            self._reader.receive()
            if self._reader.closed:
                raise ConnectionResetError("the router ended")
        if "error" in answer:
            raise _explain(load_error(answer["error"]), self._home)
        return answer["value"]

    def close(self) -> None:
        self._sock.close()


class RouterClient:
    """`folder` is the router's, AIRDOCK_HOME/run/networks; `uplink` is how containers get out."""

    def __init__(self, folder: Path, *, uplink: str) -> None:
        self._folder = folder
        self._uplink = uplink

    def connect(self) -> Line | None:
        """A line to the router that runs; None where none does."""
        with _short(self._folder) as path:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                sock.close()
                return None
            except BaseException:
                sock.close()
                raise
        return Line(sock, self._folder)

    def ask(self, message: Mapping[str, Any]) -> Any:
        """What the router that runs has to say; None where none does."""
        line = self.connect()
        if line is None:
            return None
        try:
            return line.ask(message)
        except ConnectionError:
            return None
        finally:
            line.close()

    def attach(
        self, message: Mapping[str, Any], descriptors: Sequence[int], *, taken: Sequence[str] = ()
    ) -> tuple[Line, Any]:
        """Attach a container, with a router that is started if need be; gives the line to be held and the answer.

        `taken` are subnets that a router which is started leaves alone.
        """
        for _ in range(_TRIES):
            line = self._open(taken)
            try:
                return line, line.ask(message, descriptors)
            except ConnectionError:
                line.close()  # it was ending as we came
            except BaseException:
                line.close()
                raise
        raise NetworkError("the router ended each time that it was asked", where=str(self._folder))

    def _open(self, taken: Sequence[str]) -> Line:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if line := self.connect():
            return line
        lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self.connect() or self._start(taken)
        finally:
            os.close(lock)

    def _start(self, taken: Sequence[str]) -> Line:
        ready, ready_write = os.pipe2(os.O_CLOEXEC)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(self._folder) as path:
                self._folder.joinpath("socket").unlink(missing_ok=True)  # of a router that was killed
                listening.bind(path)
            listening.listen(256)
            line = self.connect()
            arguments = {"folder": str(self._folder.absolute()), "uplink": self._uplink, "taken": taken}
            descriptors = [listening.fileno(), ready_write]
            os.waitpid(start_process("airdock.networks.router:serve", arguments, descriptors), 0)
        finally:
            os.close(ready_write)
            listening.close()
        with open(ready, "rb") as answers:
            answer = answers.read()
        if line is None:
            raise NetworkError("the router could not be reached", where=str(self._folder))
        if answer:
            line.close()
            self._folder.joinpath("socket").unlink(missing_ok=True)
            raise _explain(load_error(_unpack(answer)), self._folder)
        return line


def _unpack(frame: bytes) -> Mapping[str, Any]:
    value: Mapping[str, Any] = json.loads(frame[4:])
    return value


def _explain(error: Exception, home: Path) -> Exception:
    if isinstance(error, RefusedError):
        return explain_refusal(error, home)
    if isinstance(error, OSError):
        return NetworkError(f"the network could not be made: {error.strerror}")
    return error


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the socket that fits into an address, which has room for 107 bytes: unix(7)."""
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        yield str(folder / "socket")
        return
    try:
        yield f"/proc/self/fd/{descriptor}/socket"
    finally:
        os.close(descriptor)
