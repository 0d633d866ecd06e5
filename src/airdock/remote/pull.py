"""Fetch an image: which manifest, then its configuration, then what is missing of its layers, several at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from airdock.errors import DigestError, ImageError, RegistryError
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import Digest, digest_bytes
from airdock.oci.document import load_object
from airdock.oci.index import choose_manifest, platforms_of, render_platform
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import CONFIG, INDEX, LAYER_COMPRESSION, to_oci
from airdock.record import record
from airdock.remote.base import LARGEST_MANIFEST, Shelf, Tell, Transfer
from airdock.remote.repository import Document, Repository

__all__ = ["Pulled", "pull_image"]

_TELL_BYTES: Final = 1 << 20
_DEEPEST: Final = 3


@record
class Pulled:
    """What was fetched. `top` is what the name stands for: the image's manifest, or the index it was chosen from."""

    top: Document
    manifest: Document
    between: tuple[Document, ...] = ()


def pull_image(
    repository: Repository,
    reference: str,
    shelf: Shelf,
    *,
    platform: Platform | None,
    expected: Digest | None,
    at_once: int,
    tell: Tell,
) -> Pulled:
    """Fetch what a tag or digest stands for; every byte's digest is checked on the way.

    Of an image for several platforms the one for `platform`, else this machine's. Raises RegistryError, DigestError,
    ImageError; blobs that are whole by then stay with the shelf.
    """
    top = repository.manifest(reference, expected=expected)
    documents = [top]
    while to_oci(documents[-1].media_type) == INDEX:
        if len(documents) > _DEEPEST:
            raise RegistryError(f"expected a manifest, found indexes in indexes, {len(documents)} deep")
        chosen = _choose(documents[-1], platform, repository)
        documents.append(repository.manifest(str(chosen.digest), expected=chosen.digest))
    *between, last = documents[1:] or [top]
    manifest = Manifest.from_json(load_object(last.content, "manifest"), where=f"manifest {last.digest}")
    config = _pull_config(repository, manifest.config, shelf)
    _check_system(config, platform, repository)
    layers = list(zip(manifest.layers, config.diff_ids, strict=False))
    if len(layers) != len(manifest.layers) or len(layers) != len(config.diff_ids):
        raise ImageError(
            f"expected as many diff_ids as layers, found {len(config.diff_ids)} and {len(manifest.layers)}",
            where=f"manifest {last.digest}",
        )
    for descriptor, _ in layers:
        _check_layer(descriptor)
        tell(Transfer(digest=str(descriptor.digest), state="waiting", total=descriptor.size))
    distinct = {descriptor.digest: (descriptor, diff_id) for descriptor, diff_id in layers}
    with ThreadPoolExecutor(at_once, thread_name_prefix="pull") as pool:
        futures = [pool.submit(_pull_layer, repository, *layer, shelf, tell) for layer in distinct.values()]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return Pulled(top=top, manifest=last, between=tuple(between))


def _choose(index: Document, platform: Platform | None, repository: Repository) -> Descriptor:
    parsed = Index.from_json(load_object(index.content, "index"), where=f"index {index.digest}")
    chosen = choose_manifest(parsed, platform)
    if chosen is None:
        has = ", ".join(dict.fromkeys(map(render_platform, platforms_of(parsed)))) or "nothing"
        raise ImageError(
            f"expected {repository.name} for {render_platform(platform or host_platform())}, found it for {has}",
            hint="ask for one of these with --platform",
        )
    return chosen


def _pull_config(repository: Repository, descriptor: Descriptor, shelf: Shelf) -> ImageConfig:
    if to_oci(descriptor.media_type) != CONFIG:
        raise ImageError(f"expected an image, found an artifact with {descriptor.media_type}", where=repository.name)
    if descriptor.size > LARGEST_MANIFEST:
        raise ImageError(f"expected a configuration of at most {LARGEST_MANIFEST} bytes, found {descriptor.size}")
    content = b"".join(repository.blob(descriptor))
    if descriptor.digest.algorithm == "sha256" and digest_bytes(content) != descriptor.digest:
        raise DigestError(f"expected the configuration {descriptor.digest}, found {digest_bytes(content)}")
    config = ImageConfig.from_json(load_object(content, "configuration"), where=f"config {descriptor.digest}")
    shelf.receive(descriptor, None, lambda start: iter((content[start:],)))
    return config


def _check_system(config: ImageConfig, platform: Platform | None, repository: Repository) -> None:
    """What is for another system runs on no machine that we run on; with `platform` it may be fetched to be sent on."""
    wanted = (platform or host_platform()).os
    if config.os and config.os != wanted:
        raise ImageError(
            f"expected {repository.name} for {wanted}, found it for {config.os}",
            hint=f"to have it here all the same: airdock image pull --platform {config.os}/{config.architecture}",
        )


def _check_layer(descriptor: Descriptor) -> None:
    if to_oci(descriptor.media_type) not in LAYER_COMPRESSION:
        raise ImageError(
            f"expected a layer that is a tar, with gzip, zstd or nothing, found {descriptor.media_type}",
            where=f"layer {descriptor.digest}",
        )


def _pull_layer(repository: Repository, descriptor: Descriptor, diff_id: Digest, shelf: Shelf, tell: Tell) -> None:
    name, size = str(descriptor.digest), descriptor.size
    if shelf.has_layer(descriptor, diff_id):
        tell(Transfer(digest=name, state="exists", done=size, total=size))
        return

    def read(start: int) -> Iterator[bytes]:
        done, told = start, 0
        for piece in repository.blob(descriptor, start):
            done += len(piece)
            if done - told >= _TELL_BYTES or done == size:
                told = done
                tell(Transfer(digest=name, state="moving", done=done, total=size))
            yield piece

    shelf.receive(descriptor, diff_id, read)
    tell(Transfer(digest=name, state="done", done=size, total=size))
