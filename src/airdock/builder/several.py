"""`--platform A,B`: a build for each platform, and an index that holds their images together.

The parts are built one after the other, so what they share (stages FROM --platform=$BUILDPLATFORM, files copied) is
done once. Files go into a folder for each, `dest/linux_arm64`, as with BuildKit.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from airdock.builder.base import BuildRequest
from airdock.builder.outputs import Output, write_archive
from airdock.builder.platforms import render_platform
from airdock.errors import BuildError
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.oci.descriptor import Descriptor, Platform
from airdock.oci.digest import Digest
from airdock.oci.document import canonical_bytes
from airdock.oci.manifest import Index
from airdock.oci.media_types import INDEX, MANIFEST
from airdock.oci.reference import parse_reference

__all__ = ["build_several"]


def build_several(
    request: BuildRequest,
    platforms: Sequence[Platform],
    *,
    store: ImageStore,
    build: Callable[[BuildRequest], Image],
    spool: Path,
) -> Digest:
    """Build for each platform; gives the digest of the index, which has the tags. `spool` is a file for outputs.

    Raises what `build` raises, and then no name has changed.
    """
    _check(request)
    images = [build(_part(request, platform)) for platform in platforms]
    index = Index(
        manifests=tuple(
            Descriptor(media_type=MANIFEST, digest=image.digest, size=len(image.manifest.to_bytes()), platform=platform)
            for image, platform in zip(images, platforms, strict=True)
        )
    )
    content = canonical_bytes(index.to_json())
    if _is_files_only(request):
        return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    digest = store.put_manifest(content, INDEX)
    for tag in request.tags:
        store.tag(tag, digest)
    for output in request.outputs:
        if output.target and not output.is_files:
            write_archive(output, store, digest, request.tags, spool=spool)
    return digest


def _part(request: BuildRequest, platform: Platform) -> BuildRequest:
    shown = render_platform(platform)
    outputs = [
        replace(output, target=str(Path(output.target, shown.replace("/", "_"))))
        for output in request.outputs
        if output.is_files
    ]
    if outputs and not _is_files_only(request):
        outputs.append(Output(kind="image"))
    return replace(
        request, platform=platform, tags=(), outputs=tuple(outputs), label=f"{request.label} {shown}".strip()
    )


def _is_files_only(request: BuildRequest) -> bool:
    return bool(request.outputs) and not request.tags and all(output.is_files for output in request.outputs)


def _check(request: BuildRequest) -> None:
    for tag in request.tags:
        parse_reference(tag)
    for output in request.outputs:
        if output.kind == "tar" or (output.kind == "docker" and output.target):
            other = "type=local,dest=DIR" if output.kind == "tar" else "type=oci,dest=FILE"
            raise BuildError(
                f"expected one platform for --output type={output.kind}, found several", hint=f"use {other}"
            )
    if request.cache_to:
        raise BuildError(
            "expected one platform for --cache-to, found several", hint="build each platform with a place of its own"
        )
