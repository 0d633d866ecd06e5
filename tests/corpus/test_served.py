"""Airflow's example DAGs that wait for each other, or start each other, served together by a scheduler."""

from concurrent.futures import Future

import pytest
from tests.corpus.endings import SERVED, Ending
from tests.corpus.running import Run, differences


@pytest.mark.parametrize("ending", SERVED, ids=lambda each: each.dag_id)
def test_a_run_ends_as_its_file_means(ending: Ending, served: Future[dict[str, Run]]) -> None:
    found = differences(ending, served.result()[ending.dag_id])
    assert not found, "\n".join(found)
