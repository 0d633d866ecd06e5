"""Callbacks that no task's process can call are called in one of their own (reference 4.7)."""

import queue
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock.clock import SystemClock
from airdock.dag.importing import module_name
from airdock.errors import ImageError
from airdock.runner.callbacks import Callbacks
from airdock.runner.pack import make_runner
from airdock.runner.process import ProcessStarter

FILE = """
from airdock.sdk import DAG, BaseNotifier, task

async def awaited(text, context):
    print("awaited", text, context["deadline"]["name"], context["dag_run"]["dag_run_id"])

async def plain():
    print("awaited without context")

def called(**kwargs):
    print("called", sorted(kwargs), type(kwargs["context"]["deadline"]["deadline_time"]).__name__)

class Says(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text, **kwargs):
        super().__init__(**kwargs)
        self.text = text

    def notify(self, context):
        print("notified", self.text, context["notifier"] is self)

    async def async_notify(self, context):
        print("notified later", self.text, context["notifier"] is self)

def breaks():
    raise ValueError("broken")

def tell(context):
    whose = context["ti"].task_id if "ti" in context else "nobody"
    print("told", context["reason"], context.get("exception"), whose, context["dag"].dag_id)

def show(context):
    ti = context["ti"]
    said = [ti.task_id, ti.map_index, ti.try_number, ti.state, ti.duration, ti.max_tries]
    print("shown", *said, ti.log_url.rpartition("/r/")[2], context["task"].task_id, end=" ")
    print(context["task_instance_key_str"], context["dag_run"].run_id, context["ds"])

def broken(context):
    raise ValueError("broken")

with DAG("watched", on_failure_callback=[broken, tell], on_success_callback=[tell, show]):
    @task(on_failure_callback=tell, retries=1)
    def work():
        pass
    work()
"""


class Bench:
    def __init__(self, home: Path, file: Path, answers: Any, image: Callable[[], str]) -> None:
        self.home, self.file = home, file
        self.done: queue.Queue[str] = queue.Queue()
        self.callbacks = Callbacks(
            starter=ProcessStarter(environments=home / "cache", environ={"PATH": "/usr/bin:/bin"}),
            image=image,
            place=lambda _fileloc: (),
            tasks=answers,
            home=home,
            runner=make_runner(home),
            clock=SystemClock(),
        )

    def call(self, name: str, *, task_id: str = "", **fields: Any) -> str:
        self.begin(name, task_id=task_id, **fields)
        return self.done.get(timeout=60)

    def begin(self, name: str, *, task_id: str = "", **fields: Any) -> None:
        loader = {"fileloc": str(self.file), "paths": sys.path, "pythons": ""}
        run = {"run_id": "r", "logical_date": "2026-01-02T03:04:05+00:00", "conf": {}}
        call = {"dag_id": "watched", "run_id": "r", "task_id": task_id, "name": name, "loader": loader, "run": run}
        self.callbacks.run({**call, **fields}, self.done.put)

    def log(self, name: str) -> str:
        path = self.home / "logs" / "watched" / "r" / name / "1.log"
        return "\n".join(line.partition(" ")[2] for line in path.read_text().splitlines())


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    from tests.unit.runner.conftest import Answers

    file = tmp_path / "watched.py"
    file.write_text(FILE)
    made: list[Bench] = []

    def make(image: Callable[[], str] = lambda: "process:host") -> Bench:
        made.append(Bench(tmp_path, file, Answers(), image))
        return made[-1]

    yield make
    for bench in made:
        bench.callbacks.stop()
        bench.callbacks.join()


def test_a_dags_callbacks_are_called_each_even_if_one_breaks(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    assert bench.call("on_failure_callback", reason="task_failure") == ""
    log = bench.log("callbacks")
    assert "ValueError: broken" in log
    assert "told task_failure None nobody watched" in log


def test_a_dags_callbacks_are_told_of_the_instance_that_ended_last(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    last = {"task_id": "work", "map_index": 3, "try_number": 2, "state": "success", "max_tries": 4,
            "started": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T03:04:07+00:00"}  # fmt: skip
    assert bench.call("on_success_callback", reason="success", last=last) == ""
    shown = "shown work 3 2 success 2.0 4 work/3/2.log work watched__work__20260102 r 2026-01-02"
    assert "told success None work watched" in bench.log("callbacks")
    assert shown in bench.log("callbacks")
    assert bench.call("on_success_callback", reason="success", last={**last, "task_id": "gone"}) == ""
    assert "told success None nobody watched" in bench.log("callbacks")


def test_a_lost_tasks_callback_writes_to_the_log_of_its_try(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    assert bench.call("on_failure_callback", task_id="work", reason="lost", error="its process died") == ""
    assert "told lost its process died work watched" in bench.log("work")


def test_calls_about_one_try_come_one_after_the_other(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    for number in range(3):
        bench.begin("on_failure_callback", task_id="work", reason=str(number))
    assert [bench.done.get(timeout=60) for _ in range(3)] == ["", "", ""]
    assert [line.split()[1] for line in bench.log("work").splitlines()] == ["0", "1", "2"]


def test_what_cannot_be_called_is_told_as_not_done(make_bench: Callable[..., Bench]) -> None:
    def fail() -> str:
        raise ImageError("no host image")

    bench = make_bench(fail)
    assert bench.call("on_failure_callback") == "could not be started: no host image"
    bench = make_bench()
    assert "has no DAG 'other'" in bench.call("on_success_callback", dag_id="other")


CONTEXT = {
    "dag_run": {"dag_run_id": "r", "dag_id": "watched"},
    "deadline": {"id": "1", "deadline_time": "2026-01-02T03:04:05+00:00", "name": "late"},
}
TEXT = "{{ dag_run.dag_id }} by {{ deadline.deadline_time }}"
SHOWN = "watched by 2026-01-02 03:04:05+00:00"


@pytest.mark.parametrize(
    ("kind", "name", "kwargs", "said"),
    [
        ("async", "awaited", {"text": "hello"}, "awaited hello late r"),
        ("async", "plain", {}, "awaited without context"),
        ("sync", "plain", {}, "awaited without context"),
        ("sync", "called", {"at": 1}, "called ['at', 'context'] datetime"),
        ("async", "Says", {"text": TEXT}, f"notified later {SHOWN} True"),
        ("sync", "Says", {"text": TEXT}, f"notified {SHOWN} True"),
        ("sync", "breaks", {}, "ValueError: broken"),
        ("async", "called", {}, "TypeError: "),
        ("sync", "gone", {}, "has no attribute 'gone'"),
    ],
)
def test_what_a_missed_deadline_names_is_called_as_airflow_does(
    make_bench: Callable[..., Bench], kind: str, name: str, kwargs: dict[str, Any], said: str
) -> None:
    bench = make_bench()
    path = f"{module_name(str(bench.file))}.{name}"
    asked = {"kind": kind, "path": path, "kwargs": kwargs, "context": CONTEXT}
    assert bench.call("deadline", deadline=asked) == ""
    assert said in bench.log("callbacks")
