"""A retry policy decides in the task's own process (reference 4.4)."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airdock.runner.inside import callbacks


class Policy:
    def __init__(self, decision: Any) -> None:
        self.decision = decision
        self.asked: dict[str, Any] = {}

    def evaluate(self, **asked: Any) -> Any:
        self.asked = asked
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


def decision(action: str, delay: timedelta | None = None, reason: str | None = None) -> Any:
    return SimpleNamespace(action=SimpleNamespace(name=action), retry_delay=delay, reason=reason)


def judged(policy: Policy | None, *, retryable: bool = True) -> dict[str, Any]:
    context = {"ti": SimpleNamespace(try_number=2, max_tries=5)}
    ending = {"kind": "failed", "reason": "x", "retryable": retryable}
    callbacks.judge(SimpleNamespace(retry_policy=policy), context, ending, ValueError("x"))  # type: ignore[no-untyped-call]
    return ending


def test_fail_ends_the_task_whatever_tries_are_left() -> None:
    policy = Policy(decision("FAIL"))
    assert judged(policy)["retryable"] is False
    assert (policy.asked["try_number"], policy.asked["max_tries"]) == (2, 5)
    assert isinstance(policy.asked["exception"], ValueError)


def test_retry_may_bring_its_own_delay(capsys: pytest.CaptureFixture[str]) -> None:
    ending = judged(Policy(decision("RETRY", timedelta(minutes=5), "rate limit")))
    assert (ending["retryable"], ending["delay_s"]) == (True, 300.0)
    assert capsys.readouterr().err == "retry policy: retry: rate limit\n"
    assert "delay_s" not in judged(Policy(decision("RETRY")))


def test_default_leaves_it_to_the_task() -> None:
    assert judged(Policy(decision("DEFAULT"))) == judged(None)


def test_a_failure_that_is_final_is_not_judged() -> None:
    policy = Policy(decision("RETRY", timedelta(seconds=1)))
    assert judged(policy, retryable=False)["retryable"] is False
    assert policy.asked == {}


def test_a_policy_that_breaks_leaves_it_to_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(Policy(RuntimeError("broken"))) == judged(None)
    assert "retry_policy failed:" in capsys.readouterr().err
