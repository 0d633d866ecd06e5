"""Airflow's trigger rules: from how the upstream instances stand to what becomes of a task. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Final

from airdock.dag.serialized import SerializedTask
from airdock.model.states import TaskState

__all__ = ["RULES", "Counts", "Verdict", "evaluate", "judge"]


class Verdict(Enum):
    """What a trigger rule says. The last two are final, and may come before all upstream instances are done."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"
    UPSTREAM_FAILED = "upstream_failed"


@dataclass(slots=True)
class Counts:
    """How the direct upstream instances of a task stand. A removed one is done, and excused by every rule."""

    total: int = 0
    success: int = 0
    failed: int = 0
    upstream_failed: int = 0
    skipped: int = 0
    removed: int = 0
    setups: int = 0
    setup_success: int = 0
    setup_skipped: int = 0

    @property
    def bad(self) -> int:
        return self.failed + self.upstream_failed

    @property
    def is_done(self) -> bool:
        return self.success + self.bad + self.skipped + self.removed == self.total

    @property
    def expected(self) -> int:
        """How many count: those that weren't removed."""
        return self.total - self.removed

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))

    def add(self, *, is_setup: bool, by: int = 1) -> None:
        """There are so many more upstream instances."""
        self.total += by
        self.setups += by if is_setup else 0

    def settle(self, state: TaskState, *, is_setup: bool, by: int = 1) -> None:
        """One of the upstream instances reached this finished state, or (by -1) left it."""
        setattr(self, state.value, getattr(self, state.value) + by)
        if is_setup:
            self.setup_success += by * (state is TaskState.SUCCESS)
            self.setup_skipped += by * (state is TaskState.SKIPPED)


_FIELDS: Final = tuple(each.name for each in fields(Counts))


def _all_success(counts: Counts) -> Verdict:
    if counts.bad:
        return Verdict.UPSTREAM_FAILED
    if counts.skipped:
        return Verdict.SKIP
    return Verdict.RUN if counts.success == counts.expected else Verdict.WAIT


def _all_failed(counts: Counts) -> Verdict:
    if counts.success or counts.skipped:
        return Verdict.SKIP
    return Verdict.RUN if counts.bad == counts.expected else Verdict.WAIT


def _all_done(counts: Counts) -> Verdict:
    return Verdict.RUN if counts.is_done else Verdict.WAIT


def _all_skipped(counts: Counts) -> Verdict:
    if counts.success or counts.bad:
        return Verdict.SKIP
    return Verdict.RUN if counts.skipped == counts.expected else Verdict.WAIT


def _one_success(counts: Counts) -> Verdict:
    if counts.success:
        return Verdict.RUN
    if not counts.is_done:
        return Verdict.WAIT
    return Verdict.SKIP if counts.skipped == counts.expected else Verdict.UPSTREAM_FAILED


def _one_failed(counts: Counts) -> Verdict:
    if counts.bad:
        return Verdict.RUN
    return Verdict.SKIP if counts.is_done else Verdict.WAIT


def _one_done(counts: Counts) -> Verdict:
    if counts.success or counts.failed:
        return Verdict.RUN
    return Verdict.SKIP if counts.is_done else Verdict.WAIT


def _none_failed(counts: Counts) -> Verdict:
    if counts.bad:
        return Verdict.UPSTREAM_FAILED
    return Verdict.RUN if counts.is_done else Verdict.WAIT


def _none_failed_min_one_success(counts: Counts) -> Verdict:
    if counts.bad:
        return Verdict.UPSTREAM_FAILED
    if not counts.is_done:
        return Verdict.WAIT
    if counts.success:
        return Verdict.RUN
    return Verdict.SKIP if counts.skipped == counts.expected else Verdict.UPSTREAM_FAILED


def _none_skipped(counts: Counts) -> Verdict:
    if counts.skipped:
        return Verdict.SKIP
    return Verdict.RUN if counts.is_done else Verdict.WAIT


def _always(_counts: Counts) -> Verdict:
    return Verdict.RUN


def _all_done_setup_success(counts: Counts) -> Verdict:
    if not counts.is_done:
        return Verdict.WAIT
    if not counts.setups or counts.setup_success:
        return Verdict.RUN
    return Verdict.SKIP if counts.setup_skipped == counts.setups else Verdict.UPSTREAM_FAILED


def _all_done_min_one_success(counts: Counts) -> Verdict:
    if counts.skipped:
        return Verdict.SKIP
    if not counts.is_done:
        return Verdict.WAIT
    return Verdict.RUN if counts.success else Verdict.UPSTREAM_FAILED


RULES: Final[Mapping[str, Callable[[Counts], Verdict]]] = {
    "all_success": _all_success,
    "all_failed": _all_failed,
    "all_done": _all_done,
    "all_skipped": _all_skipped,
    "one_success": _one_success,
    "one_failed": _one_failed,
    "one_done": _one_done,
    "none_failed": _none_failed,
    "none_failed_min_one_success": _none_failed_min_one_success,
    "none_skipped": _none_skipped,
    "always": _always,
    "all_done_setup_success": _all_done_setup_success,
    "all_done_min_one_success": _all_done_min_one_success,
}
"""The thirteen of Airflow 3.3."""


def evaluate(rule: str, counts: Counts) -> Verdict:
    """What becomes of a task with this rule. Without upstream every rule is met."""
    return RULES[rule](counts) if counts.total else Verdict.RUN


def judge(task: SerializedTask, upstream: Counts, scope: Counts | None) -> Verdict:
    """What becomes of a task by its trigger rule and by its `scope`.

    For a teardown these are all tasks between its setups and itself, which have to be done; for others the setups above
    it that aren't direct upstream, which have to succeed.
    """
    verdict = evaluate(task.trigger_rule, upstream)
    if scope is None or not scope.total or task.trigger_rule == "always":
        return verdict
    if task.is_teardown:
        return Verdict.WAIT if verdict is Verdict.RUN and not scope.is_done else verdict
    if scope.bad:
        return Verdict.UPSTREAM_FAILED
    if scope.skipped:
        return Verdict.SKIP
    return Verdict.WAIT if verdict is Verdict.RUN and scope.success < scope.expected else verdict
