"""What is done beside the DAG file before a task runs in an environment of its own (reference 2.4, 4.6, 4.7)."""

from typing import Any

from airdock.model.outcome import Failed, Lost, Skipped, Succeeded

OF_HOST = "process:host"
FileBench = Any


DAG = """
from airdock.sdk import DAG, task, literal
from airdock.operators.virtualenv import PythonVirtualenvOperator
from airdock.operators.bash import BashOperator
from airdock.operators.container import ContainerOperator
"""


def test_templates_are_rendered_in_a_first_step(file_bench: FileBench) -> None:
    file_bench.load(
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
    file_bench.answers.values["up", "return_value"] = "{{ not rendered }}"
    assert file_bench.run("work") == Succeeded()
    assert file_bench.starter.started == [OF_HOST, "process:own"]
    assert file_bench.digest == "process:own"
    said = "2026-01-022026-01-02 {{ ds }} {'deep': ['0']} {'t': '{{ not rendered }}'} 2026 False"
    assert file_bench.log("work") == said
    assert file_bench.answers.values["work", "return_value"] == ["2026-01-022026-01-02"]


def test_operators_have_their_templates_rendered_too(file_bench: FileBench) -> None:
    file_bench.load(
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
        assert file_bench.run(task_id) == Succeeded()
        assert file_bench.log(task_id) == said
    file_bench.starter.started.clear()
    assert file_bench.run("plain") == Succeeded()
    assert file_bench.starter.started == ["process:own"]


def test_a_mapped_task_is_prepared_for_its_instance(file_bench: FileBench) -> None:
    file_bench.load(
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
    file_bench.answers.values["up", "return_value"] = 7
    assert file_bench.run("add", 0) == Succeeded(label="a0 of 2026-01-02")
    assert file_bench.log("add") == "a0 7 2026-01-02"


def test_hooks_are_called_before_and_after(file_bench: FileBench) -> None:
    dag = file_bench.load(
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
    assert file_bench.run("work") == Succeeded()
    assert file_bench.log("work") == "before d\nbegan work\nwork\nafter 1 2026-01-02"
    file_bench.starter.started.clear()
    assert file_bench.run("never") == Skipped(reason="not today")
    assert file_bench.starter.started == [OF_HOST]
    assert file_bench.run("always") == Succeeded()
    assert "first" in dag.task("always").payload


def test_what_goes_wrong_in_the_first_step_is_how_the_task_ends(file_bench: FileBench) -> None:
    file_bench.load(
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
    assert file_bench.run("work") == Failed(reason="UndefinedError: 'missing' is undefined")
    assert "called here" not in file_bench.log("work")  # the scheduler has it called, as for every task of this kind
    ending = file_bench.run("object")
    assert isinstance(ending, Failed)
    assert "expected argument 1 to be JSON" in ending.reason
    assert file_bench.starter.started == [OF_HOST, OF_HOST]
    assert file_bench.digest == "process:own"


def test_a_try_is_cancelled_in_either_step(file_bench: FileBench) -> None:
    file_bench.load(
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
        key = file_bench.begin(task_id)
        path = file_bench.home / "logs" / "d" / "r" / task_id / "1.log"
        while not path.exists() or "slow" not in path.read_text():
            pass
        file_bench.supervisor.cancel(key)
        assert file_bench.end() == Lost(reason="cancelled")
    file_bench.supervisor.stop()
    file_bench.supervisor.join()
    assert list((file_bench.home / "run" / "tries").iterdir()) == []
