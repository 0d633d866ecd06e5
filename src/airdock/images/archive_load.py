"""Reading images out of an archive: an OCI layout, or what `docker save` writes, of any age, packed or not.

The archive is read once from front to back, so it may be a pipe. Blobs go into the store as they come, layers that
Docker keeps as plain tars are packed on the way; what belongs together shows when the end is reached.
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, cast

from airdock.errors import DigestError, ImageError, UnsafeArchiveError
from airdock.images.archive_names import annotated_name, repo_tags
from airdock.images.blobs import LARGEST_DOCUMENT
from airdock.images.compress import CHUNK
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.images.streams import PieceReader, compression_of, open_plain
from airdock.images.tar import HARD_LINK, REGULAR, SYMLINK, Entry, padding, read_entries
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, host_platform
from airdock.oci.digest import ALGORITHMS, Digest, digest_bytes
from airdock.oci.document import load_object, take_strings
from airdock.oci.layout import check_layout
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import CONFIG, INDEX, LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, to_oci
from airdock.oci.reference import Reference
from airdock.record import record

__all__ = ["Loaded", "load_images"]

_BLOB: Final = re.compile(rf"blobs/({'|'.join(ALGORITHMS)})/([0-9a-f]+)")
_LAYER: Final = re.compile(r".+\.tar(\.(gz|zst|bz2|xz))?|.+\.(tgz|layer)")
_MOST_DOCUMENTS: Final = 64 << 20
"""Bytes of documents that are held in memory at one time."""
_PACKED: Final = {"": LAYER_TAR, "gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}


@record
class Loaded:
    """One image that came: its manifest's or index's digest, its id on this machine, its names."""

    digest: Digest
    image_id: Digest
    names: tuple[Reference, ...]


def load_images(
    store: ImageStore, archive: BinaryIO, *, read: Callable[[int], None] = lambda size: None
) -> Sequence[Loaded]:
    """Put all images of an archive into the store, with the names that it gives them; all or none.

    `read` is told how many bytes of content came, as they come. Raises `UnsafeArchiveError` for what is no archive,
    `ImageError` for one without images or with parts missing, `DigestError` for damage.
    """
    content = _Content(store, read)
    try:
        content.take_all(open_plain(archive))
        found = list(_images(store, content))
        if not found:
            raise ImageError(
                "expected an archive with images, found neither index.json nor manifest.json in it",
                hint="a root filesystem's tar becomes an image by: airdock image import",
            )
        for image in found:
            _unpack(store, image)
    except BaseException:
        store.discard(content.kept(), images=content.manifests)
        raise
    for image in found:
        for name in image.names:
            store.tag(name, image.digest)
    store.discard(content.blobs)  # what another tool would need of it
    return found


class _Content:
    """What an archive had: blobs in the store by now, layers committed, small documents, links between names."""

    def __init__(self, store: ImageStore, read: Callable[[int], None]) -> None:
        self._store = store
        self._read = read
        self._held = 0
        self.blobs: set[Digest] = set()
        self.layers: dict[str, Layer] = {}
        self.documents: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self.manifests: list[Digest] = []

    def kept(self) -> set[Digest]:
        """Everything of it that is in the store."""
        return {*self.blobs, *(layer.diff_id for layer in self.layers.values())}

    def take_all(self, source: PieceReader) -> None:
        for entry in read_entries(source):
            self._take(entry, source)

    def _take(self, entry: Entry, source: PieceReader) -> None:
        name = posixpath.normpath(entry.name.decode(errors="surrogateescape")).lstrip("/")
        if entry.kind in (SYMLINK, HARD_LINK):
            link = entry.link.decode(errors="surrogateescape")
            base = posixpath.dirname(name) if entry.kind == SYMLINK else ""
            self.links[name] = posixpath.normpath(posixpath.join(base, link)).lstrip("/")
            return
        if entry.pieces is not None:
            raise UnsafeArchiveError("expected whole files in an archive of images, found a sparse one", where=name)
        content = _Member(source, entry.size, self._read)
        if entry.kind == REGULAR:
            self._take_file(name, entry, content)
        content.finish()

    def _take_file(self, name: str, entry: Entry, content: "_Member") -> None:
        if match := _BLOB.fullmatch(name):
            digest = Digest.parse(f"{match[1]}:{match[2]}")
            with self._store.open_writer() as writer:
                while piece := content.read(CHUNK):
                    writer.write(piece)
                writer.commit(digest)
            self.blobs.add(digest)
        elif _LAYER.fullmatch(name):
            plain = cast(BinaryIO, open_plain(cast(BinaryIO, content)))
            self.layers[name] = self._store.commit_tar(plain, unpack=False)
        elif entry.size <= LARGEST_DOCUMENT:
            self._held += entry.size
            if self._held > _MOST_DOCUMENTS:
                raise UnsafeArchiveError(f"expected documents of at most {_MOST_DOCUMENTS} bytes, found more")
            self.documents[name] = content.read(entry.size)

    def find_layer(self, name: str, diff_id: Digest) -> Layer:
        """The layer that Docker's manifest calls `name`."""
        name = self.resolve(name)
        if name in self.layers:
            return self.layers[name]
        if match := _BLOB.fullmatch(name):
            digest = Digest.parse(f"{match[1]}:{match[2]}")
            if digest in self.blobs:
                return Layer(descriptor=_describe(self._store, digest), diff_id=diff_id)
        raise ImageError(f"expected layer {name} in the archive, found none")

    def read_config(self, name: str) -> bytes:
        """The configuration that Docker's manifest calls `name`."""
        name = self.resolve(name)
        if name in self.documents:
            return self.documents[name]
        if (match := _BLOB.fullmatch(name)) and (digest := Digest.parse(f"{match[1]}:{match[2]}")) in self.blobs:
            with self._store.open_blob(digest) as blob:
                return blob.read(LARGEST_DOCUMENT)
        raise ImageError(f"expected configuration {name} in the archive, found none")

    def resolve(self, name: str) -> str:
        """Where links lead from a name; archives of Docker's share layers by links."""
        name = posixpath.normpath(name)
        for _ in range(len(self.links)):
            if name not in self.links:
                break
            name = self.links[name]
        return name


class _Member:
    """One file of the archive; `finish` goes to its end."""

    def __init__(self, source: PieceReader, size: int, read: Callable[[int], None]) -> None:
        self._source = source
        self._left = size
        self._padding = len(padding(size))
        self._read = read

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._source.read(wanted)
        if len(piece) < wanted:
            raise UnsafeArchiveError("expected a tar archive: it breaks off inside a file")
        self._left -= wanted
        if wanted:
            self._read(wanted)
        return piece

    def finish(self) -> None:
        while self.read(CHUNK):
            pass
        self._source.read(self._padding)


def _images(store: ImageStore, content: _Content) -> Iterator[Loaded]:
    if "index.json" in content.documents:
        yield from _of_layout(store, content)
    elif "manifest.json" in content.documents:
        yield from _of_docker(store, content)


def _of_layout(store: ImageStore, content: _Content) -> Iterator[Loaded]:
    """The images of an OCI layout; Docker's names count beside the layout's own."""
    if "oci-layout" in content.documents:
        check_layout(load_object(content.documents["oci-layout"], "oci-layout"))
    index = Index.from_json(load_object(content.documents["index.json"], "index.json"), where="index.json")
    docker = {Digest(digest_bytes(content.read_config(each["Config"]))): repo_tags(each) for each in _entries(content)}
    found: dict[Digest, list[Reference]] = {}
    for entry in index.manifests:
        names = found.setdefault(entry.digest, [])
        name = annotated_name(entry.annotations)
        if name is not None and name not in names:
            names.append(name)
    for digest, names in found.items():
        entry = next(entry for entry in index.manifests if entry.digest == digest)
        if digest not in content.blobs:
            raise ImageError(f"expected manifest {digest} in the archive, found none")
        with store.open_blob(digest) as blob:
            store.put_manifest(blob.read(LARGEST_DOCUMENT), entry.media_type)
        content.manifests.append(digest)
        image = _any_image(store, digest)
        more = [name for name in docker.get(image.image_id, ()) if name not in names]
        yield Loaded(digest=digest, image_id=image.image_id, names=(*names, *more))


def _of_docker(store: ImageStore, content: _Content) -> Iterator[Loaded]:
    for each in _entries(content):
        document = content.read_config(each["Config"])
        config = ImageConfig.from_json(load_object(document, each["Config"]), where=each["Config"])
        names = take_strings(each, "Layers", "manifest.json")
        if len(names) != len(config.diff_ids):
            raise ImageError(f"expected {len(config.diff_ids)} layers in manifest.json, found {len(names)}")
        layers = [content.find_layer(*pair) for pair in zip(names, config.diff_ids, strict=True)]
        for layer, diff_id in zip(layers, config.diff_ids, strict=True):
            if layer.diff_id != diff_id:
                raise DigestError(f"expected the layer {diff_id}, found {layer.diff_id}", where=each["Config"])
        with store.open_writer() as writer:
            writer.write(document)
            digest, size = writer.commit()
        content.blobs.add(digest)
        manifest = Manifest(
            config=Descriptor(media_type=CONFIG, digest=digest, size=size),
            layers=tuple(layer.descriptor for layer in layers),
        )
        put = store.put_manifest(manifest.to_bytes(), manifest.media_type)
        content.manifests.append(put)
        yield Loaded(digest=put, image_id=digest, names=tuple(repo_tags(each)))


def _entries(content: _Content) -> list[Mapping[str, Any]]:
    """Docker's `manifest.json`, one entry per image; none where the archive has no such document."""
    try:
        found = json.loads(content.documents.get("manifest.json", b"[]"))
    except ValueError as error:
        raise ImageError(f"expected manifest.json to be JSON, found {error}") from error
    if not isinstance(found, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("Config"), str) for entry in found
    ):
        raise ImageError("expected manifest.json to list images with their Config, found something else")
    return found


def _describe(store: ImageStore, digest: Digest) -> Descriptor:
    """A layer's blob whose kind only its first bytes tell."""
    with store.open_blob(digest, False) as blob:
        compression = compression_of(blob.read(CHUNK))
    if compression not in _PACKED:
        raise ImageError(f"expected a layer packed with gzip, zstd or not at all, found {compression}")
    return Descriptor(media_type=_PACKED[compression], digest=digest, size=store.blob_path(digest).stat().st_size)


def _any_image(store: ImageStore, digest: Digest) -> Image:
    """The image for this machine, else the first that is there."""
    try:
        return store.find(digest, platform=host_platform())
    except ImageError:
        entry = store.entry(digest)
        if to_oci(entry.media_type) != INDEX:
            raise
        return store.find(store.manifests(entry)[0].digest)


def _unpack(store: ImageStore, loaded: Loaded) -> None:
    """Unpack what this machine could run, which also shows whether layers are what their diff ids say."""
    image = _any_image(store, loaded.digest)
    if (image.config.os, image.config.architecture) == (host_platform().os, host_platform().architecture):
        store.layer_paths([layer.diff_id for layer in image.layers])
