"""Operators, sensors, triggers, hooks and notifiers write to the log of their task as Airflow's do."""

import logging
from typing import Any

import pytest

from airdock.dag.logged import LoggingMixin
from airdock.dag.notifier import BaseNotifier
from airdock.dag.operator import BaseOperator
from airdock.dag.sensor import BaseSensorOperator
from airdock.dag.stored import BaseHook
from airdock.dag.trigger import BaseTrigger


class Operator(BaseOperator):
    def execute(self, context: Any) -> None:
        self.log.info("said by %s", self.task_id)


class Sensor(BaseSensorOperator):
    pass


class Trigger(BaseTrigger):
    pass


class Hook(BaseHook):
    pass


class Notifier(BaseNotifier):
    pass


class Own(LoggingMixin):
    pass


@pytest.mark.parametrize(
    "make", [lambda: Operator(task_id="t"), lambda: Sensor(task_id="t"), Trigger, Hook, Notifier, Own]
)
def test_each_has_a_log_of_its_own(make: Any) -> None:
    made = make()
    assert isinstance(made.log, logging.Logger)
    assert made.log.name == f"{__name__}.{type(made).__name__}"


def test_a_hook_may_name_its_logger() -> None:
    assert Hook(logger_name="mine").log.name == "mine"


def test_what_an_operator_says_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Operator(task_id="t").execute({})
    assert caplog.messages == ["said by t"]
