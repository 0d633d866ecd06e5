"""The smallest `Supervise`: each workload's argv is a plain child process. No image, no isolation, no runner.

For trying out executors and schedulers with real processes that really die.

    folder/
      running/<id>.json     written before the program is started: what to end after a crash
      outcomes/<id>.json    written before the ending is told, removed by `ack`
"""

import ctypes
import hashlib
import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airdock.clock import Clock, SystemClock
from airdock.executors.base import Emit, Finished, RunInfo, Started
from airdock.files import TEMPORARY_PREFIX, save_json
from airdock.model.keys import TryKey
from airdock.model.outcome import Ending, Failed, Lost, Outcome, Succeeded, Times
from airdock.model.workload import Workload

__all__ = ["Programs"]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Programs:
    """Runs programs as children of this process; satisfies `executors.base.Supervise`.

    A program sees its task as AIRDOCK_TASK and its try as AIRDOCK_TRY. `folder` belongs to one process at a time, so
    all that `recover` finds there has a dead owner.
    """

    def __init__(self, *, folder: Path, clock: Clock | None = None) -> None:
        self._running, self._outcomes = folder / "running", folder / "outcomes"
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._programs: dict[TryKey, subprocess.Popen[bytes] | None] = {}
        self._cancelled: set[TryKey] = set()
        self._is_open = True

    def start(self) -> None:
        self._running.mkdir(parents=True, exist_ok=True)
        self._outcomes.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        with self._changed:
            self._is_open = False
            keys = list(self._programs)
        for key in keys:
            self.cancel(key)

    def join(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._programs)

    def run(self, workload: Workload, *, run_info: RunInfo, emit: Emit) -> None:
        with self._changed:
            is_open = self._is_open
            if is_open:
                self._programs[workload.key] = None
        if is_open:
            threading.Thread(target=self._watch, args=(workload, emit), daemon=True).start()
        else:
            emit(Finished(key=workload.key, outcome=Outcome(ending=Lost(reason="stopped"))))

    def _watch(self, workload: Workload, emit: Emit) -> None:
        """The thread of one program; the program dies with it, and it with this process."""
        key, started = workload.key, self._clock.now()
        try:
            with self._open(workload) as program:
                emit(Started(key=key, at=started))
                code = program.wait()
            ending = self._ending(key, code)
        except OSError as error:
            ending = Failed(reason=str(error), retryable=False)
        times = Times(started=started, user_code=started, ended=self._clock.now())
        outcome = Outcome(ending=ending, times=times, node=os.uname().nodename, digest=workload.digest)
        save_json(self._outcomes / _file_name(key), {"key": key.to_dict(), "outcome": outcome.to_dict()})
        (self._running / _file_name(key)).unlink(missing_ok=True)
        emit(Finished(key=key, outcome=outcome))
        with self._changed:
            self._cancelled.discard(key)
            del self._programs[key]
            self._changed.notify_all()

    @contextmanager
    def _open(self, workload: Workload) -> Iterator[subprocess.Popen[bytes]]:
        key, owner = workload.key, os.getpid()

        def die_with_owner() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != owner:
                os._exit(1)
            save_json(self._running / _file_name(key), {"pid": os.getpid(), "start": _start_time(os.getpid())})

        environment = {**os.environ, **workload.env, "AIRDOCK_TASK": key.task.label, "AIRDOCK_TRY": str(key.try_number)}
        with subprocess.Popen(
            workload.argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_owner,
        ) as program:
            with self._changed:
                self._programs[key] = program
                is_cancelled = key in self._cancelled
            if is_cancelled:
                program.kill()
            yield program

    def _ending(self, key: TryKey, code: int) -> Ending:
        if code == 0:
            return Succeeded()
        with self._changed:
            if key in self._cancelled:
                return Lost(reason="cancelled")
        return Failed(reason=f"exit code {code}" if code > 0 else f"signal {-code}")

    def cancel(self, key: TryKey) -> None:
        with self._changed:
            if key not in self._programs:
                return
            self._cancelled.add(key)
            program = self._programs[key]
        if program is not None:
            program.terminate()

    def recover(self, *, emit: Emit) -> None:
        self.start()
        for path in sorted(self._running.glob("*.json")):
            _kill(json.loads(path.read_text()))
            path.unlink()
        for folder in (self._running, self._outcomes):
            for unfinished in folder.glob(f"{TEMPORARY_PREFIX}*"):
                unfinished.unlink()
        for path in sorted(self._outcomes.glob("*.json")):
            kept = json.loads(path.read_text())
            emit(Finished(key=TryKey.from_dict(kept["key"]), outcome=Outcome.from_dict(kept["outcome"])))

    def ack(self, key: TryKey) -> None:
        (self._outcomes / _file_name(key)).unlink(missing_ok=True)


def _file_name(key: TryKey) -> str:
    return hashlib.sha256(json.dumps(key.to_dict(), sort_keys=True).encode()).hexdigest()[:32] + ".json"


def _start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot (proc(5), stat field 22); None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _kill(record: dict[str, int]) -> None:
    """Kill the program and wait until it is gone, if it is still the one that was recorded."""
    try:
        descriptor = os.pidfd_open(record["pid"])
    except ProcessLookupError:
        return
    try:
        if _start_time(record["pid"]) == record["start"]:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [])
    except ProcessLookupError:
        pass  # gone in the meantime
    finally:
        os.close(descriptor)
