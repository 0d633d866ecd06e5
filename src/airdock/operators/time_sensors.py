"""Tasks that wait for a time, and the triggers behind them."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from airdock.dag.sensor import BaseSensorOperator
from airdock.dag.trigger import BaseTrigger, TaskSuccessEvent, TriggerEvent
from airdock.operators.moments import now, parse_moment, zone_of

__all__ = [
    "DateTimeSensor",
    "DateTimeSensorAsync",
    "DateTimeTrigger",
    "TimeDeltaSensor",
    "TimeDeltaSensorAsync",
    "TimeDeltaTrigger",
    "TimeSensor",
    "TimeSensorAsync",
    "WaitSensor",
]

_PATH: Final = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
_LONGEST_SLEEP_S: Final = 60.0
"""The clock may be set meanwhile."""


class DateTimeTrigger(BaseTrigger):
    """Fires at a moment. With `end_from_trigger` the task has then succeeded, without a container of its own."""

    def __init__(self, moment: datetime, *, end_from_trigger: bool = False) -> None:
        super().__init__()
        if moment.tzinfo is None:
            raise ValueError("You cannot pass naive datetimes")
        self.moment = moment.astimezone(UTC)
        self.end_from_trigger = end_from_trigger

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return _PATH, {"moment": self.moment, "end_from_trigger": self.end_from_trigger}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio  # only the triggerer needs it, and has it

        while (left := (self.moment - now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP_S))
        yield TaskSuccessEvent() if self.end_from_trigger else TriggerEvent(self.moment)


class TimeDeltaTrigger(DateTimeTrigger):
    """Fires after a span of time; kept as the moment, so that a restart doesn't begin anew."""

    def __init__(self, delta: timedelta, *, end_from_trigger: bool = False) -> None:
        super().__init__(now() + delta, end_from_trigger=end_from_trigger)


class _MomentSensor(BaseSensorOperator):
    """Waits for `moment`, in its container or, where `deferrable`, without one."""

    deferrable = False
    end_from_trigger = False

    def moment(self, context: Any) -> datetime:
        """What is waited for."""
        raise NotImplementedError(f"{type(self).__name__} has no moment()")

    def poke(self, context: Any) -> bool:
        moment = self.moment(context)
        print(f"Checking if the time ({moment}) has come")  # noqa: T201  a task's prints are its log
        return now() > moment

    def execute(self, context: Any) -> Any:
        if not self.deferrable:
            return super().execute(context)
        moment = self.moment(context)
        if now() > moment:
            return None
        trigger = DateTimeTrigger(moment, end_from_trigger=self.end_from_trigger)
        return self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """The time has come."""


class DateTimeSensor(_MomentSensor):
    """Waits for a moment, given as such or as text in ISO 8601."""

    template_fields: Sequence[str] = ("target_time",)

    def __init__(self, *, target_time: str | datetime, task_id: str, **arguments: Any) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.target_time = target_time

    def moment(self, context: Any) -> datetime:
        return parse_moment(self.target_time)


class DateTimeSensorAsync(DateTimeSensor):
    """The same without a container while it waits."""

    deferrable = True

    def __init__(
        self,
        *,
        target_time: str | datetime,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        trigger_kwargs: dict[str, Any] | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(target_time=target_time, task_id=task_id, **arguments)
        self.end_from_trigger = end_from_trigger
        self.trigger_kwargs = trigger_kwargs


class TimeSensor(_MomentSensor):
    """Waits for a time of the day on which it starts, in the DAG's zone."""

    def __init__(
        self,
        *,
        target_time: time,
        deferrable: bool = False,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        trigger_kwargs: dict[str, Any] | None = None,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.target_time = target_time
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self.trigger_kwargs = trigger_kwargs

    def moment(self, context: Any) -> datetime:
        zone = self.target_time.tzinfo or zone_of(self.dag)
        started = getattr(context["ti"], "first_started", None) or now()
        return datetime.combine(started.astimezone(zone).date(), self.target_time.replace(tzinfo=None), zone)


class TimeSensorAsync(TimeSensor):
    """The same without a container while it waits."""

    def __init__(self, *, target_time: time, task_id: str, **arguments: Any) -> None:
        super().__init__(target_time=target_time, task_id=task_id, **{**arguments, "deferrable": True})


class TimeDeltaSensor(_MomentSensor):
    """Waits until a span of time after the end of the run's data interval, or after it was due."""

    template_fields: Sequence[str] = ("delta",)

    def __init__(
        self,
        *,
        delta: timedelta | float,
        deferrable: bool = False,
        end_from_trigger: bool = False,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.delta = delta
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger

    def moment(self, context: Any) -> datetime:
        base = context.get("data_interval_end") or getattr(context["dag_run"], "run_after", None) or now()
        return parse_moment(base) + _span(self.delta)


class TimeDeltaSensorAsync(TimeDeltaSensor):
    """The same without a container while it waits."""

    def __init__(
        self, *, delta: timedelta | float, end_from_trigger: bool = False, task_id: str, **arguments: Any
    ) -> None:
        arguments["deferrable"] = True
        super().__init__(delta=delta, end_from_trigger=end_from_trigger, task_id=task_id, **arguments)


class WaitSensor(_MomentSensor):
    """Waits for a span of time, given as such or in minutes."""

    template_fields: Sequence[str] = ("time_to_wait",)

    def __init__(
        self, *, time_to_wait: timedelta | int, deferrable: bool = False, task_id: str, **arguments: Any
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.time_to_wait = time_to_wait
        self.deferrable = deferrable
        self._from = now()

    def moment(self, context: Any) -> datetime:
        given = self.time_to_wait
        started = getattr(context["ti"], "first_started", None) or self._from
        return parse_moment(started) + (given if isinstance(given, timedelta) else timedelta(minutes=given))


def _span(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=float(value))
