"""Reference §4.6: what others are mapped over is known when the file is loaded."""

from collections.abc import Callable

from airdock.dag.serialized import SerializedDag

Load = Callable[[str], SerializedDag]

FILE = """
from airflow.sdk import DAG, task, task_group

@task
def make(): return [1]

@task
def use(x, y=None): return x

@task_group
def group(x):
    use.override(task_id="inner")(x)

with DAG("d"):
    direct, zipped, mapped, joined, grouped, plain, keyed, named = (
        make.override(task_id=name)() for name in
        ("direct", "zipped", "mapped", "joined", "grouped", "plain", "keyed", "named"))
    first = use.override(task_id="first").expand(x=direct)
    use.override(task_id="second").expand(x=zipped.zip(mapped.map(lambda each: each)), y=joined.concat(direct))
    group.expand(x=grouped)
    use.override(task_id="third").expand(x=first)
    use.override(task_id="fourth")(keyed["rows"])
    use.override(task_id="fifth").partial(y=plain).expand_kwargs(named)
"""


def test_tasks_that_others_are_mapped_over_are_told(load: Load) -> None:
    dag = load(FILE.replace("joined.concat([1])", "joined.concat(direct)"))
    told = {task.task_id for task in dag.tasks if task.payload.get("mapped_over")}
    assert told == {"direct", "zipped", "mapped", "joined", "grouped", "named"}
