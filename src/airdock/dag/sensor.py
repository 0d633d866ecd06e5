"""The base of tasks that wait until something is so."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airdock.dag.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
)
from airdock.dag.operator import BaseOperator
from airdock.errors import DagError

__all__ = ["BaseSensorOperator", "PokeReturnValue", "poke_mode_only"]

_WEEK_S: Final = 604_800.0


class PokeReturnValue:
    """What a poke found: whether to go on, and what the task then returns."""

    def __init__(self, is_done: bool, xcom_value: Any = None) -> None:
        self.is_done = is_done
        self.xcom_value = xcom_value

    def __bool__(self) -> bool:
        return self.is_done


class BaseSensorOperator(BaseOperator):
    """Calls `poke` every `poke_interval` seconds until it is true, at most for `timeout` seconds from the first call.

    In mode "poke" it keeps its container, in mode "reschedule" it gives it back in between. When the time is over, or
    with `soft_fail` whenever it fails, it fails for good, or is skipped. `silent_fail` takes an error of `poke` for
    "not yet", `never_fail` for "skip". With `exponential_backoff` waits double, with a jitter, up to `max_wait`.
    """

    ui_color = "#e6f1f2"
    is_sensor = True

    def __init__(
        self,
        *,
        poke_interval: timedelta | float = 60,
        timeout: timedelta | float = _WEEK_S,
        soft_fail: bool = False,
        mode: str = "poke",
        exponential_backoff: bool = False,
        max_wait: timedelta | float | None = None,
        silent_fail: bool = False,
        never_fail: bool = False,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        where = f"{self.where} (task {task_id!r})"
        if mode not in ("poke", "reschedule"):
            raise DagError(f'expected mode to be "poke" or "reschedule", found {mode!r}', where=where)
        if soft_fail and never_fail:
            raise DagError("expected one of soft_fail and never_fail, found both", where=where)
        self.poke_interval = _seconds("poke_interval", poke_interval, where)
        self.timeout = _seconds("timeout", timeout, where)
        self.max_wait = None if max_wait is None else _seconds("max_wait", max_wait, where)
        self.soft_fail = soft_fail
        self.mode = mode
        self.exponential_backoff = exponential_backoff
        self.silent_fail = silent_fail
        self.never_fail = never_fail

    @property
    def reschedule(self) -> bool:
        """Whether it gives its place back between two pokes."""
        return self.mode == "reschedule"

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Whether what is waited for is there."""
        raise NotImplementedError(f"{type(self).__name__} has no poke()")

    def execute(self, context: Any) -> Any:
        ti = context["ti"]
        first = getattr(ti, "first_started", None) if self.reschedule else None
        started = datetime.now(UTC) if first is None else first
        pokes = max(1, getattr(ti, "reschedules", 0) + 1) if self.reschedule else 1
        while True:
            found = self._poke(context)
            if found:
                print("Success criteria met. Exiting.")  # noqa: T201  a task's prints are its log
                return found.xcom_value if isinstance(found, PokeReturnValue) else None
            waited = (datetime.now(UTC) - started).total_seconds()
            if waited > self.timeout:
                raise self._timed_out(waited)
            self._wait(pokes, self.timeout - waited)
            pokes += 1

    def resume_execution(self, method_name: str, method_kwargs: Any, context: Any) -> Any:
        """Go on after a trigger: what it couldn't do counts as a failed poke does."""
        try:
            return getattr(self, method_name)(context, **dict(method_kwargs or {}))
        except (AirflowException, TaskDeferralError) as error:
            if isinstance(error, AirflowSkipException) or not (self.soft_fail or self.never_fail):
                raise
            raise AirflowSkipException(str(error)) from error

    def next_wait_s(self, pokes: int) -> float:
        """Seconds until the next poke, after as many as given."""
        if not self.exponential_backoff:
            return self.poke_interval
        from hashlib import sha1

        least = max(1, int(self.poke_interval * 2 ** min(pokes - 2, 60)))
        seed = sha1(f"{self.dag_id}#{self.task_id}#{pokes}".encode(), usedforsecurity=False).hexdigest()
        delay = least + int(seed, 16) % least
        return float(delay if self.max_wait is None else min(delay, self.max_wait))

    def _poke(self, context: Any) -> bool | PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowSensorTimeout as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException("Sensor timed out; skipping") from error
            raise
        except AirflowSkipException:
            raise
        except AirflowFailException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException("Skipping due to soft_fail or never_fail") from error
            raise
        except AirflowRescheduleException:
            raise
        except Exception as error:
            if self.silent_fail:
                print(f"Sensor poke failed: {type(error).__name__}: {error}")  # noqa: T201  a task's log
                return False
            if self.never_fail:
                raise AirflowSkipException(f"Skipping due to never_fail: {error}") from error
            raise

    def _wait(self, pokes: int, left_s: float) -> None:
        seconds = self.next_wait_s(pokes)
        if self.reschedule:
            raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=seconds))
        from time import sleep

        sleep(min(seconds, max(0.01, left_s + 0.01)))

    def _timed_out(self, waited_s: float) -> AirflowException:
        text = f"Sensor has timed out; run duration of {waited_s:.1f} seconds exceeds the timeout of {self.timeout}."
        return AirflowSkipException(text) if self.soft_fail or self.never_fail else AirflowSensorTimeout(text)


def poke_mode_only(kind: type) -> type:
    """A class decorator: the sensor keeps something between two pokes, so it can't give its container back."""
    before = kind.__init__  # type: ignore[misc]

    def checked(self: Any, **arguments: Any) -> None:
        before(self, **arguments)
        if self.mode != "poke":
            raise DagError(f'{kind.__name__} works in mode "poke" only, found {self.mode!r}', where=self.where)

    checked.__wrapped__ = before  # type: ignore[attr-defined]
    kind.__init__ = checked  # type: ignore[misc]
    return kind


def _seconds(name: str, value: Any, where: str) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise DagError(f"expected {name} to be a timedelta or a number of seconds, found {value!r}", where=where)
    return float(seconds)
