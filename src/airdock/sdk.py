"""What DAG files import: Airflow's authoring API under Airdock's name."""

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
from airdock.dag.param import Param
from airdock.dag.pythons import find_pythons
from airdock.dag.sensor import BaseSensorOperator, PokeReturnValue
from airdock.dag.states import DagRunState, TaskInstanceState
from airdock.dag.task_group import TaskGroup, task_group
from airdock.dag.trigger import BaseTrigger, TriggerEvent
from airdock.dag.trigger_rule import TriggerRule
from airdock.dag.xcom_arg import XComArg

__all__ = [
    "DAG",
    "AirflowException",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseOperator",
    "BaseSensorOperator",
    "BaseTrigger",
    "Context",
    "DagRunState",
    "EdgeModifier",
    "Label",
    "Param",
    "PokeReturnValue",
    "TaskDeferred",
    "TaskGroup",
    "TaskInstanceState",
    "TriggerEvent",
    "TriggerRule",
    "XComArg",
    "chain",
    "chain_linear",
    "cross_downstream",
    "dag",
    "find_pythons",
    "get_current_context",
    "setup",
    "task",
    "task_group",
    "teardown",
]
