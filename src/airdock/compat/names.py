"""Which Airflow name is which of ours. Only what is really there: a name is added when the thing behind it works."""

from collections.abc import Mapping
from typing import Final

__all__ = ["MODULES"]

_EXCEPTIONS: Final = {
    name: f"airdock.dag.exceptions:{name}"
    for name in (
        "AirflowException",
        "AirflowFailException",
        "AirflowSensorTimeout",
        "AirflowSkipException",
        "AirflowTaskTerminated",
        "AirflowTaskTimeout",
    )
}
_DAG: Final = {"DAG": "airdock.dag.dag:DAG"}
_OPERATOR: Final = {"BaseOperator": "airdock.dag.operator:BaseOperator"}
_PARAM: Final = {"Param": "airdock.dag.param:Param"}
_XCOM_ARG: Final = {"XComArg": "airdock.dag.xcom_arg:XComArg"}
_RULE: Final = {"TriggerRule": "airdock.dag.trigger_rule:TriggerRule"}
_CONTEXT: Final = {"get_current_context": "airdock.dag.context:get_current_context"}
_CONTEXT_TYPE: Final = {"Context": "airdock.dag.context:Context"}
_CHAIN: Final = {
    "chain": "airdock.dag.edges:chain",
    "chain_linear": "airdock.dag.edges:chain_linear",
    "cross_downstream": "airdock.dag.edges:cross_downstream",
}
_DECORATORS: Final = {"dag": "airdock.dag.dag:dag", "task": "airdock.dag.decorators:task"}
_SDK: Final = {
    **_DAG,
    **_OPERATOR,
    **_PARAM,
    **_XCOM_ARG,
    **_RULE,
    **_CONTEXT,
    **_CONTEXT_TYPE,
    **_CHAIN,
    **_DECORATORS,
}
_BASH: Final = {"BashOperator": "airdock.operators.bash:BashOperator"}
_EMPTY: Final = {"EmptyOperator": "airdock.operators.empty:EmptyOperator"}
_PYTHON: Final = {"PythonOperator": "airdock.operators.python:PythonOperator", **_CONTEXT}

MODULES: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow": {**_DAG, **_XCOM_ARG},
    "airflow.decorators": _DECORATORS,
    "airflow.exceptions": _EXCEPTIONS,
    "airflow.models": {**_DAG, **_OPERATOR, **_PARAM, **_XCOM_ARG},
    "airflow.models.baseoperator": {**_OPERATOR, **_CHAIN},
    "airflow.models.dag": _DAG,
    "airflow.models.param": _PARAM,
    "airflow.models.xcom_arg": _XCOM_ARG,
    "airflow.operators.bash": _BASH,
    "airflow.operators.empty": _EMPTY,
    "airflow.operators.python": _PYTHON,
    "airflow.providers.common.compat.sdk": {**_SDK, **_EXCEPTIONS},
    "airflow.providers.standard.operators.bash": _BASH,
    "airflow.providers.standard.operators.empty": _EMPTY,
    "airflow.providers.standard.operators.python": _PYTHON,
    "airflow.sdk": _SDK,
    "airflow.sdk.bases.operator": {**_OPERATOR, **_CHAIN},
    "airflow.sdk.definitions.context": {**_CONTEXT, **_CONTEXT_TYPE},
    "airflow.sdk.definitions.dag": {**_DAG, "dag": "airdock.dag.dag:dag"},
    "airflow.sdk.definitions.param": _PARAM,
    "airflow.sdk.definitions.xcom_arg": _XCOM_ARG,
    "airflow.sdk.exceptions": _EXCEPTIONS,
    "airflow.utils.context": _CONTEXT_TYPE,
    "airflow.utils.trigger_rule": _RULE,
}
"""Module → name → `module:name` of ours. The folders above a module are packages without names of their own."""
