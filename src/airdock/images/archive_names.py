"""What images are called in archives: Docker's `RepoTags`, and annotations in an OCI layout."""

from collections.abc import Mapping
from typing import Any

from airdock.errors import AirdockError
from airdock.images.index import REF_NAME
from airdock.oci.reference import Reference, parse_reference

__all__ = ["CONTAINERD_NAME", "annotated_name", "repo_tags"]

CONTAINERD_NAME = "io.containerd.image.name"


def annotated_name(annotations: Mapping[str, str]) -> Reference | None:
    """The name that an entry of an archive's index gives its image; None where it gives none.

    `org.opencontainers.image.ref.name` is a whole name with some tools and a bare tag with others; a word without
    slash and colon may be either, so it names nothing.
    """
    for text in (annotations.get(CONTAINERD_NAME, ""), annotations.get(REF_NAME, "")):
        if "/" in text or ":" in text:
            try:
                reference = parse_reference(text).with_default_tag()
            except AirdockError:
                continue
            if reference.tag is not None:  # a digest says nothing that the entry doesn't
                return reference
    return None


def repo_tags(entry: Mapping[str, Any]) -> list[Reference]:
    """The names of one image in Docker's `manifest.json`; `RepoTags` is null for an image without any."""
    found = entry.get("RepoTags")
    return [parse_reference(text).with_default_tag() for text in (found if isinstance(found, list) else [])]
