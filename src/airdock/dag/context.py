"""What a running task may ask about itself. The runner makes the context; here it is only handed out."""

from collections.abc import Mapping
from typing import Any

__all__ = ["Context", "get_current_context", "is_running", "set_current_context"]

Context = Mapping[str, Any]
"""Airflow's context: `ti`, `task_instance`, `dag_run`, `run_id`, `params`, `logical_date`, `ds`, `ts`, `task`, `dag`.

Airdock adds `images`: task id → image digest of every task of the run.
"""

_current: list[Context] = []


def get_current_context() -> Context:
    """The context of the task that is running; RuntimeError outside of one, as in Airflow."""
    if not _current:
        raise RuntimeError("get_current_context() was called outside of a running task, which is where there is one")
    return _current[-1]


def is_running() -> bool:
    """Whether a task runs in this process."""
    return bool(_current)


def set_current_context(context: Context | None) -> None:
    """Called by the runner around the user's code; None ends it."""
    _current[:] = [] if context is None else [context]
