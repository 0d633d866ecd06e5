"""Reference 4.1: runs of timetables that are their authors' code, whose answers come from elsewhere."""

import queue
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag
from airdock.errors import DagError
from airdock.orchestrator import Orchestrator
from airdock.scheduler.asking import AskedTimetables, Pending, ask_interval, ask_runs, is_custom
from airdock.scheduler.planner import Planner
from airdock.store.memory import MemoryStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUSTOM = {"type": "custom", "classpath": "a.B", "data": {}}


def dag(dag_id: str = "d", *, fileloc: str = "/f.py", catchup: bool = True, **more: Any) -> SerializedDag:
    given = {"timetable": CUSTOM, "start_date": "2026-03-01T00:00:00+00:00", "max_active_runs": 100, **more}
    return SerializedDag(dag_id=dag_id, fileloc=fileloc, tasks=(), catchup=catchup, **given)


class Author:
    """Answers as a timetable that makes a run at every sixth hour, about the six before; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[Mapping[str, Any]]]] = []
        self.error: Exception | None = None
        self.answer: Mapping[str, Any] | None = None
        self.answered: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __call__(self, file: str, questions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        self.asked.append((file, list(questions)))
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            return [self.answer] * len(questions)
        return [{"runs": list(self._runs(each))} for each in questions]

    def _runs(self, question: Mapping[str, Any]) -> Any:
        start = datetime.fromisoformat(question["last"][1] if question["last"] else question["start"])
        for _ in range(question["count"]):
            end = start + timedelta(hours=6)
            if question["end"] and end > datetime.fromisoformat(question["end"]):
                return
            yield {"run_type": "scheduled", "run_id": f"own__{end:%d-%H}", "logical_date": start.isoformat(),
                   "interval": [start.isoformat(), end.isoformat()], "run_after": end.isoformat()}  # fmt: skip
            start = end


class Desk:
    """A planner over a store that asks an author."""

    def __init__(self, author: Author, *dags: SerializedDag) -> None:
        self.author = author
        self.dags = {each.dag_id: each for each in dags}
        self.store = MemoryStore(clock=ManualClock(at=NOON))
        orchestrator = Orchestrator(store=self.store, scheduler=self._unused, clock=ManualClock(at=NOON))
        self.planner = Planner(
            store=self.store,
            dags=lambda: self.dags,
            create=lambda dag, plan: orchestrator.create_run(dag, plan=plan),
            asked=AskedTimetables(ask=author, answered=lambda: author.answered.put(None)),
        )

    def _unused(self) -> Any:
        raise AssertionError

    def plan(self, *, answers: int, now: datetime = NOON) -> float | None:
        """Plan until so many answers have come."""
        due = self.planner.plan(now)
        for _ in range(answers):
            self.author.answered.get(timeout=10)
            due = self.planner.plan(now)
        return due

    def runs(self) -> list[str]:
        return sorted(run.key.run_id for run in self.store.list_runs())


def test_due_runs_are_made_and_the_next_is_known() -> None:
    desk = Desk(Author(), dag())
    assert desk.plan(answers=1) == 6 * 3600
    assert desk.runs() == ["own__01-06", "own__01-12"]
    assert [each["count"] for each in desk.author.asked[0][1]] == [10]
    assert desk.plan(answers=0, now=NOON + timedelta(hours=7)) == 5 * 3600
    assert desk.runs() == ["own__01-06", "own__01-12", "own__01-18"]
    assert len(desk.author.asked) == 1, "a catchup asks ahead"


def test_it_goes_on_after_the_last_that_was_told() -> None:
    desk = Desk(Author(), dag())
    desk.plan(answers=2, now=NOON + timedelta(days=3))
    assert len(desk.runs()) == 14
    assert desk.author.asked[1][1][0]["last"] == ["2026-03-03T06:00:00+00:00", "2026-03-03T12:00:00+00:00"]


def test_without_catchup_each_is_asked_for_when_its_time_is_there() -> None:
    desk = Desk(Author(), dag(catchup=False))
    desk.plan(answers=3)
    assert [each[1][0]["count"] for each in desk.author.asked] == [1, 1, 1]


def test_an_end() -> None:
    desk = Desk(Author(), dag(end_date="2026-03-01T07:00:00+00:00"))
    assert desk.plan(answers=2) is None
    assert desk.runs() == ["own__01-06"]


def test_questions_about_one_file_go_together() -> None:
    author = Author()
    asked = AskedTimetables(ask=author, answered=lambda: author.answered.put(None))
    dags = [dag("a"), dag("b"), dag("c", fileloc="/g.py")]
    for each in dags:
        with pytest.raises(Pending):
            asked.next_run(each, None)
    told = 0
    while sum(len(questions) for _, questions in author.asked) < 3:
        author.answered.get(timeout=10)
        told += 1
    assert {file for file, _ in author.asked} == {"/f.py", "/g.py"}


def test_a_dag_that_is_loaded_anew_is_asked_anew() -> None:
    author = Author()
    desk = Desk(author, dag())
    desk.plan(answers=1)
    desk.dags["d"] = dag(doc="changed")
    desk.plan(answers=1)
    assert len(author.asked) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"error": {"error": "DagError", "message": "it broke", "where": "f:1", "hint": ""}}, "it broke"),
        ({"error": {"error": "SystemExit", "message": "it broke", "where": "f:1", "hint": ""}}, "it broke"),
        ({"error": 5}, "no answer that can be read"),
        ({"runs": [{"run_type": "scheduled"}]}, "no answer that can be read"),
        ({"runs": [{"run_type": "s", "run_id": "r", "interval": None, "logical_date": None, "run_after": "x"}]},
         "no answer that can be read"),
        ({}, "no answer that can be read"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_and_stops_nobody(
    answer: Mapping[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    author = Author()
    author.answer = answer
    desk = Desk(author, dag(), dag("timed", timetable={"type": "cron", "expression": "@hourly", "timezone": "UTC"}))
    assert desk.plan(answers=1) == 60
    assert says in caplog.text
    assert desk.plan(answers=0, now=NOON + timedelta(seconds=59)) == 1
    assert len(author.asked) == 1
    assert desk.plan(answers=1, now=NOON + timedelta(seconds=60)) == 60
    author.answer = None
    desk.plan(answers=1, now=NOON + timedelta(seconds=120))
    assert len(author.asked) == 3
    assert desk.runs()[0] == "own__01-06"


@pytest.mark.parametrize("error", [DagError("no file"), OSError("no disk")])
def test_nobody_to_ask(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    author = Author()
    author.error = error
    desk = Desk(author, dag())
    assert desk.plan(answers=1) == 60
    assert str(error) in caplog.text


def test_beside_assets() -> None:
    assert is_custom({"type": "asset_or_time", "timetable": CUSTOM})
    assert not is_custom({"type": "asset_or_time", "timetable": {"type": "once"}})
    desk = Desk(Author(), dag(timetable={"type": "asset_or_time", "timetable": CUSTOM}))
    desk.plan(answers=1)
    assert desk.runs() == ["own__01-06", "own__01-12"]


def test_runs_of_a_backfill_and_by_hand() -> None:
    end = NOON + timedelta(days=1)
    author = Author()
    told = author._runs({"last": None, "start": NOON.isoformat(), "end": "", "count": 1})
    author.answer = {"runs": list(told)}
    (plan,) = ask_runs(author, dag(), start=NOON, end=end)
    assert (plan.logical_date, plan.run_after) == (NOON, NOON + timedelta(hours=6))
    assert author.asked[0][1] == [
        {"dag_id": "d", "ask": "list_runs", "start": NOON.isoformat(), "end": end.isoformat()}
    ]
    author.answer = {"interval": [NOON.isoformat(), end.isoformat()]}
    assert ask_interval(author, dag(), end) == (NOON, end)
    for answer, says in (({"error": {"error": "DagError", "message": "no", "where": "", "hint": ""}}, "no"),
                         ({}, "no answer that can be read")):  # fmt: skip
        author.answer = answer
        with pytest.raises(DagError, match=says):
            ask_interval(author, dag(), end)
        with pytest.raises(DagError, match=says):
            ask_runs(author, dag(), start=NOON, end=end)
