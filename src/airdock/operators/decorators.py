"""What stands behind `@task.branch` and its like: operators that call a function, made by a decorator."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from airdock.operators.branch import BranchPythonOperator
from airdock.operators.short_circuit import ShortCircuitOperator

__all__ = ["NAMES", "BranchTask", "Condition", "ShortCircuitTask", "decorator", "run_if", "skip_if"]


class BranchTask(BranchPythonOperator):
    """`@task.branch`."""

    operator_kind = "@task.branch"


class ShortCircuitTask(ShortCircuitOperator):
    """`@task.short_circuit`."""

    operator_kind = "@task.short_circuit"


_KINDS: Final[Mapping[str, str]] = {
    "bash": "airdock.operators.bash_task:BashTask",
    "branch_external_python": "airdock.operators.virtualenv:BranchExternalPythonTask",
    "branch_virtualenv": "airdock.operators.virtualenv:BranchVirtualenvTask",
    "external_python": "airdock.operators.virtualenv:ExternalPythonTask",
    "branch": "airdock.operators.decorators:BranchTask",
    "docker": "airdock.operators.image_task:DockerTask",
    "kubernetes": "airdock.operators.image_task:KubernetesTask",
    "kubernetes_cmd": "airdock.operators.elsewhere:KubernetesCommandTask",
    "stub": "airdock.operators.elsewhere:StubTask",
    "run_if": "airdock.operators.decorators:run_if",
    "sensor": "airdock.operators.sensor_task:SensorTask",
    "short_circuit": "airdock.operators.decorators:ShortCircuitTask",
    "virtualenv": "airdock.operators.virtualenv:VirtualenvTask",
    "skip_if": "airdock.operators.decorators:skip_if",
}

NAMES: Final = ("python", *_KINDS)
"""What can follow `@task.`."""


def decorator(name: str) -> Any:
    """The kind of task, or the decorator, behind `@task.<name>`; None where there is none."""
    if name not in _KINDS:
        return None
    module, _, attribute = _KINDS[name].partition(":")
    return getattr(import_module(module), attribute)


class Condition:
    """Asked before the task's work: skips the task unless (or if) the condition on its context holds."""

    def __init__(self, condition: Any, message: str | None, *, wanted: bool, then: Any = None) -> None:
        self.condition = condition
        self.message = message
        self.wanted = wanted
        self.then = then

    def __call__(self, context: Any) -> None:
        from airdock.dag.exceptions import AirflowSkipException

        holds = self.condition(context)
        holds, said = holds if isinstance(holds, tuple) else (holds, None)
        if bool(holds) is not self.wanted:
            raise AirflowSkipException(said or self.message or "")
        if self.then is not None:
            self.then(context)


def run_if(condition: Callable[[Any], bool], skip_message: str | None = None) -> Callable[[Any], Any]:
    """Skip the `@task` below unless the condition on its context holds; it may say why: `(False, "not today")`."""
    return _conditioned(condition, skip_message, wanted=True)


def skip_if(condition: Callable[[Any], bool], skip_message: str | None = None) -> Callable[[Any], Any]:
    """Skip the `@task` below if the condition on its context holds; it may say why: `(True, "not today")`."""
    return _conditioned(condition, skip_message, wanted=False)


def _conditioned(condition: Any, message: str | None, *, wanted: bool) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        from airdock.dag.decorators import TaskFunction
        from airdock.errors import DagError

        if not isinstance(function, TaskFunction):
            raise DagError(
                f"expected a @task function below @task.run_if and @task.skip_if, found {type(function).__name__}",
                hint="write @task between it and the function",
            )
        then = function.arguments.get("pre_execute")
        return function.override(pre_execute=Condition(condition, message, wanted=wanted, then=then))

    return decorate
