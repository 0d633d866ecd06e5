"""Airflow's own example files define for us what they define in Airflow."""

import sys
from pathlib import Path

import pytest
from tests.corpus import table
from tests.corpus.files import find_dag_files
from tests.corpus.known import CANNOT_LOAD, EXPECTED
from tests.corpus.loading import Loaded, load_all


@pytest.fixture(scope="module")
def loaded(corpus: Path) -> dict[str, Loaded]:
    """What came of each file; the table is printed, and shown where a test fails."""
    found = {each.name: each for each in load_all(find_dag_files(corpus))}
    for each in found.values():
        said = each.error or f"{len(each.dags)} DAGs, {each.tasks} tasks"
        sys.stdout.write(f"{each.name:<60} {said}\n")
    return found


def test_the_numbers_are_those_of_the_whole() -> None:
    assert len(EXPECTED) == 67
    assert [sum(numbers) for numbers in zip(*EXPECTED.values(), strict=True)] == [113, 415]
    assert set(CANNOT_LOAD) <= set(EXPECTED)


def test_every_file_is_known(loaded: dict[str, Loaded]) -> None:
    assert set(loaded) == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in CANNOT_LOAD])
def test_a_file_defines_what_it_does_in_airflow(name: str, loaded: dict[str, Loaded]) -> None:
    found = loaded[name]
    assert not found.error
    assert (len(found.dags), found.tasks) == EXPECTED[name], found.dags


def test_a_file_that_cannot_load_still_cannot(loaded: dict[str, Loaded]) -> None:
    for name, reason in CANNOT_LOAD.items():
        found = loaded[name]
        assert found.error, f"{name} loads now ({len(found.dags)} DAGs): take it out of CANNOT_LOAD"
        assert reason in found.error, f"{name} fails for another reason now: {found.error}"


def test_the_page_has_the_table_of_today() -> None:
    assert table.render() in table.PAGE.read_text(), "run: python tests/corpus/table.py"
