"""What is looked for in memory, as `filters` say it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Final

from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store.filters import InstanceFilter, PoolUse, RunFilter
from airdock.store.records import Instance, Run

__all__ = ["count_begun", "count_pools", "find_instances", "find_runs"]

Runs = dict[RunKey, Run]
Instances = Mapping[RunKey, Mapping[TaskKey, Instance]]

_USES: Final = {
    TaskState.QUEUED: "queued",
    TaskState.RUNNING: "running",
    TaskState.DEFERRED: "deferred",
    TaskState.SCHEDULED: "scheduled",
}


def find_runs(runs: Runs, wanted: RunFilter) -> list[Run]:
    """`Store.find_runs`."""
    found = [run for run in reversed(runs.values()) if _fits(run, wanted)]
    if wanted.by_date:
        found = [run for run in found if run.logical_date is not None]
        found.sort(key=lambda run: run.logical_date or run.created, reverse=True)
    else:
        found.sort(key=lambda run: run.created, reverse=True)
    if wanted.oldest_first:
        found.reverse()
    return found[wanted.offset : wanted.offset + wanted.limit]


def _fits(run: Run, wanted: RunFilter) -> bool:
    date = run.logical_date
    return (
        wanted.dag_id in (None, run.key.dag_id)
        and wanted.run_id in (None, run.key.run_id)
        and (wanted.run_ids is None or run.key.run_id in wanted.run_ids)
        and (wanted.states is None or run.state in wanted.states)
        and (wanted.types is None or run.run_type in wanted.types)
        and (wanted.dates is None or date in wanted.dates)
        and (wanted.after is None or (date is not None and date > wanted.after))
        and (wanted.before is None or (date is not None and date < wanted.before))
        and (wanted.ended_before is None or (run.ended is not None and run.ended < wanted.ended_before))
        and wanted.backfill in (None, run.backfill)
    )


def find_instances(runs: Runs, instances: Instances, wanted: InstanceFilter) -> list[Instance]:
    """`Store.find_instances`."""
    places = RunFilter(dag_id=wanted.dag_id, run_id=wanted.run_id, limit=len(runs))
    return list(
        islice(_fitting(find_runs(runs, places), instances, wanted), wanted.offset, wanted.offset + wanted.limit)
    )


def _fitting(runs: Iterable[Run], instances: Instances, wanted: InstanceFilter) -> Iterator[Instance]:
    for run in runs:
        for row in sorted(instances[run.key].values(), key=lambda row: (row.key.task_id, row.key.map_index)):
            if wanted.task_id in (None, row.key.task_id) and (wanted.states is None or row.state in wanted.states):
                yield row


def count_begun(runs: Iterable[Run], now: datetime) -> dict[tuple[str, int | None], int]:
    """How many runs are running or about to, by DAG and backfill."""
    return Counter(
        (run.key.dag_id, run.backfill)
        for run in runs
        if run.state is RunState.RUNNING
        or (run.state is RunState.QUEUED and run.owner and run.lease_until is not None and run.lease_until > now)
    )


def count_pools(runs: Runs, instances: Instances) -> dict[str, PoolUse]:
    """`Store.count_uses`."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for run in runs.values():
        for row in instances[run.key].values() if run.state not in RUN_FINISHED else ():
            if row.state in _USES:
                counts[row.pool][_USES[row.state]] += row.pool_slots
    return {pool: PoolUse(**found) for pool, found in counts.items()}
