"""From a task instance to the workload that an executor runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from airdock.dag.named_assets import assets_of
from airdock.dag.serialized import SerializedTask
from airdock.model.context_variables import context_variables
from airdock.model.keys import TryKey
from airdock.model.mount import Mount
from airdock.model.workload import Workload

__all__ = ["make_workload"]

_TMP: Final = "/tmp"  # noqa: S108  of a container


def make_workload(
    task: SerializedTask,
    key: TryKey,
    *,
    digest: str,
    folders: Sequence[Mount],
    place: Sequence[Mount],
    lease_s: float,
    logical_date: datetime | None = None,
    instance: Mapping[str, Any] | None = None,
) -> Workload:
    """One try of the task on the image `digest`, whose supervisor may go on for `lease_s` without a renewal.

    `folders` are those of its run: its /tmp a task of an image that the author named doesn't see. `place` is what the
    task sees of where its DAG file lies, if the runner imports the file, at once or in a first step. `instance` is what
    the runner has to know of the task instance: "max_tries", "started" and "first_started" (ISO times), "reschedules",
    and after a deferral "next": {"method", "kwargs", "event"}, or {"error", "timed_out"} where the trigger failed.
    """
    has_own_tmp = task.environment.image is not None or task.environment.dockerfile is not None
    mounts = [mount for mount in folders if mount.target != _TMP or not has_own_tmp]
    payload = dict(task.payload)
    if instance and (not task.argv or "first" in payload):
        payload["instance"] = dict(instance)
    if "first" in payload:
        payload["first"] = {**payload["first"], "place": [mount.to_dict() for mount in place]}
    if assets := list(dict.fromkeys((each["name"], each["uri"]) for each in assets_of(task))):
        payload["assets"] = [list(each) for each in assets]
    if task.mode == "sdk":
        mounts += place
    return Workload(
        key=key,
        digest=digest,
        argv=task.argv,
        env={**context_variables(key, owner=task.owner, logical_date=logical_date), **task.env},
        mounts=tuple(mounts),
        resources=task.resources,
        payload=payload,
        deadline_s=task.execution_timeout_s,
        lease_s=lease_s,
    )
