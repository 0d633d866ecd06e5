"""One more Python task in a chain: twenty that do nothing, one after the other, each in a container of its own."""

import sys

from airflow_peer import run_in_airflow
from dag_runs import DagRun, run_dag
from ground import Ground, run
from measure import Figure, Samples, Skipped, contest, timed

__all__ = ["NAME", "measure"]

NAME = "chain"
BUDGET_MS = 110.0
LENGTH = 20
_DAG = """\
from airflow.sdk import DAG, chain, task

with DAG("chain", schedule=None):

    @task
    def step():
        return None

    chain(*[step.override(task_id=f"step_{number}")() for number in range(LENGTH)])
"""


def measure(ground: Ground) -> list[Figure]:
    path = ground.folder / "chain.py"
    path.write_text(_DAG.replace("LENGTH", str(LENGTH)))
    runs: list[DagRun] = []

    def chain() -> float:
        found = run_dag(ground, path)
        assert len(found.outcomes) == LENGTH, found.events[-1]
        runs.append(found)
        return found.tasks_s * 1000 / LENGTH

    ours, peers = contest(
        chain,
        {"python -c pass": lambda: timed(lambda: run([sys.executable, "-c", "pass"]))},
        rounds=ground.rounds(5, 1),
    )
    beside = run_in_airflow(ground, path.read_text(), "chain", ground.rounds(3, 1))
    if isinstance(beside, Skipped):
        peers["Airflow"] = beside
    else:
        peers["Airflow, no containers"] = Samples(tuple(each * 1000 / LENGTH for each in beside))
    whole = Samples(tuple(each.seconds for each in runs[1:]))
    before = Samples(tuple(each.seconds - each.tasks_s for each in runs[1:]))
    notes = [
        f"per task, from the first one queued until the last one ended, over {LENGTH}",
        f"the whole process takes {whole.median:.2f} s, {before.median:.2f} s of them before and after the tasks",
        "python -c pass is one interpreter without container, scheduler, log and database",
    ]
    return [Figure(title="one more task in a chain", unit="ms", ours=ours, budget=BUDGET_MS, peers=peers, notes=notes)]
