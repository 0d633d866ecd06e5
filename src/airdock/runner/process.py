"""Tries as plain processes, for machines that forbid containers: nothing stands between them and the machine.

Chosen only when the user says so. Packages come from a virtual environment on the path; limits aren't set, and use is
what wait4(2) tells.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from airdock.errors import CommandNotFoundError, ContainerError, NotExecutableError
from airdock.files import save_bytes
from airdock.model.usage import Usage, UsageSource
from airdock.model.workload import Workload
from airdock.runner.base import RUNNER_NAME, WORKSPACE, Ended, Launch
from airdock.runner.channel import SOCKET_NAME
from airdock.runner.pack import runner_argv
from airdock.runner.spool import Process

__all__ = ["DIGEST_PREFIX", "ProcessRunning", "ProcessStarter"]

DIGEST_PREFIX: Final = "process:"
"""What stands before the key of a virtual environment where an image's digest would be."""

_MARK: Final = "AIRDOCK_TRY"
"""The variable by which the processes of a try are known, wherever they went."""
_PID: Final = "pid"


class ProcessStarter:
    """Starts tries as sessions of their own.

    `environments` holds the virtual environments by key; the key "host" is the server's own Python. `environ` is what
    tasks see of the server's environment.
    """

    isolation = "process"

    def __init__(self, *, environments: Path, environ: Mapping[str, str], python: str = sys.executable) -> None:
        self._environments = environments
        self._environ = environ
        self._python = python
        self._setpriv = shutil.which("setpriv")

    def start(self, launch: Launch) -> "ProcessRunning":
        workload = launch.workload
        python = self._interpreter(workload)
        argv = self._argv(launch, python)
        # The process is to die with us however we die; where util-linux is missing, `clear` finds it afterwards.
        guard = [self._setpriv, "--pdeathsig", "KILL", "--"] if self._setpriv else []
        environ = self._environment(launch, python)
        _check(argv[0], environ["PATH"])
        process = subprocess.Popen(
            [*guard, *argv],
            env=environ,
            cwd=self.paths(workload)["workspace"] or launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=launch.stdout,
            stderr=launch.stderr,
            start_new_session=True,
        )
        save_bytes(launch.folder / _PID, str(Process.of(process.pid)).encode(), durable=False)
        return ProcessRunning(launch.id, process)

    def paths(self, workload: Workload) -> Mapping[str, str]:
        """The workspace at its own path, since nothing can be bound to another."""
        return {"workspace": next((mount.source for mount in workload.mounts if mount.target == WORKSPACE), "")}

    def clear(self, folder: Path) -> None:
        _kill_marked(folder.name)
        _wait_for(folder / _PID)

    def _interpreter(self, workload: Workload) -> str:
        key = workload.digest.removeprefix(DIGEST_PREFIX)
        if key == workload.digest:
            raise ContainerError(
                "expected an environment made of packages, found an image",
                hint="images need containers: leave out --isolation process",
            )
        return self._python if key == "host" else str(self._environments / key / "bin" / "python")

    def _argv(self, launch: Launch, python: str) -> list[str]:
        workload = launch.workload
        match workload.payload.get("mode", "command"):
            case "command":
                if not workload.argv:
                    raise CommandNotFoundError("expected a command, found none: only images bring one")
                return list(workload.argv)
            case mode:
                chosen = self._python if mode == "sdk" else python
                return [*runner_argv(mode, chosen, str(launch.folder / RUNNER_NAME))]

    def _environment(self, launch: Launch, python: str) -> dict[str, str]:
        folder = str(Path(python).parent)
        path = self._environ.get("PATH", os.defpath)
        return {
            **self._environ,
            "PYTHONUNBUFFERED": "1",
            **launch.workload.env,
            "PATH": f"{folder}{os.pathsep}{launch.workload.env.get('PATH', path)}",
            "AIRDOCK_CHANNEL": str(launch.folder / SOCKET_NAME),
            "AIRDOCK_WORKSPACE": self.paths(launch.workload)["workspace"],
            _MARK: launch.id,
        }


def _check(program: str, path: str) -> None:
    """Tell a program that isn't there from one that can't be executed, as a container's start does."""
    if shutil.which(program, path=path) is not None:
        return
    if "/" in program and Path(program).exists():
        raise NotExecutableError(f"expected a program that can be executed, found {program}")
    raise CommandNotFoundError(f"expected a program on the path, found no {program}")


class ProcessRunning:
    """A session that was started."""

    def __init__(self, id: str, process: subprocess.Popen[bytes]) -> None:
        self._id = id
        self._process = process
        self._descriptor = os.pidfd_open(process.pid)
        self._is_reaped = False

    def fileno(self) -> int:
        return self._descriptor

    def signal(self, number: int) -> None:
        if not self._is_reaped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def end(self) -> Ended:
        pid = self._process.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        # Until it is reaped its id can't become another's: the time to end what it left in its session.
        self.signal(signal.SIGKILL)
        self._is_reaped = True
        _, status, used = os.wait4(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        usage = Usage(
            memory_peak_bytes=used.ru_maxrss * 1024, cpu_s=used.ru_utime + used.ru_stime, source=UsageSource.RUSAGE
        )
        return Ended(exit_code=code if code >= 0 else 128 - code, signal=-code if code < 0 else None, usage=usage)

    def remove(self) -> None:
        if not self._is_reaped:
            self.signal(signal.SIGKILL)
            self.end()
        _kill_marked(self._id)
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _kill_marked(id: str) -> None:
    """Kill what carries the mark of a try, until there is nothing; what forks meanwhile is found the next time."""
    while found := list(_marked(f"{_MARK}={id}".encode())):
        for descriptor in found:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _wait_gone(descriptor)


def _marked(mark: bytes) -> Iterator[int]:
    """Descriptors of the processes of this account with the mark in their environment; the caller closes them."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            descriptor = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        try:
            # Read after the descriptor was taken: what is read belongs to the process that is signalled.
            if mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                yield descriptor
                continue
        except OSError:
            pass
        os.close(descriptor)


def _wait_for(pid_file: Path) -> None:
    """Wait for a process that dies: it can't be found by its mark any more, and still hold files and locks."""
    try:
        process = Process.parse(pid_file.read_text())
        descriptor = os.pidfd_open(process.pid) if process else -1
    except (FileNotFoundError, ProcessLookupError):
        return
    if process and process.is_alive:  # asked after the descriptor was taken, so it belongs to this very process
        _wait_gone(descriptor)
    elif descriptor >= 0:
        os.close(descriptor)


def _wait_gone(descriptor: int) -> None:
    """Wait until the process has ended; another's child stays a zombie until it is reaped, which is as good."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os.close(descriptor)
