"""A task that does nothing: a place where paths meet."""

from airdock.dag.operator import BaseOperator, Work

__all__ = ["EmptyOperator"]


class EmptyOperator(BaseOperator):
    """Succeeds as soon as it may run, without a container."""

    ui_color = "#e8f7e4"

    def execute(self, context: object) -> None:
        """Nothing."""

    def work(self) -> Work:
        return Work(mode="none", payload={})
