"""A root filesystem's tar becomes an image of one layer, as Docker's `import` does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import BinaryIO, Final, cast

from airdock.errors import ImageError
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.images.streams import open_plain
from airdock.oci.config import History, ImageConfig
from airdock.oci.descriptor import Platform, host_platform

__all__ = ["REPRODUCIBLE", "import_root", "open_address"]

REPRODUCIBLE: Final = "2000-01-01T00:00:00Z"
"""When an image was created that says nothing else: equal files give equal images."""
_CONNECT_S: Final = 60


def import_root(
    store: ImageStore,
    tar: BinaryIO,
    *,
    source: str,
    change: Callable[[ImageConfig], ImageConfig] = lambda config: config,
    platform: Platform | None = None,
    comment: str = "",
    epoch: int | None = None,
    read: Callable[[int], None] = lambda size: None,
) -> Image:
    """Make an image of a tar, packed or not; it has no name yet. `source` is told in its history.

    `epoch` is its time of creation in seconds, `change` is applied to its configuration. Raises `UnsafeArchiveError`
    for a tar that can't be unpacked, `DigestError` for damage.
    """
    built_for = platform or host_platform()
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if epoch is not None else REPRODUCIBLE
    config = ImageConfig(
        architecture=built_for.architecture, os=built_for.os, variant=built_for.variant, created=created
    )
    config = change(config)  # before the work, which may take minutes
    layer = store.commit_tar(cast(BinaryIO, open_plain(cast(BinaryIO, _Counted(tar, read)))))
    history = History(created=created, comment=comment or f"Imported from {source}")
    return store.put_image(replace(config, history=(history,)), [layer])


@contextmanager
def open_address(address: str) -> Iterator[BinaryIO]:
    """What a web server gives for an address. Raises `ImageError` where it gives nothing."""
    import urllib.error  # most imports are of files
    import urllib.request

    agent = urllib.request.Request(address, headers={"User-Agent": "airdock"})  # noqa: S310 - the caller checked the scheme
    try:
        with urllib.request.urlopen(agent, timeout=_CONNECT_S) as answer:  # noqa: S310
            yield answer
    except (urllib.error.URLError, TimeoutError) as error:
        raise ImageError(f"expected an archive, found: {error}", where=address) from error


class _Counted:
    """A file whose bytes are told as they are read."""

    def __init__(self, file: BinaryIO, read: Callable[[int], None]) -> None:
        self._file = file
        self._told = read

    def read(self, size: int = -1, /) -> bytes:
        piece = self._file.read(size)
        self._told(len(piece))
        return piece
