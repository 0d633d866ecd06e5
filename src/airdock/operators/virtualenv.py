"""Python tasks with packages or a Python of their own: what Airflow makes a virtualenv for is an image here."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from airdock.dag.operator import Work
from airdock.errors import DagError
from airdock.operators.branch import BranchMixIn, decided_elsewhere
from airdock.operators.python import PythonOperator

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


class PythonVirtualenvOperator(PythonOperator):
    """Calls a function where `requirements` are installed, by the Python `python_version`.

    The function travels as its source, arguments and results as JSON; `serializer`, `venv_cache_path`,
    `pip_install_options`, `system_site_packages` and `expect_airflow` are for virtualenvs and have no effect.
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
        arguments.setdefault("python", python_version)
        super().__init__(
            python_callable=python_callable,
            requirements=_lines(requirements),
            templates_exts=templates_exts,
            task_id=task_id,
            **arguments,
        )
        self.env_vars = dict(env_vars or {})
        self.skip_on_exit_code = skip_on_exit_code

    def work(self) -> Work:
        return Work(**{**super().work(), "env": self.env_vars})


class BranchPythonVirtualenvOperator(PythonVirtualenvOperator, BranchMixIn):
    """The same, and follows the tasks or groups whose ids the function returns."""

    def work(self) -> Work:
        return decided_elsewhere(self, super().work())


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

    def execute(self, context: Any) -> Any:
        os.environ.update(self.env_vars)
        return super().execute(context)


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


def _lines(requirements: Iterable[str] | str | None) -> Any:
    """A list, or the path of a file of them; text of several lines is a list too."""
    if isinstance(requirements, str):
        if requirements.endswith(".txt"):
            return requirements
        requirements = requirements.splitlines()
    return [each.strip() for each in requirements or () if each.strip()]


def _is_ours(python: str) -> bool:
    return os.path.realpath(python) == os.path.realpath(sys.executable)
