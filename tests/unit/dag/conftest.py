"""A DAG file written for one test, loaded in this process and forgotten afterwards."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airdock import compat
from airdock.dag.load import load_dag_file
from airdock.dag.serialized import SerializedDag

Load = Callable[[str], SerializedDag]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave modules and paths as they were."""
    modules, paths = set(sys.modules), list(sys.path)
    yield
    compat.uninstall()
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if name.startswith(("dag_", "airflow")):
            del sys.modules[name]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write the text to a file and load the one DAG in it."""

    def write_and_load(text: str) -> SerializedDag:
        path = tmp_path / "pipeline.py"
        path.write_text(textwrap.dedent(text))
        (found,) = load_dag_file(path)
        return found

    return write_and_load
