import logging
import os
import queue
from collections.abc import Iterator

import pytest

from airdock.runner.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop("test-loop")
    loop.start()
    yield loop
    loop.stop()
    loop.join()


def test_what_is_posted_is_called_in_order(loop: Loop) -> None:
    called: queue.Queue[int] = queue.Queue()
    for number in range(100):
        loop.post(lambda number=number: called.put(number))
    assert [called.get(timeout=10) for _ in range(100)] == list(range(100))


def test_timers_ring_in_order_unless_they_are_cancelled(loop: Loop) -> None:
    called: queue.Queue[str] = queue.Queue()

    def arm() -> None:
        now = loop.time()
        loop.at(now + 0.04, lambda: called.put("late"))
        loop.at(now + 0.02, lambda: called.put("cancelled")).cancel()
        loop.at(now + 0.01, lambda: called.put("early"))
        loop.at(now - 1, lambda: called.put("past"))

    loop.post(arm)
    assert [called.get(timeout=10) for _ in range(3)] == ["past", "early", "late"]


def test_descriptors_are_watched_until_they_are_not(loop: Loop) -> None:
    reading, writing = os.pipe()
    told: queue.Queue[bytes] = queue.Queue()
    read: list[bytes] = []

    def take() -> None:
        read.append(os.read(reading, 1))
        if len(read) == 2:
            loop.unwatch(reading)
            loop.unwatch(reading)
            loop.post(lambda: told.put(b"".join(read)))

    loop.post(lambda: loop.watch(reading, READ, take))
    os.write(writing, b"abc")
    assert told.get(timeout=10) == b"ab"
    os.close(reading)
    os.close(writing)


def test_a_callback_that_raises_costs_the_others_nothing(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    called: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        raise ValueError("no")

    with caplog.at_level(logging.ERROR):
        loop.post(fail)
        loop.post(lambda: called.put("still here"))
        assert called.get(timeout=10) == "still here"
    assert "a callback of test-loop failed" in caplog.text


def test_a_loop_that_never_started_can_be_joined() -> None:
    loop = Loop("idle")
    loop.stop()
    loop.join()
    loop.join()
