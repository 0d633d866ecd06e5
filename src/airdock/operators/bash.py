"""A task that runs a Bash command or script."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from airdock.dag.arguments import TaskArguments
from airdock.dag.exceptions import AirflowException, AirflowSkipException
from airdock.dag.operator import BaseOperator, Work
from airdock.model.context_variables import only_context
from airdock.operators.container import exit_codes, text_environment

if TYPE_CHECKING:
    from subprocess import Popen

    from airdock.dag.dag import DAG

__all__ = ["BashOperator"]


class BashOperator(BaseOperator):
    """Runs `bash_command` with `bash -c`. Exit code 0 succeeds, one in `skip_on_exit_code` skips, any other fails.

    The last line of its output, given to `output_processor`, is its result. Without `env` it has the environment of
    the task, with `env` that and Airflow's variables of the try alone, with `append_env` both. Without `cwd` it works
    in an empty folder of its own. With an image, Dockerfile or requirements of its own it runs as the container's only
    program, in the image's folder.
    """

    template_fields: Sequence[str] = ("bash_command", "env", "cwd")
    template_ext: Sequence[str] = (".sh", ".bash")
    ui_color = "#f0ede4"

    def __init__(
        self,
        *,
        bash_command: str | Any,
        env: Mapping[str, str] | None = None,
        append_env: bool = False,
        output_encoding: str = "utf-8",
        skip_on_exit_code: int | Sequence[int] | None = 99,
        cwd: str | None = None,
        output_processor: Callable[[str], Any] = lambda result: result,
        task_id: str,
        dag: "DAG | None" = None,
        **arguments: Unpack[TaskArguments],
    ) -> None:
        super().__init__(task_id=task_id, dag=dag, **arguments)
        self.bash_command = bash_command
        self.env = env
        self.append_env = append_env
        self.output_encoding = output_encoding
        self.skip_on_exit_code = skip_on_exit_code
        self.cwd = cwd
        self.output_processor = output_processor
        self._process: Popen[bytes] | None = None
        self._is_stopped = False

    def execute(self, context: Any) -> Any:
        from tempfile import TemporaryDirectory  # the runner reads this file in the container; only this call needs it

        if self.cwd is not None:
            return self._run(self.cwd)
        with TemporaryDirectory(prefix="airdock-bash-") as folder:
            return self._run(folder)

    def on_kill(self) -> None:
        """Stop the command and whatever it started."""
        self._is_stopped = True
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, 15)

    def work(self) -> Work:
        if self.runs_on_host:
            return super().work()
        if not self.is_plain:
            self.refuse_needs()
        where = f"{self.where} (task {self.task_id!r})"
        command = str(self.bash_command)
        if self.cwd is not None:
            command = f"cd {shlex.quote(str(self.cwd))} || exit\n{command}"
        return Work(
            mode="command",
            argv=("bash", "-c", command),
            env=text_environment(self.env or {}, where),
            payload={
                "push_last_line": self.do_xcom_push,
                "skip_exit_code": exit_codes(self.skip_on_exit_code, where),
                "entrypoint": [],
            },
        )

    def _run(self, cwd: str) -> Any:
        from subprocess import PIPE, STDOUT, Popen

        if not os.path.isdir(cwd):  # noqa: PTH112  pathlib would be the only reason to import it in the container
            raise AirflowException(f"expected cwd to be a folder, found none at {cwd}")
        last = ""
        with Popen(
            ["bash", "-c", self.bash_command],
            stdout=PIPE,
            stderr=STDOUT,
            cwd=cwd,
            env=self._environment(),
            start_new_session=True,
        ) as process:
            self._process = process
            if self._is_stopped:  # it was asked for while the command began, when there was nothing to signal yet
                self.on_kill()
            assert process.stdout is not None
            for raw in process.stdout:
                last = raw.decode(self.output_encoding, "backslashreplace").rstrip("\r\n")
                print(last, flush=True)  # noqa: T201  a task's prints are its log
        return self._finish(process.returncode, last)

    def _finish(self, code: int, last: str) -> Any:
        if code in exit_codes(self.skip_on_exit_code, self.where):
            raise AirflowSkipException(f"Bash command returned exit code {code}. Skipping.")
        if code != 0:
            raise AirflowException(f"Bash command failed. The command returned a non-zero exit code {code}.")
        return self.output_processor(last)

    def _environment(self) -> dict[str, str] | None:
        if self.env is None:
            return None
        return {**(os.environ if self.append_env else only_context(os.environ)), **self.env}
