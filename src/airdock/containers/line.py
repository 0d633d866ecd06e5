"""The way to a container's monitor: found by its socket, or started."""

import gc
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from airdock.containers.frames import Frames, dump_frame
from airdock.containers.record import SOCKET_FILE
from airdock.containers.template import circumstances, load_template, save_template
from airdock.errors import ContainerError
from airdock.runtime.offspring import start_process
from airdock.runtime.refusal import RefusedError, explain_refusal
from airdock.runtime.wire import load_error, send_with_descriptors

__all__ = ["Line", "connect", "start_monitor"]

_PATIENCE_S: Final = 10.0


class Line:
    """A connection to a monitor; a context manager that closes it. Descriptors, frames: see `frames`."""

    def __init__(self, sock: socket.socket, folder: Path) -> None:
        self.frames = Frames(sock)
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self.frames.fileno()

    def request(self, operation: str, **arguments: Any) -> None:
        """Ask for something; `answer`, or what was asked for, follows."""
        self.frames.send(b"R", {"op": operation, **arguments})

    def answer(self) -> dict[str, Any]:
        """The answer to a request; its errors are raised. Raises ContainerError where the monitor was killed."""
        frame = self.frames.wait()
        if frame is None or frame[0] != b"A":
            raise ContainerError("the container's monitor ended before it answered", where=str(self._folder))
        answer = json.loads(frame[1])
        if "error" in answer:
            error = load_error(answer["error"])
            raise explain_refusal(error, self._folder) if isinstance(error, RefusedError) else error
        value: dict[str, Any] = answer["value"]
        return value

    def wait_end(self) -> dict[str, Any] | None:
        """How the container ended, once it has; None where its monitor was killed."""
        while (frame := self.frames.wait()) is not None:
            if frame[0] == b"X":
                news: dict[str, Any] = json.loads(frame[1])
                return news
        return None

    def close(self) -> None:
        self.frames.close()


def connect(folder: Path) -> Line | None:
    """A line to the monitor of the container in `folder`; None where none is there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            sock.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return Line(sock, folder)


def start_monitor(
    folder: Path, *, settings: Mapping[str, Any], layers: Sequence[Path], attach: Mapping[str, Any] | None
) -> tuple[Line, dict[str, Any]]:
    """Start a container's monitor, and with it the container; gives the line, which is attached if asked for.

    Also gives what the monitor said of the start. Raises whatever `Launcher.run` and `Networks.attach` do.
    """
    own, theirs = socket.socketpair()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line = Line(own, folder)
    try:
        with theirs, listening:
            with _short(folder) as path:
                folder.joinpath(SOCKET_FILE).unlink(missing_ok=True)  # of a monitor that was killed
                listening.bind(path)
            listening.listen(64)
            arguments = {
                "folder": str(folder.absolute()),
                "settings": settings,
                "layers": [str(path) for path in layers],
                "attach": attach,
            }
            descriptors = [listening.fileno(), theirs.fileno()]
            if not _fork_template(folder, arguments, descriptors):
                gc.freeze()
                os.waitpid(start_process("airdock.containers.monitor:serve", arguments, descriptors), 0)
        return line, line.answer()
    except BaseException:
        line.close()
        raise


def _fork_template(folder: Path, arguments: Mapping[str, Any], descriptors: Sequence[int]) -> bool:
    """Have the monitor come out of the template, where one is there and fits; else it becomes the template itself."""
    run = folder.parent.parent
    template = load_template(run)
    # The template may be this container's last monitor, which is gone: what would answer there by now is ourselves.
    line = connect(template) if template is not None and template.name != folder.name else None
    if line is None:
        save_template(run, folder.name)
        return False
    with line:
        request = {"op": "fork", "circumstances": circumstances(), "arguments": arguments}
        data = dump_frame(b"R", request)
        try:
            sent = send_with_descriptors(line.frames.sock, data, descriptors, socket.MSG_NOSIGNAL)
            line.frames.sock.sendall(data[sent:], socket.MSG_NOSIGNAL)
            line.frames.sock.settimeout(_PATIENCE_S)
            return bool(line.answer()["forked"])
        except (ContainerError, BrokenPipeError, ConnectionResetError):  # it was ending as we came
            save_template(run, folder.name)
            return False


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the socket that fits into an address, which has room for 107 bytes: unix(7)."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_FILE}"
    finally:
        os.close(descriptor)
