"""A folder of 1,000 DAG files: until all of them are loaded, and until one of them that changed is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ground import Ground
from measure import Figure, Samples

__all__ = ["NAME", "measure"]

NAME = "folder"
BUDGET_S = 30.0
CHANGED_BUDGET_S = 1.0
FILES = 1_000
QUICK = 100
_DAGS = (
    """\
from datetime import datetime, timedelta

from airflow.sdk import DAG, task

with DAG(
    "NAME", schedule="@daily", start_date=datetime(2099, 1, 1), catchup=False, tags=["a"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):

    @task
    def extract():
        return {"a": 1, "b": 2}

    @task(multiple_outputs=True)
    def transform(data: dict):
        return {"total": sum(data.values())}

    @task
    def load(total: int):
        print(total)

    load(transform(extract())["total"])
""",
    """\
import pendulum

from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import BranchPythonOperator, PythonOperator


def choose(**context):
    return "left"


def work(number, **context):
    print(number, context["ds"])


with DAG("NAME", schedule="@hourly", start_date=pendulum.datetime(2099, 1, 1, tz="UTC"), catchup=False) as dag:
    begin = BashOperator(task_id="begin", bash_command="echo {{ ds }}")
    branch = BranchPythonOperator(task_id="branch", python_callable=choose)
    left = EmptyOperator(task_id="left")
    right = EmptyOperator(task_id="right")
    works = [PythonOperator(task_id=f"work_{n}", python_callable=work, op_kwargs={"number": n}) for n in range(5)]
    begin >> branch >> [left, right]
    left >> works
""",
)
"""The two ways in which DAG files are written, with a handful of tasks each.

Nothing is due, so that loading alone is measured.
"""


def measure(ground: Ground) -> list[Figure]:
    files = QUICK if ground.quick else FILES
    cold, changed = [], []
    for number in range(ground.rounds(3, 1)):
        home = ground.folder / f"folder-{number}"
        (home / "dags").mkdir(parents=True)
        for each in range(files):
            (home / "dags" / f"file_{each:04}.py").write_text(_text(each))
        began = time.perf_counter()
        with _scheduler(ground, home) as said:
            _await_loaded(said, files)
            cold.append(time.perf_counter() - began)
            for _ in range(ground.rounds(5, 2)):
                time.sleep(2)
                changed.append(_change(said, home / "dags" / "file_0007.py"))
        ground.remove(home)
    return [
        Figure(
            title=f"load {files:,} DAG files",
            unit="s",
            ours=Samples(tuple(cold)),
            budget=BUDGET_S * files / FILES,
            notes=["from the start of a scheduler without a store or an image, until all are known and saved"],
        ),
        Figure(
            title="load the one that changed",
            unit="s",
            ours=Samples(tuple(changed)),
            budget=CHANGED_BUDGET_S,
            notes=["from the file's write until the scheduler tells that it's loaded and saved"],
        ),
    ]


def _text(number: int) -> str:
    return _DAGS[number % len(_DAGS)].replace("NAME", f"dag_{number}")


@contextmanager
def _scheduler(ground: Ground, home: Path) -> Iterator[IO[str]]:
    """What a scheduler says, line by line."""
    process = subprocess.Popen(
        [*ground.airdock, "scheduler"],
        env={**ground.env, "AIRDOCK_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _await_loaded(said: IO[str], count: int) -> None:
    for line in said:
        if ": not loaded" in line:
            raise RuntimeError(line)
        count -= ": loaded " in line
        if count == 0:
            return
    raise RuntimeError("the scheduler ended")


def _change(said: IO[str], path: Path) -> float:
    new = path.with_suffix(".new")
    new.write_text(path.read_text() + f"# {time.time()}\n")
    began = time.perf_counter()
    os.replace(new, path)
    _await_loaded(said, 1)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit("run benchmarks/run.py --only folder")
