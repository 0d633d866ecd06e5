"""Images between this machine's store and registries: the client (`remote`) and the store (`images`), brought together.

cache/
  sources.json      blob → repositories in which it was seen, so that a push can have it taken over from there
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from airdock.errors import ImageError, UnknownImageError
from airdock.files import save_json
from airdock.images.image import Image
from airdock.images.receive import Receiver
from airdock.images.store import ImageStore
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import INDEX, to_oci
from airdock.oci.reference import Reference, parse_reference
from airdock.remote.base import Login, Tell, ignore_transfer
from airdock.remote.client import Remote
from airdock.remote.credentials import DockerCredentials
from airdock.remote.repository import Document

__all__ = ["Transfers"]

_MOST_SOURCES: Final = 20_000
_PLACES_EACH: Final = 4


class Transfers:
    """Pull and push for one store. `bound` is the label of images that stand on this machine's folders."""

    def __init__(
        self, *, images: ImageStore, remote: Remote, credentials: DockerCredentials, cache: Path, bound: str
    ) -> None:
        self._images = images
        self._remote = remote
        self._credentials = credentials
        self._sources = _Sources(cache / "sources.json")
        self._bound = bound

    @property
    def remote(self) -> Remote:
        """The registry client, for what isn't an image."""
        return self._remote

    def close(self) -> None:
        """Close connections."""
        self._remote.close()

    def pull(
        self, name: str, *, platform: Platform | None = None, unpack: bool = True, tell: Tell = ignore_transfer
    ) -> Image:
        """Fetch an image and give it its name here. `unpack` says whether it's going to be run here.

        Raises RegistryError and its kind, DigestError, ImageError; then no name has changed.
        """
        reference = parse_reference(name).with_default_tag()
        wanted = platform or host_platform()
        is_ours = (wanted.os, wanted.architecture) == (host_platform().os, host_platform().architecture)
        with Receiver(self._images, unpack=unpack and is_ours) as receiver:
            pulled = self._remote.pull(reference, receiver, platform=platform, tell=tell)
            for document in (pulled.manifest, *pulled.between):
                self._keep(document)
            self._images.put_manifest(pulled.top.content, pulled.top.media_type)
            if reference.tag is not None:
                self._images.tag(reference, pulled.top.digest)
            else:
                self._images.pin(reference)
        image = self._images.find(str(pulled.manifest.digest))
        self._sources.add(reference, [layer.descriptor.digest for layer in image.layers])
        return image

    def push(self, name: str, *, platform: Platform | None = None, tell: Tell = ignore_transfer) -> Digest:
        """Send an image to the registry that its name says; gives the digest that the name has there now.

        Of an image for several platforms all that are here go, or the one for `platform`. Raises UnknownImageError,
        ImageError for what stands on this machine's folders, DeniedError, RegistryError.
        """
        reference = parse_reference(name).with_default_tag()
        if reference.tag is None:
            raise ImageError(f"expected a name with a tag to push, found {name!r}", hint="airdock image tag it first")
        entry = self._images.entry(name)
        index, manifests = self._parts(entry, name, platform)
        for part in manifests:
            self._check_portable(part, name)
        layers = [layer.digest for part in manifests for layer in self._manifest(part).layers]
        with self._kept([*layers, *(self._manifest(part).config.digest for part in manifests)]):
            digest = self._remote.push(
                reference,
                [self._document(part) for part in manifests],
                Receiver(self._images),
                sources=lambda digest: self._sources.find(reference.registry, digest),
                index=self._document(index) if index is not None else None,
                tell=tell,
            )
        self._sources.add(reference, layers)
        return digest

    def names(self, repository: str) -> Sequence[str]:
        """All names here of a repository, `registry/repository:tag` each. Raises UnknownImageError for none."""
        wanted = parse_reference(repository)
        found = [
            f"{row.repository}:{row.tag}"
            for row in self._images.list()
            if row.repository and row.tag and parse_reference(row.repository).name == wanted.name
        ]
        if not found:
            raise UnknownImageError(f"expected images of {repository} on this machine, found none")
        return sorted(set(found))

    def tags(self, repository: str, *, tell: Tell = ignore_transfer) -> Sequence[str]:
        """All tags that the registry has of a repository."""
        return self._remote.tags(parse_reference(repository), tell=tell)

    def login(self, registry: str, login: Login) -> str:
        """Try a login and remember it; gives where: a helper's name, or the file's path."""
        self._remote.login(registry, login)
        helper = self._credentials.save(registry, login)
        return f"docker-credential-{helper}" if helper else str(self._credentials.path)

    def logout(self, registry: str) -> bool:
        """Forget a login; false where there was none."""
        return self._credentials.forget(registry)

    def known_login(self, registry: str) -> Login | None:
        """The login that is remembered for a registry."""
        return self._credentials.find(registry)

    @contextmanager
    def _kept(self, digests: Sequence[Digest]) -> Iterator[None]:
        """Blobs stay until they are sent, whoever removes their image meanwhile; then they go after it."""
        owner = f"push by process {os.getpid()} {os.urandom(4).hex()}"
        self._images.lease(digests, owner)
        try:
            yield
        finally:
            self._images.release(owner)
            self._images.discard(digests)

    def _keep(self, document: Document) -> None:
        """Store what is part of an index: as an image of its own it would be listed beside it."""
        with self._images.open_writer() as writer:
            writer.write(document.content)
            writer.commit(document.digest)

    def _parts(
        self, entry: Descriptor, name: str, platform: Platform | None
    ) -> tuple[Descriptor | None, Sequence[Descriptor]]:
        """The index to push, if any, and the manifests."""
        if to_oci(entry.media_type) != INDEX:
            return None, [entry]
        here = self._images.manifests(entry)
        parsed = Index.from_json(self._images.read_json(entry.digest))
        if platform is None and len(here) == len(parsed.manifests):
            return entry, here
        image = self._images.find(name, platform=platform)  # an index that names what isn't here would be refused
        return None, [next(part for part in here if part.digest == image.digest)]

    def _check_portable(self, part: Descriptor, name: str) -> None:
        config = self._images.read_json(self._manifest(part).config.digest)
        labels = (config.get("config") or {}).get("Labels") or {}
        if self._bound in labels:
            raise ImageError(
                f"expected an image that runs elsewhere too, found {name}, which stands on this machine's folders",
                hint='build it on a base: FROM python:3.12-slim, or environments.base = "python:3.12-slim"; '
                "without a registry: airdock image make-base bookworm --python",
            )

    def _manifest(self, part: Descriptor) -> Manifest:
        return Manifest.from_json(self._images.read_json(part.digest), where=f"manifest {part.digest}")

    def _document(self, entry: Descriptor) -> Document:
        with self._images.open_blob(entry.digest) as blob:
            content = blob.read()
        media_type = load_object(content, "manifest").get("mediaType")
        return Document(content=content, media_type=media_type or entry.media_type, digest=entry.digest)


class _Sources:
    """In which repositories blobs were seen. A hint only: losing it costs an upload."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def find(self, registry: str, digest: Digest) -> Sequence[str]:
        """Repositories of a registry, the latest first."""
        places = self._load().get(digest, [])
        return [place.removeprefix(f"{registry}/") for place in reversed(places) if place.startswith(f"{registry}/")]

    def add(self, reference: Reference, digests: Sequence[Digest]) -> None:
        place = f"{reference.registry}/{reference.repository}"
        with self._lock:
            known = dict(self._load())
            for digest in digests:
                places = [one for one in known.pop(str(digest), []) if one != place]
                known[str(digest)] = [*places, place][-_PLACES_EACH:]
            kept = dict(list(known.items())[-_MOST_SOURCES:])
            self._path.parent.mkdir(parents=True, exist_ok=True)
            save_json(self._path, list(kept.items()), durable=False)

    def _load(self) -> Mapping[str, list[str]]:
        try:
            found = json.loads(self._path.read_bytes())
            return {str(digest): [str(place) for place in places] for digest, places in found}
        except (OSError, ValueError, TypeError):
            return {}
