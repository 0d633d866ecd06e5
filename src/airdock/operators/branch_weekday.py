"""A branch by the day of the week."""

from collections.abc import Iterable
from typing import Any

from airdock.operators.branch import BaseBranchOperator
from airdock.operators.moments import moment_of_run, now, zone_of
from airdock.operators.weekday import WeekDay

__all__ = ["BranchDayOfWeekOperator"]


class BranchDayOfWeekOperator(BaseBranchOperator):
    """Follows `follow_task_ids_if_true` on the days given, else `follow_task_ids_if_false`.

    The day is today's in the DAG's zone, or with `use_task_logical_date` that of the run's logical date.
    """

    def __init__(
        self,
        *,
        follow_task_ids_if_true: str | Iterable[str],
        follow_task_ids_if_false: str | Iterable[str],
        week_day: str | Iterable[str] | WeekDay | Iterable[WeekDay],
        use_task_logical_date: bool = False,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.follow_task_ids_if_true = follow_task_ids_if_true
        self.follow_task_ids_if_false = follow_task_ids_if_false
        self.week_day = week_day
        self.use_task_logical_date = use_task_logical_date
        self._days = WeekDay.validate_week_day(week_day)

    def choose_branch(self, context: Any) -> str | Iterable[str]:
        day = moment_of_run(context) if self.use_task_logical_date else now().astimezone(zone_of(self.dag))
        return self.follow_task_ids_if_true if day.isoweekday() in self._days else self.follow_task_ids_if_false
