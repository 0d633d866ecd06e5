"""Send an image: its blobs, several at a time, as they are stored, then the manifest that names them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.manifest import Manifest
from airdock.remote.base import Shelf, Tell, Transfer
from airdock.remote.repository import Document, Repository

__all__ = ["push_blobs", "push_manifest"]

_FOREIGN: Final = "foreign"
_NOT_DISTRIBUTABLE: Final = "nondistributable"


def push_manifest(
    repository: Repository,
    tag: str,
    document: Document,
    shelf: Shelf,
    *,
    sources: Callable[[Digest], Sequence[str]],
    at_once: int,
    tell: Tell,
) -> Digest:
    """Send all blobs of a manifest that aren't there, then the manifest. Gives its digest.

    `sources` says in which repositories of this registry a blob was seen.
    """
    manifest = Manifest.from_json(load_object(document.content, "manifest"), where=f"manifest {document.digest}")
    push_blobs(repository, [*manifest.layers, manifest.config], shelf, sources=sources, at_once=at_once, tell=tell)
    return repository.put_manifest(tag, document.content, document.media_type)


def push_blobs(
    repository: Repository,
    blobs: Sequence[Descriptor],
    shelf: Shelf,
    *,
    sources: Callable[[Digest], Sequence[str]],
    at_once: int,
    tell: Tell,
) -> None:
    """Send those of the blobs that the repository doesn't have."""
    repository.connect()
    distinct: Mapping[Digest, Descriptor] = {
        blob.digest: blob
        for blob in blobs
        if _FOREIGN not in blob.media_type and _NOT_DISTRIBUTABLE not in blob.media_type
    }
    for blob in distinct.values():
        tell(Transfer(digest=str(blob.digest), state="waiting", total=blob.size))
    with ThreadPoolExecutor(at_once, thread_name_prefix="push") as pool:
        futures = [pool.submit(_push, repository, blob, shelf, sources, tell) for blob in distinct.values()]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _push(
    repository: Repository, blob: Descriptor, shelf: Shelf, sources: Callable[[Digest], Sequence[str]], tell: Tell
) -> None:
    name, size = str(blob.digest), blob.size
    if repository.has_blob(blob):
        tell(Transfer(digest=name, state="exists", done=size, total=size))
        return
    for source in sources(blob.digest):
        if source != repository.name and repository.mount(blob, source):
            tell(Transfer(digest=name, state="mounted", done=size, total=size, text=source))
            return

    def moved(done: int) -> None:
        tell(Transfer(digest=name, state="moving", done=done, total=size))

    moved(0)
    repository.upload(blob, lambda: shelf.open(blob), moved)
    tell(Transfer(digest=name, state="done", done=size, total=size))
