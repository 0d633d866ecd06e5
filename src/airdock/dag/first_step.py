"""What of a task with an environment of its own is done beside its DAG file first: templates, hooks before its work.

See decision 33. The runner does it on the host image and then hands on what there is to run, all of it known.
"""

from collections.abc import Mapping
from typing import Any, Final

from airdock.dag.mapping import MappedOperator
from airdock.dag.node import Node
from airdock.dag.operator import BaseOperator, Work
from airdock.dag.templates import awaits_rendering, keeps_plain_text, options_of
from airdock.dag.xcom_arg import holds_lazy

__all__ = ["has_first_step", "has_own", "prepare"]

_TRAVELLED: Final = frozenset({"source", "function", "file", "post_execute"})
"""What of a payload is the same in both steps, and large."""


def has_first_step(task: Node, work: Work) -> bool:
    """Whether something of the task has to be done beside its DAG file before the `work` elsewhere."""
    if work["mode"] not in ("bare", "command"):
        return False
    settings = task.settings
    given = vars(settings)
    if given.get("on_execute_callback") or has_own(task, "pre_execute"):
        return True
    if given.get("map_index_template") and (task.is_mapped or task.map_group):
        return True
    fields = _fields(task)
    if work["mode"] == "command" and holds_lazy(fields):
        return True
    return awaits_rendering(fields, _extensions(task), keeps_plain=keeps_plain_text(options_of(task, task.dag)))


def has_own(task: Node, name: str) -> bool:
    """Whether the task, or its class, says what is done at `pre_execute` or `post_execute`."""
    kind = task.kind if isinstance(task, MappedOperator) else type(task.settings)
    return name in vars(task.settings) or getattr(kind, name) is not getattr(BaseOperator, name)


def prepare(task: BaseOperator) -> dict[str, Any]:
    """What there is to run for a task whose fields are rendered: "argv", "env" and what of the payload is new."""
    work = task.work()
    payload = {name: value for name, value in work["payload"].items() if name not in _TRAVELLED}
    return {"argv": list(work.get("argv", ())), "env": dict(work.get("env", {})), "payload": payload}


def _fields(task: Node) -> Mapping[str, Any]:
    if not isinstance(task, MappedOperator):
        return task.inputs()
    shared = {name: task.arguments.get(name) for name in task.kind.template_fields}
    return {**shared, "expanded": task.expanded}


def _extensions(task: Node) -> tuple[str, ...]:
    if isinstance(task, MappedOperator):
        return tuple(task.arguments.get("templates_exts") or task.kind.template_ext)
    return tuple(task.settings.template_ext)
