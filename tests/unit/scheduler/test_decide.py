from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Failed, Lost, Outcome, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.advance import advance
from airdock.scheduler.decide import conclude, decide
from airdock.scheduler.events import Answered, Due, RunBegan, Settled, TryEnded, TryStarted
from airdock.scheduler.view import RunView
from airdock.store.records import Answer, Instance, Transition

Make = Callable[..., Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunKey(dag_id="d", run_id="r")
S = TaskState


def key(task_id: str) -> TaskKey:
    return TaskKey(dag_id="d", run_id="r", task_id=task_id)


def make_view(dag: Any, **states: TaskState) -> RunView:
    rows = [
        Instance(key=key(task.task_id), state=states.get(task.task_id, S.NONE), try_number=task.task_id in states)
        for task in dag.tasks
    ]
    answer = Answer(run=RUN, environment=Environment(), at=NOW, digest="sha256:0")
    return RunView(run=RUN, logical_date=None, dag=dag, instances=rows, answers=[answer])


class Counting:
    """A view that counts what it is asked."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        return getattr(self._view, name)


@pytest.mark.parametrize("size", [100, 100_000])
def test_an_event_costs_its_out_degree(size: int, make_dag: Make, make_task: Make) -> None:
    width = 10
    tasks = [make_task("hub"), *[make_task(f"w{index}", "hub") for index in range(width)]]
    tasks += [make_task(f"t{index}", f"w{index % width}") for index in range(size // width)]
    tasks += [make_task(f"u{index}", f"t{index % (size // width)}") for index in range(size - len(tasks))]
    tasks.append(make_task("all", *(task.task_id for task in tasks if task.task_id.startswith("u"))))
    view = make_view(make_dag(*tasks))
    advance(view, [RunBegan()], NOW)
    for task_id in ("hub", "w0", "t0", "u0"):
        member = view.member(key(task_id))
        assert member is not None
        view.move(Transition(key=key(task_id), source=S.SCHEDULED, target=S.QUEUED, try_number=1, to_try=1, at=NOW))
        ended = TryEnded(key=key(task_id).attempt(1), outcome=Outcome(ending=Succeeded()))
        counting = Counting(view)
        decide(counting, TryStarted(key=key(task_id).attempt(1), at=NOW), NOW)  # type: ignore[arg-type]
        decide(counting, ended, NOW)  # type: ignore[arg-type]
        assert counting.count <= 8
        advance(view, [ended], NOW)
        counting = Counting(view)
        decide(counting, Settled(key=key(task_id)), NOW)  # type: ignore[arg-type]
        degree = len(view.downstream(task_id))
        assert counting.count <= 4 + 8 * degree, (task_id, degree)


def test_what_is_told_late_or_twice_changes_nothing(make_dag: Make, make_task: Make) -> None:
    view = make_view(make_dag(make_task("a")), a=S.QUEUED)
    late = TryEnded(key=key("a").attempt(2), outcome=Outcome(ending=Succeeded()))
    assert decide(view, late, NOW) == []
    ended = TryEnded(key=key("a").attempt(1), outcome=Outcome(ending=Succeeded()))
    assert len(advance(view, [ended], NOW)) == 1
    assert decide(view, ended, NOW) == []
    assert decide(view, TryStarted(key=key("a").attempt(1), at=NOW), NOW) == []
    unknown = TryEnded(key=key("b").attempt(1), outcome=Outcome(ending=Succeeded()))
    assert decide(view, unknown, NOW) == []


def test_a_try_that_was_never_seen_to_start_can_end(make_dag: Make, make_task: Make) -> None:
    view = make_view(make_dag(make_task("a")), a=S.QUEUED)
    ended = TryEnded(key=key("a").attempt(1), outcome=Outcome(ending=Failed(reason="no")))
    (action,) = decide(view, ended, NOW)
    assert isinstance(action, Transition)
    assert (action.source, action.target) == (S.QUEUED, S.FAILED)


def test_a_teardown_does_not_decide_how_a_run_ends(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("work"), make_task("clean", "work", is_teardown=True))
    view = make_view(dag, work=S.SUCCESS, clean=S.FAILED)
    end = conclude(view, NOW)
    assert end is not None and end.target is RunState.SUCCESS
    view = make_view(dag, work=S.FAILED, clean=S.SUCCESS)
    end = conclude(view, NOW)
    assert end is not None and (end.target, end.reason) == (RunState.FAILED, "failed: work")


def test_a_run_goes_on_while_something_can_happen(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("a"), make_task("b", "a"))
    for state in (S.SCHEDULED, S.QUEUED, S.RUNNING, S.UP_FOR_RETRY, S.UP_FOR_RESCHEDULE):
        assert conclude(make_view(dag, a=state), NOW) is None


def test_a_run_in_which_nothing_can_happen_has_failed(make_dag: Make, make_task: Make) -> None:
    end = conclude(make_view(make_dag(make_task("a"), make_task("b", "a")), a=S.SUCCESS), NOW)
    assert end is not None and end.target is RunState.FAILED
    assert end.reason == "1 task instances wait for what can't happen any more"


def test_a_dag_without_tasks_succeeds(make_dag: Make) -> None:
    end = conclude(make_view(make_dag()), NOW)
    assert end is not None and end.target is RunState.SUCCESS


def test_an_environment_that_fails_late_fails_those_who_wait(make_dag: Make, make_task: Make) -> None:
    bad = Environment(image="nowhere")
    view = make_view(make_dag(make_task("a", environment=bad), make_task("b", "a", environment=bad)))
    advance(view, [RunBegan()], NOW)
    answer = Answer(run=RUN, environment=bad, at=NOW, error={"message": "there is no image nowhere"})
    failed, upstream_failed = advance(view, [Answered(answer=answer)], NOW)
    assert isinstance(failed, Transition) and isinstance(upstream_failed, Transition)
    assert (failed.target, upstream_failed.target) == (S.FAILED, S.UPSTREAM_FAILED)
    assert failed.outcome is not None
    assert failed.outcome.ending == Failed(reason="there is no image nowhere", retryable=False)


def test_retries_wait_for_their_delay(make_dag: Make, make_task: Make) -> None:
    view = make_view(make_dag(make_task("a", retries=1, retry_delay_s=60)), a=S.RUNNING)
    member = view.member(key("a"))
    assert member is not None
    member.max_tries = 1
    ended = TryEnded(key=key("a").attempt(1), outcome=Outcome(ending=Failed(reason="no")))
    transition, wake = decide(view, ended, NOW)
    assert isinstance(transition, Transition)
    assert transition.until == wake.at == NOW + timedelta(seconds=60)  # type: ignore[union-attr]


def test_a_lost_try_raises_what_it_may_try(make_dag: Make, make_task: Make) -> None:
    view = make_view(make_dag(make_task("a")), a=S.RUNNING)
    ended = TryEnded(key=key("a").attempt(1), outcome=Outcome(ending=Lost(reason="power")))
    (action,) = decide(view, ended, NOW)
    assert isinstance(action, Transition)
    assert (action.target, action.to_try, action.max_tries) == (S.SCHEDULED, 2, 1)


def test_what_could_not_begin_waits_before_it_tries_again(make_dag: Make, make_task: Make) -> None:
    view = make_view(make_dag(make_task("a")), a=S.RUNNING)
    ended = TryEnded(key=key("a").attempt(1), outcome=Outcome(ending=Lost(reason="power", delay_s=2)))
    action, wake = decide(view, ended, NOW)
    assert isinstance(action, Transition)
    assert (action.target, action.to_try, action.max_tries) == (S.UP_FOR_RETRY, 1, 1)
    assert action.until == wake.at == NOW + timedelta(seconds=2)  # type: ignore[union-attr]


def test_what_was_deferred_goes_on_where_it_was_after_it_could_not_begin(make_dag: Make, make_task: Make) -> None:
    view = make_view(make_dag(make_task("a")), a=S.RUNNING)
    member = view.member(key("a"))
    assert member is not None
    member.next = {"method": "go_on", "kwargs": {}}
    ended = TryEnded(key=key("a").attempt(1), outcome=Outcome(ending=Lost(reason="power", delay_s=2)))
    advance(view, [ended], NOW)
    (again,) = advance(view, [Due(key=key("a"))], NOW + timedelta(seconds=2))
    assert isinstance(again, Transition)
    assert (again.target, again.to_try, again.next) == (S.SCHEDULED, 2, {"method": "go_on", "kwargs": {}})
