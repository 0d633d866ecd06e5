"""What running tasks ask for, answered from the store."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from airdock.dag.named_assets import find_clash, first_assets
from airdock.dag.serialized import SerializedDag
from airdock.errors import InactiveAssetError, RunnerError, UnknownRunError
from airdock.model.keys import NOT_MAPPED, RunKey, TaskKey, TryKey
from airdock.model.states import RunState
from airdock.store.base import Store
from airdock.store.filters import RunFilter
from airdock.store.records import AssetEvent, Run, XCom

__all__ = ["Secrets", "StoreTaskApi", "Trigger"]

_MOST_RUNS: Final = 1000
"""Of a DAG, the newest first, that an answer to a question about its runs names."""


Trigger = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Makes the run of a DAG that a task wants, see `runner.task_api.TaskApi.trigger_run`."""


class Secrets(Protocol):
    """Where variables and connections are; `secrets.vault.Vault` says what the methods do."""

    def variable(self, name: str) -> str | None: ...

    def set_variable(self, name: str, value: str, *, description: str | None = None) -> None: ...

    def delete_variable(self, name: str) -> bool: ...

    def connection(self, id: str) -> Mapping[str, Any] | None: ...


def _refuse(dag_id: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    raise RunnerError(f"a run of {dag_id!r} can't be started from here")


class StoreTaskApi:
    """Answers running tasks from the store; satisfies `runner.task_api.TaskApi`.

    `vault` has variables and connections; `trigger` makes runs; `follow` gives the end of the interval after a
    run's. Where they aren't given there are none. Where
    it `serves` a folder of DAGs, active assets are those of all of them, else of the try's own DAG.
    """

    def __init__(
        self,
        *,
        store: Store,
        vault: Secrets | None = None,
        trigger: Trigger = _refuse,
        follow: Callable[[SerializedDag, Run], datetime | None] = lambda _dag, _run: None,
        serves: Callable[[], bool] = lambda: False,
        max_map_length: int = 1024,
    ) -> None:
        self._max_map_length = max_map_length
        self._store, self._vault, self._trigger = store, vault, trigger
        self._follow, self._serves = follow, serves

    def xcom_get(
        self,
        key: TryKey,
        *,
        task_id: str,
        xcom_key: str,
        map_index: int | None,
        run: RunKey | None = None,
        prior: bool = False,
    ) -> Any:
        """The value; for a mapped task without `map_index` the list over those that pushed one; else None."""
        place, found = self._find(key, task_id, xcom_key, map_index, run, prior)
        if map_index is None and self._is_mapped(place, task_id, [xcom.key for xcom in found]):
            return [json.loads(xcom.value) for xcom in found]
        return json.loads(found[0].value) if found else None

    def xcom_count(
        self, key: TryKey, *, task_id: str, xcom_key: str, run: RunKey | None = None, prior: bool = False
    ) -> int | None:
        """How many instances of a mapped task pushed a value; None where the task isn't mapped."""
        place, found = self._find(key, task_id, xcom_key, None, run, prior)
        return len(found) if self._is_mapped(place, task_id, [xcom.key for xcom in found]) else None

    def xcom_part(
        self,
        key: TryKey,
        *,
        task_id: str,
        xcom_key: str,
        start: int,
        stop: int,
        run: RunKey | None = None,
        prior: bool = False,
    ) -> list[Any]:
        """Those of `xcom_count` values, by map index."""
        found = self._find(key, task_id, xcom_key, None, run, prior)[1]
        return [json.loads(xcom.value) for xcom in found[start:stop]]

    def _find(
        self, key: TryKey, task_id: str, name: str, map_index: int | None, run: RunKey | None, prior: bool
    ) -> tuple[RunKey | None, Sequence[XCom]]:
        """The run in which the values are looked for, None where another is asked for that isn't there; the values."""
        asked = run or key.task.run
        if run is not None and self.run_state(run) is None:
            return None, ()
        for place in [asked, *self._earlier(asked)] if prior else [asked]:
            if found := self._store.list_xcoms(place, task_id=task_id, name=name, map_index=map_index):
                return place, found
        return asked, ()

    def _earlier(self, key: RunKey) -> list[RunKey]:
        return [run.key for run in self._before(key)]

    def _before(self, key: RunKey, *, states: Collection[RunState] | None = None, limit: int = _MOST_RUNS) -> list[Run]:
        """The DAG's runs of an earlier logical date, the newest first."""
        date = self._store.load_run(key).logical_date
        if date is None:
            return []
        wanted = RunFilter(dag_id=key.dag_id, before=date, states=states, by_date=True, limit=limit)
        return self._store.find_runs(wanted)

    def _is_mapped(self, run: RunKey | None, task_id: str, pushed: Collection[TaskKey]) -> bool:
        if run is None:
            return False
        keys = pushed or [row.key for row in self._store.list_instances(run, task_id=task_id)]
        return any(each.map_index != NOT_MAPPED for each in keys)

    def xcom_put(self, key: TryKey, *, xcom_key: str, value: Any, is_mapped_over: bool = False) -> None:
        length = len(value) if isinstance(value, (list, dict)) else None
        if is_mapped_over and length is not None and length > self._max_map_length:
            raise RunnerError(
                f"others are mapped over what task {key.task_id!r} returns: expected at most {self._max_map_length} "
                f"values, found {length} (the setting core.max_map_length)"
            )
        self._store.put_xcom(key, name=xcom_key, value=json.dumps(value), length=length)

    def images(self, run: RunKey) -> Mapping[str, str]:
        """From task id to the digest its image has in this run, for the tasks whose image is made."""
        dag = self._load_dag(run)
        digests = {answer.environment: answer.digest for answer in self._store.list_answers(run) if answer.digest}
        with_image = (task for task in dag.tasks if task.mode != "none")
        return {task.task_id: digests[task.environment] for task in with_image if task.environment in digests}

    def _load_dag(self, run: RunKey) -> SerializedDag:
        return SerializedDag.from_dict(self._store.load_dag(self._store.load_run(run).dag_digest))

    def variable(self, name: str) -> str | None:
        return None if self._vault is None else self._vault.variable(name)

    def set_variable(self, name: str, value: str, *, description: str | None = None) -> None:
        if self._vault is None:
            raise RunnerError("variables aren't kept here")
        self._vault.set_variable(name, value, description=description)

    def delete_variable(self, name: str) -> None:
        if self._vault is not None:
            self._vault.delete_variable(name)

    def connection(self, id: str) -> Mapping[str, Any] | None:
        return None if self._vault is None else self._vault.connection(id)

    def trigger_run(self, key: TryKey, *, dag_id: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._trigger(dag_id, wanted)

    def check_assets(self, key: TryKey, assets: Sequence[tuple[str, str]]) -> None:
        active = self._store.list_active_assets() if self._serves() else first_assets(self._load_dag(key.task.run))
        for name, uri in assets:
            if clash := find_clash((name, uri), active):
                raise InactiveAssetError(
                    f"expected active inlets and outlets, found the asset {name!r} ({uri}), which isn't: {clash}",
                    hint="give it a name and an address of its own, or write the same ones everywhere",
                )

    def state_get(self, key: TryKey, name: str, *, asset: Mapping[str, str] | None = None) -> Mapping[str, Any] | None:
        text = self._store.load_state(_scope(key, asset), name, now=self._store.now())
        return None if text is None else {"value": json.loads(text)}

    def state_set(
        self, key: TryKey, name: str, value: Any, *, keep_s: float | None = None, asset: Mapping[str, str] | None = None
    ) -> None:
        until = None if keep_s is None else self._store.now() + timedelta(seconds=keep_s)
        self._store.save_state(_scope(key, asset), name, json.dumps(value), until=until)

    def state_delete(self, key: TryKey, name: str | None, *, asset: Mapping[str, str] | None = None) -> None:
        self._store.delete_states(_scope(key, asset), name)

    def asset_events(self, wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        given: dict[str, Any] = {name: wanted.get(name) or None for name in ("name", "uri", "alias")}
        found = [each for each in self._store.list_events(**given) if _is_wanted(each, wanted)]
        if not wanted.get("ascending", True):
            found.reverse()
        return [each.to_dict() for each in found[: wanted.get("limit")]]

    def run_state(self, run: RunKey) -> str | None:
        try:
            return str(self._store.load_run(run).state)
        except UnknownRunError:
            return None

    def runs(
        self,
        dag_id: str,
        *,
        logical_dates: Collection[datetime] | None = None,
        run_ids: Collection[str] | None = None,
        states: Collection[str] | None = None,
    ) -> list[str]:
        wanted = RunFilter(
            dag_id=dag_id,
            dates=logical_dates,
            run_ids=run_ids,
            states=None if states is None else [state for state in RunState if state in states],
            limit=_MOST_RUNS,
        )
        return [run.key.run_id for run in self._store.find_runs(wanted)]

    def task_states(
        self, run: RunKey, *, task_ids: Collection[str] | None = None, group: str | None = None
    ) -> list[tuple[str, int, str]]:
        wanted = set(task_ids) if task_ids is not None else None
        if group is not None:
            members = self._members(run, group)
            wanted = members if wanted is None else wanted & members
        if wanted is None:
            rows = self._store.list_instances(run)
        else:  # a run may have many more than what is asked for
            rows = [row for task_id in sorted(wanted) for row in self._store.list_instances(run, task_id=task_id)]
        return [(row.key.task_id, row.key.map_index, str(row.state)) for row in rows]

    def _members(self, run: RunKey, group: str) -> set[str]:
        """The tasks of the group and of those in it. RunnerError where there is no such group, as in Airflow."""
        dag = self._load_dag(run)
        if group not in dag.groups:
            known = ", ".join(sorted(dag.groups)) or "none"
            raise RunnerError(f"DAG {run.dag_id!r} has no task group {group!r}", hint=f"it has: {known}")

        def is_in(found: str) -> bool:
            while found and found != group:
                found = str(dag.groups.get(found, {}).get("parent") or "")
            return found == group

        return {task.task_id for task in dag.tasks if is_in(task.group)}

    def previous_run(self, key: TryKey, *, state: str | None = None) -> Mapping[str, Any] | None:
        states = None if state is None else [each for each in RunState if each == state]
        return next((_describe(run) for run in self._before(key.task.run, states=states, limit=1)), None)

    def following(self, key: TryKey) -> str | None:
        found = self._follow(self._load_dag(key.task.run), self._store.load_run(key.task.run))
        return None if found is None else found.isoformat()


def _scope(key: TryKey, asset: Mapping[str, str] | None) -> str:
    """Whose states they are: of a task instance, whatever its try, or of an asset."""
    if asset is not None:
        return json.dumps(["asset", asset["name"], asset["uri"]])
    return json.dumps(["task", key.dag_id, key.run_id, key.task_id, key.map_index])


def _is_wanted(event: AssetEvent, wanted: Mapping[str, Any]) -> bool:
    after, before = (datetime.fromisoformat(wanted[name]) if wanted.get(name) else None for name in _BOUNDS)
    return (after is None or event.at >= after) and (before is None or event.at <= before)


_BOUNDS: Final = ("after", "before")


def _describe(run: Run) -> dict[str, Any]:
    """The run as a task sees it."""
    times = {
        "logical_date": run.logical_date,
        "data_interval_start": run.interval_start,
        "data_interval_end": run.interval_end,
        "start_date": run.started,
        "end_date": run.ended,
    }
    told = {name: time.isoformat() if time else None for name, time in times.items()}
    return {
        "run_id": run.key.run_id,
        "run_type": run.run_type,
        "conf": dict(run.conf),
        "state": str(run.state),
        **told,
    }
