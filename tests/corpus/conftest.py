"""The example files, unpacked once for all tests of this folder."""

import os
from pathlib import Path

import pytest
from tests.corpus.files import CACHE, NoCorpusError, find_wheels, unpack


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
