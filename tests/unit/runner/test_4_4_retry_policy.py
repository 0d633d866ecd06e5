"""A retry policy decides in the task's own process (reference 4.4)."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airdock.dag.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule
from airdock.runner.inside import callbacks, rules


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


class OwnError(ConnectionError):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError("x"), (True, 30.0)),
        (KeyError("x"), (False, None)),
        (TimeoutError("x"), (True, None)),
        (OwnError("x"), (True, 30.0)),
        (ValueError("x"), (False, None)),
    ],
)
def test_rules_that_travel_decide_as_the_policy_does(error: Exception, expected: tuple[bool, float | None]) -> None:
    policy = ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=TimeoutError, action=RetryAction.DEFAULT),
            RetryRule(exception=ConnectionError, retry_delay=timedelta(seconds=30)),
            RetryRule(exception="builtins.KeyError", action=RetryAction.FAIL, reason="never comes"),
        ],
        default=RetryAction.FAIL,
    )
    endings: list[dict[str, Any]] = [{"kind": "failed", "reason": "x", "retryable": True} for _ in range(2)]
    rules.judge(json.loads(json.dumps(policy.to_json())), endings[0], error)  # type: ignore[no-untyped-call]
    context = {"ti": SimpleNamespace(try_number=1, max_tries=5)}
    callbacks.judge(SimpleNamespace(retry_policy=policy), context, endings[1], error)  # type: ignore[no-untyped-call]
    assert [(each["retryable"], each.get("delay_s")) for each in endings] == [expected, expected]
