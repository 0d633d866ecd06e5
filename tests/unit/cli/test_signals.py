"""A scheduler that is told to end ends, also where it was told before it could listen."""

import signal
from collections.abc import Iterator

import pytest

from airdock.cli import signals
from airdock.cli.scheduler import _stopping
from airdock.cli.signals import unwind, was_told_to_end


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signals, "_told", set())
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_whoever_is_told_ends_with_the_signals_code() -> None:
    signal.signal(signal.SIGTERM, unwind)
    with pytest.raises(SystemExit) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM


def test_what_was_dropped_on_its_way_stops_a_scheduler_before_it_serves() -> None:
    signal.signal(signal.SIGTERM, unwind)
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    assert was_told_to_end()
    stops: list[str] = []
    with _stopping(lambda: stops.append("stop")):
        assert stops == ["stop"]


def test_a_scheduler_that_nobody_told_serves_until_somebody_does() -> None:
    stops: list[str] = []
    with _stopping(lambda: stops.append("stop")):
        assert stops == []
        signal.raise_signal(signal.SIGTERM)
        assert stops == ["stop"]
