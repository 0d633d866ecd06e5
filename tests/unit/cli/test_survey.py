"""The report for people who move: what a file's tasks import, and what is said of files that load or don't."""

from pathlib import Path

from airdock.cli.dags_import import make_report, render_report
from airdock.cli.survey import survey
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import DagFileError
from airdock.model.environment import Environment

TEXT = """
import json
import sklearn.linear_model
import numpy as np
from mine import helper
from airflow import DAG
from airflow.decorators import dag, task

@task
def fit(rows):
    import pandas as pd
    from PIL import Image
    return np.array(rows)

@task.branch(retries=2)
def choose():
    return json.dumps(helper())

def old_style():
    import yaml

def unused():
    import torch

PythonOperator(task_id="old", python_callable=old_style)
"""


def test_packages_are_named_as_the_index_names_them() -> None:
    found = survey(TEXT, local=frozenset({"mine"}))
    assert found.tasks == {"fit": ("numpy", "pandas", "pillow"), "old_style": ("PyYAML",)}
    assert found.top == {"sklearn": 3, "numpy": 4}


def file(folder: Path, text: str) -> Path:
    path = folder / "etl.py"
    path.write_text(text)
    return path


def test_a_file_that_loads_is_told_with_what_its_tasks_could_ask_for(tmp_path: Path) -> None:
    tasks = (SerializedTask(task_id="group.fit", operator="Python"), SerializedTask(task_id="old", operator="Python"))
    dag = SerializedDag(dag_id="etl", fileloc="", tasks=tasks)
    path = file(tmp_path, TEXT)
    report = make_report(path, [dag], ["DAG 'etl': run_as_user has no effect yet", "printed"])
    assert render_report(report).splitlines() == [
        f"\x1b[32mloads\x1b[0m {path}",
        "      etl: 2 tasks",
        "      note: DAG 'etl': run_as_user has no effect yet",
        '      could: fit imports numpy, pandas, pillow: give it requirements=["numpy", "pandas", "pillow"]',
        '      could: choose imports mine: give it requirements=["mine"]',
        '      could: old_style imports PyYAML: give it requirements=["PyYAML"]',
    ]


def test_a_task_that_asks_for_something_already_needs_no_advice(tmp_path: Path) -> None:
    needs = Environment(requirements=("numpy", "pandas", "pillow"))
    dag = SerializedDag(
        dag_id="etl", fileloc="", tasks=(SerializedTask(task_id="g.fit", operator="P", environment=needs),)
    )
    report = make_report(file(tmp_path, TEXT), [dag], [])
    assert not any(each.startswith("fit ") for each in report.suggestions)


def test_a_file_that_does_not_load_says_why_and_what_to_do(tmp_path: Path) -> None:
    path = file(tmp_path, "import airflow\nthis is no Python")
    error = DagFileError("syntax error: invalid syntax", where=f"{path}:2", hint="mend it")
    report = make_report(path, error, [])
    assert render_report(report).splitlines()[1:] == [
        "      syntax error: invalid syntax",
        f"      where: {path}:2",
        "      do: mend it",
    ]
    assert report.to_dict()["loads"] is False
