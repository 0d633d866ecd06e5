"""Writing images into one archive, as Docker's `save` does.

The archive is an OCI layout. In Docker's form `manifest.json` says the same in the older way, so that every tool that
reads either finds its own. Blobs go in as they are stored, each once; equal images give equal archives.

    oci-layout  index.json  blobs/sha256/…      OCI image layout
    manifest.json                               Docker's: configuration, names and layers of each image
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final

from airdock.errors import ImageError
from airdock.images.archive_names import CONTAINERD_NAME
from airdock.images.compress import CHUNK, decompress
from airdock.images.image import Image, Layer
from airdock.images.index import REF_NAME
from airdock.images.store import ImageStore
from airdock.images.tar import DIRECTORY, END, REGULAR, Entry, padding, render_header
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import Digest
from airdock.oci.document import canonical_bytes
from airdock.oci.layout import LAYOUT
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import INDEX, LAYER_COMPRESSION, MANIFEST, to_oci
from airdock.oci.reference import Reference, parse_reference, render_reference

__all__ = ["FORMS", "save_images"]

FORMS: Final = ("docker", "oci")


@dataclass(slots=True)
class _Wanted:
    """One image on its way out, with all names it was asked for by."""

    entry: Descriptor
    names: list[Reference] = field(default_factory=list)


def save_images(
    store: ImageStore,
    names: Sequence[str],
    output: BinaryIO,
    *,
    form: str = "docker",
    platform: Platform | None = None,
    moved: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the images called `names` to `output`; a repository without a tag stands for all its tags.

    `platform` takes one platform's manifest out of an image for several. `moved` is told the bytes written and those
    there are. Raises `UnknownImageError`, `ImageError` for a part that isn't here.
    """
    wanted = _find(store, names, platform)
    index = Index(manifests=tuple(entry for one in wanted for entry in _named(one)))
    plain = _plain_layers(store, wanted, platform) if form == "docker" else []
    documents = {"oci-layout": canonical_bytes(LAYOUT), "index.json": canonical_bytes(index.to_json())}
    if form == "docker":
        documents["manifest.json"] = json.dumps([_docker_entry(store, one, platform) for one in wanted]).encode()
    blobs = sorted({digest: size for one in wanted for digest, size in _blobs_of(store, one.entry)}.items())
    total, done = sum(size for _, size in blobs), 0
    for name in ("blobs", *sorted({f"blobs/{digest.algorithm}" for digest, _ in blobs})):
        output.write(render_header(Entry(name=name.encode(), kind=DIRECTORY, mode=0o755)))
    for digest, size in blobs:
        output.write(render_header(_file(f"blobs/{digest.algorithm}/{digest.hex}", size)))
        for piece in _read(store, digest, size):
            output.write(piece)
            done += len(piece)
            moved(done, total)
        output.write(padding(size))
    for layer in plain:
        size = sum(map(len, _unpacked(store, layer)))
        output.write(render_header(_file(_path(layer.diff_id), size)))
        for piece in _unpacked(store, layer):
            output.write(piece)
        output.write(padding(size))
    for name, content in documents.items():
        output.write(render_header(_file(name, len(content))) + content + padding(len(content)))
    output.write(END)


def _find(store: ImageStore, names: Sequence[str], platform: Platform | None) -> list[_Wanted]:
    found: dict[Digest, _Wanted] = {}
    for name in names:
        for entry, reference in _resolve(store, name):
            chosen = entry
            if platform is not None and to_oci(entry.media_type) == INDEX:
                chosen = _of_platform(store, entry, platform)
            one = found.setdefault(chosen.digest, _Wanted(chosen))
            if reference is not None and reference not in one.names:
                one.names.append(reference)
    return list(found.values())


def _resolve(store: ImageStore, name: str) -> list[tuple[Descriptor, Reference | None]]:
    """The images that a name means, each with the name it goes by."""
    rows = [row for row in store.list() if row.tag and row.repository == name]
    if rows:
        tagged = [f"{row.repository}:{row.tag}" for row in sorted(rows, key=lambda row: row.tag)]
        return [(store.entry(each), parse_reference(each)) for each in tagged]
    entry = store.entry(name)
    named = entry.annotations.get(REF_NAME)
    reference = parse_reference(named) if named is not None and _goes_by(name, named) else None
    # A digest is no name that an archive could give: what is in it has that digest anyway.
    return [(entry, reference if reference is not None and reference.tag is not None else None)]


def _goes_by(asked: str, named: str) -> bool:
    """Whether an image was asked for by a name and not by a digest or id."""
    try:
        return parse_reference(asked).with_default_tag() == parse_reference(named)
    except ImageError:
        return False


def _of_platform(store: ImageStore, entry: Descriptor, platform: Platform) -> Descriptor:
    digest = store.find(entry.digest, platform=platform).digest
    size = store.blob_path(digest).stat().st_size
    return Descriptor(media_type=store.read_json(digest).get("mediaType", MANIFEST), digest=digest, size=size)


def _named(one: _Wanted) -> Iterator[Descriptor]:
    bare = replace(one.entry, annotations={})
    if not one.names:
        yield bare
    for name in one.names:
        full = render_reference(name)
        yield replace(bare, annotations={REF_NAME: full, CONTAINERD_NAME: full})


def _docker_entry(store: ImageStore, one: _Wanted, platform: Platform | None) -> dict[str, Any]:
    image = _runnable(store, one.entry, platform)
    return {
        "Config": _path(image.image_id),
        "RepoTags": [name.familiar for name in one.names] or None,
        "Layers": [_path(layer.diff_id if _is_zstd(layer) else layer.descriptor.digest) for layer in image.layers],
    }


def _plain_layers(store: ImageStore, wanted: Sequence[_Wanted], platform: Platform | None) -> list[Layer]:
    """Layers that go in unpacked as well: Docker before 23 reads no zstd."""
    layers = (layer for one in wanted for layer in _runnable(store, one.entry, platform).layers)
    return list({layer.diff_id: layer for layer in layers if _is_zstd(layer)}.values())


def _is_zstd(layer: Layer) -> bool:
    return LAYER_COMPRESSION.get(to_oci(layer.descriptor.media_type)) == "zstd"


def _unpacked(store: ImageStore, layer: Layer) -> Iterator[bytes]:
    return decompress(_read(store, layer.descriptor.digest, layer.descriptor.size), "zstd")


def _runnable(store: ImageStore, entry: Descriptor, platform: Platform | None) -> Image:
    """The one image that stands for several platforms where there is room for one: this machine's, else the first."""
    if to_oci(entry.media_type) != INDEX:
        return store.find(entry.digest)
    try:
        return store.find(entry.digest, platform=platform or host_platform())
    except ImageError:
        return store.find(store.manifests(entry)[0].digest)


def _blobs_of(store: ImageStore, entry: Descriptor) -> Iterator[tuple[Digest, int]]:
    """Every blob of an image with its size; of an index also those manifests that are here."""
    yield entry.digest, entry.size
    document = store.read_json(entry.digest)
    if to_oci(entry.media_type) == INDEX:
        for part in Index.from_json(document).manifests:
            if store.has_blob(part.digest):
                yield from _blobs_of(store, part)
        return
    manifest = Manifest.from_json(document, where=f"manifest {entry.digest}")
    for part in (manifest.config, *manifest.layers):
        yield part.digest, part.size


def _read(store: ImageStore, digest: Digest, size: int) -> Iterator[bytes]:
    left = size
    with store.open_blob(digest) as blob:
        while piece := blob.read(min(CHUNK, left)):
            left -= len(piece)
            yield piece
        if left or blob.read(1):
            raise ImageError(f"expected blob {digest} to have {size} bytes, found another number")


def _file(name: str, size: int) -> Entry:
    return Entry(name=name.encode(), kind=REGULAR, mode=0o644, size=size)


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
