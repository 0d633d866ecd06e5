"""A branch by the time."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

from airdock.dag.exceptions import AirflowException
from airdock.operators.branch import BaseBranchOperator
from airdock.operators.moments import moment_of_run, now, with_zone, zone_of

__all__ = ["BranchDateTimeOperator", "bounds"]


class BranchDateTimeOperator(BaseBranchOperator):
    """Follows `follow_task_ids_if_true` between two moments, or two times of the day, else the other.

    The moment compared is the present, or with `use_task_logical_date` the run's logical date. Bounds count as inside;
    one of them may be None. Bounds without a zone are in the DAG's.
    """

    def __init__(
        self,
        *,
        follow_task_ids_if_true: str | Iterable[str],
        follow_task_ids_if_false: str | Iterable[str],
        target_lower: datetime | time | None,
        target_upper: datetime | time | None,
        use_task_logical_date: bool = False,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        if target_lower is None and target_upper is None:
            raise AirflowException("expected target_lower or target_upper, found None for both")
        self.target_lower = target_lower
        self.target_upper = target_upper
        self.follow_task_ids_if_true = follow_task_ids_if_true
        self.follow_task_ids_if_false = follow_task_ids_if_false
        self.use_task_logical_date = use_task_logical_date

    def choose_branch(self, context: Any) -> str | Iterable[str]:
        moment = moment_of_run(context) if self.use_task_logical_date else now()
        lower, upper = bounds(moment, self.target_lower, self.target_upper)
        zone = zone_of(self.dag)
        early = lower is not None and with_zone(lower, zone) > moment
        late = upper is not None and with_zone(upper, zone) < moment
        return self.follow_task_ids_if_false if early or late else self.follow_task_ids_if_true


def bounds(
    moment: datetime, lower: datetime | time | None, upper: datetime | time | None
) -> tuple[datetime | None, datetime | None]:
    """The bounds as moments: times of the day are those of the moment's date, and across midnight where they cross."""
    if isinstance(lower, datetime) and isinstance(upper, datetime):
        return lower, upper
    first = datetime.combine(moment, lower) if isinstance(lower, time) else lower
    last = datetime.combine(moment, upper) if isinstance(upper, time) else upper
    if first is not None and last is not None and last < first:
        last += timedelta(days=1)
    return first, last
