"""What is done beside the DAG file before a task runs in an environment of its own (reference 2.4, 4.6, 4.7)."""

import queue
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock import compat
from airdock.dag.load import load_dag_file
from airdock.dag.serialized import SerializedDag
from airdock.model.events import Event, Finished
from airdock.model.keys import TryKey
from airdock.model.outcome import Ending, Failed, Lost, Skipped, Succeeded
from airdock.runner.base import Launch
from airdock.runner.pack import make_runner
from airdock.runner.process import ProcessRunning, ProcessStarter
from airdock.runner.supervisor import Supervisor
from airdock.scheduler.workloads import make_workload

OF_HOST = "process:host"


class Starter(ProcessStarter):
    """Remembers what was started on which image; the packages of an environment are those of the server."""

    def __init__(self, home: Path) -> None:
        super().__init__(environments=home / "cache", environ={"PATH": "/usr/bin:/bin"})
        self.started: list[str] = []

    def start(self, launch: Launch) -> ProcessRunning:
        self.started.append(launch.workload.digest)
        return super().start(launch)

    def _interpreter(self, workload: Any) -> str:
        return sys.executable


class Bench:
    """Runs tasks of a DAG file, each in the steps that it has."""

    def __init__(self, home: Path, answers: Any) -> None:
        self.home, self.answers = home, answers
        self.starter = Starter(home)
        self.events: queue.Queue[Event] = queue.Queue()
        self.supervisor = Supervisor(
            starter=self.starter, tasks=answers, home=home, runner=make_runner(home), beside=lambda: OF_HOST
        )
        self.supervisor.start()
        self.dag: SerializedDag

    def load(self, text: str) -> SerializedDag:
        path = self.home / "first.py"
        path.write_text(textwrap.dedent(text))
        (self.dag,) = load_dag_file(path)
        return self.dag

    def run(self, task_id: str, map_index: int = -1) -> Ending:
        self.begin(task_id, map_index)
        return self.end()

    def begin(self, task_id: str, map_index: int = -1) -> TryKey:
        key = TryKey(dag_id="d", run_id="r", task_id=task_id, map_index=map_index)
        workload = make_workload(
            self.dag.task(task_id), key, digest="process:own", folders=(), place=(), lease_s=60.0,
            instance={"max_tries": 1},
        )  # fmt: skip
        run = {"run_id": "r", "logical_date": "2026-01-02T03:04:05+00:00", "conf": {}}
        self.supervisor.run(workload, run_info=run, emit=self.events.put)
        return key

    def end(self) -> Ending:
        while not isinstance(event := self.events.get(timeout=60), Finished):
            pass
        self.digest = event.outcome.digest
        return event.outcome.ending

    def log(self, task_id: str) -> str:
        (path,) = (self.home / "logs" / "d" / "r" / task_id).rglob("*.log")
        return "\n".join(line.partition(" ")[2] for line in path.read_text().splitlines())


@pytest.fixture
def bench(tmp_path: Path, answers: Any) -> Iterator[Bench]:
    made = Bench(tmp_path, answers)
    yield made
    made.supervisor.stop()
    made.supervisor.join()
    compat.uninstall()


@pytest.fixture
def answers(make_bench: Callable[..., Any]) -> Any:
    return make_bench(below="other").answers


DAG = """
from airdock.sdk import DAG, task, literal
from airdock.operators.virtualenv import PythonVirtualenvOperator
from airdock.operators.bash import BashOperator
from airdock.operators.container import ContainerOperator
"""


def test_templates_are_rendered_in_a_first_step(bench: Bench) -> None:
    bench.load(
        DAG
        + """
def twice(text):
    return text * 2

with DAG("d", user_defined_macros={"twice": twice}):
    @task.virtualenv(requirements=["a"], templates_dict={"t": "{{ ti.xcom_pull('up') }}"})
    def work(day, raw, plain, templates_dict, logical_date):
        import sys
        print(day, raw, plain, templates_dict, logical_date.year, "airdock.dag" in sys.modules)
        return [day]
    work("{{ twice(ds) }}", literal("{{ ds }}"), plain={"deep": ["{{ params | length }}"]})
"""
    )
    bench.answers.values["up", "return_value"] = "{{ not rendered }}"
    assert bench.run("work") == Succeeded()
    assert bench.starter.started == [OF_HOST, "process:own"]
    assert bench.digest == "process:own"
    said = "2026-01-022026-01-02 {{ ds }} {'deep': ['0']} {'t': '{{ not rendered }}'} 2026 False"
    assert bench.log("work") == said
    assert bench.answers.values["work", "return_value"] == ["2026-01-022026-01-02"]


def test_operators_have_their_templates_rendered_too(bench: Bench) -> None:
    bench.load(
        DAG
        + """
with DAG("d") as dag:
    def tell(d, n):
        print(d, n)
    PythonVirtualenvOperator(
        task_id="op", python_callable=tell, requirements=["a"],
        op_args=["{{ ds }}"], op_kwargs={"n": "{{ dag.dag_id }}"},
    )
    BashOperator(task_id="bash", image="i", bash_command="echo $E {{ ds_nodash }}", env={"E": "{{ run_id }}"})
    ContainerOperator(task_id="container", image="i", entrypoint=[], command="/bin/echo {{ ds }} 'a b'")
    BashOperator(task_id="plain", image="i", bash_command="echo 1")
"""
    )
    for task_id, said in (("op", "2026-01-02 d"), ("bash", "r 20260102"), ("container", "2026-01-02 a b")):
        assert bench.run(task_id) == Succeeded()
        assert bench.log(task_id) == said
    bench.starter.started.clear()
    assert bench.run("plain") == Succeeded()
    assert bench.starter.started == ["process:own"]


def test_a_mapped_task_is_prepared_for_its_instance(bench: Bench) -> None:
    bench.load(
        DAG
        + """
with DAG("d"):
    @task
    def up():
        return 7

    @task(requirements=["a"], map_index_template="{{ task.op_kwargs['x'] }} of {{ ds }}")
    def add(x, y, d):
        print(x, y, d)

    add.partial(y=up(), d="{{ ds }}").expand(x=["a{{ ti.map_index }}", "b"])
"""
    )
    bench.answers.values["up", "return_value"] = 7
    assert bench.run("add", 0) == Succeeded(label="a0 of 2026-01-02")
    assert bench.log("add") == "a0 7 2026-01-02"


def test_hooks_are_called_before_and_after(bench: Bench) -> None:
    dag = bench.load(
        DAG
        + """
OUT = "after"

def began(context):
    print("began", context["ti"].task_id)

def before(context):
    print("before", context["dag"].dag_id)

def after(context, result):
    print(OUT, result, context["ds"])

with DAG("d"):
    @task(requirements=["a"], pre_execute=before, post_execute=after, on_execute_callback=began)
    def work():
        print("work")
        return 1

    @task.run_if(lambda context: False, "not today")
    @task.virtualenv(requirements=["a"], on_execute_callback=began)
    def never():
        print("never")

    @task.skip_if(lambda context: False)
    @task(requirements=["a"])
    def always():
        print("always")

    work(), never(), always()
"""
    )
    assert bench.run("work") == Succeeded()
    assert bench.log("work") == "before d\nbegan work\nwork\nafter 1 2026-01-02"
    bench.starter.started.clear()
    assert bench.run("never") == Skipped(reason="not today")
    assert bench.starter.started == [OF_HOST]
    assert bench.run("always") == Succeeded()
    assert "first" in dag.task("always").payload


def test_what_goes_wrong_in_the_first_step_is_how_the_task_ends(bench: Bench) -> None:
    bench.load(
        DAG
        + """
def failed(context):
    print("called here")

with DAG("d", user_defined_macros={"thing": object()}):
    @task(requirements=["a"], on_failure_callback=failed)
    def work(value):
        print("never")
    work("{{ missing }}")
    work.override(task_id="object", render_template_as_native_obj=True)("{{ thing }}")
"""
    )
    assert bench.run("work") == Failed(reason="UndefinedError: 'missing' is undefined")
    assert "called here" not in bench.log("work")  # the scheduler has it called, as for every task of this kind
    ending = bench.run("object")
    assert isinstance(ending, Failed)
    assert "expected argument 1 to be JSON" in ending.reason
    assert bench.starter.started == [OF_HOST, OF_HOST]
    assert bench.digest == "process:own"


def test_a_try_is_cancelled_in_either_step(bench: Bench) -> None:
    bench.load(
        DAG
        + """
import time

def slow(context):
    print("slow", flush=True)
    time.sleep(60)

with DAG("d"):
    @task(requirements=["a"], pre_execute=slow)
    def first():
        pass

    @task(requirements=["a"])
    def second(day):
        import time
        print("slow", flush=True)
        time.sleep(60)
    first(), second("{{ ds }}")
"""
    )
    for task_id in ("first", "second"):
        key = bench.begin(task_id)
        path = bench.home / "logs" / "d" / "r" / task_id / "1.log"
        while not path.exists() or "slow" not in path.read_text():
            pass
        bench.supervisor.cancel(key)
        assert bench.end() == Lost(reason="cancelled")
    bench.supervisor.stop()
    bench.supervisor.join()
    assert list((bench.home / "run" / "tries").iterdir()) == []
