import threading
from collections.abc import Mapping
from typing import Any

import pytest

from airdock.executors.base import Emit, Event, Finished, Waiting
from airdock.executors.local import LocalExecutor, default_slots
from airdock.executors.sequential import SequentialExecutor
from airdock.model.keys import TryKey
from airdock.model.outcome import Lost, Outcome, Succeeded
from airdock.model.workload import Workload


def key(number: int) -> TryKey:
    return TryKey(dag_id="d", run_id="r", task_id="t", map_index=number)


def workloads(*numbers: int) -> list[Workload]:
    return [Workload(key=key(number), digest="sha256:0") for number in numbers]


class ByHand:
    """A `Supervise` whose tries end when they are told to."""

    def __init__(self) -> None:
        self.running: dict[TryKey, Emit] = {}
        self.order: list[int] = []
        self.infos: list[Mapping[str, Any]] = []

    def start(self) -> None: ...

    def stop(self) -> None:
        for each in list(self.running):
            self.cancel(each)

    def join(self) -> None: ...

    def run(self, workload: Workload, *, run_info: Mapping[str, Any], emit: Emit) -> None:
        self.running[workload.key] = emit
        self.order.append(workload.key.map_index)
        self.infos.append(run_info)

    def end(self, each: TryKey, outcome: Outcome) -> None:
        self.running.pop(each)(Finished(key=each, outcome=outcome))

    def cancel(self, key: TryKey) -> None:
        if key in self.running:
            self.end(key, Outcome(ending=Lost(reason="cancelled")))

    def recover(self, *, emit: Emit) -> None: ...

    def ack(self, key: TryKey) -> None: ...


@pytest.fixture
def supervise() -> ByHand:
    return ByHand()


def test_no_more_than_the_slots_run_and_the_rest_waits_in_order(supervise: ByHand) -> None:
    told: list[Event] = []
    executor = LocalExecutor(supervise=supervise, slots=2)
    executor.subscribe(told.append)
    executor.submit(workloads(0, 1, 2), run_info={"run_id": "r"})
    executor.submit(workloads(3), run_info={"run_id": "s"})
    assert set(supervise.running) == {key(0), key(1)}
    assert told == [Waiting(key=key(2), reason="slot"), Waiting(key=key(3), reason="slot")]
    supervise.end(key(1), Outcome(ending=Succeeded()))
    supervise.end(key(0), Outcome(ending=Succeeded()))
    assert supervise.order == [0, 1, 2, 3]
    assert supervise.infos[-1] == {"run_id": "s"}


def test_a_slot_is_free_when_its_end_is_told(supervise: ByHand) -> None:
    executor = LocalExecutor(supervise=supervise, slots=1)
    waited: list[Event] = []

    def submit_more(event: Event) -> None:
        if isinstance(event, Waiting):
            waited.append(event)
        elif isinstance(event, Finished) and event.key == key(0):
            executor.submit(workloads(1), run_info={})

    executor.subscribe(submit_more)
    executor.submit(workloads(0), run_info={})
    supervise.end(key(0), Outcome(ending=Succeeded()))
    assert set(supervise.running) == {key(1)}
    assert waited == []


def test_sequential_runs_one_at_a_time(supervise: ByHand) -> None:
    executor = SequentialExecutor(supervise=supervise)
    executor.subscribe(lambda _event: None)
    executor.submit(workloads(0, 1), run_info={})
    assert set(supervise.running) == {key(0)}
    assert executor.capacity().slots == 1


def test_what_comes_after_stop_is_lost(supervise: ByHand) -> None:
    told: list[Event] = []
    executor = LocalExecutor(supervise=supervise, slots=1)
    executor.subscribe(told.append)
    executor.stop()
    executor.submit(workloads(0), run_info={})
    (end,) = told
    assert isinstance(end, Finished) and isinstance(end.outcome.ending, Lost)


def test_endings_from_many_threads_keep_the_slots_right(supervise: ByHand) -> None:
    executor = LocalExecutor(supervise=supervise, slots=4)
    ended = threading.Semaphore(0)
    executor.subscribe(lambda event: ended.release() if isinstance(event, Finished) else None)
    executor.submit(workloads(*range(200)), run_info={})

    def end_all() -> None:
        while supervise.running:
            assert len(supervise.running) <= 4
            for each in list(supervise.running):
                emit = supervise.running.pop(each, None)
                if emit:
                    emit(Finished(key=each, outcome=Outcome(ending=Succeeded())))

    threads = [threading.Thread(target=end_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end_all()
    assert sorted(supervise.order) == list(range(200))
    assert all(ended.acquire(blocking=False) for _ in range(200))


def test_the_default_is_at_least_four_slots() -> None:
    assert default_slots() >= 4
