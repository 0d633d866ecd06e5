"""Tasks that wait for a command, a function, a file, or a day."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airdock.dag.exceptions import AirflowException, AirflowFailException
from airdock.dag.sensor import BaseSensorOperator, PokeReturnValue
from airdock.operators.file_triggers import FileTrigger, find_file
from airdock.operators.moments import moment_of_run, now, zone_of
from airdock.operators.weekday import WeekDay

__all__ = ["BashSensor", "DayOfWeekSensor", "FileSensor", "PythonSensor"]


class BashSensor(BaseSensorOperator):
    """Waits until a Bash command ends with code 0.

    With `retry_exit_code` only that code means "not yet", and any other fails the task for good.
    """

    template_fields: Sequence[str] = ("bash_command", "env")

    def __init__(
        self,
        *,
        bash_command: str,
        env: Mapping[str, str] | None = None,
        output_encoding: str = "utf-8",
        retry_exit_code: int | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.bash_command = bash_command
        self.env = env
        self.output_encoding = output_encoding
        self.retry_exit_code = retry_exit_code

    def poke(self, context: Any) -> bool:
        import subprocess
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="airdock-bash-") as folder:
            done = subprocess.run(
                ["bash", "-c", self.bash_command], cwd=folder, env=None if self.env is None else dict(self.env),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        print(done.stdout.decode(self.output_encoding, "backslashreplace"), end="")  # noqa: T201  a task's log
        print(f"Command exited with return code {done.returncode}")  # noqa: T201  a task's log
        if done.returncode != 0 and self.retry_exit_code not in (None, done.returncode):
            raise AirflowFailException(f"Command exited with return code {done.returncode}")
        return done.returncode == 0


class PythonSensor(BaseSensorOperator):
    """Waits until a function returns something true, or a `PokeReturnValue` that is done."""

    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: dict[str, Any] | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.python_callable = python_callable
        self.op_args = list(op_args or ())
        self.op_kwargs = dict(op_kwargs or {})
        self.templates_dict = templates_dict

    def poke(self, context: Any) -> bool | PokeReturnValue:
        if self.templates_dict is not None:
            context["templates_dict"] = self.templates_dict
        keywords = context.keywords_for(self.python_callable, self.op_args, self.op_kwargs)
        found = self.python_callable(*self.op_args, **keywords)
        return found if isinstance(found, PokeReturnValue) else bool(found)


class FileSensor(BaseSensorOperator):
    """Waits until a file is there, or a folder with a file in it; `filepath` may be a pattern.

    A relative path is below the folder of the connection `fs_conn_id`, where that has one.
    """

    template_fields: Sequence[str] = ("filepath", "fs_conn_id")
    ui_color = "#91818a"

    def __init__(
        self,
        *,
        filepath: Any,
        fs_conn_id: str = "fs_default",
        recursive: bool = False,
        deferrable: bool = False,
        start_from_trigger: bool = False,
        trigger_kwargs: dict[str, Any] | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.filepath = filepath
        self.fs_conn_id = fs_conn_id
        self.recursive = recursive
        self.deferrable = deferrable
        self.trigger_kwargs = trigger_kwargs

    def path(self, context: Any) -> str:
        """The whole path."""
        given = os.fspath(self.filepath)
        return given if given.startswith("/") else f"{_folder(context, self.fs_conn_id)}/{given}"

    def poke(self, context: Any) -> bool:
        path = self.path(context)
        print(f"Poking for file {path}")  # noqa: T201  a task's prints are its log
        return find_file(path, recursive=self.recursive) is not None

    def execute(self, context: Any) -> Any:
        if not self.deferrable:
            return super().execute(context)
        if self.poke(context):
            return None
        trigger = FileTrigger(filepath=self.path(context), recursive=self.recursive, poke_interval=self.poke_interval)
        return self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Called when the trigger has seen the file."""
        if not event:
            raise AirflowException(f"task {self.task_id!r} found no {self.filepath}")


class DayOfWeekSensor(BaseSensorOperator):
    """Waits for a day of the week: today's in the DAG's zone, or that of the logical date."""

    def __init__(
        self,
        *,
        week_day: str | Iterable[str] | WeekDay | Iterable[WeekDay],
        use_task_logical_date: bool = False,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.week_day = week_day
        self.use_task_logical_date = use_task_logical_date
        self._days = WeekDay.validate_week_day(week_day)

    def poke(self, context: Any) -> bool:
        day = moment_of_run(context) if self.use_task_logical_date else now().astimezone(zone_of(self.dag))
        return day.isoweekday() in self._days


def _folder(context: Any, connection: str) -> str:
    """The folder that a connection names in its extra `path`; the root where there is no such connection."""
    found = context["conn"].get(connection, None)
    extra = {} if found is None else found.extra_dejson
    return str(extra.get("path") or "").rstrip("/")
