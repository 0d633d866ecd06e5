"""Functions that Airflow sends to Docker or Kubernetes: here they run in their image, as `@task(image=…)` does."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airdock.dag.function import FunctionOperator
from airdock.dag.operator import Work
from airdock.errors import DagError
from airdock.operators.container import exit_codes, text_environment

if TYPE_CHECKING:
    from airdock.dag.mapping import MappedOperator

__all__ = ["DOCKER_ARGUMENTS", "POD_ARGUMENTS", "DockerTask", "KubernetesTask", "names"]


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


DOCKER_ARGUMENTS: Final = names(
    "api_version auto_remove cap_add container_name cpus device_requests dns dns_search docker_conn_id docker_url "
    "entrypoint env_file environment expect_airflow extra_hosts force_pull host_tmp_dir hostname ipc_mode labels "
    "log_opts_max_file log_opts_max_size mem_limit mount_tmp_dir mounts network_mode port_bindings private_environment "
    "privileged python_command serializer shm_size skip_on_exit_code timeout tls_ca_cert tls_client_cert "
    "tls_client_key tls_hostname tls_ssl_version tls_verify tmp_dir tty ulimits use_dill user working_dir "
    "xcom_all"
)
"""What `@task.docker` takes beside the arguments of every task."""
POD_ARGUMENTS: Final = names(
    "active_deadline_seconds affinity annotations automount_service_account_token base_container_name "
    "base_container_status_polling_interval callbacks cluster_context config_file configmaps container_logs "
    "container_name_log_prefix_enabled container_resources container_security_context deferrable dns_config dnspolicy "
    "durable env_from env_vars full_pod_spec get_logs host_aliases hostname hostnetwork image_pull_policy "
    "image_pull_secrets in_cluster init_container_logs init_containers is_delete_operator_pod kubernetes_conn_id "
    "labels log_events_on_failure log_events_on_startup log_formatter log_pod_spec_on_failure logging_interval name "
    "namespace node_selector on_finish_action on_kill_action pod_runtime_info_envs pod_template_dict "
    "pod_template_file poll_interval ports priority_class_name progress_callback random_name_suffix "
    "reattach_on_restart runtime_class_name schedule_timeout_seconds schedulername secrets security_context "
    "service_account_name skip_on_exit_code startup_check_interval_seconds startup_timeout_seconds subdomain "
    "termination_grace_period termination_message_policy tolerations trigger_kwargs use_dill volume_mounts volumes "
    "xcom_sidecar_container_security_context"
)
"""What `@task.kubernetes` takes beside the arguments of every task."""


class _ImageTask(FunctionOperator):
    """A function in an image. What is about the engine that would have run it is kept in `own_arguments`."""

    template_fields = (*FunctionOperator.template_fields, "own_arguments")
    acting: ClassVar[frozenset[str]] = frozenset()
    """Those of `more_arguments` that act here, or that need not."""

    def __init__(self, *, task_id: str, image: str | None = None, dag: Any = None, **arguments: Any) -> None:
        own = {name: arguments.pop(name) for name in list(arguments) if name in self.more_arguments}
        super().__init__(task_id=task_id, dag=dag, **{**arguments, **self.mapped_needs({"image": image, **own})})
        self.own_arguments = own
        if self.needs["image"] is None and self.needs["dockerfile"] is None:
            raise DagError(f"expected {self.operator_kind} to have an image", where=f"{self.where} (task {task_id!r})")

    @classmethod
    def mapped_needs(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"image": arguments.get("image")}

    @classmethod
    def variables(cls, own: Mapping[str, Any]) -> dict[str, Any]:
        """The environment variables that these arguments set."""
        return {}

    @classmethod
    def without_effect(cls, arguments: Mapping[str, Any]) -> list[str]:
        own = cls.more_arguments - cls.acting
        return sorted(name for name, value in arguments.items() if value and name in own)

    def work(self) -> Work:
        return self._with(super().work(), self.own_arguments, f"{self.where} (task {self.task_id!r})")

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        return cls._with(super().mapped_work(mapped), mapped.arguments, f"{mapped.where} (task {mapped.task_id!r})")

    @classmethod
    def _with(cls, work: Work, own: Mapping[str, Any], where: str) -> Work:
        codes = exit_codes(own.get("skip_on_exit_code"), where)
        return Work(
            mode=work["mode"],
            env=text_environment(cls.variables(own), where),
            payload={**work["payload"], "skip_exit_code": codes},
        )


class DockerTask(_ImageTask):
    """`@task.docker`."""

    operator_kind = "@task.docker"
    more_arguments = DOCKER_ARGUMENTS
    acting = names("environment expect_airflow force_pull mem_limit private_environment python_command serializer "
                       "skip_on_exit_code use_dill")  # fmt: skip

    @classmethod
    def mapped_needs(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        limit = arguments.get("mem_limit")
        needs = {**super().mapped_needs(arguments), "cpus": None}  # Docker's is a weight, not a number of processors
        return {**needs, "memory": _size(limit)} if limit else needs

    @classmethod
    def variables(cls, own: Mapping[str, Any]) -> dict[str, Any]:
        return {**(own.get("environment") or {}), **(own.get("private_environment") or {})}


class KubernetesTask(_ImageTask):
    """`@task.kubernetes`."""

    operator_kind = "@task.kubernetes"
    more_arguments = POD_ARGUMENTS
    acting = names("env_vars get_logs name namespace random_name_suffix skip_on_exit_code use_dill")

    @classmethod
    def variables(cls, own: Mapping[str, Any]) -> dict[str, Any]:
        given = own.get("env_vars") or {}
        return dict(given) if isinstance(given, Mapping) else {each.name: each.value for each in given}


def _size(value: Any) -> Any:
    """Docker's sizes have one letter, and are powers of 1024."""
    text = value.strip().rstrip("bB") if isinstance(value, str) else ""
    return f"{text}i" if text[-1:].isalpha() else value
