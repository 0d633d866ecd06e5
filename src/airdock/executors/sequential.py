"""Runs tries on this machine one after the other, in the order they came: to follow a DAG run with a debugger."""

from airdock.clock import Clock
from airdock.executors.base import Supervise
from airdock.executors.local import LocalExecutor

__all__ = ["SequentialExecutor"]


class SequentialExecutor(LocalExecutor):
    """The local executor with one slot."""

    name = "sequential"

    def __init__(self, *, supervise: Supervise, clock: Clock | None = None) -> None:
        super().__init__(supervise=supervise, slots=1, clock=clock)
