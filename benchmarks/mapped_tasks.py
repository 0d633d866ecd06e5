"""A hundred mapped Python tasks that do nothing, each in a container of its own."""

from airflow_peer import run_in_airflow
from dag_runs import DagRun, run_dag
from ground import Ground
from measure import Figure, Samples, Skipped

__all__ = ["NAME", "measure"]

NAME = "mapped"
BUDGET_S = 4.0
COUNT = 100
_DAG = """\
from airflow.sdk import DAG, task

with DAG("mapped", schedule=None, max_active_tasks=64):

    @task
    def step(number):
        return None

    step.expand(number=list(range(COUNT)))
"""


def measure(ground: Ground) -> list[Figure]:
    path = ground.folder / "mapped.py"
    path.write_text(_DAG.replace("COUNT", str(COUNT)))
    runs: list[DagRun] = [run_dag(ground, path) for _ in range(1 + ground.rounds(5, 1))][1:]
    assert all(len(each.outcomes) == COUNT for each in runs)
    whole = Samples(tuple(each.seconds for each in runs))
    ours = Samples(tuple(each.tasks_s for each in runs))
    notes = [
        f"from the first task queued until the last one ended, {COUNT / ours.median:.0f} tasks/s; "
        f"the whole process takes {whole.median:.2f} s",
        "Airflow's figure is measured alike; its tasks are no containers",
    ]
    beside = run_in_airflow(ground, path.read_text(), "mapped", ground.rounds(3, 1))
    peers = {"Airflow": beside} if isinstance(beside, Skipped) else {"Airflow, no containers": Samples(tuple(beside))}
    return [Figure(title=f"{COUNT} mapped tasks", unit="s", ours=ours, budget=BUDGET_S, peers=peers, notes=notes)]
