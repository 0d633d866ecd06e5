"""A task that lets only the latest run go on."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airdock.operators.branch import BaseBranchOperator
from airdock.operators.moments import moment_of_run, now

__all__ = ["LatestOnlyOperator"]


class LatestOnlyOperator(BaseBranchOperator):
    """Skips what is directly downstream where the run isn't that of the latest interval. Manual runs go on."""

    ui_color = "#e9ffdb"

    def choose_branch(self, context: Any) -> Iterable[str]:
        followed = list(self.downstream_task_ids)
        run = context["dag_run"]
        if getattr(run, "run_type", "manual") == "manual":
            print("Manually triggered DAG_Run: allowing execution to proceed.")  # noqa: T201  a task's log
            return followed
        if self._is_latest(context, run):
            print("Latest, allowing execution to proceed.")  # noqa: T201  a task's log
            return followed
        print("Not latest execution, skipping downstream.")  # noqa: T201  a task's log
        return []

    def _is_latest(self, context: Any, run: Any) -> bool:
        """Whether the run's interval has begun, and the one after it hasn't ended; or nothing comes after it."""
        following = context["ti"].ask("following")
        began = getattr(run, "data_interval_start", None) or moment_of_run(context)
        return following is None or began < now() <= datetime.fromisoformat(following)
