"""How many instances a mapped task becomes: from its expressions and the lengths that others pushed. Pure."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import NOT_MAPPED, TaskKey
from airdock.model.states import TaskState
from airdock.store.base import RETURN_VALUE

if TYPE_CHECKING:
    from airdock.scheduler.view import View

__all__ = ["find_length", "find_sources"]

_BAD = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.REMOVED})


def find_length(view: "View", task: SerializedTask) -> int | TaskState | None:
    """How many instances there are of a task that is mapped, or in a mapped group.

    Or what becomes of it because of those it is mapped over; None while a length isn't known yet.
    """
    parts = list((view.expansion(task) or {}).values())
    states = {_state(view, task_id) for part in parts for task_id in find_sources(part)}
    if states & _BAD:
        return TaskState.UPSTREAM_FAILED
    if TaskState.SKIPPED in states:
        return TaskState.SKIPPED
    if None in states:
        return None
    lengths = [_length(view, part) for part in parts]
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        return TaskState.UPSTREAM_FAILED
    return math.prod(known)


def find_sources(part: Mapping[str, Any]) -> Iterator[str]:
    """The tasks whose values an expression is about."""
    if "xcom" in part:
        yield str(part["xcom"])
    for inner in _inner(part):
        yield from find_sources(inner)


def _inner(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*part.get("zip", ()), *part.get("concat", ()), *([part["map"]] if "map" in part else ())]


def _length(view: "View", part: Mapping[str, Any]) -> int | None:
    if "length" in part:
        return int(part["length"])
    if "xcom" in part:
        return _pushed_length(view, str(part["xcom"]), str(part.get("key", RETURN_VALUE)))
    lengths = [_length(view, inner) for inner in _inner(part)]
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        return None
    if "zip" in part:
        return max(known, default=0) if part.get("longest") else min(known, default=0)
    return sum(known)


def _state(view: "View", task_id: str) -> TaskState | None:
    """How a task that is mapped over ended; None if it goes on. An expanded one has ended well, whatever its parts."""
    if not view.is_settled(task_id):
        return None
    member = view.member(TaskKey(dag_id=view.run.dag_id, run_id=view.run.run_id, task_id=task_id))
    return member.state if member else TaskState.SUCCESS


def _pushed_length(view: "View", task_id: str, name: str) -> int | None:
    """How long the value is that a task pushed; for an expanded task how many of its instances pushed one."""
    lengths = view.lengths(task_id, name)
    member = view.member(TaskKey(dag_id=view.run.dag_id, run_id=view.run.run_id, task_id=task_id))
    return lengths.get(NOT_MAPPED) if member else len(lengths)
