"""The example files, unpacked once for all tests of this folder, and what is begun first because it takes longest."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.corpus.files import CACHE, NoCorpusError, find_wheels, unpack
from tests.corpus.running import Run
from tests.corpus.serving import serve


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `airflow/example_dags` and the standard provider's example DAGs lie below."""
    folder = tmp_path_factory.mktemp("corpus")
    cache = CACHE if os.geteuid() == 0 else Path.home() / ".cache/airdock-tests/corpus"
    try:
        unpack(find_wheels(cache), folder)
    except NoCorpusError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def served(
    request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[dict[str, Run]]]:
    """The runs of DAGs that are served together, beside all others: a sensor of theirs looks once a minute."""
    with ThreadPoolExecutor(1) as pool:
        if any(item.path.name == "test_served.py" for item in request.session.items):
            yield pool.submit(serve, corpus, tmp_path_factory.mktemp("served"))
        else:
            yield Future()
