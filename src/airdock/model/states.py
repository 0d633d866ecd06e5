"""The states of runs and task instances, and which may follow which (Airflow 3.3's words)."""

from enum import StrEnum
from typing import Final

__all__ = ["FINISHED", "RUN_FINISHED", "TRANSITIONS", "RunState", "TaskState", "is_finished"]


class TaskState(StrEnum):
    """Where a task instance stands."""

    NONE = "none"
    """Waits for others; the only state with no row of a try."""
    SCHEDULED = "scheduled"
    """Dependencies are met; waits for its image, a slot or a limit."""
    QUEUED = "queued"
    """Handed to an executor."""
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    UPSTREAM_FAILED = "upstream_failed"
    REMOVED = "removed"
    UP_FOR_RETRY = "up_for_retry"
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    RESTARTING = "restarting"
    DEFERRED = "deferred"
    AWAITING_INPUT = "awaiting_input"


class RunState(StrEnum):
    """Where a DAG run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


FINISHED: Final = frozenset(
    {TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED, TaskState.REMOVED}
)
RUN_FINISHED: Final = frozenset({RunState.SUCCESS, RunState.FAILED})

_S = TaskState
_RUNNING_ENDS: Final = frozenset(
    {
        _S.SUCCESS,
        _S.FAILED,
        _S.SKIPPED,
        _S.UP_FOR_RETRY,
        _S.UP_FOR_RESCHEDULE,
        _S.DEFERRED,
        _S.AWAITING_INPUT,
        _S.RESTARTING,
        _S.SCHEDULED,  # lost: runs again without using a retry
        _S.NONE,
    }
)

TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    _S.NONE: frozenset({_S.SCHEDULED, _S.SUCCESS, _S.SKIPPED, _S.UPSTREAM_FAILED, _S.REMOVED, _S.FAILED}),
    _S.SCHEDULED: frozenset({_S.QUEUED, _S.FAILED, _S.SKIPPED, _S.NONE, _S.REMOVED}),
    _S.QUEUED: _RUNNING_ENDS | {_S.RUNNING},
    _S.RUNNING: _RUNNING_ENDS,
    _S.UP_FOR_RETRY: frozenset({_S.SCHEDULED, _S.FAILED, _S.SUCCESS, _S.NONE, _S.SKIPPED}),
    _S.UP_FOR_RESCHEDULE: frozenset({_S.SCHEDULED, _S.FAILED, _S.SUCCESS, _S.NONE, _S.SKIPPED}),
    _S.DEFERRED: frozenset({_S.SCHEDULED, _S.FAILED, _S.SUCCESS, _S.NONE, _S.SKIPPED}),
    _S.AWAITING_INPUT: frozenset({_S.SCHEDULED, _S.FAILED, _S.SUCCESS, _S.NONE, _S.SKIPPED}),
    _S.RESTARTING: frozenset({_S.NONE, _S.SCHEDULED, _S.FAILED}),
    # Finished states are left only by a clear.
    _S.SUCCESS: frozenset({_S.NONE}),
    _S.FAILED: frozenset({_S.NONE}),
    _S.SKIPPED: frozenset({_S.NONE}),
    _S.UPSTREAM_FAILED: frozenset({_S.NONE}),
    _S.REMOVED: frozenset({_S.NONE}),
}
"""From each state, the states that may follow. The store refuses every other change."""


def is_finished(state: TaskState) -> bool:
    """Whether nothing more happens to a task instance in this state unless it is cleared."""
    return state in FINISHED
