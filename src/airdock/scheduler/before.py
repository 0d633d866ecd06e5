"""What an instance that isn't scheduled yet waits for, by name: what `follow` looks at, asked in its order. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.keys import NOT_MAPPED, TaskKey
from airdock.model.states import is_finished
from airdock.scheduler.expand import find_sources
from airdock.scheduler.rules import Verdict, judge
from airdock.scheduler.scopes import find_scopes
from airdock.scheduler.view import RunView
from airdock.store.records import Instance, Run

__all__ = ["Before"]

_NAMED = 3
"""How many of those that are waited for are named."""
_SETTLING = (Verdict.SKIP, Verdict.UPSTREAM_FAILED)


class Before:
    """A run as it is stored, looked at as the scheduler looks at it."""

    def __init__(self, dag: SerializedDag, run: Run, rows: Sequence[Instance]) -> None:
        tasks = {task.task_id for task in dag.tasks}
        known = [row for row in rows if row.key.task_id in tasks]
        self._view = RunView(run=run.key, logical_date=run.logical_date, dag=dag, instances=known)
        self._scopes = {task_id: sorted(inside) for task_id, inside in find_scopes(dag.tasks).items()}
        self._open = Counter(row.key.task_id for row in known if not is_finished(row.state))

    def look(self, key: TaskKey) -> tuple[str, str]:
        """Kind and text of its `Wait`."""
        task = self._view.task(key.task_id)
        verdict = judge(task, self._view.upstream(key), self._view.scope(key))
        sources = self._sources(task)
        is_settling = verdict in _SETTLING and key.map_index == NOT_MAPPED
        if task.map_group and sources and not is_settling:
            return "upstream", f"{_join(sources)}, which {task.map_group} is expanded over"
        if verdict is Verdict.WAIT:
            return "upstream", _join([*self._named(key, [*task.upstream, *self._scopes.get(key.task_id, ())])])
        if sources and verdict is Verdict.RUN:
            return "upstream", f"{_join(sources)}, which it is expanded over"
        if task.depends_on_past or task.wait_for_downstream:
            return "past", "this task in the run before"
        return "scheduler", "the scheduler"

    def _sources(self, task: SerializedTask) -> list[str]:
        """Those that it is, or its group is, expanded over and that go on."""
        parts = (self._view.expansion(task) or {}).values()
        found = dict.fromkeys(each for part in parts for each in find_sources(part))
        return [self._counted(each) for each in found if self._open[each]]

    def _named(self, key: TaskKey, others: Sequence[str]) -> Iterator[str]:
        group = self._view.task(key.task_id).map_group
        for other in others:
            is_beside = group and self._view.task(other).map_group == group and key.map_index != NOT_MAPPED
            if not is_beside:
                yield from [self._counted(other)] if self._open[other] else ()
            elif self._is_open(beside := replace(key, task_id=other)):
                yield beside.label
            elif self._is_open(whole := replace(beside, map_index=NOT_MAPPED)):
                yield whole.label

    def _is_open(self, key: TaskKey) -> bool:
        member = self._view.member(key)
        return member is not None and not is_finished(member.state)

    def _counted(self, task_id: str) -> str:
        count = self._view.size(task_id)
        return task_id if count == 1 else f"{task_id} ({count - self._open[task_id]} of {count} done)"


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
