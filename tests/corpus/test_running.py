"""Airflow's own example DAGs, run in containers, end as their files mean them to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.corpus.endings import CANNOT_RUN, ENDINGS, Ending
from tests.corpus.files import find_dag_files
from tests.corpus.known import CANNOT_LOAD, EXPECTED
from tests.corpus.running import differences, run_dag

LOADING = [each for each in ENDINGS if each.file not in CANNOT_LOAD]
SLEEPS_AT_WEEKENDS = "example_bash_decorator"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all runs: what the first prepares, the others use."""
    return tmp_path_factory.mktemp("home")


def test_rows_name_files_that_are_there() -> None:
    assert {each.file for each in ENDINGS} <= set(EXPECTED)
    assert len({each.dag_id for each in ENDINGS}) == len(ENDINGS)
    assert set(CANNOT_RUN) <= {each.dag_id for each in LOADING}


@pytest.mark.parametrize("ending", LOADING, ids=lambda each: each.dag_id)
def test_a_run_ends_as_its_file_means(ending: Ending, corpus: Path, home: Path) -> None:
    if ending.file == SLEEPS_AT_WEEKENDS and datetime.now(UTC).weekday() >= 5:
        pytest.skip("it sleeps an hour at weekends")
    files = {each.stem: each for each in find_dag_files(corpus)}
    is_known = ending.dag_id in CANNOT_RUN
    run = run_dag(files[ending.file], ending.dag_id, home=home, limit_s=10 if is_known else 90, conf=ending.conf)
    found = differences(ending, run)
    if is_known:
        assert found, f"{ending.dag_id} ends as it has to now: take it out of CANNOT_RUN"
    else:
        assert not found, "\n".join(found)
