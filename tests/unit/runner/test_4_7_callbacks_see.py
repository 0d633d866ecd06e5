"""Reference 4.7: what callbacks of a task see of the try that has ended."""

from pathlib import Path
from typing import Any

import pytest

DAG = """
from airflow.exceptions import AirflowSkipException
from airdock.sdk import DAG, task

def tell(context):
    ti = context["ti"]
    print("told", ti.state, ti.end_date >= ti.start_date, ti.duration >= 0, ti.log_url)

def before(context):
    ti = context["ti"]
    print("before", ti.state, ti.end_date, ti.duration)

with DAG("d", default_args=dict.fromkeys(
    ["on_success_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback"], tell
)):
    @task(on_execute_callback=before)
    def success():
        pass

    @task
    def skipped():
        raise AirflowSkipException("no")

    @task(retries=0)
    def failed():
        from airflow.exceptions import AirflowFailException

        raise AirflowFailException("no")

    @task
    def up_for_retry():
        raise ValueError("no")

    success(), skipped(), failed(), up_for_retry()
"""


@pytest.mark.parametrize("state", ["success", "skipped", "failed", "up_for_retry"])
def test_callbacks_see_how_the_try_ended_and_where_its_log_is(file_bench: Any, state: str) -> None:
    file_bench.load(DAG)
    file_bench.run(state)
    path = Path(file_bench.home, "logs", "d", "r", state, "1.log")
    lines = file_bench.log(state).splitlines()
    assert f"told {state} True True {path.as_uri()}" in lines
    if state == "success":
        assert lines[0] == "before running None None"
