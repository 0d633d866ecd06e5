"""Reference 4.4: what a retry policy says of an exception."""

from datetime import timedelta

import pytest

from airdock.dag.retry_policy import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryPolicy, RetryRule

POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=ConnectionError, retry_delay=timedelta(seconds=30), reason="the net"),
        RetryRule(exception="builtins.KeyError", action=RetryAction.FAIL),
        RetryRule(exception=OSError, action=RetryAction.DEFAULT, match_subclasses=False),
        RetryRule(exception="json.decoder.JSONDecodeError", action=RetryAction.FAIL),
    ],
    default=RetryAction.RETRY,
)


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (ConnectionError(), RetryDecision(RetryAction.RETRY, timedelta(seconds=30), "the net")),
        (ConnectionResetError(), RetryDecision(RetryAction.RETRY, timedelta(seconds=30), "the net")),
        (KeyError("a"), RetryDecision(RetryAction.FAIL)),
        (OSError(), RetryDecision(RetryAction.DEFAULT)),
        (FileNotFoundError(), RetryDecision(RetryAction.RETRY)),
        (ValueError(), RetryDecision(RetryAction.RETRY)),
    ],
)
def test_the_first_rule_that_fits_decides(error: BaseException, decision: RetryDecision) -> None:
    assert POLICY.evaluate(error, try_number=1, max_tries=3) == decision


def test_without_a_rule_the_tasks_own_retries_decide() -> None:
    assert ExceptionRetryPolicy([]).evaluate(ValueError(), 1, 3) == RetryDecision.default()


def test_a_policy_says_something() -> None:
    with pytest.raises(NotImplementedError, match="RetryPolicy has no evaluate"):
        RetryPolicy().evaluate(ValueError(), 1, 3)
