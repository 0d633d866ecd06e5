"""Names of images: `index.json` of an OCI layout, a descriptor per name, changed under the store's lock.

A name is the annotation `org.opencontainers.image.ref.name` with the full reference: a tag's, or a digest's for what
was fetched by its digest and has no tag of that repository. An image without one is kept as a descriptor without
annotation.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from airdock.errors import ImageError, InvalidReferenceError
from airdock.files import save_bytes, save_json
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.layout import LAYOUT
from airdock.oci.manifest import Index
from airdock.oci.reference import Reference, parse_reference, render_reference

__all__ = ["REF_NAME", "Names", "asked_name", "familiar_name", "name_of", "reference_of"]

REF_NAME = "org.opencontainers.image.ref.name"


class Names:
    """The index of one layout. `load` is free for all; whoever calls the others holds the store's lock."""

    def __init__(self, *, root: Path) -> None:
        self._root = root
        self._path = root / "index.json"

    def prepare(self) -> None:
        """Make the layout's own files unless they're there."""
        if not (self._root / "oci-layout").exists():
            save_json(self._root / "oci-layout", LAYOUT)
        if not self._path.exists():
            self._save(())

    def load(self) -> tuple[Descriptor, ...]:
        """All entries, names and nameless ones."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        try:
            return Index.from_json(load_object(content, "index.json"), where=str(self._path)).manifests
        except ImageError as error:
            error.where = str(self._path)
            error.hint = error.hint or "move it away: the names of images are lost with it, and images are built anew"
            raise

    def add(self, descriptor: Descriptor) -> None:
        """Keep an image without a name, unless it's there under any name or none."""
        entries = self.load()
        if all(entry.digest != descriptor.digest for entry in entries):
            self._save((*entries, descriptor))

    def set(self, name: str, descriptor: Descriptor) -> None:
        """Give a name to an image, and take it from the one that has it, which stays without a name."""
        named = replace(descriptor, annotations={**descriptor.annotations, REF_NAME: name})
        entries = [entry for entry in self.load() if name_of(entry) is not None or entry.digest != named.digest]
        pinned = f"{parse_reference(name).name}@{named.digest}"
        kept = [entry for entry in entries if name_of(entry) not in (name, pinned)]
        orphans = [entry for entry in entries if name_of(entry) == name and entry.digest != named.digest]
        for orphan in orphans:
            if all(entry.digest != orphan.digest for entry in kept):
                kept.append(_nameless(orphan))
        self._save((*kept, named))

    def pin(self, reference: Reference, descriptor: Descriptor) -> None:
        """Have an image go by repository and digest, unless it has a tag of that repository."""
        same = [entry for entry in self.load() if entry.digest == descriptor.digest]
        if all(found is None or found.name != reference.name for found in map(reference_of, same)):
            self.set(render_reference(reference), descriptor)

    def drop_name(self, name: str) -> None:
        """Take a name away; its image stays, if need be without a name."""
        entries = self.load()
        kept = [entry for entry in entries if name_of(entry) != name]
        for entry in entries:
            if name_of(entry) == name and all(other.digest != entry.digest for other in kept):
                kept.append(_nameless(entry))
        self._save(tuple(kept))

    def drop_image(self, digest: Digest) -> None:
        """Forget an image with all its names."""
        self._save(tuple(entry for entry in self.load() if entry.digest != digest))

    def _save(self, entries: tuple[Descriptor, ...]) -> None:
        save_bytes(self._path, json.dumps(Index(manifests=entries).to_json(), indent=1, sort_keys=True).encode())


def name_of(entry: Descriptor) -> str | None:
    """The name an entry gives, None for an image without one."""
    return entry.annotations.get(REF_NAME)


def reference_of(entry: Descriptor) -> Reference | None:
    """The name as a reference; None where there is none, or one that another tool wrote in its own way."""
    name = name_of(entry)
    if name is None:
        return None
    try:
        return parse_reference(name)
    except InvalidReferenceError:
        return None


def asked_name(asked: str, names: Sequence[str]) -> str | None:
    """Which of an image's names was asked for, None when it was found by digest or id."""
    try:
        full = render_reference(parse_reference(asked).with_default_tag())
    except InvalidReferenceError:
        full = asked
    return next((known for known in names if known in (full, asked)), None)


def familiar_name(name: str) -> str:
    """A name as people write it; another tool's as it is."""
    try:
        return parse_reference(name).familiar
    except InvalidReferenceError:
        return name


def _nameless(entry: Descriptor) -> Descriptor:
    return replace(entry, annotations={key: value for key, value in entry.annotations.items() if key != REF_NAME})
