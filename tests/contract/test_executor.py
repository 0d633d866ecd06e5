"""What every executor promises."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airdock.executors.base import Event, Executor, Finished, Started
from airdock.executors.local import LocalExecutor
from airdock.executors.memory import MemoryExecutor
from airdock.executors.programs import Programs
from airdock.executors.sequential import SequentialExecutor
from airdock.model.keys import TryKey
from airdock.model.outcome import Ending, Failed, Lost, Succeeded
from airdock.model.workload import Workload

RUN_INFO = {"run_id": "r", "logical_date": None, "conf": {}}
PROGRAMS = {
    "succeed": ("/bin/true",),
    "fail": ("/bin/sh", "-c", "exit 3"),
    "hang": ("/bin/sleep", "600"),
    "missing": ("/no/such/program",),
}


def key(number: int) -> TryKey:
    return TryKey(dag_id="d", run_id="r", task_id="t", map_index=number)


def workload(number: int, does: str) -> Workload:
    return Workload(key=key(number), digest="sha256:0", argv=PROGRAMS[does], payload={"does": does})


def script(work: Workload) -> Ending | None:
    endings: dict[str, Ending | None] = {
        "succeed": Succeeded(),
        "fail": Failed(reason="exit code 3"),
        "hang": None,
        "missing": Failed(reason="no", retryable=False),
    }
    return endings[work.payload["does"]]


class Told:
    """Collects events, and waits for them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait(self, enough: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(enough, timeout=20), self.events

    def finished(self) -> list[Finished]:
        return [event for event in self.events if isinstance(event, Finished)]

    def started(self) -> set[TryKey]:
        return {event.key for event in self.events if isinstance(event, Started)}

    def wait_for_ends(self, count: int) -> dict[int, Ending]:
        self.wait(lambda: len(self.finished()) >= count)
        return {event.key.map_index: event.outcome.ending for event in self.finished()}


Make = Callable[[], tuple[Executor, Told]]


@pytest.fixture(params=["memory", "sequential", "local"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes executors over the same folder, as one process after the other would."""
    made: list[Executor] = []
    kept: dict = {}

    def make_one() -> tuple[Executor, Told]:
        executor: Executor
        if request.param == "memory":
            executor = MemoryExecutor(script=script, kept=kept)
        elif request.param == "sequential":
            executor = SequentialExecutor(supervise=Programs(folder=tmp_path))
        else:
            executor = LocalExecutor(supervise=Programs(folder=tmp_path), slots=2)
        told = Told()
        executor.subscribe(told)
        executor.start()
        made.append(executor)
        return executor, told

    yield make_one
    for executor in made:
        executor.stop()
        executor.join()


def test_each_try_ends_once(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(0, "succeed"), workload(1, "fail"), workload(2, "missing")], run_info=RUN_INFO)
    endings = told.wait_for_ends(3)
    assert endings[0] == Succeeded()
    assert endings[1] == Failed(reason="exit code 3")
    assert isinstance(endings[2], Failed)
    executor.stop()
    executor.join()
    assert len(told.finished()) == 3


def test_a_start_is_told_before_the_end(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(0, "succeed")], run_info=RUN_INFO)
    told.wait_for_ends(1)
    kinds = [type(event) for event in told.events]
    assert kinds == [Started, Finished]


def test_a_cancelled_try_is_lost(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(0, "hang")], run_info=RUN_INFO)
    told.wait(lambda: key(0) in told.started())
    executor.cancel([key(0), key(9)])
    assert isinstance(told.wait_for_ends(1)[0], Lost)
    executor.cancel([key(0)])


def test_more_than_there_is_room_for_ends_too(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(number, "succeed") for number in range(9)], run_info=RUN_INFO)
    assert told.wait_for_ends(9) == dict.fromkeys(range(9), Succeeded())


def test_what_waits_can_be_cancelled(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(number, "hang") for number in range(4)], run_info=RUN_INFO)
    executor.cancel([key(number) for number in range(4)])
    endings = told.wait_for_ends(4)
    assert all(isinstance(ending, Lost) for ending in endings.values())


def test_an_ending_is_told_until_it_is_acknowledged(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(0, "succeed"), workload(1, "fail")], run_info=RUN_INFO)
    told.wait_for_ends(2)
    (one,) = (event for event in told.finished() if event.key == key(0))
    executor.ack(one)
    executor.ack(one)
    executor.stop()
    executor.join()
    again, told = make()
    assert again.adopt([key(0), key(1), key(2)]) == {key(1)}
    (two,) = told.finished()
    assert (two.key, two.outcome.ending) == (key(1), Failed(reason="exit code 3"))
    again.ack(two)
    last, told = make()
    assert last.adopt([key(1)]) == frozenset()
    assert told.events == []


def test_stop_ends_what_runs_and_takes_no_more(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(0, "hang"), workload(1, "hang"), workload(2, "hang")], run_info=RUN_INFO)
    executor.stop()
    executor.stop()
    executor.join()
    endings = told.wait_for_ends(3)
    assert all(isinstance(ending, Lost) for ending in endings.values())


def test_capacity_is_no_less_than_one_slot(make: Make) -> None:
    executor, _ = make()
    slots = executor.capacity().slots
    assert slots is None or slots >= 1


def test_a_key_can_be_run_again_once_its_end_is_acknowledged(make: Make) -> None:
    executor, told = make()
    executor.submit([workload(0, "succeed")], run_info=RUN_INFO)
    told.wait_for_ends(1)
    executor.ack(told.finished()[0])
    executor.submit([workload(0, "fail")], run_info=RUN_INFO)
    told.wait_for_ends(2)
    assert told.finished()[1].outcome.ending == Failed(reason="exit code 3")
