"""When a failed try is tried again (Airflow 3.3's formula). Pure."""

import hashlib
import math
from datetime import datetime, timedelta

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import TryKey

__all__ = ["is_retried", "retry_delay"]

_LONGEST_S = 86_400.0


def is_retried(task: SerializedTask, *, try_number: int, max_tries: int) -> bool:
    """Whether a retryable failure of this try is followed by another try."""
    return task.retries > 0 and try_number <= max_tries


def retry_delay(task: SerializedTask, key: TryKey, *, max_tries: int, logical_date: datetime | None) -> timedelta:
    """How long after its end the failed try is followed by the next.

    With exponential backoff it lies between b and 2b, where b is the delay times the multiplier for each real try
    before; which of them depends on the try's name, so that tasks that failed together don't return together. Tries
    that were lost don't count: they are what `max_tries` has more than the task's retries.
    """
    if not task.retry_exponential_backoff:
        return timedelta(seconds=task.retry_delay_s)
    lost = max_tries - task.retries
    exponent = max(key.try_number - lost - 1, 0)
    try:
        base = max(math.ceil(task.retry_delay_s * task.retry_exponential_backoff**exponent), 1)
    except OverflowError:
        base = int(_LONGEST_S)
    name = f"{key.dag_id}#{key.task_id}#{logical_date}#{key.try_number}"
    spread = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % base
    return timedelta(seconds=min(base + spread, _LONGEST_S, task.max_retry_delay_s))
