"""Looking images up: by name, digest or the beginning of an id."""

import re
from collections.abc import Iterable, Mapping

from airdock.errors import AirdockError, ImageError, UnknownImageError
from airdock.images.blobs import LARGEST_DOCUMENT, Blobs
from airdock.images.diffs import Diffs
from airdock.images.image import Image
from airdock.images.index import Names, name_of, reference_of
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.index import choose_manifest, is_attestation, render_platform
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import INDEX, MANIFEST, to_oci
from airdock.oci.reference import Reference, parse_any_reference, parse_reference, render_reference

__all__ = ["Catalog"]

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{2,64})")


class Catalog:
    """Reads names, manifests and configurations of one store; changes nothing."""

    def __init__(self, *, blobs: Blobs, names: Names, diffs: Diffs) -> None:
        self._blobs = blobs
        self._names = names
        self._diffs = diffs

    def find(self, name: str) -> Descriptor:
        """The entry that a name, a digest or the beginning of an id means; a name beats an id."""
        entries = self._names.load()
        found = _by_name(entries, name) or self._by_id(entries, name)
        if found is not None:
            return found
        for entry in entries:
            if to_oci(entry.media_type) == INDEX:
                parts = tuple(self.manifests(entry))
                found = _by_name(parts, name) or self._by_id(parts, name)
                if found is not None:
                    return found
        known = sorted({reference.familiar for entry in entries if (reference := reference_of(entry))})
        from difflib import get_close_matches  # only for a mistake; costs every command a millisecond

        nearest = get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"the nearest are {', '.join(nearest)}" if nearest else "build it, or look it up: airdock image ls"
        raise UnknownImageError(f"expected an image of this machine, found none named {name!r}", hint=hint)

    def descriptor(self, digest: Digest) -> Descriptor:
        """The nameless entry of the image with this manifest digest."""
        for entry in self._names.load():
            if entry.digest == digest:
                return Descriptor(media_type=entry.media_type, digest=digest, size=entry.size, extra=entry.extra)
        content = self._blobs.read(digest, at_most=LARGEST_DOCUMENT)
        media_type = load_object(content, f"manifest {digest}").get("mediaType", MANIFEST)
        return Descriptor(media_type=media_type, digest=digest, size=len(content))

    def has(self, digest: Digest) -> bool:
        """Whether an image has this manifest digest."""
        return any(entry.digest == digest for entry in self._names.load())

    def load(self, entry: Descriptor, platform: Platform | None = None) -> Image:
        """The image that an entry names; of an index the one for `platform`, None for this machine's."""
        document = self._read(entry.digest)
        if to_oci(entry.media_type) == INDEX:
            return self.load(self._choose(Index.from_json(document), entry, platform))
        manifest = Manifest.from_json(document, where=f"manifest {entry.digest}")
        config = ImageConfig.from_json(self._read(manifest.config.digest), where=f"config {manifest.config.digest}")
        if len(config.diff_ids) != len(manifest.layers):
            message = f"expected as many diff_ids as layers, found {len(config.diff_ids)} and {len(manifest.layers)}"
            raise ImageError(message, where=f"image {entry.digest}")
        return Image(digest=entry.digest, manifest=manifest, config=config)

    def check(self, entry: Descriptor) -> None:
        """Raise `ImageError` unless all of an image is here: each blob of a manifest, some manifest of an index."""
        document = self._read(entry.digest)
        if to_oci(entry.media_type) == INDEX:
            inner = [found for found in Index.from_json(document).manifests if self._blobs.has(found.digest)]
            if not inner:
                raise ImageError(f"expected a manifest of index {entry.digest} in the store, found none")
            for found in inner:
                self.check(found)
            return
        manifest = Manifest.from_json(document, where=f"manifest {entry.digest}")
        for part in (manifest.config, *manifest.layers):
            if not self._blobs.has(part.digest, size=part.size):
                raise ImageError(
                    f"expected blob {part.digest} of {part.size} bytes in the store, found none",
                    where=f"image {entry.digest}",
                )

    def manifests(self, entry: Descriptor) -> list[Descriptor]:
        """What an entry stands for on this machine: itself, or those manifests of an index that are here."""
        if to_oci(entry.media_type) != INDEX:
            return [entry]
        found = Index.from_json(self._read(entry.digest)).manifests
        return [inner for part in found if self._blobs.has(part.digest) for inner in self.manifests(part)]

    def layer(self, diff_id: Digest) -> Descriptor:
        """The blob of a layer, committed here or part of any image."""
        known = self._diffs.load(diff_id)
        if known is not None:
            return known.descriptor
        parts = [part for entry in self._names.load() for part in self._parts(entry)]
        for image in self._images(parts).values():
            for layer in image.layers:
                if layer.diff_id == diff_id:
                    return layer.descriptor
        raise UnknownImageError(
            f"expected layer {diff_id} in the store, found none", hint="build or pull its image again"
        )

    def _parts(self, entry: Descriptor) -> list[Descriptor]:
        try:
            return self.manifests(entry)
        except ImageError:
            return []  # damaged: `find` says what is wrong with it

    def _choose(self, index: Index, entry: Descriptor, platform: Platform | None) -> Descriptor:
        chosen = choose_manifest(index, platform)
        if chosen is not None and self._blobs.has(chosen.digest):
            return chosen
        wanted = render_platform(platform or host_platform())
        here = [render_platform(found.platform) for found in index.manifests
                if found.platform and not is_attestation(found) and self._blobs.has(found.digest)]  # fmt: skip
        name = name_of(entry) or str(entry.digest)
        raise UnknownImageError(
            f"expected {name} for {wanted}, found it for {', '.join(here) or 'nothing'}",
            hint=f"pull it for that platform: airdock image pull --platform {wanted}"
            if chosen
            else "ask for a platform that it has (--platform)",
        )

    def _images(self, entries: Iterable[Descriptor]) -> Mapping[Digest, Image]:
        found = {}
        for entry in entries:
            try:
                found[entry.digest] = self.load(entry)
            except ImageError:
                continue  # another tool's artifact, or damaged: `find` says what is wrong with it
        return found

    def _read(self, digest: Digest) -> dict[str, object]:
        return load_object(self._blobs.read(digest, at_most=LARGEST_DOCUMENT), f"blob {digest}")

    def _by_id(self, entries: tuple[Descriptor, ...], name: str) -> Descriptor | None:
        match = _ID.fullmatch(name)
        if match is None:
            return None
        found = {entry.digest: entry for entry in entries if entry.digest.hex.startswith(match[1])}
        for digest, image in self._images(entries).items():
            if image.image_id.hex.startswith(match[1]):
                found.setdefault(digest, next(entry for entry in entries if entry.digest == digest))
        if len(found) > 1:
            raise ImageError(f"expected an id of one image, found {len(found)} that begin with {match[1]}")
        return next(iter(found.values()), None)


def _by_name(entries: tuple[Descriptor, ...], name: str) -> Descriptor | None:
    for entry in entries:
        if entry.annotations and name_of(entry) == name:
            return entry
    try:
        reference = parse_any_reference(name)
    except AirdockError:
        return None
    if not isinstance(reference, Reference):
        return next((entry for entry in entries if entry.digest == reference), None)
    if reference.digest is not None:
        return next((entry for entry in entries if entry.digest == reference.digest), None)
    full = render_reference(reference.with_default_tag())
    return next((entry for entry in entries if name_of(entry) in (full, parse_reference(full).familiar)), None)
