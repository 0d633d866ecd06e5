"""Airflow's own example DAGs, run in containers, end as their files mean them to."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.corpus.endings import CANNOT_RUN, ENDINGS, OUTSIDE, SERVED, Ending
from tests.corpus.files import find_dag_files
from tests.corpus.known import CANNOT_LOAD, EXPECTED
from tests.corpus.running import Run, differences, run_dag

LOADING = [each for each in ENDINGS if each.file not in CANNOT_LOAD]
SIDE_BY_SIDE = 4
LONG = frozenset({"example_time_delta_sensor_async", "example_sensors"})
"""Those that wait for half a minute, and are begun first."""
SLEEPS_AT_WEEKENDS = "example_bash_decorator"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all runs: what the first prepares, the others use."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, corpus: Path, home: Path, served: Future[dict[str, Run]]
) -> Iterator[dict[str, Future[Run]]]:
    """The runs of the DAGs that are asked for, several side by side: most of them wait most of the time."""
    files = {each.stem: each for each in find_dag_files(corpus)}
    given = [getattr(item, "callspec", None) for item in request.session.items]
    rows = [each.params.get("ending") for each in given if each is not None]
    asked = {row.dag_id for row in rows if isinstance(row, Ending)}  # other tests have endings of other kinds
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {
            each.dag_id: pool.submit(
                run_dag,
                files[each.file],
                each.dag_id,
                home=home,
                limit_s=10 if each.dag_id in CANNOT_RUN else 180,
                conf=each.conf,
            )
            for each in sorted(LOADING, key=lambda each: each.dag_id not in LONG)
            if each.dag_id in asked and not sleeps(each)
        }


def sleeps(ending: Ending) -> bool:
    return ending.file == SLEEPS_AT_WEEKENDS and datetime.now(UTC).weekday() >= 5


def test_rows_name_files_that_are_there() -> None:
    assert {each.file for each in (*ENDINGS, *SERVED)} | set(OUTSIDE) == set(EXPECTED)
    assert len({each.dag_id for each in ENDINGS}) == len(ENDINGS)
    assert set(CANNOT_RUN) <= {each.dag_id for each in LOADING}


@pytest.mark.parametrize("ending", LOADING, ids=lambda each: each.dag_id)
def test_a_run_ends_as_its_file_means(ending: Ending, runs: dict[str, Future[Run]]) -> None:
    if sleeps(ending):
        pytest.skip("it sleeps an hour at weekends")
    found = differences(ending, runs[ending.dag_id].result())
    if ending.dag_id in CANNOT_RUN:
        assert found, f"{ending.dag_id} ends as it has to now: take it out of CANNOT_RUN"
    else:
        assert not found, "\n".join(found)
