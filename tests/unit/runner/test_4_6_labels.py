"""Reference 4.6: what `map_index_template` makes of the map index, however the instance ends."""

from typing import Any

from airdock.model.outcome import Failed, Skipped, Succeeded

DAG = """
from airflow.exceptions import AirflowSkipException
from airdock.sdk import DAG, get_current_context, task

with DAG("d"):
    @task(map_index_template="{{ late | default('early') }} {{ task.op_kwargs['x'] }}", retries=1)
    def work(x):
        if x == "plain":
            raise ValueError(x)
        get_current_context()["late"] = "late"
        if x == "skips":
            raise AirflowSkipException(x)
        if x == "fails":
            raise ValueError(x)
    work.expand(x=["works", "skips", "fails", "plain"])

    @task(map_index_template="{{ missing }}")
    def broken(x):
        if x:
            raise ValueError("its own")
    broken.expand(x=[0, 1])
"""


def test_a_label_is_made_before_the_work_and_again_after_it(file_bench: Any) -> None:
    file_bench.load(DAG)
    assert file_bench.run("work", 0) == Succeeded(label="late works")
    assert file_bench.run("work", 1) == Skipped(reason="skips", label="late skips")
    assert file_bench.run("work", 2) == Failed(reason="ValueError: fails", label="late fails")
    assert file_bench.run("work", 3) == Failed(reason="ValueError: plain", label="early plain")


def test_a_template_that_is_wrong_fails_only_what_would_have_succeeded(file_bench: Any) -> None:
    file_bench.load(DAG)
    assert file_bench.run("broken", 0) == Failed(reason="UndefinedError: 'missing' is undefined")
    assert file_bench.run("broken", 1) == Failed(reason="ValueError: its own")
