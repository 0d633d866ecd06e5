"""Python tasks with packages or a Python of their own: what Airflow makes a virtualenv for is an image here."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.exceptions import AirflowSkipException
from airdock.dag.operator import Work
from airdock.errors import DagError
from airdock.operators.branch import BranchMixIn, decided_elsewhere
from airdock.operators.container import exit_codes, text_environment
from airdock.operators.python import PythonOperator

if TYPE_CHECKING:
    from airdock.dag.mapping import MappedOperator

__all__ = [
    "BranchExternalPythonOperator",
    "BranchExternalPythonTask",
    "BranchPythonVirtualenvOperator",
    "BranchVirtualenvTask",
    "ExternalPythonOperator",
    "ExternalPythonTask",
    "PythonVirtualenvOperator",
    "VirtualenvTask",
]


_OF_PIP: Final = ("index_urls", "index_urls_from_connection_ids", "pip_install_options", "venv_cache_path")


class PythonVirtualenvOperator(PythonOperator):
    """Calls a function where `requirements` are installed, by the Python `python_version`.

    The function travels as its source, arguments and results as JSON, so that `serializer`, `expect_airflow`,
    `system_site_packages` and `inherit_env` don't matter: nothing of the server is in its environment. Indexes and
    options of pip are those of the machine; a task that names its own is told that they have no effect.
    """

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        requirements: Iterable[str] | str | None = None,
        python_version: str | None = None,
        serializer: str | None = None,
        system_site_packages: bool = True,
        pip_install_options: list[str] | None = None,
        string_args: Iterable[str] | None = None,
        templates_exts: list[str] | None = None,
        expect_airflow: bool = True,
        skip_on_exit_code: int | Collection[int] | None = None,
        index_urls: Collection[str] | str | None = None,
        index_urls_from_connection_ids: Collection[str] | str | None = None,
        venv_cache_path: Any = None,
        env_vars: Mapping[str, str] | None = None,
        inherit_env: bool = True,
        task_id: str,
        **arguments: Any,
    ) -> None:
        if string_args:
            raise DagError("string_args isn't there in an image", hint="pass the values as arguments of the function")
        given = {"requirements": requirements, "python_version": python_version, **arguments}
        super().__init__(
            python_callable=python_callable,
            templates_exts=templates_exts,
            task_id=task_id,
            **{**arguments, **self.mapped_needs(given)},
        )
        self.env_vars = dict(env_vars or {})
        self.skip_on_exit_code = skip_on_exit_code

    @classmethod
    def without_effect(cls, arguments: Mapping[str, Any]) -> list[str]:
        return [name for name in _OF_PIP if arguments.get(name)]

    @classmethod
    def mapped_needs(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "requirements": _lines(arguments.get("requirements")),
            "python": arguments.get("python") or arguments.get("python_version"),
        }

    def work(self) -> Work:
        return _with(super().work(), self.env_vars, self.skip_on_exit_code, f"{self.where} (task {self.task_id!r})")

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        given, where = mapped.arguments, f"{mapped.where} (task {mapped.task_id!r})"
        return _with(super().mapped_work(mapped), given.get("env_vars"), given.get("skip_on_exit_code"), where)


class BranchPythonVirtualenvOperator(PythonVirtualenvOperator, BranchMixIn):
    """The same, and follows the tasks or groups whose ids the function returns."""

    def work(self) -> Work:
        return decided_elsewhere(self, super().work())

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        return decided_elsewhere(mapped, super().mapped_work(mapped))


class ExternalPythonOperator(PythonOperator):
    """Calls a function by the Python at the path `python`, which has to be the one that Airdock runs by."""

    def __init__(
        self,
        *,
        python: str,
        python_callable: Callable[..., Any],
        serializer: str | None = None,
        string_args: Iterable[str] | None = None,
        templates_exts: list[str] | None = None,
        expect_airflow: bool = True,
        expect_pendulum: bool = False,
        skip_on_exit_code: int | Collection[int] | None = None,
        env_vars: Mapping[str, str] | None = None,
        inherit_env: bool = True,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, templates_exts=templates_exts, task_id=task_id, **arguments)
        if not _is_ours(python):
            raise DagError(
                f"expected python to be the one that Airdock runs by, {sys.executable}, found {python!r}",
                where=f"{self.where} (task {task_id!r})",
                hint='say what the function needs instead: @task(requirements=[…], python="3.11")',
            )
        self.env_vars = dict(env_vars or {})
        self.skip_codes = exit_codes(_codes(skip_on_exit_code), f"{self.where} (task {task_id!r})")

    def execute(self, context: Any) -> Any:
        os.environ.update(self.env_vars)
        try:
            return super().execute(context)
        except SystemExit as error:
            if error.code in self.skip_codes:
                raise AirflowSkipException(f"exited with code {error.code}") from error
            raise


class BranchExternalPythonOperator(ExternalPythonOperator, BranchMixIn):
    """The same, and follows the tasks or groups whose ids the function returns."""

    def execute(self, context: Any) -> Any:
        return self.do_branch(context, super().execute(context))


class VirtualenvTask(PythonVirtualenvOperator):
    """`@task.virtualenv`."""

    operator_kind = "@task.virtualenv"


class BranchVirtualenvTask(BranchPythonVirtualenvOperator):
    """`@task.branch_virtualenv`."""

    operator_kind = "@task.branch_virtualenv"


class ExternalPythonTask(ExternalPythonOperator):
    """`@task.external_python`."""

    operator_kind = "@task.external_python"


class BranchExternalPythonTask(BranchExternalPythonOperator):
    """`@task.branch_external_python`."""

    operator_kind = "@task.branch_external_python"


def _with(work: Work, env: Mapping[str, str] | None, skip: int | Collection[int] | None, where: str) -> Work:
    """The work with what there is to it beside the function."""
    payload = {**work["payload"], "skip_exit_code": exit_codes(_codes(skip), where)}
    return Work(mode=work["mode"], env=text_environment(env or {}, where), payload=payload)


def _codes(given: int | Collection[int] | None) -> Any:
    return list(given) if isinstance(given, set | frozenset) else given


def _lines(requirements: Iterable[str] | str | None) -> Any:
    """A list, or the path of a file of them; text of several lines is a list too."""
    if isinstance(requirements, str):
        if requirements.endswith(".txt"):
            return requirements
        requirements = requirements.splitlines()
    return [each.strip() for each in requirements or () if each.strip()]


def _is_ours(python: str) -> bool:
    return os.path.realpath(python) == os.path.realpath(sys.executable)
