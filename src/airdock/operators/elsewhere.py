"""Kinds of task whose DAG files load and whose work Airdock doesn't do yet: they fail, saying so and what to do."""

from typing import Any, ClassVar

from airdock.dag.arguments import TASK_DEFAULTS
from airdock.dag.exceptions import AirflowFailException
from airdock.dag.operator import NEEDS, BaseOperator
from airdock.operators.image_task import POD_ARGUMENTS

__all__ = [
    "ApprovalOperator",
    "DockerOperator",
    "DockerSwarmOperator",
    "GenericTransfer",
    "HITLBranchOperator",
    "HITLEntryOperator",
    "HITLOperator",
    "KubernetesCommandTask",
    "KubernetesCreateResourceOperator",
    "KubernetesDeleteJobOperator",
    "KubernetesDeleteResourceOperator",
    "KubernetesInstallKueueOperator",
    "KubernetesJobOperator",
    "KubernetesPatchJobOperator",
    "KubernetesPodOperator",
    "KubernetesStartKueueJobOperator",
    "SparkKubernetesOperator",
    "StubTask",
    "SubDagOperator",
]


class _Elsewhere(BaseOperator):
    """Keeps its arguments. No retry makes it succeed."""

    hint: ClassVar[str] = ""

    def __init__(self, *, task_id: str, dag: Any = None, **arguments: Any) -> None:
        every = {name: value for name, value in arguments.items() if name in TASK_DEFAULTS and name not in NEEDS}
        super().__init__(task_id=task_id, dag=dag, **every)
        self.own_arguments = {name: value for name, value in arguments.items() if name not in every}

    def execute(self, context: Any) -> Any:
        raise AirflowFailException(f"Airdock doesn't run a {type(self).__name__} yet; {self.hint}")


class _OfDocker(_Elsewhere):
    hint = "airdock.operators.ContainerOperator runs an image"


class _OfPeople(_Elsewhere):
    hint = "nobody can be asked"


class DockerOperator(_OfDocker):
    """Airflow's."""


class KubernetesPodOperator(_OfDocker):
    """Airflow's."""


class KubernetesJobOperator(_OfDocker):
    """Airflow's."""


class KubernetesDeleteJobOperator(_OfDocker):
    """Airflow's."""


class KubernetesCreateResourceOperator(_OfDocker):
    """Airflow's."""


class KubernetesDeleteResourceOperator(_OfDocker):
    """Airflow's."""


class KubernetesPatchJobOperator(_OfDocker):
    """Airflow's."""


class KubernetesInstallKueueOperator(_OfDocker):
    """Airflow's."""


class KubernetesStartKueueJobOperator(_OfDocker):
    """Airflow's."""


class SparkKubernetesOperator(_OfDocker):
    """Airflow's."""


class DockerSwarmOperator(_OfDocker):
    """Airflow's."""


class GenericTransfer(_Elsewhere):
    """Airflow's."""

    hint = "a @task with the databases' own libraries can copy"


class SubDagOperator(_Elsewhere):
    """Airflow 2's; Airflow 3 has none either."""

    hint = "a TaskGroup keeps tasks together"


class HITLOperator(_OfPeople):
    """Airflow's."""


class ApprovalOperator(HITLOperator):
    """Airflow's."""


class HITLBranchOperator(HITLOperator):
    """Airflow's."""


class HITLEntryOperator(HITLOperator):
    """Airflow's."""


class KubernetesCommandTask(_OfDocker):
    """`@task.kubernetes_cmd`."""

    operator_kind = "@task.kubernetes_cmd"
    more_arguments = frozenset({"args_only", "image", "op_args", "op_kwargs", "python_callable", *POD_ARGUMENTS})


class StubTask(_Elsewhere):
    """`@task.stub`: a task whose work is written in another language, for a worker of that language."""

    operator_kind = "@task.stub"
    hint = "its work is written elsewhere, for a worker of that language"
    more_arguments = frozenset({"op_args", "op_kwargs", "python_callable"})
