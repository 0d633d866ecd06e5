"""A store of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    made = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    yield made
    made.close()
