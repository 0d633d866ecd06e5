"""A task that runs the program of an image."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from airdock.dag.arguments import TaskArguments
from airdock.dag.operator import BaseOperator, Work
from airdock.dag.xcom_arg import Lazy
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.dag import DAG

__all__ = ["ContainerOperator", "exit_codes", "text_environment"]


class ContainerOperator(BaseOperator):
    """Runs an image (`image=`) or what a Dockerfile makes (`dockerfile=`), as `docker run` would.

    `command` replaces the image's CMD: a list, or text that is split as a shell would without running one.
    `entrypoint` replaces its ENTRYPOINT. The last line of its output is its result when `do_xcom_push` is set, which
    it is by default; a code in `skip_on_exit_code` skips the task.
    """

    template_fields: Sequence[str] = ("command", "entrypoint", "environment")

    def __init__(
        self,
        *,
        command: str | Sequence[str] | None = None,
        entrypoint: str | Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        skip_on_exit_code: int | Sequence[int] | None = None,
        task_id: str,
        dag: "DAG | None" = None,
        **arguments: Unpack[TaskArguments],
    ) -> None:
        super().__init__(task_id=task_id, dag=dag, **arguments)
        self.command = command
        self.entrypoint = entrypoint
        self.environment = dict(environment or {})
        self.skip_on_exit_code = skip_on_exit_code
        where = f"{self.where} (task {task_id!r})"
        if self.needs["image"] is None and self.needs["dockerfile"] is None:
            raise DagError("ContainerOperator needs image= or dockerfile=, found neither", where=where,
                           hint="BashOperator and @task run on the host image")  # fmt: skip

    def work(self) -> Work:
        where = f"{self.where} (task {self.task_id!r})"
        payload: dict[str, Any] = {
            "push_last_line": self.do_xcom_push,
            "skip_exit_code": exit_codes(self.skip_on_exit_code, where),
        }
        if self.entrypoint is not None:
            payload["entrypoint"] = _words(self.entrypoint, "entrypoint", where)
        return Work(
            mode="command",
            argv=tuple(_words(self.command, "command", where)),
            env=text_environment(self.environment, where),
            payload=payload,
        )


def exit_codes(value: int | Sequence[int] | None, where: str) -> list[int]:
    """The exit codes that skip the task, as a list."""
    codes = [] if value is None else [value] if isinstance(value, int) else list(value)
    if not all(isinstance(code, int) for code in codes):
        raise DagError(f"expected skip_on_exit_code to be a number or a list of numbers, found {value!r}", where=where)
    return codes


def text_environment(values: Mapping[str, Any], where: str) -> dict[str, str]:
    """The variables, checked: a container takes text only, or what is known, and checked again, when the task runs."""
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, str | Lazy):
            raise DagError(f"expected the variables of a container to be text, found {name!r}: {value!r}", where=where)
    return {name: str(value) for name, value in values.items()}


def _words(value: str | Sequence[str] | None, name: str, where: str) -> list[str]:
    if value is None:
        return []
    words = shlex.split(value) if isinstance(value, str) else [value] if isinstance(value, Lazy) else list(value)
    if not all(isinstance(word, str | Lazy) for word in words):
        raise DagError(f"expected {name} to be text or a list of text, found {value!r}", where=where)
    return [str(word) for word in words]
