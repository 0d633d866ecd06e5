"""What a task raises to say how it ends; Airflow's names and meaning.

    AirflowException              fails the try; it is retried
    ├── AirflowBadRequest, AirflowConfigException, AirflowNotFoundException  which hooks raise
    ├── AirflowSkipException      the task is skipped
    ├── AirflowFailException      the task fails and is not retried
    ├── AirflowSensorTimeout      a sensor's time is over; not retried
    ├── AirflowRescheduleException  a sensor gives its place back until `reschedule_date`
    ├── TaskDeferralError         the trigger that the task waited for failed
    └── TaskDeferralTimeout       the trigger didn't fire in time
    TaskDeferred                  the task waits for a trigger and goes on in `method_name`
    AirflowTaskTimeout            execution_timeout is over; retried
    AirflowTaskTerminated         the task was told to stop

The runner knows them by their names, so that the stand-ins in an image without Airdock count as the same.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, timedelta

__all__ = [
    "AirflowBadRequest",
    "AirflowConfigException",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTerminated",
    "AirflowTaskTimeout",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskDeferred",
]


class AirflowException(Exception):  # noqa: N818  Airflow's name
    """A task can't go on."""


class AirflowSkipException(AirflowException):
    """The task wants to be skipped."""


class AirflowBadRequest(AirflowException):
    """Something was asked for wrongly."""


class AirflowConfigException(AirflowException):
    """A setting is wrong."""


class AirflowNotFoundException(AirflowException):
    """Something isn't there."""


class AirflowFailException(AirflowException):
    """The task wants to fail without another try."""


class AirflowSensorTimeout(AirflowException):
    """A sensor waited longer than its timeout."""


class AirflowRescheduleException(AirflowException):
    """The task gives its place back, and is to be called again at `reschedule_date`."""

    def __init__(self, reschedule_date: "datetime") -> None:
        super().__init__(f"to be called again at {reschedule_date}")
        self.reschedule_date = reschedule_date


class TaskDeferralError(AirflowException):
    """The trigger that the task waited for failed."""


class TaskDeferralTimeout(TaskDeferralError):  # noqa: N818  Airflow's name
    """The trigger that the task waited for didn't fire in time."""


class TaskDeferred(BaseException):
    """The task waits for `trigger` without a container; `method_name(context, event=…, **kwargs)` goes on with it."""

    def __init__(
        self,
        *,
        trigger: Any,
        method_name: str,
        kwargs: Mapping[str, Any] | None = None,
        timeout: "timedelta | float | None" = None,
    ) -> None:
        super().__init__(f"waits for {type(trigger).__name__}, goes on in {method_name}()")
        self.trigger = trigger
        self.method_name = method_name
        self.kwargs = dict(kwargs or {})
        self.timeout = timeout


class AirflowTaskTimeout(BaseException):
    """The task ran longer than its execution_timeout. Not an Exception, so that `except Exception` can't eat it."""


class AirflowTaskTerminated(BaseException):
    """The task was told to stop."""
