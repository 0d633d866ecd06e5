"""How long is waited before another try."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.remote.retry import pause_before, retry_after


def test_pauses_double_up_to_a_bound() -> None:
    pauses = [pause_before(attempt, spread=1.0) for attempt in range(1, 12)]
    assert pauses[1] == 2 * pauses[0] and pauses[2] == 4 * pauses[0]
    assert pauses == sorted(pauses) and pauses[-1] == pauses[-2] <= 60


def test_pauses_are_spread() -> None:
    assert pause_before(3, spread=0.0) < pause_before(3, spread=0.5) < pause_before(3, spread=1.0)


def test_what_the_server_asks_for_counts_up_to_a_bound() -> None:
    assert pause_before(1, wanted_s=7.0) == 7.0
    assert pause_before(1, wanted_s=1e9) <= 600
    assert pause_before(1, wanted_s=-5) == 0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Mon, 02 Jan 2034 03:04:15 GMT", 10.0),
        ("Mon, 02 Jan 2034 03:04:00 GMT", 0.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, expected: float | None) -> None:
    now = datetime(2034, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert retry_after(header, now=now) == expected


@given(st.text(max_size=60))
def test_any_text_is_understood_or_not(header: str) -> None:
    found = retry_after(header, now=0.0)
    assert found is None or found >= 0


@given(st.integers(1, 10**6))
def test_a_pause_is_never_long(attempt: int) -> None:
    assert 0 < pause_before(attempt) <= 60
