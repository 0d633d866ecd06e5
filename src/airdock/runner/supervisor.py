"""Stands beside running tries: feeds them, keeps their logs, answers them, bounds their time, tells how they ended.

One thread watches all of them (`watch`). What may block, starting and removing containers or asking the store, is done
by a few threads beside it. The way of a try:

    run → begin (folder, log, channel; Started; start) → watch → conclude (outcome kept, Finished; cleaned up)
"""

import errno
import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from airdock.clock import Clock, SystemClock
from airdock.errors import (
    AirdockError,
    CommandNotFoundError,
    ContainerError,
    ImageError,
    InactiveAssetError,
    IsolationError,
    LauncherDiedError,
    NotExecutableError,
    RunnerError,
)
from airdock.model.events import Finished, Started, Waiting
from airdock.model.keys import TryKey
from airdock.model.outcome import Ending, Failed, Lost, Outcome, Succeeded, Times
from airdock.model.usage import Usage
from airdock.model.workload import Workload
from airdock.runner.attempt import Attempt
from airdock.runner.base import Emit, Launch, Starter
from airdock.runner.endings import decide
from airdock.runner.logs import LogFile, log_path
from airdock.runner.loop import Loop
from airdock.runner.requests import answer
from airdock.runner.spool import Record, Spool, remove_folder
from airdock.runner.steps import has_first_step
from airdock.runner.task_api import TaskApi
from airdock.runner.watch import Watch, Watching

__all__ = ["POINTS", "Supervisor"]

POINTS: Final = tuple(
    f"{kind}.{side}" for kind in ("launch", "keep", "clean", "recover") for side in ("before", "after")
)
"""The named moments at which it may die without harm: a try's program is started, its outcome kept, what it leaves
removed; what the dead left is cleared up."""

_log = logging.getLogger(__name__)

_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""What a machine lacks for a while."""
_PUT_OFF_S: Final = 1.0
_ROOM: Final = 1 << 20
"""Bytes on the disk without which no try is begun: it would fail for want of a temporary file."""

_HOPELESS: Final = (CommandNotFoundError, NotExecutableError, IsolationError, ImageError, InactiveAssetError)
"""What goes wrong in the same way each time it is tried."""


class Supervisor:
    """Runs workloads on this machine; `executors.base.Supervise` says what is promised.

    `home` is AIRDOCK_HOME, `runner` the packed runner. `grace_s` lies between SIGTERM and SIGKILL. `renew` keeps the
    lease of a try with whoever gave it and raises AirdockError where it can't; it is called three times per lease, and
    a try whose lease wasn't renewed is killed before the lease ends. Without it there is no lease to keep: whoever
    gave the try lives in this process. `beside` gives the digest of the host image, on which the first step of a try of
    two is done. `spool` is where it keeps what outlives it, which no other kind of work shares.
    """

    def __init__(
        self,
        *,
        starter: Starter,
        tasks: TaskApi,
        home: Path,
        runner: Path,
        clock: Clock | None = None,
        node: str = "",
        grace_s: float = 10.0,
        renew: Callable[[TryKey], None] | None = None,
        threads: int = 4,
        beside: Callable[[], str] | None = None,
        spool: Path | None = None,
        reached: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._reached = reached
        self._starter = starter
        self._beside = beside
        self._tasks = tasks
        self._spool = Spool(spool or home / "run")
        self._home = home
        self._logs = home / "logs"
        self._runner = runner
        self._clock = clock or SystemClock()
        self._node = node or os.uname().nodename
        self._loop = Loop("airdock-supervisor")
        self._begins = ThreadPoolExecutor(threads, thread_name_prefix="airdock-begin")
        self._ends = ThreadPoolExecutor(threads, thread_name_prefix="airdock-end")
        self._answers = ThreadPoolExecutor(threads, thread_name_prefix="airdock-answer")
        self._watching = Watching(
            loop=self._loop,
            starter=starter,
            grace_s=grace_s,
            ask=lambda attempt, request, reply: self._submit(self._answers, self._answer, attempt, request, reply),
            renew=(lambda attempt: renew(attempt.key)) if renew else None,
            run=lambda work: self._submit(self._answers, work),
            ended=lambda attempt: self._submit(self._ends, self._finish, attempt),
        )
        self._attempts: dict[TryKey, Attempt] = {}
        self._changed = threading.Condition()
        self._is_open = False

    def start(self) -> None:
        self._spool.open()
        self._loop.start()
        self._is_open = True

    def stop(self) -> None:
        with self._changed:
            self._is_open = False
            attempts = list(self._attempts.values())
        for attempt in attempts:
            self._end(attempt, "the supervisor was stopped")

    def join(self) -> None:
        """Wait until every try has been told and cleaned up, then for the threads: begins, ends, answers, loop."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_open and not self._attempts)
        for pool in (self._begins, self._ends, self._answers):
            pool.shutdown()
        self._loop.stop()
        self._loop.join()

    def run(self, workload: Workload, *, run_info: Mapping[str, Any], emit: Emit) -> None:
        times = Times(queued=self._clock.now())
        attempt = Attempt(workload=workload, run_info=run_info, emit=emit, clock=self._clock, times=times)
        with self._changed:
            if workload.key in self._attempts:
                raise RunnerError("expected a try that doesn't run yet", where=workload.key.task.label)
            is_open = self._is_open
            if is_open:
                self._attempts[workload.key] = attempt
        if is_open:
            self._submit(self._begins, self._begin, attempt)
        else:
            emit(Finished(key=workload.key, outcome=self._outcome(attempt, Lost(reason="the supervisor was stopped"))))

    def cancel(self, key: TryKey) -> None:
        if attempt := self._attempts.get(key):
            self._end(attempt, "cancelled")

    def ack(self, key: TryKey) -> None:
        self._spool.drop(key)

    def recover(self, *, emit: Emit) -> None:
        self._spool.open()
        self._reached("recover.before")
        with self._spool.recovering():
            for folder, record in self._spool.abandoned():
                self._starter.clear(folder)
                if record is not None and not self._spool.holds(record.key):
                    self._spool.put(record.key, _lost(record, self._node))
                remove_folder(folder)
            kept = list(self._spool.unacknowledged())
        self._reached("recover.after")
        for key, outcome in kept:
            emit(Finished(key=key, outcome=outcome))

    def _end(self, attempt: Attempt, reason: str) -> None:
        def end() -> None:
            if attempt.watch is not None:
                attempt.watch.end(Lost(reason=reason))
            elif attempt.seen.stop is None:  # not started yet: whoever starts it looks here
                attempt.seen.stop = Lost(reason=reason)

        self._loop.post(end)

    def _begin(self, attempt: Attempt) -> None:
        if attempt.log is None:  # else its first step began before
            attempt.mark(started=self._clock.now())
        try:
            self._start(attempt)
        except (AirdockError, OSError) as error:
            if getattr(error, "errno", None) in _PASSING and attempt.seen.stop is None:
                self._put_off(attempt, str(error))
                return
            self._conclude(attempt, attempt.seen.stop or _not_started(error), None)
            return
        if attempt.is_command:
            attempt.mark(user_code=self._clock.now())
        self._loop.post(functools.partial(self._watch, attempt))

    def _start(self, attempt: Attempt) -> None:
        if attempt.seen.stop is not None:
            raise RunnerError("ended before it was started")
        if assets := attempt.workload.payload.get("assets"):
            self._tasks.check_assets(attempt.key, [(name, uri) for name, uri in assets])
        _check_room(self._home)
        if has_first_step(attempt.workload):
            if self._beside is None:
                raise RunnerError("expected a task of one step, since there is no host image here")
            attempt.begin_first(self._beside())
        attempt.folder = self._spool.begin(
            Record(
                key=attempt.key,
                digest=attempt.digest,
                isolation=self._starter.isolation,
                times=attempt.times,
            )
        )
        attempt.log = attempt.log or LogFile(log_path(self._logs, attempt.key), self._clock)
        stdout, stderr = attempt.open(self._runner)
        try:
            assert attempt.times.started is not None
            attempt.emit(Started(key=attempt.key, at=attempt.times.started))
            self._reached("launch.before")
            attempt.running = self._starter.start(
                Launch(
                    id=attempt.folder.name,
                    workload=attempt.workload,
                    folder=attempt.folder,
                    stdout=stdout,
                    stderr=stderr,
                )
            )
            self._reached("launch.after")
        finally:
            os.close(stdout)
            os.close(stderr)

    def _put_off(self, attempt: Attempt, reason: str) -> None:
        """This machine has no room now, which is no fault of the try: begin it again in a while, from nothing."""
        if not attempt.was_put_off:
            attempt.was_put_off = True
            _log.warning("%s has to wait: %s", attempt.key.task.label, reason)
        if attempt.log is not None:
            attempt.log.close()
        attempt.close()
        if attempt.folder is not None:
            remove_folder(attempt.folder)
        attempt.log = attempt.folder = None
        attempt.emit(Waiting(key=attempt.key, reason="room on this machine"))

        def again() -> None:
            self._loop.at(self._loop.time() + _PUT_OFF_S, lambda: self._submit(self._begins, self._begin, attempt))

        self._loop.post(again)

    def _watch(self, attempt: Attempt) -> None:
        attempt.watch = Watch(attempt, self._watching)
        attempt.watch.begin()

    def _answer(self, attempt: Attempt, request: Mapping[str, Any], reply: Callable[[Mapping[str, Any]], None]) -> None:
        response = answer(self._tasks, attempt.key, request)
        attempt.hide(request, response.get("value"))
        reply(response)

    def _finish(self, attempt: Attempt) -> None:
        """Tell how a try ended that was started."""
        assert attempt.running is not None
        try:
            ended = attempt.running.end()
        except ContainerError as error:  # whoever ran it died, and so did it
            self._conclude(attempt, Lost(reason=error.message), None)
            return
        attempt.drain()
        attempt.close()
        if attempt.seen.prepared is not None and attempt.seen.stop is None:
            self._go_on(attempt)
            return
        ending = decide(attempt.workload, attempt.seen, ended)
        if attempt.is_command:
            attempt.mark(user_ended=attempt.times.ended)
        if attempt.pushes_last_line and isinstance(ending, Succeeded):
            ending = self._push(attempt, ending)
        self._conclude(attempt, ending, ended.usage)

    def _go_on(self, attempt: Attempt) -> None:
        """Clear away the first step, and begin the second."""
        self._clean_up(attempt)

        def begin() -> None:
            attempt.begin_second()
            self._submit(self._begins, self._begin, attempt)

        self._loop.post(begin)

    def _push(self, attempt: Attempt, ending: Succeeded) -> Ending:
        assert attempt.stdout is not None
        if attempt.workload.payload.get("mapped_over"):
            return Failed(reason="others are mapped over what it returns: expected a list or a dict, found text")
        value = attempt.stdout.last_line.decode("utf-8", "replace")
        try:
            self._tasks.xcom_put(attempt.key, xcom_key="return_value", value=value)
        except AirdockError as error:
            return Failed(reason=f"its last line could not be kept as XCom: {error.message}")
        return ending

    def _conclude(self, attempt: Attempt, ending: Ending, usage: Usage | None) -> None:
        """Keep the outcome, tell it, then clean up; nothing of this try is expected after that. Idempotent."""
        if attempt.key not in self._attempts:
            return
        if attempt.times.ended is None:
            attempt.mark(ended=self._clock.now())
        outcome = self._outcome(attempt, ending, usage)
        if attempt.log is not None:
            if isinstance(ending, Failed | Lost) and attempt.seen.result is not ending:
                attempt.log.note(ending.reason)
            if attempt.log.lacking:
                _log.warning("the log of %s is not whole: %s", attempt.key.task.label, attempt.log.lacking)
            attempt.log.close()
        attempt.close()
        try:
            self._reached("keep.before")
            self._spool.put(attempt.key, outcome)
            self._reached("keep.after")
        except OSError as error:  # it is told all the same; only if we were killed right now, it would be lost
            _log.warning("the outcome of %s could not be kept: %s", attempt.key.task.label, error)
        with self._changed:
            del self._attempts[attempt.key]
            self._changed.notify_all()
        try:
            attempt.emit(Finished(key=attempt.key, outcome=outcome))
        finally:
            self._clean_up(attempt)

    def _clean_up(self, attempt: Attempt) -> None:
        self._reached("clean.before")
        try:
            if attempt.running is not None:
                attempt.running.remove()
        except AirdockError as error:  # its folder stays, and with it the try for `recover`
            _log.warning("%s could not be cleaned up: %s", attempt.key.task.label, error.message)
            return
        if attempt.folder is not None:
            remove_folder(attempt.folder)
        self._reached("clean.after")

    def _outcome(self, attempt: Attempt, ending: Ending, usage: Usage | None = None) -> Outcome:
        return Outcome(
            ending=ending,
            times=attempt.times,
            node=self._node,
            digest=attempt.digest,
            isolation=self._starter.isolation,
            usage=usage,
        )

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[..., None], *arguments: Any) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except Exception as error:
                _log.exception("the supervisor could not go on")
                if arguments and isinstance(arguments[0], Attempt):
                    self._give_up(arguments[0], error)

        pool.submit(guarded)

    def _give_up(self, attempt: Attempt, error: Exception) -> None:
        """What nobody thought of must not leave a try untold."""
        self._conclude(attempt, Failed(reason=f"the supervisor met {type(error).__name__}: {error}"), None)


def _check_room(folder: Path) -> None:
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < _ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _lost(record: Record, node: str) -> Outcome:
    return Outcome(
        ending=Lost(reason="the process that ran it died"),
        times=record.times,
        node=node,
        digest=record.digest,
        isolation=record.isolation,
    )


def _not_started(error: AirdockError | OSError) -> Failed | Lost:
    if isinstance(error, LauncherDiedError):
        return Lost(reason=error.message, delay_s=_PUT_OFF_S)
    if isinstance(error, OSError):
        return Failed(reason=f"could not be started: {error}")
    reason = f"could not be started: {error.message}"
    return Failed(
        reason=f"{reason} ({error.hint})" if error.hint else reason, retryable=not isinstance(error, _HOPELESS)
    )
