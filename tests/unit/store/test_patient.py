"""A patient store asks again while its database is away, and no longer than it may."""

import signal
import threading
from types import FrameType

import pytest

from airdock.errors import StoreAwayError, StoreError
from airdock.store.memory import MemoryStore
from airdock.store.patient import Patience, be_patient
from airdock.store.records import Pool


class Away(MemoryStore):
    """Away the first `times` times; then it refuses, where `then` says why."""

    def __init__(self, times: int, then: StoreError | None = None) -> None:
        super().__init__()
        self.times, self.then = times, then

    def list_pools(self) -> list[Pool]:
        self.times -= 1
        if self.times >= 0:
            raise StoreAwayError
        if self.then is not None:
            raise self.then
        return super().list_pools()


class NoPause(Patience):
    def wait(self) -> bool:
        return not self._is_over


def test_it_asks_until_there_is_an_answer() -> None:
    assert be_patient(Away(3), NoPause(60.0)).list_pools() == Away(0).list_pools()


def test_what_is_refused_is_not_asked_again() -> None:
    with pytest.raises(StoreError, match="refused"):
        be_patient(Away(1, StoreError("refused")), NoPause(60.0)).list_pools()


def test_it_gives_up_when_told_or_when_the_time_is_over() -> None:
    patience = Patience(60.0)
    threading.Timer(0.05, patience.give_up).start()
    with pytest.raises(StoreAwayError):
        be_patient(Away(1_000_000), patience).list_pools()
    with pytest.raises(StoreAwayError):
        be_patient(Away(1_000_000), NoPause(0.0)).list_pools()


def test_a_signal_handler_may_tell_it_in_any_moment() -> None:
    patience = Patience(60.0)
    left = 3000

    def tell(_number: int, _frame: FrameType | None) -> None:
        nonlocal left
        left -= 1
        patience.give_up()

    before = signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while left > 0:
            patience._is_over = False
            patience.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
