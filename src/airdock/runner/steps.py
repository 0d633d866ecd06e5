"""The two steps of a try that has something done beside its DAG file before it runs elsewhere. Pure.

The first is the runner on the host image, which says what the second is to run: see decision 33.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from airdock.errors import RunnerError
from airdock.model.context_variables import only_context
from airdock.model.mount import Mount
from airdock.model.usage import Resources
from airdock.model.workload import Workload

__all__ = ["first_step", "has_first_step", "second_step"]

_OF_BOTH: Final = ("dag_id", "task_id", "params", "execution_timeout_s", "multiple_outputs", "instance")
_OF_THE_FIRST: Final = ("first", "expand", "expand_into")


def has_first_step(workload: Workload) -> bool:
    return "first" in workload.payload


def first_step(workload: Workload, digest: str) -> Workload:
    """The runner beside the DAG file, on the host image `digest`; the limits are those of the task's own work."""
    given = dict(workload.payload["first"])
    place = (Mount.from_dict(each) for each in given.pop("place", ()))
    payload = {name: workload.payload[name] for name in _OF_BOTH if name in workload.payload}
    return replace(
        workload,
        digest=digest,
        argv=(),
        env=only_context(workload.env),  # the task's own may be templates
        mounts=(*workload.mounts, *place),
        resources=Resources(),
        payload={**payload, **given, "mode": "sdk", "is_first_step": True, "do_xcom_push": False},
    )


def second_step(workload: Workload, prepared: Mapping[str, Any]) -> Workload:
    """The task's work, with what the first step says of it. RunnerError where that isn't what it has to be."""
    match prepared:
        case {"argv": list(argv), "env": dict(env), "payload": dict(payload)}:
            if not all(isinstance(each, str) for each in (*argv, *env, *env.values())):
                raise RunnerError("expected the arguments and variables of a prepared task to be text")
            kept = {name: value for name, value in workload.payload.items() if name not in _OF_THE_FIRST}
            given = {**kept, **payload, "mode": kept["mode"]}
            return replace(workload, argv=tuple(argv), env={**only_context(workload.env), **env}, payload=given)
    raise RunnerError("expected argv, env and payload of a prepared task")
