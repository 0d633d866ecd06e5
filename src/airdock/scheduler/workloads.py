"""From a task instance to the workload that an executor runs."""

from pathlib import Path
from typing import Final

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.keys import TryKey
from airdock.model.mount import Mount
from airdock.model.workload import Workload

__all__ = ["WORKSPACE", "make_workload"]

WORKSPACE: Final = "/workspace"
"""Where every task of a run sees the run's folder for files."""


def make_workload(dag: SerializedDag, task: SerializedTask, key: TryKey, *, digest: str, workspace: Path) -> Workload:
    """One try of the task on the image `digest`. `workspace` is the run's folder on this machine.

    The DAG file's folder is seen read-only at its own path where the runner imports the file.
    """
    mounts = [Mount(source=str(workspace), target=WORKSPACE, read_only=False)]
    if task.mode == "sdk":
        folder = str(Path(dag.fileloc).parent)
        mounts.append(Mount(source=folder, target=folder))
    return Workload(
        key=key,
        digest=digest,
        argv=task.argv,
        env=dict(task.env),
        mounts=tuple(mounts),
        resources=task.resources,
        payload=dict(task.payload),
        deadline_s=task.execution_timeout_s,
    )
