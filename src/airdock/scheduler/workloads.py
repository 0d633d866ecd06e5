"""From a task instance to the workload that an executor runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import TryKey
from airdock.model.mount import Mount
from airdock.model.workload import Workload

__all__ = ["WORKSPACE", "make_workload"]

WORKSPACE: Final = "/workspace"
"""Where every task of a run sees the run's folder for files."""


def make_workload(
    task: SerializedTask,
    key: TryKey,
    *,
    digest: str,
    workspace: Path,
    place: Sequence[Mount],
    instance: Mapping[str, Any] | None = None,
) -> Workload:
    """One try of the task on the image `digest`. `workspace` is the run's folder on this machine.

    `place` is what the task sees of where its DAG file lies, if the runner imports the file. `instance` is what the
    runner has to know of the task instance: "max_tries", "started" and "first_started" (ISO times), "reschedules", and
    after a deferral "next": {"method", "kwargs", "event"}, or {"error", "timed_out"} where the trigger failed.
    """
    mounts = [Mount(source=str(workspace), target=WORKSPACE, read_only=False)]
    if task.mode == "sdk":
        mounts += place
    return Workload(
        key=key,
        digest=digest,
        argv=task.argv,
        env=dict(task.env),
        mounts=tuple(mounts),
        resources=task.resources,
        payload={**task.payload, "instance": dict(instance)} if instance and not task.argv else dict(task.payload),
        deadline_s=task.execution_timeout_s,
    )
