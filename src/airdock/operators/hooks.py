"""Hooks of the standard provider: a program that is run, and the folder of a connection."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airdock.dag.stored import BaseHook

__all__ = ["FSHook", "SubprocessHook", "SubprocessResult"]


class SubprocessResult(NamedTuple):
    """How a program ended; `output` is its last line, or all of them."""

    exit_code: int
    output: str


class SubprocessHook(BaseHook):
    """Runs a program and prints what it says."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sub_process: Any = None

    def run_command(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        output_encoding: str = "utf-8",
        cwd: str | None = None,
        return_full_output: bool = False,
    ) -> SubprocessResult:
        """Run it until it ends. Without `env` it gets that of the task."""
        from subprocess import PIPE, STDOUT, Popen

        lines: list[str] = []
        environment = None if env is None else dict(env)
        with Popen(
            command, stdout=PIPE, stderr=STDOUT, cwd=cwd, env=environment, start_new_session=True
        ) as self.sub_process:
            for raw in self.sub_process.stdout:
                lines.append(raw.decode(output_encoding, "backslashreplace").rstrip("\r\n"))
                print(lines[-1], flush=True)  # noqa: T201  a task's prints are its log
        output = "\n".join(lines) if return_full_output else (lines[-1] if lines else "")
        return SubprocessResult(self.sub_process.returncode, output)

    def send_sigterm(self) -> None:
        """Stop the program and what it started."""
        if self.sub_process is not None and self.sub_process.poll() is None:
            os.killpg(self.sub_process.pid, 15)


class FSHook(BaseHook):
    """The folder that a connection names in its extra, as `path`."""

    conn_name_attr = "fs_conn_id"
    default_conn_name = "fs_default"
    conn_type = "fs"

    def __init__(self, fs_conn_id: str = "fs_default", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.fs_conn_id = fs_conn_id

    def get_conn(self) -> None:
        """There is nothing to reach."""

    def get_path(self) -> str:
        """The folder; "" where the connection names none."""
        return str(self.get_connection(self.fs_conn_id).extra_dejson.get("path") or "")
