import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import TryKey
from airdock.scheduler.retries import is_retried, retry_delay

Make = Callable[..., Any]
DATE = datetime(2026, 1, 1, tzinfo=UTC)


def key(number: int) -> TryKey:
    return TryKey(dag_id="d", run_id="r", task_id="a", try_number=number)


def seconds(task: SerializedTask, number: int, max_tries: int) -> float:
    return retry_delay(task, key(number), max_tries=max_tries, logical_date=DATE) / timedelta(seconds=1)


def test_without_backoff_the_delay_is_the_delay(make_task: Make) -> None:
    assert seconds(make_task("a", retries=3, retry_delay_s=7.5), 2, 3) == 7.5


def test_with_backoff_the_delay_lies_between_b_and_2b(make_task: Make) -> None:
    task = make_task("a", retries=5, retry_delay_s=10, retry_exponential_backoff=2.0)
    for number in range(1, 6):
        base = 10 * 2 ** (number - 1)
        assert base <= seconds(task, number, 5) < 2 * base


def test_the_jitter_is_the_hash_of_the_name(make_task: Make) -> None:
    name = "d#a#2026-01-01 00:00:00+00:00#1"
    spread = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10
    task = make_task("a", retries=5, retry_delay_s=10, retry_exponential_backoff=2.0)
    assert seconds(task, 1, 5) == 10 + spread


def test_lost_tries_do_not_lengthen_the_delay(make_task: Make) -> None:
    task = make_task("a", retries=5, retry_delay_s=10, retry_exponential_backoff=3.0)
    assert 10 <= seconds(task, 4, 5 + 3) < 20


@given(number=st.integers(1, 10_000), delay=st.floats(0, 1e6), factor=st.floats(1, 100))
def test_the_delay_is_bounded(number: int, delay: float, factor: float) -> None:
    task = SerializedTask(
        task_id="a",
        operator="python",
        retries=10_000,
        retry_delay_s=delay,
        retry_exponential_backoff=factor,
        max_retry_delay_s=3600,
    )
    assert 1 <= seconds(task, number, 10_000) <= 3600


def test_who_is_retried(make_task: Make) -> None:
    assert is_retried(make_task("a", retries=1), try_number=1, max_tries=1)
    assert not is_retried(make_task("a", retries=1), try_number=2, max_tries=1)
    assert is_retried(make_task("a", retries=1), try_number=2, max_tries=2)
    assert not is_retried(make_task("a", retries=0), try_number=1, max_tries=1)
