"""Calls the callbacks that no task's process can: those of DAGs, of lost tasks, of tasks in images of their own.

Each call is one container of the host image in which the runner imports the DAG file, as for a task in sdk mode. What
it prints goes to the log of the try that it is about, or for a DAG to `logs/<dag>/<run>/callbacks/1.log`.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from airdock.clock import Clock
from airdock.model.events import Event, Finished
from airdock.model.keys import NOT_MAPPED, TryKey
from airdock.model.mount import Mount
from airdock.model.outcome import Failed, Lost
from airdock.model.workload import Workload
from airdock.runner.base import Starter
from airdock.runner.logs import log_path, log_url
from airdock.runner.supervisor import Supervisor
from airdock.runner.task_api import TaskApi

__all__ = ["Callbacks"]

_OF_DAG: Final = "callbacks"
"""What stands for a task in the log's place where a DAG's callback is called."""
_LIMIT_S: Final = 600.0
_log = logging.getLogger(__name__)

Done = Callable[[str | None], None]
"""Takes why the call can't be made, "" where it was; None where it wasn't, and is to be made again.

A callback that raised was called: its log says so.
"""


class Callbacks:
    """Calls are made at once, as many side by side as are asked for. Any thread may call; `done` comes from another.

    A call is JSON, so that it can be kept until it is done: "dag_id", "run_id", "task_id" ("" is the DAG's own),
    "map_index", "try_number", "name" (`on_failure_callback`, …), "reason", "error", "loader" (of a task's payload:
    "fileloc", "paths", "pythons"), "params", and "run" and "instance" as a task has them. "last" is the instance that a
    DAG's callback is told of: "task_id", "map_index", "try_number", and the rest as "instance" has it. The call of a
    deadline has "deadline": "kind", "path" and "kwargs" of its callback, and the "context" that it is given.
    """

    def __init__(
        self,
        *,
        starter: Starter,
        image: Callable[[], str],
        place: Callable[[str], Sequence[Mount]],
        tasks: TaskApi,
        home: Path,
        runner: Path,
        clock: Clock,
    ) -> None:
        self._image, self._place, self._logs = image, place, home / "logs"
        self._supervisor = Supervisor(
            starter=starter, tasks=tasks, home=home, runner=runner, clock=clock, spool=home / "run" / "callbacks"
        )
        self._begins = ThreadPoolExecutor(1, thread_name_prefix="airdock-callback")
        self._lock = threading.Lock()
        self._done: dict[TryKey, list[tuple[Mapping[str, Any], Done]]] = {}
        self._is_started = False

    def run(self, call: Mapping[str, Any], done: Done) -> None:
        """Make the call. Calls about the same try come one after the other."""
        key = _key(call)
        with self._lock:
            waiting = self._done.setdefault(key, [])
            waiting.append((call, done))
            is_first = len(waiting) == 1
        if is_first:
            self._begins.submit(self._begin, call)

    def stop(self) -> None:
        """Make no more calls and end those that go on, which are to be made again. Idempotent."""
        self._begins.shutdown(wait=True, cancel_futures=True)
        if self._is_started:
            self._supervisor.stop()

    def join(self) -> None:
        if self._is_started:
            self._supervisor.join()

    def _begin(self, call: Mapping[str, Any]) -> None:
        try:
            if not self._is_started:
                self._supervisor.start()
                self._is_started = True
                self._supervisor.recover(emit=lambda event: self._supervisor.ack(event.key))
            self._supervisor.run(self._workload(call), run_info=call["run"], emit=self._take)
        except Exception as error:  # whoever asked waits for an answer
            _log.warning("a callback of %s could not be called: %s", call["dag_id"], error)
            self._end(_key(call), f"could not be started: {error}")

    def _workload(self, call: Mapping[str, Any]) -> Workload:
        loader = call["loader"]
        return Workload(
            key=_key(call),
            digest=self._image(),
            payload={
                **loader,
                "mode": "sdk",
                "dag_id": call["dag_id"],
                "task_id": call["task_id"],
                "params": dict(call.get("params") or {}),
                "do_xcom_push": False,
                "multiple_outputs": False,
                "callback": {name: call.get(name) or "" for name in ("name", "reason", "error", "deadline")},
                "instance": dict(call.get("instance") or {}),
                "last": self._last(call),
            },
            mounts=tuple(self._place(loader["fileloc"])),
            deadline_s=_LIMIT_S,
        )

    def _last(self, call: Mapping[str, Any]) -> dict[str, Any] | None:
        last = call.get("last")
        if not last:
            return None
        return {**last, "log_url": log_url(log_path(self._logs, _key({**call, **last})))}

    def _take(self, event: Event) -> None:
        if not isinstance(event, Finished):
            return
        self._supervisor.ack(event.key)
        ending = event.outcome.ending
        is_lost = isinstance(ending, Lost)
        self._end(event.key, None if is_lost else ending.reason if isinstance(ending, Failed) else "")

    def _end(self, key: TryKey, error: str | None) -> None:
        with self._lock:
            waiting = self._done[key]
            _, done = waiting.pop(0)
            following = waiting[0][0] if waiting else None
            if following is None:
                del self._done[key]
        done(error)
        if following is not None:
            with contextlib.suppress(RuntimeError):  # it was stopped meanwhile
                self._begins.submit(self._begin, following)


def _key(call: Mapping[str, Any]) -> TryKey:
    return TryKey(
        dag_id=call["dag_id"],
        run_id=call["run_id"],
        task_id=call["task_id"] or _OF_DAG,
        map_index=int(call.get("map_index", NOT_MAPPED)),
        try_number=int(call.get("try_number") or 1),
    )
