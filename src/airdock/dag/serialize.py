"""From the DAG as it is written to its serialised form, with every check that needs the whole of it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from airdock.dag.arguments import seconds
from airdock.dag.assets import BaseAsset, is_asset, list_assets
from airdock.dag.dag import DAG
from airdock.dag.deadlines import deadlines_of, deadlines_without_effect
from airdock.dag.documented import first_doc
from airdock.dag.first_step import has_first_step, has_own
from airdock.dag.graph import topological_order, total_weights
from airdock.dag.mapping import MappedOperator
from airdock.dag.needs import read_environment, read_resources
from airdock.dag.node import Node
from airdock.dag.operator import BaseOperator, Work, link_inputs
from airdock.dag.param import check_params
from airdock.dag.retry_policy import ExceptionRetryPolicy
from airdock.dag.schedules import asset_condition_of, moment_of, timetable_of
from airdock.dag.sensor import BaseSensorOperator
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.dag.task_group import TaskGroup
from airdock.dag.templates import search_folders
from airdock.dag.weights import RULES, find_strategy, weights_by_try
from airdock.errors import DagError

__all__ = ["arguments_without_effect", "serialize_dag"]

_DAY_S: Final = 86_400.0


def serialize_dag(dag: DAG, *, loader: Mapping[str, Any]) -> SerializedDag:
    """The DAG for scheduler and runner. `loader` is what the runner needs to import the file again (sdk mode).

    Raises CycleError, DagError, NotPortableError.
    """
    for task in dag.tasks:
        link_inputs(task)
    if not dag.tasks:
        raise DagError(f"DAG {dag.dag_id!r} has no tasks", where=dag.where, hint="make tasks inside of its block")
    upstream = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    order = topological_order(upstream)
    settings = {task.task_id: task.settings for task in dag.tasks}
    own = {task_id: _own_weights(each) for task_id, each in settings.items()}
    weights = total_weights(
        upstream,
        {task_id: each[0] for task_id, each in own.items()},
        {task_id: _weight_rule(each, "absolute") for task_id, each in settings.items()},
    )
    _check_fail_fast(dag)
    groups = {group_id: _group(group) for group_id, group in dag.groups.items()}
    tasks = [
        _serialize_task(dag, dag.task_dict[task_id], (weights[task_id], *own[task_id][1:]), loader) for task_id in order
    ]
    return SerializedDag(
        dag_id=dag.dag_id,
        fileloc=dag.fileloc,
        tasks=tuple(_say_who_is_mapped_over(tasks, groups)),
        max_active_tasks=_at_least_one(dag, "max_active_tasks"),
        fail_fast=bool(dag.fail_fast),
        params=_json_params(dag.params, dag.where, f"DAG {dag.dag_id!r}"),
        param_schemas=_schemas(dag),
        doc=dag.doc_md or dag.description or "",
        source_digest="sha256:" + hashlib.sha256(Path(dag.fileloc).read_bytes()).hexdigest(),
        schedule=_shown_schedule(dag.schedule),
        tags=tuple(sorted(map(str, dag.tags or ()))),
        groups=groups,
        labels=tuple((up, down, text) for (up, down), text in dag.edge_labels.items()),
        callbacks=tuple(name for name in _DAG_CALLBACKS if getattr(dag, name, None)),
        deadlines=deadlines_of(dag.deadline, f"{dag.where} (DAG {dag.dag_id!r})"),
        loader=dict(loader),
        **_running(dag),
    )


def _say_who_is_mapped_over(
    tasks: Sequence[SerializedTask], groups: Mapping[str, Mapping[str, Any]]
) -> Iterator[SerializedTask]:
    """What others are mapped over has to be a list or a dict, which their payload says."""
    expansions = [*(task.expand for task in tasks), *(group["expand"] for group in groups.values())]
    mapped_over = {task_id for expand in expansions for part in (expand or {}).values() for task_id in _sources(part)}
    for task in tasks:
        is_one = task.task_id in mapped_over and not task.is_mapped and not task.map_group
        yield replace(task, payload={**task.payload, "mapped_over": True}) if is_one else task


def _sources(part: Mapping[str, Any]) -> Iterator[str]:
    """The tasks whose results say how long an expression is."""
    if "xcom" in part and part.get("key", "return_value") == "return_value":
        yield str(part["xcom"])
    inner = [*part.get("zip", ()), *part.get("concat", ()), *([part["map"]] if "map" in part else [])]
    for each in inner:
        yield from _sources(each)


def _running(dag: DAG) -> dict[str, Any]:
    """What says when runs are made, and how they go on."""
    timeout = dag.dagrun_timeout
    return {
        "asset_condition": asset_condition_of(dag.schedule),
        "timetable": timetable_of(dag.schedule, start=dag.start_date, where=f"{dag.where} (DAG {dag.dag_id!r})"),
        "start_date": moment_of(_start_of(dag), name="start_date", where=dag.where),
        "end_date": moment_of(dag.end_date, name="end_date", where=dag.where),
        "catchup": bool(dag.catchup),
        "max_active_runs": _at_least_one(dag, "max_active_runs"),
        "max_consecutive_failed_dag_runs": int(dag.max_consecutive_failed_dag_runs or 0),
        "dagrun_timeout_s": None if timeout is None else seconds("dagrun_timeout", timeout, dag.where),
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "display_name": dag.dag_display_name if dag.dag_display_name != dag.dag_id else "",
        "owners": tuple(sorted({str(task.settings.owner) for task in dag.tasks})),
        "render_template_as_native_obj": bool(dag.render_template_as_native_obj),
    }


def _shown_schedule(schedule: Any) -> str | None:
    if schedule is None or isinstance(schedule, str):
        return schedule
    if is_asset(schedule):
        members = schedule.members() if isinstance(schedule, BaseAsset) else schedule
        return "assets: " + ", ".join(str(getattr(each, "name", "") or getattr(each, "uri", "")) for each in members)
    return str(schedule)


def _start_of(dag: DAG) -> Any:
    """When runs begin: the DAG's own date, else that which `default_args` gives to all its tasks."""
    return dag.start_date if dag.start_date is not None else dag.default_args.get("start_date")


def _serialize_task(dag: DAG, task: Node, weights: Sequence[int], loader: Mapping[str, Any]) -> SerializedTask:
    settings = task.settings
    where = f"{task.where} (task {task.task_id!r})"
    work = task.work()  # type: ignore[attr-defined]  # both kinds of node have it, the base of `>>` doesn't
    return SerializedTask(
        task_id=task.task_id,
        operator=_kind(task),
        upstream=tuple(task._upstream),
        trigger_rule=str(settings.trigger_rule),
        retries=settings.retries,
        retry_delay_s=settings.retry_delay.total_seconds(),
        retry_exponential_backoff=settings.retry_exponential_backoff,
        max_retry_delay_s=_DAY_S if settings.max_retry_delay is None else settings.max_retry_delay.total_seconds(),
        execution_timeout_s=_timeout(settings, where),
        pool=settings.pool,
        pool_slots=settings.pool_slots,
        priority_weight=weights[0],
        later_weights=tuple(weights[1:]),
        environment=read_environment(settings.needs, dag_file=Path(dag.fileloc), where=where),
        resources=read_resources(settings.needs, where=where),
        mode=work["mode"],
        argv=tuple(work.get("argv", ())),
        env=work.get("env", {}),
        payload=_payload(dag, task, work, loader),
        expand=task.expansion() if isinstance(task, MappedOperator) else None,
        executor=settings.executor,
        queue=settings.queue,
        max_active_tis_per_dag=settings.max_active_tis_per_dag,
        max_active_tis_per_dagrun=settings.max_active_tis_per_dagrun,
        is_setup=settings.is_setup,
        is_teardown=settings.is_teardown,
        setups=_setups(task) if settings.is_teardown else (),
        on_failure_fail_dagrun=settings.on_failure_fail_dagrun,
        group=task.task_group.group_id if task.task_group is not None else "",
        map_group=task.map_group,
        weight_rule=_weight_rule(settings, "custom"),
        inlets=list_assets(settings.inlets, "inlets", where),
        outlets=list_assets(settings.outlets, "outlets", where),
        depends_on_past=bool(settings.depends_on_past or settings.wait_for_downstream),
        wait_for_downstream=bool(settings.wait_for_downstream),
        ignore_first_depends_on_past=bool(settings.ignore_first_depends_on_past),
        wait_for_past_depends_before_skipping=bool(settings.wait_for_past_depends_before_skipping),
        start_date=moment_of(settings.start_date, name="start_date", where=where),
        end_date=moment_of(settings.end_date, name="end_date", where=where),
        is_sensor=isinstance(settings, BaseSensorOperator) or _is_sensor(task),
        owner=str(settings.owner),
        doc=first_doc(vars(settings)),
        display_name=task.task_display_name if task.task_display_name != task.task_id else "",
        do_xcom_push=bool(settings.do_xcom_push),
        callbacks=tuple(name for name in _CALLBACKS if getattr(settings, name, None)),
    )


def _own_weights(settings: BaseOperator) -> tuple[int, ...]:
    """Of the first try, and of later ones where an author's rule says something else for them."""
    strategy = find_strategy(settings.weight_rule, settings.where)
    return (settings.priority_weight,) if strategy is None else weights_by_try(strategy, settings)


def _weight_rule(settings: BaseOperator, otherwise: str) -> str:
    return str(settings.weight_rule) if settings.weight_rule in RULES else otherwise


def _is_sensor(task: Node) -> bool:
    return isinstance(task, MappedOperator) and issubclass(task.kind, BaseSensorOperator)


def _setups(task: Node) -> tuple[str, ...]:
    """The setups that a teardown is for: those directly before it."""
    return tuple(each.task_id for each in task.upstream_list if each.settings.is_setup)


def _group(group: TaskGroup) -> dict[str, Any]:
    return {
        "parent": group.parent_group.group_id if group.parent_group is not None else "",
        "tooltip": group.tooltip,
        "doc": group.doc_md or "",
        "display_name": group.group_display_name,
        "expand": group.expansion(),
    }


def _payload(dag: DAG, task: Node, work: Work, loader: Mapping[str, Any]) -> dict[str, Any]:
    """What the runner gets: the common part, and that of its mode."""
    settings = task.settings
    common = {
        "mode": work["mode"],
        "dag_id": dag.dag_id,
        "task_id": task.task_id,
        "params": _json_params({**dag.params, **settings.params}, task.where, f"task {task.task_id!r}"),
        "execution_timeout_s": _timeout(settings, task.where),
        "do_xcom_push": bool(settings.do_xcom_push),
        "multiple_outputs": bool(settings.multiple_outputs),
    }
    mode = dict(loader) if work["mode"] == "sdk" else _alone(settings, task.where) if work["mode"] == "bare" else {}
    first = {"first": dict(loader)} if has_first_step(task, work) else {}
    return {**common, **mode, **first, **work.get("payload", {})}


def _alone(settings: BaseOperator, where: str) -> dict[str, Any]:
    """What a function has to know that runs without its file: what it reads and makes, and when it is tried again."""
    found = {name: list(list_assets(getattr(settings, name), name, where)) for name in ("inlets", "outlets")}
    policy = getattr(settings, "retry_policy", None)
    rules = policy.to_json() if isinstance(policy, ExceptionRetryPolicy) else None
    return {name: each for name, each in {**found, "retry_rules": rules}.items() if each}


def _kind(task: Node) -> str:
    kind: type[BaseOperator] = task.kind if isinstance(task, MappedOperator) else type(task.settings)
    return kind.operator_kind or kind.__name__


def _timeout(settings: BaseOperator, where: str) -> float | None:
    if settings.execution_timeout is None:
        return None
    return seconds("execution_timeout", settings.execution_timeout, where)


def _json_params(params: Mapping[str, Any], where: str, whose: str) -> dict[str, Any]:
    from airdock.dag.param import values_of

    values = values_of(params)
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DagError(f"expected param {name!r} of {whose} to be JSON: {error}", where=where) from error
    return values


def _schemas(dag: DAG) -> dict[str, dict[str, Any]]:
    """The schemas of the params. A DAG whose runs are made by a schedule has to have defaults that hold."""
    schemas: dict[str, dict[str, Any]] = json.loads(json.dumps(dag.param_schemas, default=str))
    mistakes = check_params(dag.params, schemas) if dag.schedule is not None else []
    if mistakes:
        raise DagError(f"DAG {dag.dag_id!r} has a schedule, and {mistakes[0]}", where=dag.where,
                       hint="give the param a default that is as its schema says")  # fmt: skip
    return schemas


def _at_least_one(dag: DAG, name: str) -> int:
    value = getattr(dag, name)
    if not isinstance(value, int) or value < 1:
        raise DagError(f"expected {name} of DAG {dag.dag_id!r} to be 1 or more, found {value!r}", where=dag.where)
    return value


_NO_EFFECT_YET: Final = ("run_as_user",)
_CALLBACKS: Final = ("on_execute_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback",
                     "on_success_callback")  # fmt: skip
"""They live in the DAG file: a task that doesn't import it has them called elsewhere, once it has ended."""
_ONLY_BESIDE: Final = ("pre_execute", "post_execute", "retry_policy")
"""What acts where there is a process of the task; some of it only if that imports the DAG file, or it travels."""
_DAG_CALLBACKS: Final = ("on_failure_callback", "on_success_callback")


def arguments_without_effect(dag: DAG) -> list[str]:
    """A sentence for each argument that is kept but that nothing acts on yet: nobody should count on those."""
    told = [f"DAG {dag.dag_id!r}: {sentence}" for sentence in deadlines_without_effect(dag.deadline)]
    if getattr(dag.schedule, "is_by_partitions", False):
        told.append(f"DAG {dag.dag_id!r}: its schedule by partitions of assets has no effect yet")
    for name in (*_NO_EFFECT_YET, *_ONLY_BESIDE):
        asking = (task for task in dag.tasks if _asks(task, name))
        tasks = [task.task_id for task in asking if name not in _ONLY_BESIDE or not _acts(task, name)]
        if tasks:
            shown = ", ".join(tasks[:3]) + (f" and {len(tasks) - 3} more" if len(tasks) > 3 else "")
            told.append(f"DAG {dag.dag_id!r}: {name} has no effect yet (tasks: {shown})")
    for task in dag.tasks:
        told += [f"DAG {dag.dag_id!r}: {name} has no effect yet (tasks: {task.task_id})" for name in _idle(task)]
    return told + _unseen_folders(dag)


def _unseen_folders(dag: DAG) -> list[str]:
    """A sentence for each folder of templates that isn't seen here, and so by no task: both see the same."""
    return [
        f"DAG {dag.dag_id!r}: template_searchpath names {folder}, which tasks don't see: they see the folder of the "
        "DAG file, and those that the setting isolation.folders names"
        for folder in search_folders(dag)
        if not Path(folder).is_dir()
    ]


def _asks(task: Node, name: str) -> bool:
    return has_own(task, name) if name in ("pre_execute", "post_execute") else bool(getattr(task.settings, name, None))


def _acts(task: Node, name: str) -> bool:
    """Whether what its file has of this acts in the task's process."""
    work: Work = task.work()  # type: ignore[attr-defined]  # both kinds of node have it, the base of `>>` doesn't
    if name == "pre_execute":  # in the task's own process, or in a first step
        return work["mode"] != "none"
    if name == "post_execute":
        travels = name in work["payload"]
    else:
        travels = isinstance(getattr(task.settings, name), ExceptionRetryPolicy)
    return work["mode"] == "sdk" or (work["mode"] == "bare" and travels)


def _idle(task: Node) -> list[str]:
    """The arguments of the task's own kind that nothing acts on."""
    if isinstance(task, MappedOperator):
        return task.kind.without_effect({**task.arguments, **task.expanded})
    return task.settings.without_effect(getattr(task.settings, "init_arguments", {}))


def _check_fail_fast(dag: DAG) -> None:
    """A DAG that stops at the first failure has no use for rules that wait for failures; Airflow refuses them too."""
    for task in dag.tasks:
        rule = task.settings.trigger_rule
        if dag.fail_fast and rule not in ("all_success", "all_done_setup_success"):
            raise DagError(
                f"expected trigger_rule all_success in a fail_fast DAG, found {str(rule)!r} at task {task.task_id!r}",
                where=task.where,
            )
