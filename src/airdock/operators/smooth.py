"""Airflow's joke of a task: it plays no song here."""

from typing import Any

from airdock.dag.operator import BaseOperator

__all__ = ["SmoothOperator"]


class SmoothOperator(BaseOperator):
    """Prints the address of a song."""

    def execute(self, context: Any) -> None:
        print("Enjoy Sade - Smooth Operator: https://www.youtube.com/watch?v=4TYv2PhG89A")  # noqa: T201  a task's log
