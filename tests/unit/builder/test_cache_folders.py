"""Working folders of builds that begin at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airdock.builder.cache import BuildCache
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore


def test_builds_that_begin_at_once_keep_their_folders(tmp_path: Path) -> None:
    store = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    cache = BuildCache(folder=tmp_path / "build", store=store)

    def work(number: int) -> bool:
        with cache.working_folder() as folder:
            (folder / "mine").write_text(str(number))
            return (folder / "mine").read_text() == str(number)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(work, range(200)))
    assert not list((tmp_path / "build").glob(".tmp-*"))
