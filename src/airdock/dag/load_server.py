"""Loads DAG files as `dag.load` does, each in a fork of this process, which has imported what they need.

`python -m airdock.dag.load_server [--alone]` has a socket (SOCK_SEQPACKET) as standard input. A message on it is
`{"path", "root", "environ": {name: text}}` with four descriptors: what the file may ask for, where it prints to, where
what comes out is written, and a socket that gets the fork's exit code, one byte, when it has ended. Who closes that
socket's other end kills the fork. The end of standard input is the end of all.

`--alone` says that nothing but this process and the first one is in its container: what files leave running is killed.
No line of a user's is run in this process itself, so that a fork knows nothing of the files before.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from airdock.dag.load import answer

__all__ = ["main"]

_NEEDED: Final = (
    "airdock.compat",
    "airdock.sdk",
    "airdock.operators.bash",
    "airdock.operators.empty",
    "airdock.operators.python",
    "airdock.scheduler.timetables",
    "pendulum",
)
"""What most DAG files import, or we do to load them."""
_MESSAGE_BYTES: Final = 1 << 20
_SET_DUMPABLE: Final = 4
"""PR_SET_DUMPABLE of prctl(2)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; ends with standard input."""
    is_alone = "--alone" in (sys.argv[1:] if arguments is None else arguments)
    for name in _NEEDED:
        importlib.import_module(name)
    importlib.import_module("airdock.compat").install()
    # Forks have the same user: now none can look into this process or another fork, whose descriptors are theirs alone.
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    with socket.socket(fileno=os.dup(0)) as requests:
        _Forks(requests, is_alone=is_alone).serve()
    return 0


class _Forks:
    """Makes forks, and tells of their ends."""

    def __init__(self, requests: socket.socket, *, is_alone: bool) -> None:
        self._requests, self._is_alone = requests, is_alone
        self._poll = select.poll()
        self._running: dict[int, tuple[int, socket.socket]] = {}
        """By pidfd: the process, and who waits for it."""
        self._lives: dict[int, int] = {}
        """The pidfd by the descriptor of who waits."""

    def serve(self) -> None:
        self._poll.register(self._requests, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._requests.fileno():
                    if not self._take():
                        return self._end()
                elif descriptor in self._running:
                    self._reap(descriptor)
                elif descriptor in self._lives:  # nobody waits any more
                    self._poll.unregister(descriptor)
                    _kill(self._running[self._lives[descriptor]][0])

    def _take(self) -> bool:
        """Fork for a request; False where there are no more."""
        message, descriptors, _, _ = socket.recv_fds(self._requests, _MESSAGE_BYTES, 4)
        if not message:
            return False
        given, said, result, waiting = descriptors
        process = os.fork()
        if process == 0:
            _become(json.loads(message), given, said, result)
        for descriptor in (given, said, result):
            os.close(descriptor)
        life, ended = socket.socket(fileno=waiting), os.pidfd_open(process)
        self._running[ended] = (process, life)
        self._lives[waiting] = ended
        self._poll.register(ended, select.POLLIN)
        self._poll.register(waiting, select.POLLIN)
        return True

    def _reap(self, ended: int) -> None:
        process, life = self._running.pop(ended)
        _kill(process)  # not reaped yet: what it started is in its session
        _, status = os.waitpid(process, 0)
        self._poll.unregister(ended)
        os.close(ended)
        if self._lives.pop(life.fileno(), None) is not None:
            with contextlib.suppress(KeyError):
                self._poll.unregister(life)
        if self._is_alone and not self._running:
            _kill_all()
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(OSError):
            life.send(bytes([code if code >= 0 else 128 - code]))
        life.close()

    def _end(self) -> None:
        for process, _ in self._running.values():
            _kill(process)


def _kill(process: int) -> None:
    """Kill a fork with what is in its session still."""
    with contextlib.suppress(OSError):  # it had no time to open one
        os.killpg(process, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.kill(process, signal.SIGKILL)


def _kill_all() -> None:
    """Kill every process but this one and the container's first, and forget those that came to be ours."""
    with contextlib.suppress(OSError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(OSError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(request: dict[str, Any], given: int, said: int, result: int) -> None:
    """The fork: load the file, write what came out, and end."""
    code = 1
    try:
        os.setsid()
        for number, descriptor in enumerate((given, said, said, result)):  # they come above 2, and in this order
            os.dup2(descriptor, number, inheritable=number < 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.environ.update(request["environ"])
        sys.argv = [f"{__package__}.load", request["path"]]
        found = answer(Path(request["path"]), root=Path(request["root"]) if request["root"] else None)
        with open(3, "wb") as file:
            file.write(json.dumps(found).encode())
        code = 1 if found["error"] else 0
    except BaseException:  # what a file raises became its error: this is ours, and who waits tells its last lines
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
