"""What a running task may ask about itself. The runner makes the context; here it is only handed out."""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "Ask",
    "Context",
    "get_current_context",
    "is_running",
    "load_time_answers",
    "set_current_context",
    "set_load_time_answers",
]

Context = Mapping[str, Any]
"""Airflow's context: `ti`, `task_instance`, `dag_run`, `run_id`, `params`, `logical_date`, `ds`, `ts`, `task`, `dag`.

Airdock adds `images`: task id → image digest of every task of the run.
"""

Ask = Callable[..., Any]
"""Answers what a file asks while it is imported: `ask("variable", name=…)`, `ask("connection", conn_id=…)`."""

_current: list[Context] = []
_load_time: list[Ask] = []


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


def load_time_answers() -> Ask | None:
    """Who answers outside of a running task; None where nobody does."""
    return _load_time[-1] if _load_time else None


def set_load_time_answers(ask: Ask | None) -> None:
    """Called by whoever imports a DAG file, before it does."""
    _load_time[:] = [] if ask is None else [ask]
