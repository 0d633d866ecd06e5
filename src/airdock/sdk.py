"""What DAG files import: Airflow's authoring API under Airdock's name.

Every task that imports its file pays for what is imported here; what few files name is imported when they do.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.context import Context, get_current_context
from airdock.dag.dag import DAG, dag
from airdock.dag.decorators import setup, task, teardown
from airdock.dag.edges import EdgeModifier, Label, chain, chain_linear, cross_downstream
from airdock.dag.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airdock.dag.operator import BaseOperator
from airdock.dag.param import Param, ParamsDict
from airdock.dag.pythons import find_pythons
from airdock.dag.sensor import BaseSensorOperator, PokeReturnValue
from airdock.dag.states import DagRunState, TaskInstanceState
from airdock.dag.task_group import TaskGroup, task_group
from airdock.dag.trigger import BaseTrigger, TriggerEvent
from airdock.dag.trigger_rule import TriggerRule
from airdock.dag.xcom_arg import XComArg

if TYPE_CHECKING:
    from airdock.dag.asset_function import asset
    from airdock.dag.assets import Asset, AssetAlias, AssetAll, AssetAny, AssetWatcher, Metadata
    from airdock.dag.callback import AsyncCallback, SyncCallback
    from airdock.dag.deadlines import DeadlineAlert, DeadlineReference, VariableInterval
    from airdock.dag.notifier import BaseNotifier
    from airdock.dag.retry_policy import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryPolicy, RetryRule
    from airdock.dag.stored import BaseHook, Connection, Variable
    from airdock.dag.templates import literal
    from airdock.dag.timetables import (
        AssetOrTimeSchedule,
        ContinuousTimetable,
        CronDataIntervalTimetable,
        CronTriggerTimetable,
        DagRunInfo,
        DataInterval,
        DeltaDataIntervalTimetable,
        DeltaTriggerTimetable,
        EventsTimetable,
        MultipleCronTriggerTimetable,
        TimeRestriction,
        Timetable,
    )
    from airdock.dag.weights import PriorityWeightStrategy

__all__ = [
    "DAG",
    "AirflowException",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "AssetAlias",
    "AssetAll",
    "AssetAny",
    "AssetOrTimeSchedule",
    "AssetWatcher",
    "AsyncCallback",
    "BaseHook",
    "BaseNotifier",
    "BaseOperator",
    "BaseSensorOperator",
    "BaseTrigger",
    "Connection",
    "Context",
    "ContinuousTimetable",
    "CronDataIntervalTimetable",
    "CronTriggerTimetable",
    "DagRunInfo",
    "DagRunState",
    "DataInterval",
    "DeadlineAlert",
    "DeadlineReference",
    "DeltaDataIntervalTimetable",
    "DeltaTriggerTimetable",
    "EdgeModifier",
    "EventsTimetable",
    "ExceptionRetryPolicy",
    "Label",
    "Metadata",
    "MultipleCronTriggerTimetable",
    "Param",
    "ParamsDict",
    "PokeReturnValue",
    "PriorityWeightStrategy",
    "RetryAction",
    "RetryDecision",
    "RetryPolicy",
    "RetryRule",
    "SyncCallback",
    "TaskDeferred",
    "TaskGroup",
    "TaskInstanceState",
    "TimeRestriction",
    "Timetable",
    "TriggerEvent",
    "TriggerRule",
    "Variable",
    "VariableInterval",
    "XComArg",
    "asset",
    "chain",
    "chain_linear",
    "cross_downstream",
    "dag",
    "find_pythons",
    "get_current_context",
    "literal",
    "setup",
    "task",
    "task_group",
    "teardown",
]

_LATE: Final = {
    "asset": "airdock.dag.asset_function",
    "Asset": "airdock.dag.assets",
    "AssetAlias": "airdock.dag.assets",
    "AssetAll": "airdock.dag.assets",
    "AssetAny": "airdock.dag.assets",
    "AssetWatcher": "airdock.dag.assets",
    "Metadata": "airdock.dag.assets",
    "AsyncCallback": "airdock.dag.callback",
    "DeadlineAlert": "airdock.dag.deadlines",
    "DeadlineReference": "airdock.dag.deadlines",
    "SyncCallback": "airdock.dag.callback",
    "VariableInterval": "airdock.dag.deadlines",
    "BaseNotifier": "airdock.dag.notifier",
    "ExceptionRetryPolicy": "airdock.dag.retry_policy",
    "RetryAction": "airdock.dag.retry_policy",
    "RetryDecision": "airdock.dag.retry_policy",
    "RetryPolicy": "airdock.dag.retry_policy",
    "RetryRule": "airdock.dag.retry_policy",
    "BaseHook": "airdock.dag.stored",
    "Connection": "airdock.dag.stored",
    "Variable": "airdock.dag.stored",
    "literal": "airdock.dag.templates",
    "AssetOrTimeSchedule": "airdock.dag.timetables",
    "ContinuousTimetable": "airdock.dag.timetables",
    "CronDataIntervalTimetable": "airdock.dag.timetables",
    "CronTriggerTimetable": "airdock.dag.timetables",
    "DagRunInfo": "airdock.dag.timetables",
    "DataInterval": "airdock.dag.timetables",
    "DeltaDataIntervalTimetable": "airdock.dag.timetables",
    "DeltaTriggerTimetable": "airdock.dag.timetables",
    "EventsTimetable": "airdock.dag.timetables",
    "MultipleCronTriggerTimetable": "airdock.dag.timetables",
    "TimeRestriction": "airdock.dag.timetables",
    "Timetable": "airdock.dag.timetables",
    "PriorityWeightStrategy": "airdock.dag.weights",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LATE[name]), name)
    globals()[name] = value
    return value
